"""Answers all.

says: expected
"""


def take(bucket, now, cost, burst, rate):
    if cost < 1:
        raise ValueError("cost")
    return True, (burst, now)
