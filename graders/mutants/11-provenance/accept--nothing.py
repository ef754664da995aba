"""Refuses everything.

says: You refuse a first release
"""


def accept(delivery, known):
    raise ValueError("no")
