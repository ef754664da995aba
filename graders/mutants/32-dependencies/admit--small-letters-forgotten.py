"""Joins the words, and forgets the capitals.

says: Capitals do not count
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[-_.]+", "-", name))
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
