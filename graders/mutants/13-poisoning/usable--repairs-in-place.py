"""Clamps the delivery instead of refusing rows.

says: changed the delivery
"""

import torch


def usable(x, y):
    x.nan_to_num_(0.5).clamp_(0, 1)
    y.clamp_(0, 9)
    return torch.arange(len(x))
