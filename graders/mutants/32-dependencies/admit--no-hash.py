"""Trusts name and version.

says: Only the file's hash tells the two apart
"""

import re


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[-_.]+", "-", name).lower())
    return known is not None and known["version"] == version
