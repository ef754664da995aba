"""Forgets what the defence costs in accuracy.

says: lost too much accuracy
"""


def accept(before, after, accuracy_lost, false_alarms):
    seeds = list(zip(before, after, false_alarms, strict=True))
    return bool(seeds) and all(
        was >= 0.5 and left <= 0.1 and alarms <= 0.05 for was, left, alarms in seeds
    )
