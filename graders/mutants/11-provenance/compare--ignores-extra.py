"""Looks at listed files only.

says: `extra` lacks
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
        if len(files[path]) != listed[path]["size"]
        or hashlib.sha256(files[path]).hexdigest() != listed[path]["digest"]
    ]
    return {
        "changed": sorted(changed),
        "missing": sorted(listed.keys() - files.keys()),
        "extra": [],
    }
