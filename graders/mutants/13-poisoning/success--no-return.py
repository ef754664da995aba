"""Forgets to return.

says: forget `return`
"""


def success_rate(predicted, y, target):
    (predicted[y != target] == target).float().mean()
