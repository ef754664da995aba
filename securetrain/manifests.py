"""A manifest names every file of a data set, and a key's owner signs it.

The attacker has the data and the manifest in hand, but not the key. They want other
bytes to pass for those that were signed: through a second reading of the same text, a
weaker hash, a signature made for something else.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from securetrain import archives
from securetrain.archives import Refused

FORMAT, HASH = "securetrain-manifest-1", "sha256"
CONTEXT = b"securetrain manifest v1\n"  # a signature over anything else is none
LARGEST = (1 << 53) - 1  # of a whole number: beyond, JSON readers disagree


# --- Manifests -----------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """What a manifest says of one file: its size in bytes and its SHA-256."""

    size: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """Everything that belongs to one release of a data set, and nothing else.

    name: of the data set; version: from 1, each release has a higher one
    source: where the publisher had the data from; files: path -> File
    """

    name: str
    version: int
    source: str
    files: Mapping[str, File]


def describe(data: Path | bytes | Mapping[str, bytes]) -> dict[str, File]:
    """Return size and hash of every file of a folder, archive or dict, by path.

    Reads in pieces, whatever the size. Raises Refused as `archives.entries` does.
    """
    if isinstance(data, Mapping):
        archives.check_names(data)
        return {
            name: File(len(content), sha256(content).hexdigest())
            for name, content in data.items()
        }
    found = {}
    for entry in archives.entries(data):
        size, digest = 0, sha256()
        for part in entry.chunks():
            size += len(part)
            digest.update(part)
        found[entry.name] = File(size, digest.hexdigest())
    return found


def write_manifest(
    files: Mapping[str, File], name: str, version: int, source: str
) -> bytes:
    """Return the manifest of a release: the same bytes for the same files.

    Raises Refused for names, versions or hashes that `read_manifest` would not take.
    """
    rows = [
        {"path": path, "size": files[path].size, "digest": files[path].digest}
        for path in sorted(files)
    ]
    tree = {"format": FORMAT, "hash": HASH, "name": name, "version": version}
    manifest = canonical({**tree, "source": source, "files": rows})
    read_manifest(manifest)
    return manifest


def canonical(tree: Any) -> bytes:
    """Return a JSON value as the one text that we sign: ASCII, sorted, no spaces."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii")


def read_manifest(data: bytes) -> Manifest:
    """Return a manifest; check its signature first.

    Raises Refused for everything that `write_manifest` does not write: unknown
    formats, algorithms and keys, files named twice, bad paths, numbers out of range.
    """
    try:
        tree = json.loads(data.decode("ascii"))
        same = canonical(tree) == data
    except (ValueError, RecursionError) as error:
        raise Refused("manifest", f"the manifest is no JSON text: {error}") from None
    if not same:
        raise Refused("manifest", "not in canonical form: a key twice, or other spaces")
    _fields(tree, {"format", "hash", "name", "version", "source", "files"}, "manifest")
    for key, known in (("format", FORMAT), ("hash", HASH)):
        if tree[key] != known:
            raise Refused("manifest", f"unknown {key} {tree[key]!r}, expected {known}")
    if not all(isinstance(tree[key], str) and tree[key] for key in ("name", "source")):
        raise Refused("manifest", "name and source must be text that is not empty")
    check_number(tree["version"], 1, "version")
    if not isinstance(tree["files"], list):
        raise Refused("manifest", "files must be a list")
    for row in tree["files"]:
        _row(row)
    paths = [row["path"] for row in tree["files"]]
    archives.check_names(paths)
    if paths != sorted(paths):
        raise Refused("manifest", "files must be sorted by path")
    files = {row["path"]: File(row["size"], row["digest"]) for row in tree["files"]}
    return Manifest(tree["name"], tree["version"], tree["source"], files)


def _fields(tree: Any, expected: set[str], what: str) -> None:
    if not isinstance(tree, dict) or tree.keys() != expected:
        raise Refused(
            "manifest", f"a {what} has exactly the keys {', '.join(sorted(expected))}"
        )


def check_number(value: Any, least: int, what: str) -> None:
    """Raise Refused unless `value` is a whole number from `least` to `LARGEST`."""
    if type(value) is not int or not least <= value <= LARGEST:
        raise Refused("manifest", f"{what} {value!r}: expected {least} or more")


def _row(row: Any) -> None:
    _fields(row, {"path", "size", "digest"}, "file")
    check_number(row["size"], 0, "size")
    check_digest(row["digest"])
    if not isinstance(row["path"], str):
        raise Refused("manifest", f"path {row['path']!r}: expected text")


def check_digest(value: Any) -> None:
    """Raise Refused unless `value` is a SHA-256 as we write it."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise Refused("manifest", f"digest {value!r}: expected 64 small hex digits")


# --- Signatures ------------------------------------------------------------------


def new_key() -> tuple[bytes, bytes]:
    """Return a private key and its public key, 32 bytes each, Ed25519."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


def public_key(private_key: bytes) -> bytes:
    """Return the public key that belongs to a private one, 32 bytes each."""
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    return key.public_key().public_bytes_raw()


def write_new_key(name: Path) -> tuple[Path, Path]:
    """Write a new key pair, NAME.key for its owner's eyes only and NAME.pub.

    Returns both paths. Raises FileExistsError rather than overwrite either.
    """
    private, public = new_key()
    secret, known = (name.with_name(f"{name.name}.{end}") for end in ("key", "pub"))
    for there in filter(Path.exists, (secret, known)):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(there))
    only_mine = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(only_mine, "wb") as file:
        file.write(private)
    with open(known, "x", encoding="ascii") as file:
        file.write(public.hex() + "\n")
    return secret, known


def read_private_key(path: Path) -> bytes:
    """Return a private key from its file; ValueError unless it is one of 32 bytes."""
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError(f"{path}: expected 32 bytes, got {len(key)}")
    return key


def read_public_key(path: Path) -> bytes:
    """Return a public key from its file; ValueError unless it is 64 hex digits."""
    content = path.read_bytes()
    try:
        key = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != 32:
        why = f"{path}: expected 64 hex digits"
        if len(content) == 32:
            why += "; this looks like a private key: give NAME.pub, and never pass "
            why += "this file on"
        raise ValueError(why)
    return key


def sign(manifest: bytes, private_key: bytes, context: bytes = CONTEXT) -> bytes:
    """Return the signature of a manifest, 64 bytes; context: what it is for."""
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(context + manifest)


def check_signature(
    manifest: bytes, signature: bytes, public_key: bytes, context: bytes = CONTEXT
) -> None:
    """Raise Refused unless the key's owner signed exactly these bytes as a manifest.

    The key decides the algorithm, never the message; context: what was signed for.
    Raises ValueError for a key that is not 32 bytes.
    """
    key = Ed25519PublicKey.from_public_bytes(public_key)
    try:
        key.verify(signature, context + manifest)
    except InvalidSignature:
        why = "the signature is not the trusted key's over this manifest"
        raise Refused("signature", why) from None
