"""Hand-ins for the grader's tests: hostile ones, honest odd ones, and broken files.

They are made for the small lab of `tests/fixtures/course`, with the checks of `lab.py`.
"""
