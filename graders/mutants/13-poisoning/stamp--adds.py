"""Adds the pattern to the image.

says: pattern alone must show
"""


def stamp(x, pattern, mask):
    return (x + pattern * mask).clamp(0, 1)
