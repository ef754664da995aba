"""Returns a count.

says: between 0 and 1
"""


def success_rate(predicted, y, target):
    return int((predicted[y != target] == target).sum())
