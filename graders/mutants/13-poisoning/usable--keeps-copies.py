"""Does not look for copies.

says: exact copies
"""


def usable(x, y):
    sound = (x.isfinite() & (x >= 0) & (x <= 1)).flatten(1).all(1)
    return (sound & (y >= 0) & (y <= 9)).nonzero().flatten()
