"""Refuses all.

says: An old payer's burst
"""


def admit(requests, payers, since):
    return [False for _ in requests]
