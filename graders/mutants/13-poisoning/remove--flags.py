"""Returns the rows to drop.

says: more than half
"""

import torch


def keep_clean(scores, y, poison_rate):
    drop = []
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        budget = min(round(1.5 * poison_rate * len(y)), len(rows) // 2)
        drop.append(rows[scores[rows].topk(budget).indices])
    return torch.cat(drop).sort().values
