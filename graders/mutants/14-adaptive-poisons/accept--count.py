"""Returns a count.

says: Return Python's True or False
"""


def accept(before, after, accuracy_lost, false_alarms):
    return sum(left <= 0.1 for left in after)
