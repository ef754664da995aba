"""Is this the data that its publisher meant? What to check before training on it.

The attacker sits between publisher and trainer: on a mirror, in a cache, in the
download folder. They can change, add, remove and mix files and serve old releases;
they lack the publisher's key. They want a model trained on data that nobody chose.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from securetrain import archives, manifests, translog
from securetrain.archives import Refused
from securetrain.manifests import File, Manifest

IN_MEMORY = 1 << 30  # bytes of data that `verify_before_training` keeps


# --- Releases --------------------------------------------------------------------


@dataclass(frozen=True)
class Release:
    """What a publisher sends beside the data.

    timestamp: an RFC 3161 response over the signature
    head, index, inclusion: the log's head, and the proof that the manifest is in it
    consistency: the proof that this head continues the one seen last
    """

    manifest: bytes
    signature: bytes
    timestamp: bytes = b""
    head: translog.Head | None = None
    index: int = 0
    inclusion: Sequence[bytes] = ()
    consistency: Sequence[bytes] = ()


@dataclass(frozen=True)
class Trust:
    """What the trainer decided beforehand, from another place than the data's.

    name: the data set that `key` (32 bytes, Ed25519) may speak for, between
        `not_before` and `not_after`, if given
    authority: the root certificate (PEM) of the timestamps that are demanded
    log_key: of the log (32 bytes) in which each release must stand
    """

    name: str
    key: bytes
    not_before: datetime | None = None
    not_after: datetime | None = None
    authority: bytes = b""
    log_key: bytes = b""


@dataclass(frozen=True)
class Seen:
    """What the trainer remembers of the last release: keep it where data cannot reach.

    manifest: its SHA-256; head: of the log, if there is one
    """

    version: int
    manifest: str
    head: translog.Head | None = None


@dataclass(frozen=True)
class Verified:
    """Files to train on, the manifest they fit, and what to remember."""

    files: dict[str, bytes] = field(repr=False)
    manifest: Manifest
    seen: Seen


def check_release(
    release: Release, trust: Trust, seen: Seen | None, now: datetime | None = None
) -> tuple[Manifest, Seen]:
    """Return the manifest of a release that may be trained on, before its files.

    seen: None only the first time; now: with its time zone, the clock's if None
    Raises Refused, naming the first check that fails.
    """
    manifests.check_signature(release.manifest, release.signature, trust.key)
    manifest = manifests.read_manifest(release.manifest)
    if manifest.name != trust.name:
        why = f"a release of {manifest.name!r}, expected {trust.name!r}"
        raise Refused("name", why)
    check_time(release, trust, datetime.now(UTC) if now is None else now)
    check_version(manifest, release.manifest, seen)
    head = check_log(release, trust, seen)
    digest = sha256(release.manifest).hexdigest()
    return manifest, Seen(manifest.version, digest, head)


def check_time(release: Release, trust: Trust, now: datetime) -> None:
    """Raise Refused unless the key was valid when the release was signed.

    Without a timestamp nobody knows when that was, so the key must be valid now.
    """
    if now.tzinfo is None:
        raise ValueError(f"expected a time with its time zone, got {now}")
    when, known = now, "now"
    if trust.authority:
        from securetrain import timestamps

        when = timestamps.check(
            release.timestamp, release.signature, trust.authority, now
        )
        known = "at its timestamp"
    if trust.not_before and when < trust.not_before:
        why = f"{known} ({when:%Y-%m-%d %H:%M}) the key is not valid yet"
        raise Refused("time", why)
    if trust.not_after and when > trust.not_after:
        why = f"{known} ({when:%Y-%m-%d %H:%M}) the key has expired"
        raise Refused("time", why)


def check_version(manifest: Manifest, data: bytes, seen: Seen | None) -> None:
    """Raise Refused for an older release, and for another one under a known number."""
    if seen is None:
        return
    if manifest.version < seen.version:
        why = f"version {manifest.version}, but {seen.version} was seen: a rollback"
        raise Refused("version", why)
    if manifest.version == seen.version and sha256(data).hexdigest() != seen.manifest:
        why = f"another version {manifest.version} than the one seen before"
        raise Refused("version", why)


def check_log(
    release: Release, trust: Trust, seen: Seen | None
) -> translog.Head | None:
    """Return the log's head; Refused unless the release is in a log that only grew."""
    if not trust.log_key:
        return None
    if release.head is None:
        raise Refused("log", "the release is in no log, and this key's must be")
    translog.check_head(release.head, trust.log_key)
    head, leaf = release.head, translog.leaf_hash(release.manifest)
    translog.check_inclusion(
        leaf, release.index, head.size, release.inclusion, head.root
    )
    if seen and seen.head:
        translog.check_consistency(
            seen.head.size, seen.head.root, head.size, head.root, release.consistency
        )
    return head


