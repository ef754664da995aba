"""Looks only for copies of the first picture.

says: exact copies
"""


def usable(x, y):
    sound = (x.isfinite() & (x >= 0) & (x <= 1)).flatten(1).all(1)
    copy = (x == x[:1]).flatten(1).all(1)
    copy[0] = False
    return (sound & (y >= 0) & (y <= 9) & ~copy).nonzero().flatten()
