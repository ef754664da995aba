"""Replaces underscores, and forgets dots and runs.

says: a run of - _ . is one hyphen
"""

from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(name.lower().replace("_", "-"))
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
