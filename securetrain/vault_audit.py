"""What a vault's audit log tells: who read which secret, and does it keep secrets?

The attacker used a credential and hopes that nobody can say which, or reads the log
and hopes for secrets in it. The log is a file of JSON lines, one for each request and
one for each response; values are keyed hashes. It is not chained: ship it elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HASHED = "hmac-sha256:"
# Texts in an answer's data that are no secret and stay readable.
OPEN = {"accessor", "path", "creation_path"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
TOKENS = ("client_token", "secret_id", "token")


@dataclass(frozen=True)
class Read:
    """One attempt to read a secret.

    who: the role or display name; accessor: names the token, without being it
    why: empty where the secret was handed out
    """

    time: str
    who: str
    accessor: str
    path: str
    why: str


def entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of an audit log.

    Raises ValueError for an empty log, and for a line that is no entry: a log that
    cannot be read to its end answers no question.
    """
    found = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            entry["type"], entry["request"]["path"], entry["time"]
        except (ValueError, KeyError, TypeError) as error:
            why = f"line {number} is no entry of an audit log ({error})"
            raise ValueError(f"{path}: {why}; was it cut off?") from error
        found.append(entry)
    if not found:
        raise ValueError(f"{path}: an empty log; is auditing switched on?")
    return found


def reads(log: Sequence[dict[str, Any]], path: str = "") -> list[Read]:
    """Return every attempt to read a secret of a key-value store, in order.

    path: only this one, such as "secret/data/signs"
    """
    found = []
    for entry in log:
        request = entry["request"]
        if entry["type"] != "response" or request.get("operation") != "read":
            continue
        kept = request.get("mount_type") == "kv" and "/data/" in request["path"]
        if not kept or path not in ("", request["path"]):
            continue
        who = entry.get("auth", {})
        name = who.get("metadata", {}).get("role_name") or who.get("display_name", "?")
        why = " ".join(str(entry.get("error", "")).split())
        given = (entry["time"], name, who.get("accessor", "?"), request["path"], why)
        found.append(Read(*given))
    return found


def in_clear(log: Sequence[dict[str, Any]], known: Sequence[str] = ()) -> list[str]:
    """Return where a log shows a secret in clear: empty when it keeps them all.

    A token, and every text in the data of a request or answer, must be a keyed hash;
    known: values that must not stand anywhere at all
    """
    found = []
    for number, entry in enumerate(log, 1):
        for where, value in _texts(entry):
            if any(secret in value for secret in known):
                found.append(f"entry {number}: {'.'.join(where)}: a known secret")
            elif _must_be_hashed(where) and not _readable(value):
                found.append(f"entry {number}: {'.'.join(where)}: not hashed")
    return found


def _must_be_hashed(where: tuple[str, ...]) -> bool:
    if where[-1] in TOKENS:
        return True
    return "data" in where[:-1] and where[-1] not in OPEN


def _readable(value: str) -> bool:
    """Say whether a text gives nothing away: a keyed hash, a time, or empty."""
    return not value or value.startswith(HASHED) or bool(TIME.fullmatch(value))


def _texts(tree: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple, str]]:
    """Yield each text of an entry, and where it stands."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _texts(value, (*where, str(key)))
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value, where)
    elif isinstance(tree, str):
        yield where, tree
