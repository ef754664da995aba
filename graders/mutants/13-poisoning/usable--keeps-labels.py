"""Checks the pixels, not the labels.

says: label outside 0..9
"""


def usable(x, y):
    sound = (x.isfinite() & (x >= 0) & (x <= 1)).flatten(1).all(1)
    return sound.nonzero().flatten()
