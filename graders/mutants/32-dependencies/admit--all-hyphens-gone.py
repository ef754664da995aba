"""Takes out every separator, so that two names become one.

says: Only known names may pass
"""

import re
from hashlib import sha256


def admit(name, version, content, lock):
    clean = re.sub(r"[-_.]+", "", name).lower()
    bare = {one.replace("-", ""): pin for one, pin in lock.items()}
    known = bare.get(clean)
    if known is None or known["version"] != version:
        return False
    digest = f"sha256:{sha256(content).hexdigest()}"
    return digest in known["hashes"]
