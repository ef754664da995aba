"""Signs a hash of the manifest.

says: not the Ed25519 signature of CONTEXT + manifest
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from securetrain.manifests import CONTEXT


def sign_manifest(manifest, private_key):
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(
        hashlib.sha256(CONTEXT + manifest).digest()
    )


def is_signed(manifest, signature, public_key):
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, CONTEXT + manifest)
    except InvalidSignature:
        return False
    return True
