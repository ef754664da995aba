"""Never asks whether the attack worked before.

says: attack never worked
"""


def accept(before, after, accuracy_lost, false_alarms):
    seeds = list(zip(after, accuracy_lost, false_alarms, strict=True))
    return bool(seeds) and all(
        left <= 0.1 and lost <= 0.02 and alarms <= 0.05 for left, lost, alarms in seeds
    )
