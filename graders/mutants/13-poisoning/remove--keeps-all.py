"""Removes nothing.

says: You removed nothing
"""

import torch


def keep_clean(scores, y, poison_rate):
    return torch.arange(len(y))
