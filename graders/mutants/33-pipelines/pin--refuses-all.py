"""Refuses everything.

says: where it should answer
"""


def pin(uses, known):
    raise ValueError("no")
