"""Names nobody.

says: You miss
"""


def readers(objects, namespace):
    return []
