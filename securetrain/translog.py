"""An append-only log: a Merkle tree whose head commits to every entry before it.

The attacker controls the log's server, or a copy of it. They want an entry to vanish
or to change, or two readers to see different logs, and nobody to notice. A head that
somebody kept is what gives them away.

Source: Certificate Transparency, RFC 6962, sections 2.1 to 2.1.4; how a proof is
checked, RFC 9162, sections 2.1.3 and 2.1.4
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from securetrain.archives import Refused

LEAF, NODE = b"\x00", b"\x01"  # so that no entry can pass for an inner node
CONTEXT = b"securetrain log head v1\n"


# --- The tree -------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry, 32 bytes."""
    return sha256(LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node, 32 bytes."""
    return sha256(NODE + left + right).digest()


def split(n: int) -> int:
    """Return how many of n >= 2 leaves hang on the left: a power of two below n."""
    return 1 << ((n - 1).bit_length() - 1)


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the hash at the top of a tree of leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree: one hash a level, upwards."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"expected an index from 0 to {len(leaves) - 1}, got {index}")
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*inclusion(leaves[:k], index), root(leaves[k:])]
    return [*inclusion(leaves[k:], index - k), root(leaves[:k])]


def consistency(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Return the proof that the first `old` leaves stand unchanged in the tree."""
    if not 0 < old <= len(leaves):
        raise ValueError(f"expected an old size from 1 to {len(leaves)}, got {old}")
    return _consistency(leaves, old, True)


def _consistency(leaves: Sequence[bytes], old: int, known: bool) -> list[bytes]:
    """Return the proof for a subtree; known: its old root is the one already held."""
    if old == len(leaves):
        return [] if known else [root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*_consistency(leaves[:k], old, known), root(leaves[k:])]
    return [*_consistency(leaves[k:], old - k, False), root(leaves[:k])]


# --- Checking proofs ------------------------------------------------------------


def check_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], top: bytes
) -> None:
    """Raise Refused unless `proof` leads from a leaf's hash to the root `top`.

    index: from 0; size: entries in the log
    """
    if not 0 <= index < size:
        raise Refused("log", f"entry {index} of a log of {size}: there is none")
    here, at, last = leaf, index, size - 1
    for other in _hashes(proof):
        if last == 0:
            raise Refused("log", "the proof is longer than the tree is high")
        if at % 2 or at == last:
            here = node_hash(other, here)
            while at and not at % 2:  # a lone node rises without a sister
                at, last = at >> 1, last >> 1
        else:
            here = node_hash(here, other)
        at, last = at >> 1, last >> 1
    if last or here != top:
        raise Refused("log", "the entry is not in the log that this head commits to")


def check_consistency(
    old: int, old_top: bytes, new: int, new_top: bytes, proof: Sequence[bytes]
) -> None:
    """Raise Refused unless the new log begins with the whole of the old one.

    old, new: sizes, at least 1; old_top, new_top: their roots
    """
    rewritten = Refused("log", f"the log of {new} does not continue that of {old}")
    hashes = _hashes(proof)
    if not 1 <= old <= new:
        raise Refused("log", f"a log of {old} entries cannot shrink to {new}")
    if old == new:
        if hashes or old_top != new_top:
            raise rewritten
        return
    if old & (old - 1) == 0:  # a full tree: its root is a node of the new one
        hashes = [old_top, *hashes]
    if not hashes:
        raise rewritten
    at, last = old - 1, new - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    before = after = hashes[0]
    for other in hashes[1:]:
        if last == 0:
            raise rewritten
        if at % 2 or at == last:
            before, after = node_hash(other, before), node_hash(other, after)
            while at and not at % 2:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, other)
        at, last = at >> 1, last >> 1
    if last or before != old_top or after != new_top:
        raise rewritten


def _hashes(proof: Sequence[bytes]) -> list[bytes]:
    if any(type(one) is not bytes or len(one) != 32 for one in proof):
        raise Refused("log", "expected a proof of hashes of 32 bytes")
    return list(proof)


# --- Signed heads -----------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """A log's size and root, and its operator's signature over both."""

    size: int
    root: bytes
    signature: bytes = b""

    @property
    def message(self) -> bytes:
        """What the operator signs."""
        return CONTEXT + struct.pack("!Q", self.size) + self.root


def sign_head(leaves: Sequence[bytes], private_key: bytes) -> Head:
    """Return the signed head of a tree; private_key: 32 bytes, Ed25519."""
    head = Head(len(leaves), root(leaves))
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    return Head(head.size, head.root, key.sign(head.message))


def check_head(head: Head, public_key: bytes) -> None:
    """Raise Refused unless the log's operator signed this head."""
    if not 0 < head.size < 1 << 63 or len(head.root) != 32:
        raise Refused("log", f"a head of {head.size} entries: expected 1 or more")
    key = Ed25519PublicKey.from_public_bytes(public_key)
    try:
        key.verify(head.signature, head.message)
    except InvalidSignature:
        raise Refused("log", "the head carries no signature of this log") from None
