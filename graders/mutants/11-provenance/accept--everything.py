"""Accepts everything.

says: You accept
"""

import hashlib
import json


def accept(delivery, known):
    manifest = delivery["manifest"]
    version = json.loads(manifest)["version"]
    digest = hashlib.sha256(manifest).hexdigest()
    return known | {"version": version, "manifest": digest}
