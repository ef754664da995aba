"""Accepts every defence.

says: attack never worked
"""


def accept(before, after, accuracy_lost, false_alarms):
    return True
