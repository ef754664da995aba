"""Refuses everything.

says: Honest models pass
"""

# ruff: noqa: F821, F401

from hashlib import sha256

from securetrain import manifests


def decide(delivery, known):
    return {"deploy": False, "check": "error"}
