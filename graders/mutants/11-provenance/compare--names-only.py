"""Compares names, not content.

says: `changed` lacks
"""

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
    return {
        "changed": [],
        "missing": sorted(listed.keys() - files.keys()),
        "extra": sorted(files.keys() - listed.keys()),
    }
