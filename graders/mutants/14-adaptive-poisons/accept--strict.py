"""Refuses a number at the limit.

says: at the limit
"""


def accept(before, after, accuracy_lost, false_alarms):
    return bool(before) and (
        all(was > 0.5 for was in before)
        and all(left < 0.1 for left in after)
        and all(lost < 0.02 for lost in accuracy_lost)
        and all(alarms < 0.05 for alarms in false_alarms)
    )
