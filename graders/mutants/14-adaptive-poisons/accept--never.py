"""Refuses every defence.

says: stops the attack on every seed
"""


def accept(before, after, accuracy_lost, false_alarms):
    return False
