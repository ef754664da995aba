"""The training-run checklist: each line of the catalogue, and who enforces its parts.

A checklist fails quietly: a line stays on it that nothing enforces, or a check runs
that no line asks for. So each part names its check, or says that no machine checks it,
and `problems` compares the parts with the catalogue and with the hooks there are.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from securetrain import catalogue, cli, rows

FILE = Path(__file__).with_name("checklist.toml")
JOINS = re.compile(r"(and|;|,|:|\.|\s)*")  # what may stand between two parts
NOBODY = "no machine checks this"


@dataclass(frozen=True)
class Part:
    """One thing to do, in the words of its topic's line.

    checks: "hook ID", or "run COMMAND" of securetrain; () when no machine checks it
    hand: what a person does, "" when nothing remains
    """

    topic: str
    says: str
    checks: tuple[str, ...]
    hand: str

    @property
    def hooks(self) -> tuple[str, ...]:
        """The ids of the hooks that enforce it."""
        return tuple(c[5:] for c in self.checks if c.startswith("hook "))

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that enforce it, without their first word `securetrain`."""
        return tuple(c[4:] for c in self.checks if c.startswith("run "))


@dataclass(frozen=True)
class Area:
    """A heading of the checklist, and the topics whose lines stand under it."""

    title: str
    topics: tuple[str, ...]


@cache
def _tree() -> dict:
    return tomllib.loads(FILE.read_text("utf-8"))


def areas() -> tuple[Area, ...]:
    """Return the headings, in order."""
    return tuple(rows.read(Area, _tree()["areas"].values(), f"{FILE.name}: area"))


def hooks() -> dict[str, str]:
    """Return the hooks: id -> what it runs."""
    return dict(_tree()["hooks"])


def files() -> dict[str, str]:
    """Return which files a hook reads: id -> pattern, for those that choose by name."""
    return dict(_tree()["files"])


def parts() -> tuple[Part, ...]:
    """Return every part, in the order of the file."""
    return parse(_tree()["parts"])


def parse(table: Sequence[Mapping]) -> tuple[Part, ...]:
    """Return the parts of a checklist read from TOML.

    Raises ValueError that names the part and the key that is missing or unknown.
    """
    return tuple(rows.read(Part, table, f"{FILE.name}: part"))


def of(topic: str) -> tuple[Part, ...]:
    """Return the parts of one topic's line."""
    return tuple(part for part in parts() if part.topic == topic)


def lines() -> dict[str, str]:
    """Return the catalogue's lines: topic -> sentence."""
    return {unit.topic: unit.checklist for unit in catalogue.units()}


@cache
def commands() -> frozenset[str]:
    """Return the names of all commands, those of the graders included."""
    return frozenset(cli.listed())


def problems(
    of: Collection[Part] | None = None,
    sentences: Mapping[str, str] | None = None,
    known: Mapping[str, str] | None = None,
) -> list[str]:
    """Return what is wrong with the checklist, one readable line each.

    of, sentences, known: parts, topic -> line and hooks; those of the course if None
    """
    found = parts() if of is None else of
    sentences = lines() if sentences is None else sentences
    known = hooks() if known is None else known
    asked = {hook for part in found for hook in part.hooks}
    wrong = [f"hook '{hook}' stands on no line" for hook in known if hook not in asked]
    for topic, line in sentences.items():
        here = [part.says for part in found if part.topic == topic]
        wrong += [f"{topic}: {why}" for why in _cover(line, here)]
        if sum(topic in area.topics for area in areas()) != 1:
            wrong.append(f"{topic}: stands under no area, or under two")
    for part in found:
        if part.topic not in sentences:
            wrong.append(f"{part.topic}: '{part.says}' is of no topic in the catalogue")
        wrong += [f"{part.topic}: {why}" for why in _enforced(part, known)]
    return wrong


def _cover(line: str, says: Sequence[str]) -> Iterator[str]:
    """Yield why parts are not the whole of a line, in its order."""
    rest = line
    for words in says:
        joined = JOINS.match(rest)
        rest = rest[joined.end() :]
        if not rest.startswith(words):
            yield f"'{words}' is not what comes next in its line: '{rest}'"
            return
        rest = rest[len(words) :]
    if not JOINS.fullmatch(rest):
        yield f"nobody says who enforces '{rest.strip()}'"


def _enforced(part: Part, known: Mapping[str, str]) -> Iterator[str]:
    if not part.checks and not part.hand.strip():
        yield f"'{part.says}' has neither a check nor a person"
    for hook in part.hooks:
        if hook not in known:
            yield f"'{hook}' is no hook"
    for command in part.commands:
        if command.partition(" ")[0] not in commands():
            yield f"'securetrain {command}' is no command"
    if len(part.hooks) + len(part.commands) != len(part.checks):
        yield f"checks start with 'hook ' or 'run ', got {part.checks}"
