"""Treats a faint mask as a full one.

says: wrong shares
"""


def stamp(x, pattern, mask):
    hard = (mask > 0).float()
    return x * (1 - hard) + pattern * hard
