"""One learner's record as one file: exported on request, read strictly.

The record itself is `work/progress.jsonl` (`progress`); only an export is meant to be
handed on. It names nobody: the learner is a random id that is made at the first export,
and kept beside the record.

    {"schema": "securetrain.record/1", "exported": time, "learner": id, "role": role,
     "synthetic": false, "statements": [xAPI statement, …]}

Source: xAPI 1.0.3, part two, https://github.com/adlnet/xAPI-Spec
"""

from __future__ import annotations

import errno
import json
import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securetrain import catalogue, own_files, paths, plain_json, progress, survey
from securetrain.terminals import shown

SCHEMA = "securetrain.record/1"
LARGEST = 32 * 2**20  # bytes of a file that is read at all
# What can be left out of an export: the verb, or the start of the part.
PARTS = {"answers": ("answered", ""), "ratings": ("rated", "feedback/")}
LEARNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{3,63}")
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
TARGET = re.compile(re.escape(progress.URN) + r"[\w.-]+/[\w.-]+(#\S+)?")
KEYS = {
    "schema": str,
    "exported": str,
    "learner": str,
    "role": str,
    "synthetic": bool,
    "statements": list,
}


@dataclass(frozen=True)
class Fact:
    """What one statement says.

    verb: a key of `progress.VERBS`; unit, part: where; time: with its zone
    success: of an answer or a check, else None; response: the answer's text, or ""
    rating: the score's raw number (of what ran: how many cells), else None
    """

    verb: str
    unit: str
    part: str
    time: datetime
    success: bool | None
    response: str
    rating: float | None


@dataclass(frozen=True)
class Record:
    """An exported record. role: of the catalogue, or ""; statements: oldest first."""

    learner: str
    role: str
    synthetic: bool
    exported: datetime
    statements: tuple[dict[str, Any], ...]

    def facts(self) -> tuple[Fact, ...]:
        """Return what the statements say, in their order."""
        return tuple(fact(statement) for statement in self.statements)


def read(path: Path) -> Record:
    """Return an exported record.

    Raises ValueError that names the file and what is wrong with it; OSError when it
    cannot be read.
    """
    try:
        if not path.is_file():
            raise ValueError("expected a file that `securetrain progress export` wrote")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"larger than {LARGEST // 2**20} MB")
        return parse(plain_json.read(data))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse(data: object) -> Record:
    """Return the record that this data is. Raises ValueError with the reason."""
    if not isinstance(data, dict) or not isinstance(data.get("schema"), str):
        raise ValueError("no exported record: expected an object with a 'schema'")
    if data["schema"] != SCHEMA:
        raise ValueError(_other_schema(data["schema"]))
    if unlike := sorted(data.keys() ^ KEYS.keys()):
        kind = "missing" if unlike[0] in KEYS else "unknown"
        raise ValueError(f"{kind} key '{shown(unlike[0]):.60}'")
    for key, kind in KEYS.items():
        if type(data[key]) is not kind:
            raise ValueError(
                f"'{key}': expected {kind.__name__}, got {data[key]!r:.60}"
            )
    if not LEARNER.fullmatch(data["learner"]):
        raise ValueError("'learner': expected an id of 4 to 64 letters and digits")
    if data["role"] and data["role"] not in catalogue.roles():
        known = ", ".join(catalogue.roles())
        raise ValueError(f"unknown role {data['role']!r:.60}; there are: {known}")
    for number, statement in enumerate(data["statements"], start=1):
        try:
            fact(statement)
        except ValueError as error:
            raise ValueError(f"statement {number}: {error}") from None
    return Record(
        data["learner"],
        data["role"],
        data["synthetic"],
        _time(data["exported"]),
        tuple(data["statements"]),
    )


def _other_schema(schema: str) -> str:
    name, _, version = schema.partition("/")
    ours, _, current = SCHEMA.partition("/")
    if name == ours and version.isdecimal() and int(version) > int(current):
        return (
            f"a newer release wrote it ({schema!r:.60}); update this course to read it"
        )
    return f"expected the schema '{SCHEMA}', got {schema!r:.60}"


