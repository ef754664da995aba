"""Forgets what the defence flags on clean data.

says: clean data is flagged
"""


def accept(before, after, accuracy_lost, false_alarms):
    seeds = list(zip(before, after, accuracy_lost, strict=True))
    return bool(seeds) and all(
        was >= 0.5 and left <= 0.1 and lost <= 0.02 for was, left, lost in seeds
    )
