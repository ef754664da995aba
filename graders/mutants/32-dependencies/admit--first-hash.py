"""Compares the first hash only.

says: Each hash of the list stands for one file
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[-_.]+", "-", name).lower())
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return known["hashes"][:1] == [digest]
