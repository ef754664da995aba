"""Returns the share that fails.

says: Expected
"""


def success_rate(predicted, y, target):
    return (predicted[y != target] != target).float().mean().item()
