"""Asks how the version begins.

says: Compare them whole
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[-_.]+", "-", name).lower())
    if known is None or not version.startswith(known["version"]):
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
