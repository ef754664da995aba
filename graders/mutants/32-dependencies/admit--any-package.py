"""Looks for the hash anywhere in the lock.

says: not under this name
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[-_.]+", "-", name).lower())
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return any(digest in one["hashes"] for one in lock.values())