# --- Files -----------------------------------------------------------------------


def check_files(
    data: Path | bytes, manifest: Manifest, keep: Callable[[str], BinaryIO]
) -> None:
    """Read each file once, in pieces, and write what was read to `keep(name)`.

    Raises Refused unless the files are all of the manifest's and no other. Whoever
    goes on must use what was kept, and not read `data` again.
    """
    missing, extra, changed = set(manifest.files), [], []
    for entry in archives.entries(data):
        wanted = manifest.files.get(entry.name)
        if wanted is None:
            extra.append(entry.name)
            continue
        missing.discard(entry.name)
        size, digest = 0, sha256()
        with keep(entry.name) as file:
            for part in entry.chunks(wanted.size):
                size += len(part)
                digest.update(part)
                file.write(part)
        if File(size, digest.hexdigest()) != wanted:
            changed.append(entry.name)
    kinds = {"changed": changed, "missing": sorted(missing), "not listed": extra}
    if any(kinds.values()):
        why = "; ".join(_some(kind, names) for kind, names in kinds.items() if names)
        raise Refused("files", f"not the files of this manifest: {why}")


def _some(kind: str, names: Sequence[str]) -> str:
    shown = ", ".join(map(ascii, names[:3])) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {kind} ({shown})"


class _Kept(io.BytesIO):
    """A file in memory that stays readable once it is closed."""

    def close(self) -> None:
        pass


def verify_before_training(
    data: Path | bytes,
    release: Release,
    trust: Trust,
    *,
    seen: Seen | None = None,
    now: datetime | None = None,
) -> Verified:
    """Return the files of a release that passes every check, in memory.

    data: a folder, a tar file or the bytes of one. What is hashed is what is
    returned, so a file that changes afterwards changes nothing. Store `seen` of the
    result, and give it back the next time.
    Raises Refused with the reason; for more than a gigabyte, use `stage`.
    """
    manifest, found = check_release(release, trust, seen, now)
    if (size := sum(file.size for file in manifest.files.values())) > IN_MEMORY:
        raise Refused("files", f"{size} bytes are too many for the memory: use stage()")
    kept: dict[str, _Kept] = {}
    check_files(data, manifest, lambda name: kept.setdefault(name, _Kept()))
    files = {name: file.getvalue() for name, file in kept.items()}
    return Verified(files, manifest, found)


def stage(
    data: Path | bytes,
    release: Release,
    trust: Trust,
    into: Path,
    *,
    seen: Seen | None = None,
    now: datetime | None = None,
) -> Seen:
    """Copy the files of a release that passes every check into a new, private folder.

    For data of any size: train on `into`, never on `data`, which others may change
    after the check. When a check fails nothing is left of `into`, and Refused says why.
    """
    manifest, found = check_release(release, trust, seen, now)
    into.mkdir(mode=0o700)

    def keep(name: str) -> BinaryIO:
        path = into / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb")

    try:
        check_files(data, manifest, keep)
    except BaseException:
        shutil.rmtree(into)
        raise
    return found


def look(
    data: Path | bytes, release: Release, trust: Trust, seen: Seen | None = None
) -> Seen:
    """Check a release and its files and keep nothing, as a hook does.

    Data that others can write to may change between this look and a training.
    Raises Refused with the reason.
    """
    manifest, found = check_release(release, trust, seen)

    def forget(name: str) -> BinaryIO:
        return open(os.devnull, "wb")

    check_files(data, manifest, forget)
    return found


# --- Memory ----------------------------------------------------------------------


def remember(seen: Seen, path: Path) -> None:
    """Store what was seen last; the file is replaced whole or not at all."""
    tree = {"version": seen.version, "manifest": seen.manifest}
    if seen.head:
        head = seen.head
        tree["head"] = [head.size, head.root.hex(), head.signature.hex()]
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(tree) + "\n", "ascii")
    os.replace(scratch, path)


def recall(path: Path) -> Seen | None:
    """Return what was stored, None when nothing was.

    Raises Refused for a broken file: to go on would be to forget.
    """
    if not path.exists():
        return None
    try:
        tree = json.loads(path.read_text("ascii"))
        head = None
        if "head" in tree:
            size, root, signature = tree["head"]
            head = translog.Head(size, bytes.fromhex(root), bytes.fromhex(signature))
        manifests.check_number(tree["version"], 1, "version")
        manifests.check_digest(tree["manifest"])
        return Seen(tree["version"], tree["manifest"], head)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{path}: cannot read what was seen before: {error}"
        raise Refused("version", why) from error
