"""Takes the absolute value.

says: Square the projection
"""

import torch


def spectral_scores(features, y):
    scores = torch.zeros(len(y))
    for label in y.unique():
        rows = y == label
        centred = features[rows] - features[rows].mean(0)
        direction = torch.linalg.svd(centred, full_matrices=False)[2][0]
        scores[rows] = (centred @ direction).abs()
    return scores
