"""Takes the smallest direction.

says: not the top right singular vector
"""

import torch


def spectral_scores(features, y):
    scores = torch.zeros(len(y))
    for label in y.unique():
        rows = y == label
        centred = features[rows] - features[rows].mean(0)
        direction = torch.linalg.svd(centred, full_matrices=False)[2][-1]
        scores[rows] = (centred @ direction) ** 2
    return scores
