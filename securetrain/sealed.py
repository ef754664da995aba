"""An answer that is fixed before the drill and opened after it.

The attacker is whoever would like the answer to be another one afterwards, or to read
it early. A commitment fixes it: nobody finds a second answer for the same hash. The
sealed file hides it from everybody without the key.

Source: Blum 1983, Coin flipping by telephone; ChaCha20-Poly1305, RFC 8439; HKDF,
RFC 5869
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from securetrain import plain_json
from securetrain.archives import Refused
from securetrain.manifests import canonical

CONTEXT = b"securetrain scenario truth v1\n"
NONCE = b"truth sealed"  # 12 bytes; each key seals one text only
BLOCK = 8192  # bytes that a sealed text is a multiple of: its length tells nothing


def commitment(truth: Mapping[str, Any], salt: bytes) -> str:
    """Return the hash that fixes a truth; salt: 32 bytes, or guesses could be tried."""
    if len(salt) != 32:
        raise ValueError(f"expected a salt of 32 bytes, got {len(salt)}")
    return sha256(CONTEXT + salt + canonical(truth)).hexdigest()


def key(secret: bytes, drill: str, fixed: str) -> bytes:
    """Return the key of one truth, 32 bytes; an empty secret hides nothing.

    fixed: its commitment: a drill that is made again, with another truth, has another
    key, as the nonce is always the same
    """
    info = f"securetrain sealed truth\n{drill}\n{fixed}".encode()
    return HKDF(SHA256(), 32, b"", info).derive(secret or b"no secret")


def seal(truth: Mapping[str, Any], salt: bytes, key: bytes) -> bytes:
    """Return a truth and its salt, readable with the key only.

    Use a key once: the nonce is always the same.
    """
    data = canonical({"salt": salt.hex(), "truth": dict(truth)})
    data += b" " * (-len(data) % BLOCK)
    fixed = commitment(truth, salt).encode()
    return ChaCha20Poly1305(key).encrypt(NONCE, data, fixed)


def unseal(data: bytes, key: bytes, fixed: str) -> tuple[dict[str, Any], bytes]:
    """Return the truth and its salt; fixed: the commitment that was published.

    Raises Refused when the file, the key or the commitment is not the one of the start.
    """
    try:
        text = ChaCha20Poly1305(key).decrypt(NONCE, data, fixed.encode())
        tree = plain_json.read(text)
        truth, salt = tree["truth"], bytes.fromhex(tree["salt"])
    except (InvalidTag, ValueError, KeyError, TypeError):
        why = "the sealed truth, its commitment or the secret is not that of the start"
        raise Refused("truth", why) from None
    check(truth, salt, fixed)
    return truth, salt


def check(truth: Mapping[str, Any], salt: bytes, fixed: str) -> None:
    """Raise Refused unless a truth is the one that was fixed at the start."""
    if len(salt) != 32 or commitment(truth, salt) != fixed:
        why = "this truth is not the one that the commitment fixed at the start"
        raise Refused("truth", why)
