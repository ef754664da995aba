"""Refuses every need.

says: You refuse needs
"""


def roles(account, needs):
    raise ValueError("no")
