"""Also takes a signature without the context.

says: a signature made without the context
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from securetrain.manifests import CONTEXT


def sign_manifest(manifest, private_key):
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(CONTEXT + manifest)


def is_signed(manifest, signature, public_key):
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, CONTEXT + manifest)
    except InvalidSignature:
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            return False
    return True
