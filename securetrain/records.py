"""A learner's exported record: what they chose to give away, one JSON file a learner.

The learner is an opaque id; the statements are those of the course's own record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from securetrain import catalogue, plain_json

SCHEMA = "securetrain.record/1"
KEYS = {"schema", "exported", "learner", "role", "synthetic", "statements"}


@dataclass(frozen=True)
class Record:
    """One export. exported: ISO time; role: a key of the catalogue, or ""."""

    exported: str
    learner: str
    role: str
    synthetic: bool
    statements: tuple[dict[str, Any], ...]


def read(path: Path) -> Record:
    """Return the record of a file. Raises ValueError, naming the file and its fault.

    OSError where there is no such file.
    """
    data = path.read_bytes()
    try:
        return parse(plain_json.read(data))
    except ValueError as error:
        raise ValueError(f"{path}: no exported record: {error}") from None


def parse(tree: Any) -> Record:
    """Return a record from its JSON. Raises ValueError for anything else."""
    if not isinstance(tree, dict) or tree.keys() != KEYS:
        raise ValueError(f"expected exactly the keys {', '.join(sorted(KEYS))}")
    if tree["schema"] != SCHEMA:
        raise ValueError(f"schema {tree['schema']!a:.40}, expected {SCHEMA!r}")
    _time(tree["exported"])
    if not isinstance(tree["learner"], str) or not tree["learner"]:
        raise ValueError("learner: expected an opaque id")
    if tree["role"] not in ("", *catalogue.roles()):
        raise ValueError(f"role {tree['role']!a:.40}, not in the catalogue")
    if type(tree["synthetic"]) is not bool:
        raise ValueError("synthetic: expected true or false")
    if not isinstance(tree["statements"], list):
        raise ValueError("statements: expected a list")
    for number, one in enumerate(tree["statements"], 1):
        _statement(one, number)
    rest = {key: tree[key] for key in KEYS - {"schema", "statements"}}
    return Record(**rest, statements=tuple(tree["statements"]))


def _statement(one: Any, number: int) -> None:
    """Raise ValueError unless this has what readers of a record look at."""
    try:
        _time(one["timestamp"])
        texts = one["verb"]["display"]["en"], one["object"]["id"]
        whole = all(isinstance(text, str) for text in texts)
        whole &= isinstance(one["result"], Mapping)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ValueError(f"statement {number} is not whole")


def _time(value: Any) -> None:
    try:
        aware = datetime.fromisoformat(value).tzinfo
    except (TypeError, ValueError):
        aware = None
    if not aware:
        raise ValueError(f"time {value!a:.40}: expected ISO with its time zone")
