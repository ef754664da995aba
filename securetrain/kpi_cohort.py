"""A synthetic cohort whose truth is known: real formats, no people.

Drawn from a seed, marked synthetic in every file. It serves to try the page, and to
see what a number says when the truth behind it is known.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from securetrain import (
    audit_log,
    catalogue,
    debriefs,
    quiz,
    records,
    survey,
)
from securetrain.debriefs import Debrief, Finding
from securetrain.kpi_completion import Grade, labs_of
from securetrain.kpi_figures import Input, Quarter, hash_of
from securetrain.kpi_learners import Learner, learner
from securetrain.kpis import (
    SYNTHETIC,
    Evidence,
    read_cohort,
    read_debriefs,
    read_log,
    read_records,
)
from securetrain.progress import statement

POINTS = 20.0  # of each lab
CHECKS = ("files", "signature", "registry", "format")
ROLES = ("ml-engineer", "senior-engineer", "platform-engineer")


@dataclass(frozen=True)
class Truth:
    """What is so, whatever a report says; shares from 0 to 1.

    learners, releases (a quarter), teams: how many; skill: mean share that learners get
    right; gain: of confidence; leave: share who leave half way; up to a half they
    are of the less able, who leave first
    find: of faults in drills; pace: how long that takes, 1 is usual; tampered: of
    releases that reach the gate
    past: earlier quarters with drills and a log
    """

    learners: int = 20
    skill: float = 0.7
    gain: float = 0.2
    leave: float = 0.25
    find: float = 0.75
    pace: float = 1.0
    tampered: float = 0.03
    releases: int = 60
    teams: tuple[str, ...] = ("red", "blue")
    past: int = 2


@dataclass(frozen=True)
class Cohort:
    """What a cohort leaves behind, before it is written to files.

    roles: learner -> key; records: as exported; log: (time, event) in order
    """

    roles: Mapping[str, str]
    grades: tuple[Grade, ...]
    records: tuple[dict[str, Any], ...]
    debriefs: tuple[Debrief, ...]
    log: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def learners(self) -> list[Learner]:
        """What the records say, as the KPIs read them."""
        facts = [map(records.fact, one["statements"]) for one in self.records]
        return [learner(list(one)) for one in facts]


def start(quarter: Quarter) -> datetime:
    """Return a quarter's first moment."""
    return datetime.fromisoformat(f"{quarter.months[0]}-01T09:00:00+00:00")


def draw(seed: int, quarter: Quarter, truth: Truth | None = None) -> Cohort:
    """Return the cohort of a seed; the same seed gives the same files."""
    truth = truth or Truth()
    rng = Random(seed)
    grades, exports, roles = [], [], {}
    for number in range(truth.learners):
        name = f"{SYNTHETIC}{number + 1:03}"
        roles[name] = ROLES[number % len(ROLES)]
        able, less = _able(rng, truth.skill)
        leaves = rng.random() < 2 * truth.leave - (not less)
        grades += _grades(rng, name, labs_of(roles[name]), able, leaves)
        exports.append(_record(rng, quarter, roles[name], able, leaves, truth.gain))
    every = [*quarter.before(truth.past), quarter]
    drills = [one for q in every for one in _drills(rng, q, truth)]
    log = [line for q in every for line in _log(rng, q, truth)]
    return Cohort(roles, tuple(grades), tuple(exports), tuple(drills), tuple(log))


def _able(rng: Random, skill: float) -> tuple[float, bool]:
    """Return how much a learner can, and whether that is less than usual."""
    able = rng.gauss(skill, 0.15)
    return min(0.98, max(0.15, able)), able < skill


