"""Drops the top scores of the whole set.

says: expected
"""


def keep_clean(scores, y, poison_rate):
    budget = round(1.5 * poison_rate * len(y) * len(y.unique()))
    return scores.argsort()[:-budget].sort().values
