"""Reads the archive with tarfile alone: links and doubles pass.

says: You accept
"""

import hashlib
import io
import tarfile

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
    files = {}
    with tarfile.open(fileobj=io.BytesIO(delivery["archive"])) as archive:
        for member in archive:
            files[member.name] = archive.extractfile(member).read()
    if manifests.describe(files) != release.files:
        raise ValueError("files")
    return known | {"version": release.version, "manifest": digest}