def _grades(
    rng: Random, name: str, assigned: Sequence[str], able: float, leaves: bool
) -> Iterator[Grade]:
    """Yield what a learner handed in: one who leaves, the first third of the labs."""
    third = max(1, len(assigned) // 3)
    for lab in assigned[:third] if leaves else assigned:
        share = min(1.0, max(0.0, rng.gauss(able + 0.12, 0.1)))
        yield Grade(name, lab, round(share * POINTS), POINTS)


# --- Records --------------------------------------------------------------------------


def _record(
    rng: Random, quarter: Quarter, role: str, able: float, leaves: bool, gain: float
) -> dict[str, Any]:
    """Return an exported record: a survey, quizzes, and the survey again."""
    now, unit = start(quarter) + timedelta(days=rng.randrange(5)), catalogue.units()[0]
    # who can do less is less sure, a little; the day and the item add chance
    mood, week = rng.gauss(2.5, 0.4) + 1.5 * (able - 0.7), timedelta(days=7)
    rows = list(_ratings(rng, now, "before", unit.id, mood + rng.gauss(0, 0.4)))
    rows += _quizzes(rng, now + week, able, 3 if leaves else 10)
    if not leaves:
        after = (mood + rng.gauss(0, 0.4)) * (1 + gain)
        rows += _ratings(rng, now + 7 * week, "after", unit.id, after)
    return {
        "schema": records.SCHEMA,
        "exported": (start(quarter) + 9 * week).isoformat(timespec="seconds"),
        "learner": rng.randbytes(16).hex(),
        "role": role,
        "synthetic": True,
        "statements": rows,
    }


def _ratings(
    rng: Random, now: datetime, when: str, unit: str, level: float
) -> Iterator[dict[str, Any]]:
    for item in survey.items():
        value = min(survey.HIGH, max(survey.LOW, round(rng.gauss(level, 0.7))))
        score = {"raw": value, "min": survey.LOW, "max": survey.HIGH}
        target = f"{unit}#confidence/{when}/{item.id}"
        yield statement(now, "rated", target, score=score)


def _quizzes(
    rng: Random, now: datetime, able: float, count: int
) -> Iterator[dict[str, Any]]:
    """Yield answers to the quizzes of the first lessons, tried until right."""
    for day, targets in enumerate(_asked()[:count]):
        for number, target in enumerate(targets):
            when = now + timedelta(days=3 * day, minutes=number)
            if rng.random() >= able:
                yield statement(when, "answered", target, success=False)
                when += timedelta(seconds=30)
            yield statement(when, "answered", target, success=True)


@cache
def _asked() -> list[list[str]]:
    """Return the questions of each lesson's quiz, as records name them."""
    lessons = [unit for unit in catalogue.units() if unit.kind == "lesson"]
    return [[f"{unit.id}#{one.id}" for one in quiz.load(unit.id)] for unit in lessons]


# --- Drills and the gate's log --------------------------------------------------------


def _drills(rng: Random, quarter: Quarter, truth: Truth) -> Iterator[Debrief]:
    for month in quarter.months:
        began = datetime.fromisoformat(f"{month}-12T10:00:00+00:00")
        kinds = ["poisoned-data", *rng.sample(debriefs.KINDS, 3)]
        for team in truth.teams:
            found = tuple(
                _finding(rng, f"{kind}-{number}", kind, truth)
                for number, kind in enumerate(kinds, 1)
            )
            times = began.isoformat(), (began + timedelta(hours=2)).isoformat()
            yield Debrief(month, team, False, True, *times, found, rng.randrange(3))


def _finding(rng: Random, name: str, kind: str, truth: Truth) -> Finding:
    """Return a fault: what is hard to see is found later, or never."""
    hard = rng.random()
    if hard > truth.find:
        return Finding(name, kind, False, None, None, None)
    minute = 60 * truth.pace
    seen = round(minute * (5 + 60 * hard) * rng.uniform(0.7, 1.3))
    held = seen + round(minute * rng.uniform(4, 25))
    well = held + round(minute * rng.uniform(5, 40))
    return Finding(name, kind, True, seen, held, well if rng.random() < 0.9 else None)


def _log(
    rng: Random, quarter: Quarter, truth: Truth
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the gate's decisions; some releases are asked for again."""
    step = timedelta(days=85) / truth.releases
    for number in range(truth.releases):
        when = start(quarter) + number * step
        bad = rng.random() < truth.tampered
        manifest = sha256(rng.randbytes(16)).hexdigest()
        for again in range(1 + (rng.random() < 0.2)):
            check = rng.choice(CHECKS) if bad else ""
            event = {
                "decision": "refuse" if bad else "deploy", "check": check,
                "why": "synthetic" if bad else "", "name": "signs",
                "version": 0 if bad else number + 1, "manifest": manifest,
                "synthetic": True,
            }  # fmt: skip
            yield (when + timedelta(minutes=again)).isoformat(timespec="seconds"), event


# --- Files ----------------------------------------------------------------------------


def log_bytes(lines: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """Return a gate's log of these decisions, chained as `audit_log.append` chains."""
    data, previous = b"", audit_log.FIRST
    for number, (time, event) in enumerate(lines, 1):
        line = audit_log.entry(number, previous, time, event)
        data, previous = data + line + b"\n", audit_log.hash_of(line)
    return data


def write(cohort: Cohort, folder: Path) -> None:
    """Write records/, debriefs/, gate.jsonl and cohort.csv into a new folder."""
    folder.mkdir(parents=True)
    (folder / "records").mkdir()
    (folder / "debriefs").mkdir()
    for one in cohort.records:
        text = json.dumps(one, indent=1)
        (folder / "records" / f"{one['learner']}.json").write_text(text, "utf-8")
    for one in cohort.debriefs:
        name = f"{one.month}-{one.team}-debrief.json"
        debriefs.write(one, folder / "debriefs" / name)
    (folder / "gate.jsonl").write_bytes(log_bytes(cohort.log))
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("student", "role"), *cohort.roles.items()])
    (folder / "cohort.csv").write_text(file.getvalue(), "utf-8")


def grades(cohort: Cohort) -> Input:
    """Return the grades as the gradebook would give them; their hash is of the rows."""
    return Input("gradebook", cohort.grades, (hash_of(cohort.grades),), True)


def in_memory(cohort: Cohort) -> Evidence:
    """Return a cohort as evidence without files; hashes are of the rows."""
    lines, newest = audit_log.events(data := log_bytes(cohort.log))
    people = tuple(cohort.roles.items())
    drills = tuple(hash_of([one]) for one in cohort.debriefs)
    exports = tuple(hash_of([one]) for one in cohort.records)
    return Evidence(
        grades(cohort), Input("cohort", people, (hash_of(people),), True),
        Input("records", tuple(cohort.learners), exports, True),
        Input("debriefs", cohort.debriefs, drills, True),
        Input("gate log", tuple(lines), (sha256(data).hexdigest(),), True), newest,
    )  # fmt: skip


def evidence(folder: Path, grades: Input) -> Evidence:
    """Return what the files of `write` say, read as any files are."""
    log, newest = read_log(folder / "gate.jsonl")
    return Evidence(
        grades, read_cohort(folder / "cohort.csv"), read_records(folder / "records"),
        read_debriefs(folder / "debriefs"), log, newest,
    )  # fmt: skip
