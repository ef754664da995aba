"""Does not mind files that are not listed, or missing.

says: You accept
"""

import hashlib

from securetrain import manifests


def accept(delivery, known):
    manifest = delivery["manifest"]
    manifests.check_signature(manifest, delivery["signature"], known["key"])
    release = manifests.read_manifest(manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    if release.name != known["name"]:
        raise ValueError("name")
    if release.version < known["version"]:
        raise ValueError("rollback")
    if release.version == known["version"] and digest != known["manifest"]:
        raise ValueError("same number")
    found = manifests.describe(delivery["archive"])
    if any(found[path] != release.files[path] for path in found.keys() & release.files):
        raise ValueError("files")
    return known | {"version": release.version, "manifest": digest}
