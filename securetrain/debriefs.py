"""What a drill leaves behind: one JSON file that says what was found, and how fast.

Written by `securetrain scenario debrief`, read by whoever compares drills. Times are
seconds since the drill began; what never happened is null, and no number stands for it.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from securetrain import own_files, plain_files, plain_json
from securetrain.manifests import canonical

SCHEMA = "securetrain.debrief/1"
LARGEST = 2**20  # bytes of a file that is read at all
KINDS = (
    "poisoned-data", "leaked-secret", "forged-registry", "tampered-log",
    "drifting-service",
)  # fmt: skip
MONTH = re.compile(r"20[2-9][0-9]-(0[1-9]|1[0-2])")
TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
TIMES = ("detected_after_s", "contained_after_s", "recovered_after_s")


@dataclass(frozen=True)
class Finding:
    """One fault of a drill, and when it was seen, stopped and repaired."""

    id: str
    kind: str
    found: bool
    detected_after_s: float | None
    contained_after_s: float | None
    recovered_after_s: float | None


@dataclass(frozen=True)
class Debrief:
    """One drill of one team; started, ended: ISO times with their zone."""

    month: str
    team: str
    hard: bool
    synthetic: bool
    started: str
    ended: str
    findings: tuple[Finding, ...]
    false_alarms: int


def read(path: Path) -> Debrief:
    """Return the debrief of a file. Raises ValueError, naming the file and its fault.

    OSError where there is no such file.
    """
    try:
        return parse(plain_json.read(plain_files.read(path, LARGEST)))
    except ValueError as error:
        raise ValueError(f"{path}: no debrief: {error}") from None


def parse(tree: Any) -> Debrief:
    """Return a debrief from its JSON. Raises ValueError for anything else."""
    names = {field.name for field in fields(Debrief)} | {"schema"}
    _keys(tree, names, "a debrief")
    if tree["schema"] != SCHEMA:
        raise ValueError(f"schema {tree['schema']!a:.40}, expected {SCHEMA!r}")
    check_month(tree["month"])
    check_team(tree["team"])
    for key in ("hard", "synthetic"):
        _is(tree[key], bool, key)
    started, ended = (_time(tree[key], key) for key in ("started", "ended"))
    if ended < started:
        raise ValueError("it ended before it started")
    if type(tree["false_alarms"]) is not int or tree["false_alarms"] < 0:
        raise ValueError(
            f"false_alarms {tree['false_alarms']!a:.20}: expected 0 or more"
        )
    _is(tree["findings"], list, "findings")
    found = tuple(_finding(one) for one in tree["findings"])
    if len({one.id for one in found}) != len(found) or not found:
        raise ValueError("expected findings, each with an id of its own")
    rest = {key: tree[key] for key in names - {"schema", "findings"}}
    return Debrief(**rest, findings=found)


def check_month(value: Any) -> None:
    """Raise ValueError unless this is a month, as "2026-12"."""
    if not isinstance(value, str) or not MONTH.fullmatch(value):
        raise ValueError(
            f"month {value!a:.40}: expected a year from 2020 and a month from 01 to "
            "12, such as 2026-12"
        )


def check_team(value: Any) -> None:
    """Raise ValueError unless this is a team's name: no space, slash or dot in it."""
    if not isinstance(value, str) or not TEAM.fullmatch(value):
        raise ValueError(
            f"team {value!a:.60}: expected 1 to 40 letters, digits, - or _, as in red"
        )


def _finding(tree: Any) -> Finding:
    _keys(tree, {field.name for field in fields(Finding)}, "a finding")
    _is(tree["id"], str, "id")
    _is(tree["found"], bool, "found")
    if tree["kind"] not in KINDS:
        raise ValueError(
            f"kind {tree['kind']!a:.40}, expected one of {', '.join(KINDS)}"
        )
    for key in TIMES:
        value = tree[key]
        if value is None:
            continue
        number = type(value) in (int, float) and math.isfinite(value)
        if not number or value < 0:
            raise ValueError(f"{key} {value!a:.40}: expected seconds from 0, or null")
    if tree["found"] != (tree["detected_after_s"] is not None):
        raise ValueError(f"{tree['id']!a:.40}: found and detected_after_s disagree")
    return Finding(**tree)


def _keys(tree: Any, expected: set[str], what: str) -> None:
    if not isinstance(tree, Mapping) or tree.keys() != expected:
        raise ValueError(f"{what} has exactly the keys {', '.join(sorted(expected))}")


def _is(value: Any, kind: type, what: str) -> None:
    if type(value) is not kind:
        raise ValueError(f"{what} {value!a:.40}: expected {kind.__name__}")


def _time(value: Any, what: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            raise ValueError("no time zone")
    except (TypeError, ValueError):
        why = "expected an ISO time with its time zone"
        raise ValueError(f"{what} {value!a:.40}: {why}") from None
    return found


def tree_of(debrief: Debrief) -> dict[str, Any]:
    """Return a debrief as JSON. Raises ValueError for one that `parse` would refuse."""
    tree = {"schema": SCHEMA} | asdict(debrief)
    tree["findings"] = list(tree["findings"])
    parse(tree)
    return tree


def write(debrief: Debrief, path: Path) -> None:
    """Write a debrief to a new file. Raises FileExistsError where there is one."""
    data = canonical(tree_of(debrief)) + b"\n"
    if not own_files.create(path, data):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
