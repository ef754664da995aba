"""Takes more than half of a small class.

says: more than half
"""

import torch


def keep_clean(scores, y, poison_rate):
    keep = torch.ones(len(y), dtype=torch.bool)
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        budget = min(round(1.5 * poison_rate * len(y)), len(rows))
        keep[rows[scores[rows].topk(budget).indices]] = False
    return keep.nonzero().flatten()
