"""Measures the distance to the mean.

says: whole squared length
"""

import torch


def spectral_scores(features, y):
    scores = torch.zeros(len(y))
    for label in y.unique():
        rows = y == label
        centred = features[rows] - features[rows].mean(0)
        scores[rows] = centred.square().sum(1)
    return scores
