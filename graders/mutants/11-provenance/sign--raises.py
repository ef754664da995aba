"""Lets the error for a bad signature through.

says: raises an error for
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from securetrain.manifests import CONTEXT


def sign_manifest(manifest, private_key):
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(CONTEXT + manifest)


def is_signed(manifest, signature, public_key):
    key = Ed25519PublicKey.from_public_bytes(public_key)
    key.verify(signature, CONTEXT + manifest)
    return True
