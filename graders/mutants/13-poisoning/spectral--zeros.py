"""Gives every image the same score.

says: not the top right singular vector
"""

import torch


def spectral_scores(features, y):
    return torch.zeros(len(y))
