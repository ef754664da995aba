"""Returns accuracy.

says: That is accuracy
"""


def success_rate(predicted, y, target):
    return (predicted == y).float().mean().item()
