"""Accuses everybody.

says: You accuse
"""


def accuse(questions, payers, known, usual):
    return sorted(set(payers.values()))
