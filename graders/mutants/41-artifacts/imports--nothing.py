"""Finds no name.

says: The loader fetches
"""

# ruff: noqa: F821, F401

import pickletools  # noqa: F401


def imports(data):
    return []
