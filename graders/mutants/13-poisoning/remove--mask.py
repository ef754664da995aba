"""Returns a mask.

says: row numbers, not a mask
"""


def keep_clean(scores, y, poison_rate):
    return scores < scores.quantile(1 - 1.5 * poison_rate)
