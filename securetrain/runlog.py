"""A log of training runs that only grows: chained, signed, and watched from outside.

The attacker can write to the log's file, or holds the key that signs it. They want a
run to look better than it was, to vanish, or to bring another model, unseen. The chain
shows a changed line, the signature a forged one; a line that is missing at the end, or
a second log under the same key, only a head that somebody else kept.

Source: Crosby and Wallach 2009, Efficient Data Structures for Tamper-Evident Logging;
Schneier and Kelsey 1999, Secure Audit Logs to Support Computer Forensics
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from securetrain import audit_log, manifests, translog
from securetrain.archives import Refused
from securetrain.manifests import canonical
from securetrain.run_facts import Run, take
from securetrain.translog import Head

CONTEXT = b"securetrain run log v1\n"


# --- The log ------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """A log that was read and found whole: its lines, and the runs that they tell.

    torn: how many lines were torn, and set aside by `repair`
    """

    lines: tuple[bytes, ...]
    runs: Mapping[str, Run]
    torn: int = 0

    @property
    def leaves(self) -> list[bytes]:
        """The hash of each line, as a head commits to them."""
        return [translog.leaf_hash(line) for line in self.lines]


def statement(name: str, number: int, previous: str, time: str, said: Any) -> bytes:
    """Return what the signature of a line covers: all of it, and so all before it."""
    place = {"log": name, "number": number, "previous": previous, "time": time}
    return canonical(place | {"said": dict(said)})


def append(
    path: Path,
    name: str,
    said: Mapping[str, Any],
    private_key: bytes,
    now: datetime | None = None,
) -> str:
    """Add one line to the log called `name`, and return its hash.

    said: "do" and the keys that `run_facts.KEYS` names for it
    Raises Refused, and writes nothing, when the log is not whole, or when this may
    not be said, or not again.
    """

    def signed(found: list[dict], previous: str, time: str) -> dict[str, Any]:
        return _event(name, said, private_key, found, previous, time)

    return audit_log.append(path, signed, now)


def _event(
    name: str,
    said: Mapping[str, Any],
    private_key: bytes,
    found: Sequence[Mapping[str, Any]],
    previous: str,
    time: str,
) -> dict[str, Any]:
    """Return what a new line records after the lines `found`, signed."""
    if found:  # the last signature covers every line before it
        check_line(found[-1], name, manifests.public_key(private_key))
    take(replay(line["event"]["said"] for line in found), said)
    text = statement(name, len(found) + 1, previous, time, said)
    signature = manifests.sign(text, private_key, CONTEXT).hex()
    return {"log": name, "said": dict(said), "signature": signature}


def repair(
    path: Path, name: str, private_key: bytes, now: datetime | None = None
) -> Path:
    """Set a torn last line aside in a new file, which is returned; a line says so.

    Torn is what a crash left: the fact reached nobody, for it is logged first. Whoever
    cuts a line in half makes the same; then a head that was kept shows that it is gone.
    Raises Refused, and changes nothing, when anything else is wrong with the log.
    """

    def event(found: list[dict], previous: str, time: str, rest: bytes) -> dict:
        known = manifests.describe({"torn": rest})["torn"]
        said = {"do": "repair", "size": known.size, "digest": known.digest}
        return _event(name, said, private_key, found, previous, time)

    begins = canonical({"event": {"log": name}})[:-2] + b","
    return audit_log.repair(path, begins, event, now)


def _no(why: str) -> Refused:
    return Refused("run log", why)


def replay(said: Iterable[Mapping[str, Any]]) -> dict[str, Run]:
    """Return the runs that these words tell, by their ids. Raises as `take` does."""
    runs: dict[str, Run] = {}
    for one in said:
        take(runs, one)
    return runs


def check_line(line: Mapping[str, Any], name: str, public_key: bytes) -> None:
    """Raise Refused unless the key's owner signed this line, here, in this log."""
    where, event = f"line {line['number']} of the log", line["event"]
    if not isinstance(event, dict) or event.keys() != {"log", "said", "signature"}:
        raise _no(f"{where}: it is not a line of a run log")
    if event["log"] != name:
        raise _no(f"{where}: it is from the log {event['log']!a:.40}, not {name!a}")
    try:
        signature = bytes.fromhex(event["signature"])
        if signature.hex() != event["signature"]:  # other letters, another line's hash
            raise ValueError("not as the log writes it")
        place = (line["number"], line["previous"], line["time"])
        text = statement(name, *place, event["said"])
        manifests.check_signature(text, signature, public_key, CONTEXT)
    except (Refused, TypeError, ValueError):
        raise _no(f"{where}: the log's key did not sign it") from None


def read(data: bytes, name: str, public_key: bytes) -> Log:
    """Return a log; Refused, naming the line, unless all of it is whole and signed."""
    found, _ = audit_log.events(data)
    runs: dict[str, Run] = {}
    for line in found:
        check_line(line, name, public_key)
        try:
            take(runs, line["event"]["said"])
        except Refused as refused:
            raise _no(f"line {line['number']} of the log: {refused}") from None
    torn = sum(line["event"]["said"]["do"] == "repair" for line in found)
    return Log(tuple(data.split(b"\n")[:-1]), runs, torn)


def verify(path: Path, name: str, public_key: bytes, kept: Sequence[Head] = ()) -> Log:
    """Return the log of a file; Refused unless it is whole and continues what was kept.

    kept: heads that were seen before, by us or by others
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _no(f"{path} cannot be read: {error.strerror}") from None
    log = read(data, name, public_key)
    for head in kept:
        check_kept(log, head, public_key)
    return log


# --- Heads that others keep ---------------------------------------------------------


def publish(log: Log, private_key: bytes) -> Head:
    """Return the signed head to hand out: how many lines there are, and their hash."""
    if not log.lines:
        raise _no("an empty log has no head to publish")
    return translog.sign_head(log.leaves, private_key)


def check_kept(log: Log, kept: Head, public_key: bytes) -> None:
    """Raise Refused unless the log begins with what this head commits to."""
    translog.check_head(kept, public_key)
    if kept.size > len(log.lines):
        why = f"{len(log.lines)} lines, but a head that was kept counts {kept.size}"
        raise _no(f"{why}: lines are missing")
    if translog.root(log.leaves[: kept.size]) != kept.root:
        why = f"other lines than the head of {kept.size} that was kept commits to"
        raise _no(f"{why}: rewritten or forked, by whoever holds the key")


def witness(
    seen: Head | None, new: Head, proof: Sequence[bytes], public_key: bytes
) -> Head:
    """Return the head to keep; Refused unless it continues the one that was seen.

    A witness never sees the log: `proof` is `translog.consistency(leaves, seen.size)`.
    """
    translog.check_head(new, public_key)
    if seen is not None:
        translog.check_consistency(seen.size, seen.root, new.size, new.root, proof)
    return new


def head_text(head: Head) -> str:
    """Return a head as one line of JSON, for a file that others keep."""
    parts = {"root": head.root.hex(), "signature": head.signature.hex()}
    return canonical({"size": head.size, **parts}).decode() + "\n"


def read_head(path: Path) -> Head:
    """Return the head of a file; Refused unless it is one."""
    try:
        tree = json.loads(path.read_text("ascii"))
        size, root, signature = tree["size"], tree["root"], tree["signature"]
        manifests.check_number(size, 1, "size")
        return Head(size, bytes.fromhex(root), bytes.fromhex(signature))
    except OSError as error:
        raise _no(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _no(f"{path}: expected a head: size, root and signature") from None
