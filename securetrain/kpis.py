"""Does the training work? Each KPI from evidence against its goal, none typed in.

Whoever is judged by a number may choose what is counted: those who finished, the
faults that were found, the week after the course. So figures name their source, keep
who dropped out in the denominator, and are "not known" where evidence is missing or
damaged.

Grades come from the caller, as only the instructor's side reads gradebooks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from securetrain import (
    audit_log,
    catalogue,
    debriefs,
    kpi_completion,
    kpi_learners,
    kpi_systems,
    plain_files,
    plain_json,
    records,
)
from securetrain.kpi_figures import Figure, Input, Quarter

NONE = "nothing given"
LARGEST_LOG = 128 * 2**20  # bytes of a gate's log that is read at all
CLOCKS = timedelta(hours=1)  # by which those of two machines may differ
SYNTHETIC = "synthetic-"  # how the ids of learners begin whom a program made


@dataclass(frozen=True)
class Evidence:
    """All that a page is made from.

    cohort: None where nobody said who should have taken part; newest: the log's hash
    """

    grades: Input = Input("gradebook", trouble=f"gradebook: {NONE}")
    cohort: Input | None = None
    records: Input = Input("records", trouble=f"records: {NONE}")
    debriefs: Input = Input("debriefs", trouble=f"debriefs: {NONE}")
    log: Input = Input("gate log", trouble=f"gate log: {NONE}")
    newest: str = ""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Every kind of source, in the order of the page."""
        rest = (self.cohort,) if self.cohort else ()
        return (self.grades, *rest, self.records, self.debriefs, self.log)

    @property
    def synthetic(self) -> bool:
        """Whether a program made it. Raises ValueError for a mixture with real data."""
        read = [one for one in self.inputs if one.hashes]
        made = [one.kind for one in read if one.synthetic]
        real = [one.kind for one in read if not one.synthetic and not one.trouble]
        if made and real:
            raise ValueError(
                f"synthetic: {', '.join(made)}; real: {', '.join(real)}. "
                "Numbers of both would be numbers of neither: give one kind"
            )
        return bool(made)


def figures(
    evidence: Evidence,
    quarter: Quarter,
    now: datetime,
    labs: Sequence[str] = (),
    head: str = "",
    passing: float = catalogue.PASSED,
) -> list[Figure]:
    """Return every figure, in the order of the page.

    labs: those assigned, default all in the gradebook; head: a hash of the gate's log
    that a witness kept; passing: share of a lab's points
    Raises ValueError where synthetic and real evidence are mixed, and for a quarter
    that has not begun. Dates of synthetic evidence are made up: they may lie ahead.
    """
    synthetic = evidence.synthetic
    if not synthetic and f"{now:%Y-%m}" < quarter.months[0]:
        raise ValueError(f"{quarter} has not begun: today is {now:%Y-%m-%d}")
    one = evidence if synthetic else _as_of(evidence, now)
    found = [
        kpi_completion.completion(one.grades, labs, one.cohort, passing),
        kpi_systems.missed(one.debriefs, quarter, now),
        kpi_systems.integrity(one.log, quarter),
        kpi_learners.confidence(one.records, quarter),
        kpi_learners.skill(one.records, quarter, one.grades),
        kpi_systems.response(one.debriefs, quarter),
        kpi_systems.audit(one.log, head, one.newest),
    ]
    return [replace(figure, synthetic=synthetic) for figure in found]


def _as_of(evidence: Evidence, now: datetime) -> Evidence:
    """Return evidence in which what is dated later than now is not known."""
    at, one = datetime.fromisoformat, evidence
    return replace(
        one,
        records=_dated(one.records, (who.rated for who in one.records.items), now),
        debriefs=_dated(one.debriefs, (at(d.ended) for d in one.debriefs.items), now),
        log=_dated(one.log, (at(line["time"]) for line in one.log.items), now),
    )


def _dated(one: Input, times: Iterable[datetime | None], now: datetime) -> Input:
    last = max(filter(None, times), default=now)
    if last <= now + CLOCKS:
        return one
    why = f"dated {last.isoformat()}, after this page was made: a clock was wrong"
    return replace(one, items=(), trouble=f"{one.kind}: {why}")


# --- Reading ------------------------------------------------------------------------


def read_records(folder: Path) -> Input:
    """Return the learners' exported records, the newest of each learner.

    One that is damaged makes all of them unknown: leaving it out would be choosing.
    """

    def read(data: bytes) -> Any:
        record = records.parse(plain_json.read(data))
        return record, kpi_learners.learner(record.facts())

    found = _read("records", folder, "*.json", read, lambda pair: pair[0].synthetic)
    newest = {}
    for record, learner in sorted(found.items, key=lambda pair: pair[0].exported):
        newest[record.learner] = learner
    return replace(found, items=tuple(newest.values()))


