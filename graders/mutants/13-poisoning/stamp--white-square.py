"""Stamps white whatever the pattern.

says: stands no pattern
"""


def stamp(x, pattern, mask):
    return x * (1 - mask) + mask
