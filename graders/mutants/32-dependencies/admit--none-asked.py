"""Asks what was not found for its version.

says: A strange name is no error but a False
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[-_.]+", "-", name).lower())
    if known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
