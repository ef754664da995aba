"""Empties a list it was given.

says: changed one of the lists
"""


def accept(before, after, accuracy_lost, false_alarms):
    seeds = [
        (was, after.pop(0), lost, alarms)
        for was, lost, alarms in zip(before, accuracy_lost, false_alarms, strict=True)
    ]
    return bool(seeds) and all(
        was >= 0.5 and left <= 0.1 and lost <= 0.02 and alarms <= 0.05
        for was, left, lost, alarms in seeds
    )
