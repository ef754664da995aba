"""Forgets to return.

says: forget `return`
"""


def stamp(x, pattern, mask):
    x * (1 - mask) + pattern * mask
