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
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securetrain import audit_log, manifests, translog
from securetrain.archives import Refused
from securetrain.manifests import File, canonical
from securetrain.translog import Head

CONTEXT = b"securetrain run log v1\n"
KEYS = {  # what may be said of a run, and in which words
    "start": {"run"},
    "param": {"run", "key", "value"},
    "metric": {"run", "key", "step", "value"},
    "artifact": {"run", "path", "size", "digest"},
    "end": {"run", "status"},
}


# --- What is said of runs -----------------------------------------------------------


@dataclass
class Run:
    """One run as the log tells it; every fact was said once.

    params: texts; metrics: name -> step -> number, written as text; status: "" while
    it still runs
    """

    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, dict[int, str]] = field(default_factory=dict)
    artifacts: dict[str, File] = field(default_factory=dict)
    status: str = ""


def _no(why: str) -> Refused:
    return Refused("run log", why)


def take(runs: dict[str, Run], said: Mapping[str, Any]) -> None:
    """Add what was said to the runs; Refused for what may not be said, or not again."""
    check(said)
    run, name = runs.get(said["run"]), f"run {said['run'][:12]!a}"
    if said["do"] == "start":
        if run is not None:
            raise _no(f"{name} was started before")
        runs[said["run"]] = Run()
        return
    if run is None or run.status:
        raise _no(f"{name} {'has ended' if run else 'was never started'}")
    if said["do"] == "end":
        run.status = said["status"]
    elif said["do"] == "param":
        _once(run.params, said["key"], said["value"], f"{name}: parameter")
    elif said["do"] == "artifact":
        _once(run.artifacts, said["path"], _file(said), f"{name}: artifact")
    else:
        steps = run.metrics.setdefault(said["key"], {})
        _once(steps, said["step"], said["value"], f"{name}: {said['key']!a} at step")


def check(said: Any) -> None:
    """Raise Refused unless this is one of the five things that the log may hold."""
    do = said.get("do") if isinstance(said, Mapping) else None
    if not isinstance(do, str) or do not in KEYS or said.keys() != KEYS[do] | {"do"}:
        words = ", ".join(KEYS)
        raise _no(f"expected one of {words}, with its own keys, got {said!a:.80}")
    for key, value in said.items():
        if key in ("step", "size"):
            manifests.check_number(value, 0, key)
        elif not isinstance(value, str) or not (value or key == "value"):
            raise _no(f"{key}: expected text that is not empty, got {value!a:.40}")
    if do == "metric" and said["value"] != number(said["value"]):
        raise _no(f"value: expected a number as text, got {said['value']!a:.40}")
    if do == "artifact":
        manifests.check_digest(said["digest"])


def number(value: float | str) -> str:
    """Return a number as the log writes it: exact, and the same for the same float."""
    try:
        return repr(float(value))
    except (TypeError, ValueError, OverflowError):
        raise _no(f"expected a number, got {value!a:.40}") from None


def _file(said: Mapping[str, Any]) -> File:
    return File(said["size"], said["digest"])


def _once(facts: dict, key: str | int, value: Any, what: str) -> None:
    if key in facts:
        raise _no(f"{what} {key!a} was written before, and cannot be changed")
    facts[key] = value


# --- The log ------------------------------------------------------------------------


@dataclass(frozen=True)
class Log:
    """A log that was read and found whole: its lines, and the runs that they tell."""

    lines: tuple[bytes, ...]
    runs: Mapping[str, Run]

    @property
    def leaves(self) -> list[bytes]:
        """The hash of each line, as a head commits to them."""
        return [translog.leaf_hash(line) for line in self.lines]


def public(private_key: bytes) -> bytes:
    """Return the public key that belongs to a private one, 32 bytes each."""
    key = Ed25519PrivateKey.from_private_bytes(private_key).public_key()
    return key.public_bytes_raw()


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

    said: "do" and the keys that `KEYS` names for it
    Raises Refused, and writes nothing, when the log is not whole, or when this may
    not be said, or not again.
    """
    public_key = public(private_key)

    def signed(found: list[dict], previous: str, time: str) -> dict[str, Any]:
        if found:  # the last signature covers every line before it
            check_line(found[-1], name, public_key)
        runs = replay(line["event"]["said"] for line in found)
        take(runs, said)
        text = statement(name, len(found) + 1, previous, time, said)
        signature = manifests.sign(text, private_key, CONTEXT).hex()
        return {"log": name, "said": dict(said), "signature": signature}

    return audit_log.append(path, signed, now)


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
    return Log(tuple(data.split(b"\n")[:-1]), runs)


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
