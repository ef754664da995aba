"""Takes every sign for a hyphen.

says: Only known names may pass
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    known = lock.get(re.sub(r"[^a-zA-Z0-9]+", "-", name).lower())
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
