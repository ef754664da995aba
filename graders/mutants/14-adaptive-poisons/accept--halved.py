"""Is content when half of the attack is gone.

says: trigger still works
"""


def accept(before, after, accuracy_lost, false_alarms):
    seeds = list(zip(before, after, accuracy_lost, false_alarms, strict=True))
    return bool(seeds) and all(
        was >= 0.5 and left <= was / 2 and lost <= 0.02 and alarms <= 0.05
        for was, left, lost, alarms in seeds
    )
