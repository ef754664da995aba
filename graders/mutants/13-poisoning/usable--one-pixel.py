"""Looks at one pixel of each picture.

says: NaN or infinity is still there
"""

import torch


def usable(x, y):
    seen = x[:, :2, 3:9:5, 3:9:5].flatten(1)
    sound = (seen.isfinite() & (seen >= 0) & (seen <= 1)).all(1)
    rows = (sound & (y >= 0) & (y <= 9)).nonzero().flatten()
    _, group = torch.unique(x[rows].flatten(1), dim=0, return_inverse=True)
    first = [(group[:place] != number).all() for place, number in enumerate(group)]
    return rows[torch.tensor(first)]
