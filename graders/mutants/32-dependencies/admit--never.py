"""Lets nothing in.

says: that the lock allows was refused
"""


def admit(name, version, content, lock):
    return False
