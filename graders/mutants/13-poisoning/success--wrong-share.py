"""Divides by all images.

says: Expected
"""


def success_rate(predicted, y, target):
    return int(((predicted == target) & (y != target)).sum()) / len(y)
