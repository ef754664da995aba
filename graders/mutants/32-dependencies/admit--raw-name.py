"""Looks the name up as it is spelled.

says: Capitals do not count
"""

from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(name)
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
