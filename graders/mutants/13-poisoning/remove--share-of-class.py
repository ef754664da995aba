"""Takes the rate as a share of the class.

says: N is the size of the whole set
"""

import torch


def keep_clean(scores, y, poison_rate):
    keep = torch.ones(len(y), dtype=torch.bool)
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        budget = round(1.5 * poison_rate * len(rows))
        keep[rows[scores[rows].topk(budget).indices]] = False
    return keep.nonzero().flatten()
