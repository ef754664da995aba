"""Of two lines for a path, the last one counts.

says: a path listed twice
"""

import hashlib
import json

from securetrain.manifests import FORMAT, HASH, canonical


def differences(files, manifest):
    tree = json.loads(manifest)
    if canonical(tree) != manifest:
        raise ValueError("form")
    if tree["format"] != FORMAT or tree["hash"] != HASH:
        raise ValueError("hash")
    listed = {row["path"]: row for row in tree["files"]}
    changed = [
        path
        for path in files.keys() & listed.keys()
        if len(files[path]) != listed[path]["size"]
        or hashlib.sha256(files[path]).hexdigest() != listed[path]["digest"]
    ]
    return {
        "changed": sorted(changed),
        "missing": sorted(listed.keys() - files.keys()),
        "extra": sorted(files.keys() - listed.keys()),
    }
