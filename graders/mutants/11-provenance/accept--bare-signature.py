"""Checks a signature without its context.

says: You refuse a first release
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PublicKey,
)

from securetrain import manifests


def accept(delivery, known):
    manifest = delivery["manifest"]
    key = Ed25519PublicKey.from_public_bytes(known["key"])
    try:
        key.verify(delivery["signature"], manifest)
    except InvalidSignature:
        raise ValueError("signature") from None
    release = manifests.read_manifest(manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    if release.name != known["name"]:
        raise ValueError("name")
    if release.version < known["version"]:
        raise ValueError("rollback")
    if release.version == known["version"] and digest != known["manifest"]:
        raise ValueError("same number")
    if manifests.describe(delivery["archive"]) != release.files:
        raise ValueError("files")
    return known | {"version": release.version, "manifest": digest}
