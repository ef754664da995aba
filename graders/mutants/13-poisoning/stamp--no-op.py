"""Returns the images as they are.

says: Nothing was stamped
"""


def stamp(x, pattern, mask):
    return x.clone()
