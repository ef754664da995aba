"""Does nothing.

says: still lives
"""


def respond(log, leak):
    return []
