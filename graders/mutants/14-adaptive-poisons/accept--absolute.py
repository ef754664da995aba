"""Takes a gain in accuracy for a loss.

says: gains accuracy
"""


def accept(before, after, accuracy_lost, false_alarms):
    return bool(before) and (
        all(was >= 0.5 for was in before)
        and all(left <= 0.1 for left in after)
        and all(abs(lost) <= 0.02 for lost in accuracy_lost)
        and all(alarms <= 0.05 for alarms in false_alarms)
    )
