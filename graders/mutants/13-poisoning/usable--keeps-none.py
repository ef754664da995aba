"""Throws the delivery away.

says: You kept nothing
"""

import torch


def usable(x, y):
    return torch.arange(0)
