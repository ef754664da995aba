"""Accepts what was never measured.

says: no evidence. `all` of an empty
"""


def accept(before, after, accuracy_lost, false_alarms):
    return (
        all(was >= 0.5 for was in before)
        and all(left <= 0.1 for left in after)
        and all(lost <= 0.02 for lost in accuracy_lost)
        and all(alarms <= 0.05 for alarms in false_alarms)
    )
