"""Finds nothing.

says: You miss the key
"""

import re

BASE64 = re.compile(rb"[A-Za-z0-9+/]{20,}={0,2}")


def find_keys(files):
    return {"keys": {}, "unread": []}
