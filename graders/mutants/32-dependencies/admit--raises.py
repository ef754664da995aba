"""Raises an error for an unknown name.

says: A strange name is no error but a False
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock[re.sub(r"[-_.]+", "-", name).lower()]
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
