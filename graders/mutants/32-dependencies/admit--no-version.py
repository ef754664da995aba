"""Compares hashes and no version.

says: Compare them whole
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[-_.]+", "-", name).lower())
    digest = f"sha256:{sha256(content).hexdigest()}"
    return known is not None and digest in known["hashes"]
