"""Does not compare versions.

says: a rollback to an older release
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
    if release.version == known["version"] and digest != known["manifest"]:
        raise ValueError("same number")
    if manifests.describe(delivery["archive"]) != release.files:
        raise ValueError("files")
    return known | {"version": release.version, "manifest": digest}
