"""Looks for bad numbers, and a NaN is none.

says: is no evidence. Ask whether
"""


def accept(before, after, accuracy_lost, false_alarms):
    if not before:
        return False
    return not (
        any(was < 0.5 for was in before)
        or any(left > 0.1 for left in after)
        or any(lost > 0.02 for lost in accuracy_lost)
        or any(alarms > 0.05 for alarms in false_alarms)
    )
