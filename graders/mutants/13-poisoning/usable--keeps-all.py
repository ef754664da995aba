"""Keeps every row.

says: NaN or infinity is still there
"""

import torch


def usable(x, y):
    return torch.arange(len(x))