def fact(statement: object) -> Fact:
    """Return what a statement says. Raises ValueError for one that is not ours."""
    match statement:
        case {
            "timestamp": str(time),
            "actor": {"account": {"homePage": str(), "name": str()}},
            "verb": {"id": str(verb)},
            "object": {"id": str(target)},
            "result": dict(result),
        }:
            pass
        case _:
            raise ValueError("expected timestamp, actor, verb, object and result")
    if not UUID.fullmatch(str(statement.get("id", uuid.UUID(int=0)))):
        raise ValueError("its id is no UUID")
    words = {iri: word for word, iri in progress.VERBS.items()}
    if verb not in words:
        raise ValueError(f"unknown verb {verb!r:.60}")
    if not TARGET.fullmatch(target) or not target.isprintable():
        raise ValueError(f"expected an object of this course, got {target!r:.60}")
    unit, _, part = target.removeprefix(progress.URN).partition("#")
    success, response = result.get("success"), result.get("response", "")
    if not isinstance(success, bool | None) or not isinstance(response, str):
        raise ValueError("expected success as true or false, and a response in words")
    return Fact(
        words[verb], unit, part, _time(time), success, response, _score(verb, result)
    )


def _score(verb: str, result: dict[str, Any]) -> float | None:
    """Return the raw score, which lies between its ends; None without one.

    A rating's ends are the survey's; those of cells that ran are 0 and all of them.
    """
    if "score" not in result:
        return None
    score = result["score"]
    if not isinstance(score, dict):
        raise ValueError("expected a score with raw, min and max")
    raw, low, high = (score.get(key) for key in ("raw", "min", "max"))
    if any(type(n) not in (int, float) for n in (raw, low, high)):
        raise ValueError("expected a score with numbers for raw, min and max")
    counted = verb == progress.VERBS["ran"]
    ends = (0, high) if counted else (survey.LOW, survey.HIGH)
    whole = not any(n % 1 for n in (raw, low, high))
    if (low, high) != ends or not low <= raw <= high or not whole:
        between = f"{ends[0]} to {ends[1]!r:.20}"
        raise ValueError(f"expected a score of {between}, got {raw!r:.20}")
    return raw


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a time in ISO 8601, got {text!r:.60}") from None
    if time.utcoffset() is None:
        raise ValueError(f"expected a time with its zone, got {text!r:.60}")
    return time


def split(events: Sequence[dict]) -> tuple[list[dict], int]:
    """Return the events that are whole statements, and how many are not."""
    whole = []
    for event in events:
        try:
            fact(event)
        except ValueError:
            continue
        whole.append(event)
    return whole, len(events) - len(whole)


def make(
    events: Sequence[dict],
    learner: str,
    role: str = "",
    *,
    without: Collection[str] = (),
    synthetic: bool = False,
) -> dict[str, Any]:
    """Return a record to export, from events that are whole statements.

    without: keys of `PARTS`, what the learner keeps. Raises ValueError where `read`
    would refuse what comes out.
    """
    if unknown := sorted(set(without) - PARTS.keys()):
        raise ValueError(
            f"cannot leave out '{unknown[0]}', expected {', '.join(PARTS)}"
        )
    data = {
        "schema": SCHEMA,
        "exported": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "learner": learner,
        "role": role,
        "synthetic": synthetic,
        "statements": [event for event in events if not _is_kept(event, without)],
    }
    parse(data)
    return data


def _is_kept(event: dict, without: Collection[str]) -> bool:
    """Say whether the learner keeps this event to themselves."""
    said = fact(event)
    verbs, starts = [PARTS[n][0] for n in without], [PARTS[n][1] for n in without]
    return said.verb in verbs or any(s and said.part.startswith(s) for s in starts)


def write(path: Path, data: dict[str, Any]) -> None:
    """Write a record that only you can read; nothing that is there is replaced.

    Raises FileExistsError when something has this name, ValueError when a link has it.
    """
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    if not own_files.create(path, text.encode("utf-8", "replace"), 0o600):
        raise FileExistsError(errno.EEXIST, "is there already; choose a new name", path)


def learner_id() -> str:
    """Return this folder's random id, made at its first use and kept.

    Raises ValueError when what is stored is no such id.
    """
    path = paths.work() / "learner-id"
    if not path.exists():
        own_files.create(path, f"{uuid.uuid4()}\n".encode(), 0o600)
    found = path.read_bytes().decode("ascii", "replace").strip()
    if not LEARNER.fullmatch(found):
        raise ValueError(
            f"{path}: expected the random id of an export, found {found!r:.60}"
        )
    return found
