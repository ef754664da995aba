"""Lets everything in.

says: Only the file's hash tells the two apart
"""


def admit(name, version, content, lock):
    return True
