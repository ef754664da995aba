"""Every unit of the course: what it is, whom it is for and where it lies."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from securetrain import paths, rows

HERE = Path(__file__).parent
MINUTES = range(10, 91)
PASSED = 0.7  # of a lab's points: what a badge and the leader's page call passed


def passed(score: float, points: float, minimum: float = PASSED) -> bool:
    """Say whether a score passes a lab; an error of rounding does not fail anybody.

    points: the lab's; minimum: the share of them that it takes, above 0 to 1
    """
    bar = minimum * points
    return points > 0 and (score >= bar or math.isclose(score, bar))


@dataclass(frozen=True)
class Unit:
    """One lesson or lab.

    id: "TOPIC/NAME"; kind: "lesson" or "lab"; minutes: what a learner should plan
    roles: keys of `roles()`; needs: ids of the units to take before
    atlas, owasp: ids of `threats()`; checklist: what the topic turns into at work
    """

    id: str
    kind: str
    title: str
    goal: str
    minutes: int
    roles: tuple[str, ...]
    needs: tuple[str, ...]
    atlas: tuple[str, ...]
    owasp: tuple[str, ...]
    checklist: str

    @property
    def topic(self) -> str:
        """The folder that the unit lies in, such as "13-poisoning"."""
        return self.id.partition("/")[0]

    @property
    def stage(self) -> str:
        """The stage of the lifecycle: the topic's first digit."""
        return self.topic[:1]

    @property
    def path(self) -> str:
        """The notebook that a learner opens, relative to the course's root."""
        return f"{'course' if self.kind == 'lesson' else 'work'}/{self.id}.ipynb"

    @property
    def source(self) -> str:
        """The notebook that an author edits, relative to the course's root."""
        return f"{'course' if self.kind == 'lesson' else 'solutions'}/{self.id}.ipynb"


@cache
def _read(name: str) -> dict:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


def stages() -> dict[str, str]:
    """Return the stages of the lifecycle: digit -> name."""
    return _read("catalogue.toml")["stages"]


def roles() -> dict[str, str]:
    """Return the learners' roles: key -> title."""
    return _read("catalogue.toml")["roles"]


def plans() -> dict[str, list[list[str]]]:
    """Return each role's path: role -> weeks of unit ids; a tour is one week."""
    found = {}
    for role, plan in _read("catalogue.toml")["paths"].items():
        if plan.keys() not in ({"weeks"}, {"tour"}):
            raise ValueError(f"[paths.{role}]: expected either 'weeks' or 'tour'.")
        found[role] = plan["weeks"] if "weeks" in plan else [plan["tour"]]
    return found


def topics() -> dict[str, str]:
    """Return the topics: folder -> title."""
    return {key: t["title"] for key, t in _read("catalogue.toml")["topics"].items()}


def threats() -> dict[str, str]:
    """Return the pinned threat table: ATLAS or OWASP id -> name."""
    tables = _read("threats.toml")
    return {**tables["atlas"], **tables["owasp"]}


@cache
def units() -> tuple[Unit, ...]:
    """Return every unit, in the order in which they are taken."""
    return parse(_read("catalogue.toml"))


def unit(id: str) -> Unit:
    """Return one unit; a ValueError names the ids that there are."""
    for candidate in units():
        if candidate.id == id:
            return candidate
    known = ", ".join(u.id for u in units())
    raise ValueError(f"No unit '{id}' in catalogue.toml. There are: {known}.")


def parse(catalogue: dict) -> tuple[Unit, ...]:
    """Return the units of a catalogue read from TOML.

    Raises ValueError that names the unit and the key that is missing or unknown.
    """
    found = []
    for u in rows.read(Unit, catalogue["units"], "catalogue.toml: unit", checklist=""):
        topic = catalogue["topics"].get(u.topic)
        if topic is None:
            raise ValueError(
                f"catalogue.toml: unit {u.id}: its topic is not under [topics]."
            )
        found.append(replace(u, checklist=topic["checklist"]))
    return tuple(found)


def problems(of: Sequence[Unit] | None = None) -> list[str]:
    """Return what is wrong with the catalogue, one readable line each."""
    found, seen = [], set()
    everything = units() if of is None else of
    known = {u.id for u in everything}
    for u in everything:
        lines = [*_unit_problems(u), *_order_problems(u, seen, known)]
        found += [f"{u.id}: {line}" for line in lines]
        seen.add(u.id)
    return found


def _order_problems(u: Unit, seen: set[str], known: set[str]) -> Iterator[str]:
    if u.id in seen:
        yield "this id stands twice in the catalogue."
    for need in u.needs:
        if need not in known:
            yield f"it needs '{need}', which is no unit."
        elif need not in seen:
            yield f"it needs '{need}', which comes after it."


def _unit_problems(u: Unit) -> Iterator[str]:
    if u.kind not in ("lesson", "lab"):
        yield f"kind is '{u.kind}', expected 'lesson' or 'lab'."
    if u.stage not in stages():
        yield f"stage '{u.stage}' (first digit of its topic) is not under [stages]."
    if u.minutes not in MINUTES:
        yield f"{u.minutes} minutes, expected {MINUTES[0]} to {MINUTES[-1]}."
    if not u.roles:
        yield "it is for no role."
    for role in u.roles:
        if role not in roles():
            yield f"role '{role}' is not under [roles]."
    for id in (*u.atlas, *u.owasp):
        if id not in threats():
            yield f"threat '{id}' is not in threats.toml."
    if u.kind == "lesson" and u.stage in "1234" and not u.atlas:
        yield "a lesson of stages 1 to 4 names at least one ATLAS id."
    if not (paths.root() / u.source).is_file():
        yield f"its notebook {u.source} is missing."
