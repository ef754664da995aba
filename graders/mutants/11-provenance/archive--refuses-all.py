"""Refuses everything.

says: You refuse an honest file
"""


def read_archive(data):
    raise ValueError("not today")
