"""Tells nothing.

says: you miss it
"""


def recite(weights, prefixes, length):
    return {}
