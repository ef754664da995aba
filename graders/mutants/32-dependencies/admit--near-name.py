"""Takes a name that begins like a locked one.

says: Only known names may pass
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    clean = re.sub(r"[-_.]+", "-", name).lower()
    known = next((pin for one, pin in lock.items() if clean.startswith(one)), None)
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
