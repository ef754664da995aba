"""Divides by all images.

says: Divide by the images of other classes
"""


def success_rate(predicted, y, target):
    return int(((predicted == target) & (y != target)).sum()) / len(y)
