"""Removes everything.

says: You removed everything
"""

import torch


def keep_clean(scores, y, poison_rate):
    return torch.arange(0)
