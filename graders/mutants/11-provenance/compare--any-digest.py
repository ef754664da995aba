"""Takes a digest that any file of the manifest has.

says: `changed` lacks
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
    if len(listed) != len(tree["files"]):
        raise ValueError("twice")
    changed = [
        path
        for path in files.keys() & listed.keys()
        if hashlib.sha256(files[path]).hexdigest()
        not in {row["digest"] for row in tree["files"]}
    ]
    return {
        "changed": sorted(changed),
        "missing": sorted(listed.keys() - files.keys()),
        "extra": sorted(files.keys() - listed.keys()),
    }
