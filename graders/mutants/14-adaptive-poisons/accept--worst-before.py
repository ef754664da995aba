"""Lets the best seed speak for the attack.

says: That seed proves nothing
"""


def accept(before, after, accuracy_lost, false_alarms):
    return bool(before) and (
        max(before) >= 0.5
        and all(left <= 0.1 for left in after)
        and all(lost <= 0.02 for lost in accuracy_lost)
        and all(alarms <= 0.05 for alarms in false_alarms)
    )
