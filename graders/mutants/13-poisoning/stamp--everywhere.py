"""Ignores the mask.

says: outside the mask changed
"""


def stamp(x, pattern, mask):
    return pattern.expand_as(x).clone()
