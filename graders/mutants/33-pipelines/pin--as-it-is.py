"""Returns what it is given.

says: becomes
"""


def pin(uses, known):
    return uses
