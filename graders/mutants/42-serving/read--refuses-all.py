"""Refuses everything.

says: honest images
"""


def read(body):
    raise ValueError("no")
