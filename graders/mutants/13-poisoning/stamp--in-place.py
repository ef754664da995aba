"""Writes into the images it was given.

says: changed the images
"""


def stamp(x, pattern, mask):
    x.mul_(1 - mask).add_(pattern * mask)
    return x
