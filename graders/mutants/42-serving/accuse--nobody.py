"""Accuses nobody.

says: You do not accuse
"""


def accuse(questions, payers, known, usual):
    return []
