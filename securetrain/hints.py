"""Hints for the tasks of a lab or a lesson, in steps: the last one leaves the code.

Hints are `hints/UNIT.toml`, a table for each task:

    [stamp]
    hints = ["a first step", "a second", …]

    [stamp.mistakes]          # optional
    "part of what the check says" = "a hint for those who are told so"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from securetrain import catalogue

FOLDER = Path(__file__).parent / "hints"


@dataclass(frozen=True)
class Hints:
    """The hints for one task.

    steps: read one after the other
    mistakes: part of a check's message -> the hint for who gets that message
    """

    steps: tuple[str, ...] = ()
    mistakes: dict[str, str] = field(default_factory=dict)

    def about(self, message: str) -> str:
        """Return the hint for what a check said, or "" when there is none."""
        for says, hint in self.mistakes.items():
            if says in message:
                return hint
        return ""


def load(unit_id: str) -> dict[str, Hints]:
    """Return a unit's hints by task; {} for a unit without any.

    Raises ValueError that names the file, the task and what is wrong with it.
    """
    file = FOLDER / f"{catalogue.unit(unit_id).id}.toml"
    if not file.is_file():
        return {}
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{unit_id}.toml: not valid TOML ({error}).") from None
    for problem in problems(data):
        raise ValueError(f"{unit_id}.toml: {problem}")
    return {
        task: Hints(tuple(table["hints"]), table.get("mistakes", {}))
        for task, table in data.items()
    }


def problems(data: dict[str, object]) -> Iterator[str]:
    """Yield what is wrong with hints read from TOML, one readable line each."""
    for task, table in data.items():
        if not isinstance(table, dict) or not {"hints"} <= table.keys():
            yield f"{task}: expected a table with hints."
            continue
        for key in sorted(table.keys() - {"hints", "mistakes"}):
            yield f"{task}: unknown key '{key}', expected hints and mistakes."
        if not _texts(table["hints"]):
            yield f"{task}: expected hints as a list of texts, none of them empty."
        mistakes = table.get("mistakes", {})
        pairs = mistakes.items() if isinstance(mistakes, dict) else [()]
        if not all(_texts([*pair]) for pair in pairs):
            yield f"{task}: expected mistakes as a table, what the check says = a hint."


def _texts(values: object) -> bool:
    """Is this a list of texts, at least one and none of them empty?"""
    return (
        isinstance(values, list)
        and bool(values)
        and all(isinstance(value, str) and value.strip() for value in values)
    )