def read_debriefs(folder: Path) -> Input:
    """Return the debriefs below a folder: files whose names end in debrief.json.

    One that is damaged makes all of them unknown.
    """

    def read(data: bytes) -> Any:
        return debriefs.parse(plain_json.read(data))

    return _read("debriefs", folder, "*debrief.json", read, lambda one: one.synthetic)


def _read(
    kind: str,
    folder: Path,
    pattern: str,
    read: Callable[[bytes], Any],
    made: Callable[[Any], bool],
) -> Input:
    """Return what the files of a folder say, or why it is not known."""
    items, hashes = [], []
    try:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        for path in sorted(folder.rglob(pattern)):
            try:
                data = plain_files.read(path, records.LARGEST)
                # read once: what is hashed is what is counted
                hashes.append(sha256(data).hexdigest())
                items.append(read(data))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
        if not items:
            raise ValueError(f"{folder}: no file {pattern} in it")
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        return Input(kind, (), tuple(hashes), False, why, folder.name)
    except ValueError as error:
        return Input(kind, (), tuple(hashes), False, str(error), folder.name)
    synthetic = {made(one) for one in items}
    if len(synthetic) > 1:
        raise ValueError(
            f"{folder}: synthetic and real {kind} are mixed: give one kind"
        )
    made_up = synthetic.pop()
    return Input(kind, tuple(items), tuple(hashes), made_up, "", folder.name)


def read_log(path: Path) -> tuple[Input, str]:
    """Return the lines of a gate's audit log, and its newest hash.

    A log that was changed is not known, whatever its other lines say.
    """
    hashes: tuple[str, ...] = ()
    try:
        data = plain_files.read(path, LARGEST_LOG)
        hashes = (sha256(data).hexdigest(),)
        lines, newest = audit_log.events(data)
        for line in lines:
            _check_event(line)
        if not lines:
            raise ValueError("it holds no decision")
    except OSError as error:
        return Input("gate log", trouble=f"{path}: {error.strerror}"), ""
    except ValueError as error:  # Refused is one
        why = f"{path}: {error}"
        return Input("gate log", (), hashes, False, why, path.name), ""
    made = {line["event"].get("synthetic") is True for line in lines}
    if len(made) > 1:
        raise ValueError(f"{path}: synthetic and real decisions are mixed")
    synthetic = made.pop()
    return Input("gate log", tuple(lines), hashes, synthetic, "", path.name), newest


def _check_event(line: dict[str, Any]) -> None:
    """Raise ValueError unless a line is a decision of the gate."""
    event, number = line["event"], line["number"]
    keys = ("decision", "check", "why", "name", "manifest")
    whole = isinstance(event, dict) and "version" in event
    if not whole or any(not isinstance(event.get(key), str) for key in keys):
        raise ValueError(f"line {number} is no decision of the gate")
    try:
        aware = datetime.fromisoformat(line["time"]).tzinfo
    except (TypeError, ValueError):
        aware = None
    if not aware or event["decision"] not in ("deploy", "refuse"):
        raise ValueError(f"line {number} is no decision of the gate")


def read_cohort(path: Path) -> Input:
    """Return everyone who should have taken part: (learner, role or "").

    path: CSV in UTF-8 with a column `student` and, if known, one `role`, a key of the
    catalogue. Its trouble says what is wrong: twice the same learner, another role.
    """
    hashes: tuple[str, ...] = ()
    try:
        data = plain_files.read(path, records.LARGEST)
        hashes = (sha256(data).hexdigest(),)
        people = _people(data)
    except OSError as error:
        return Input("cohort", trouble=f"{path}: {error.strerror}")
    except (ValueError, csv.Error) as error:
        return Input("cohort", (), hashes, False, f"{path}: {error}", path.name)
    synthetic = is_synthetic([who for who, _ in people], str(path))
    return Input("cohort", tuple(people), hashes, synthetic, "", path.name)


def _people(data: bytes) -> list[tuple[str, str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if "student" not in (rows.fieldnames or ()):
        raise ValueError("expected a column `student`, and perhaps `role`")
    found: dict[str, str] = {}
    for row in rows:
        who, role = (row["student"] or "").strip(), (row.get("role") or "").strip()
        if not who or who in found:
            raise ValueError(
                f"line {rows.line_num}: {who!a:.40} is empty or stands twice"
            )
        if role and role not in catalogue.roles():
            known = ", ".join(catalogue.roles())
            raise ValueError(f"line {rows.line_num}: role {role!a:.40}, not of {known}")
        found[who] = role
    if not found:
        raise ValueError("it names nobody")
    return list(found.items())


def is_synthetic(students: Sequence[str], where: str) -> bool:
    """Say whether a program made these learners. Raises ValueError for a mixture."""
    made = {student.startswith(SYNTHETIC) for student in students}
    if len(made) > 1:
        raise ValueError(
            f"{where}: synthetic learners and real ones are mixed: give one kind"
        )
    return True in made
