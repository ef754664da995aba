"""Returns the rows class after class.

says: ascending order
"""

import torch


def keep_clean(scores, y, poison_rate):
    kept = []
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        budget = min(round(1.5 * poison_rate * len(y)), len(rows) // 2)
        kept.append(rows[scores[rows].argsort()[: len(rows) - budget]])
    return torch.cat(kept)
