"""Centres the features in place.

says: changed the features
"""

import torch


def spectral_scores(features, y):
    scores = torch.zeros(len(y))
    for label in y.unique():
        rows = y == label
        features[rows] -= features[rows].mean(0)
        direction = torch.linalg.svd(features[rows], full_matrices=False)[2][0]
        scores[rows] = (features[rows] @ direction) ** 2
    return scores
