"""Adds the pattern to the image.

says: stands no pattern
"""


def stamp(x, pattern, mask):
    return (x + pattern * mask).clamp(0, 1)
