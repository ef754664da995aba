"""Looks at one seed.

says: On one seed the attack did not work
"""


def accept(before, after, accuracy_lost, false_alarms):
    return bool(before) and (
        before[0] >= 0.5
        and after[0] <= 0.1
        and accuracy_lost[0] <= 0.02
        and false_alarms[0] <= 0.05
    )
