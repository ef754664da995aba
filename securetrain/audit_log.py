"""A log of decisions in which each line carries the hash of the line before it.

The attacker can write to the log's file after the fact. They want a decision to be
changed, removed or slipped in unseen. A line cut off at the end leaves no gap: only
whoever kept the newest hash elsewhere notices.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from securetrain import own_files
from securetrain.archives import Refused
from securetrain.manifests import canonical

FIRST = "0" * 64  # what stands for "the line before" in the first line
Event = Mapping[str, Any]
# makes an event of the lines before it, the hash of the last, and the time
Maker = Callable[[list[dict[str, Any]], str, str], Event]


def entry(number: int, previous: str, time: str, event: Mapping[str, Any]) -> bytes:
    """Return one line of a log, without its line break.

    number: from 1; previous: the hash of the line before; event: what is recorded
    """
    line = {"number": number, "previous": previous, "time": time, "event": dict(event)}
    return canonical(line)


def hash_of(line: bytes) -> str:
    """Return what the next line says of this one."""
    return sha256(line).hexdigest()


def events(data: bytes) -> tuple[list[dict[str, Any]], str]:
    """Return the lines of a log, and the hash of its last one.

    Raises Refused for a log that was changed, at the first line that does not fit.
    """
    *lines, rest = data.split(b"\n")
    if rest:
        raise _broken(len(lines) + 1, "it has no end: cut off while being written?")
    found, previous = [], FIRST
    for number, line in enumerate(lines, 1):
        try:
            this = json.loads(line.decode("ascii"))
            same = canonical(this) == line
        except (ValueError, RecursionError):
            raise _broken(number, "it is no JSON") from None
        keys = {"number", "previous", "time", "event"}
        if not same or not isinstance(this, dict) or this.keys() != keys:
            raise _broken(number, "it is not written as the log writes")
        known = type(this["number"]) is int and this["number"] == number
        if not known or this["previous"] != previous:
            raise _broken(number, "it does not follow the line before it")
        found.append(this)
        previous = hash_of(line)
    return found, previous


def _broken(number: int, why: str) -> Refused:
    return Refused("audit log", f"line {number} of the log: {why}")


def verify(path: Path, head: str = "") -> tuple[int, str]:
    """Return how many lines a log has, and its newest hash.

    head: a hash that was kept elsewhere; some line must have it
    Raises Refused for a log that was changed, or that lost the line of `head`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        why = f"{path} cannot be read: {error.strerror}"
        raise Refused("audit log", why) from None
    found, newest = events(data)
    hashes = [this["previous"] for this in found[1:]] + [newest] * bool(found)
    if head and head not in hashes:
        why = f"no line has the hash {head[:12]}… that was kept: lines are missing"
        raise Refused("audit log", why)
    return len(found), newest


@contextlib.contextmanager
def locked(path: Path, make: int = os.O_CREAT) -> Iterator[int]:
    """Open a log, made for its owner's eyes if need be, and keep others out.

    make: 0 refuses a log that is missing
    """
    flags = os.O_RDWR | os.O_APPEND | make | getattr(os, "O_NOFOLLOW", 0)
    with contextlib.ExitStack() as stack:
        while True:
            try:
                file = os.open(path, flags, 0o600)
                stack.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(file), os.stat(path)):
                    break  # else it was repaired while we waited: open the new one
            except OSError as error:
                why = f"{path} cannot be written: {error.strerror}"
                raise Refused("audit log", why) from None
        yield file


def append(path: Path, event: Event | Maker, now: datetime | None = None) -> str:
    """Add one event to a log that is whole, and return the new line's hash.

    event: what is recorded, or what makes it while no other program can add a line
    Raises Refused, and writes nothing, when the log was changed or cannot be written:
    what cannot be recorded must not happen.
    """
    when = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    with locked(path) as file:
        data = os.pread(file, os.fstat(file).st_size, 0)
        found, previous = events(data)
        what = event(found, previous, when) if callable(event) else event
        line = entry(len(found) + 1, previous, when, what)
        if os.write(file, line + b"\n") != len(line) + 1:
            raise Refused("audit log", f"{path}: only part of a line was written")
        os.fsync(file)
    return hash_of(line)


# --- A line that was cut off while being written --------------------------------------


def repair(
    path: Path,
    begins: bytes,
    event: Callable[[list[dict[str, Any]], str, str, bytes], Event],
    now: datetime | None = None,
) -> Path:
    """Move a torn last line into a file of its own, and return that file.

    begins: what each line of this log begins with; event: makes what the log then says
    of it, of the lines before it, their last hash, the time and the torn bytes
    Raises Refused, and changes nothing, when anything but the last line is broken.
    Killed at any step, the log is as it was or repaired, and no byte is lost.
    """
    when = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    with locked(path, make=0) as file:
        data = os.pread(file, os.fstat(file).st_size, 0)
        whole = data[: data.rfind(b"\n") + 1]  # lines that have an end
        rest = data[len(whole) :]
        found, previous = events(whole)
        if not rest:
            raise Refused("audit log", f"{path}: nothing to repair: no line is torn")
        what = event(found, previous, when, rest)
        if rest[: len(begins)] != begins[: len(rest)] or not rest.isascii():
            raise _broken(len(found) + 1, "it is no beginning of a line of this log")
        line = entry(len(found) + 1, previous, when, what)
        aside = path.with_name(f"{path.name}.torn-{hash_of(rest)[:16]}")
        mode = os.fstat(file).st_mode & 0o777
        if not aside.exists():
            own_files.replace(aside, rest, mode)
        elif aside.read_bytes() != rest:
            raise Refused("audit log", f"{aside} holds something else: move it away")
        own_files.replace(path, whole + line + b"\n", mode)
    return aside
