"""An answer to the exercise of the lesson "A familiar name"."""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    """Return True when a file may be installed, else False."""
    known = lock.get(re.sub(r"[-_.]+", "-", name).lower())
    if known is None or known["version"] != version:
        return False
    return f"sha256:{sha256(content).hexdigest()}" in known["hashes"]
