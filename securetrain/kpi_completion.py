"""What learners finished, of what they were assigned.

Grades come from the gradebook. Nobody is named, and no group of fewer than five is
shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from securetrain import catalogue, kpi_numbers, role_paths
from securetrain.kpi_figures import (
    COMPLETION,
    HIDDEN,
    MET,
    MISSED,
    UNKNOWN,
    Figure,
    Input,
    blank,
    doubt,
    percent,
    scaled,
    small,
    spread,
)
from securetrain.kpi_numbers import SMALLEST


@dataclass(frozen=True)
class Grade:
    """One learner's points in one lab; score is None where there are none yet."""

    student: str
    lab: str
    score: float | None
    points: float
    undecided: bool = False


def completion(
    grades: Input,
    labs: Sequence[str] = (),
    cohort: Input | None = None,
    passing: float = catalogue.PASSED,
) -> Figure:
    """Return the share of assigned labs that learners passed.

    grades: items are `Grade`s; labs: those assigned, default: all of a role's path, or
    without a role all that are graded
    cohort: items are (learner, role or ""): everyone who should have taken part.
    Without it the share is at most the one shown.
    """
    empty = blank("completion", None, grades, *([cohort] if cohort else []))
    if empty.notes:
        return empty
    roles = dict(cohort.items) if cohort else {}
    people = roles or dict.fromkeys((one.student for one in grades.items), "")
    graded = {one.lab for one in grades.items}
    found = {(one.student, one.lab): one for one in grades.items}
    states = {
        (who, lab): _state(found.get((who, lab)), passing)
        for who, role in people.items()
        for lab in _assigned(role, labs, graded)
    }
    learners = {who for who, _ in states}
    if not states:
        return replace(empty, notes=("nobody in the cohort is assigned a lab",))
    if len(learners) < SMALLEST:
        return small(empty)
    notes = _around(set(people), learners, {one.student for one in grades.items})
    empty = replace(empty, notes=notes)
    return _completed(empty, states, roles, bool(cohort), passing)


def _around(
    people: set[str], learners: set[str], students: set[str]
) -> tuple[str, ...]:
    """Return who is not counted, in numbers."""
    without, strangers = len(people - learners), len(students - people)
    found = [f"{without} of the cohort have no lab on their path"] * (without > 0)
    if strangers:
        found.append(f"{strangers} of the gradebook are not in the cohort, not counted")
    return tuple(found)


def _state(grade: Grade | None, passing: float) -> str:
    if grade is None or (grade.score is None and not grade.undecided):
        return "missing"
    if grade.score is not None and catalogue.passed(grade.score, grade.points, passing):
        return "passed"
    return "undecided" if grade.undecided else "failed"


def _assigned(role: str, labs: Sequence[str], graded: Collection[str]) -> list[str]:
    """Return the labs of a role's path, graded or not; without a role all graded ones.

    labs: those named as assigned, which count alone; none is all
    """
    if not role:
        return sorted(labs or graded)
    on_path = set(labs_of(role))
    return sorted(on_path & set(labs) if labs else on_path)


def labs_of(role: str) -> list[str]:
    """Return the topics of the labs on a role's path."""
    return [unit.topic for unit in role_paths.path(role) if unit.kind == "lab"]


def _completed(
    empty: Figure,
    states: Mapping[tuple[str, str], str],
    roles: Mapping[str, str],
    fixed: bool,
    passing: float,
) -> Figure:
    learners, counts = len({who for who, _ in states}), Counter(states.values())
    low = counts["passed"] / len(states)
    high = low + counts["undecided"] / len(states)
    notes = [f"passed: {percent(passing)} of a lab's points or more", *empty.notes]
    if counts["undecided"]:
        waiting = f"{counts['undecided']} wait for a human's grade: at least this"
        notes.insert(0, waiting)
    if not fixed:
        notes.insert(0, "no list of the cohort: who never handed in is not counted")
    status = MISSED if high < COMPLETION else UNKNOWN
    if fixed and low >= COMPLETION:
        status = MET
    shown = f"at most {percent(high, COMPLETION)}"
    says, band = "no 95 % interval without a list of the cohort", None
    if fixed:
        shown = percent(low, COMPLETION)
        interval = kpi_numbers.wilson(low * learners, learners)
        says, band = f"{spread(interval)}, each learner as one", scaled(interval)
        notes = doubt(interval, COMPLETION) + notes
    tables = [_groups("Lab", states, lambda key: key[1])]
    if any(roles.values()):
        paths = Counter(_path(roles[who]) for who in {who for who, _ in states})
        if min(paths.values()) < kpi_numbers.SMALLEST:  # both tables would tell on it
            notes.append("by path: not shown, a path has fewer than five learners")
        else:
            tables.append(_groups("Path", states, lambda key: _path(roles[key[0]])))
    return replace(
        empty, value=100 * low if fixed else None, shown=shown,
        status=status, n=f"{learners} learners, {len(states)} labs assigned",
        interval=says, band=band, notes=tuple(notes),
        tables=tuple(tables),
    )  # fmt: skip


def _path(role: str) -> str:
    return catalogue.roles()[role] if role else "no path named"


def _groups(
    what: str, states: Mapping[tuple[str, str], str], key: Callable[[Any], str]
) -> tuple[tuple[str, ...], ...]:
    """Return a head and a line for each group, without what must be hidden."""
    people: dict[str, set[str]] = {}
    for pair in states:
        people.setdefault(key(pair), set()).add(pair[0])
    hidden, rows = kpi_numbers.hidden(people), [(what, "learners", "completed")]
    for name in sorted(people):
        own = [state for pair, state in states.items() if key(pair) == name]
        share = percent(own.count("passed") / len(own))
        many = str(len(people[name]))
        shown = (HIDDEN, HIDDEN) if name in hidden else (many, share)
        rows.append((name, *shown))
    return tuple(rows)
