"""The learner's own record: what was started, answered, rated and finished.

One line of JSON an event, shaped like an xAPI statement, in `work/progress.jsonl`.
The record names nobody and never leaves this machine.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from securetrain import catalogue, paths
from securetrain.catalogue import Unit

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# An address that nobody can own (RFC 2606): the record is this machine's alone.
ACTOR = {
    "objectType": "Agent",
    "account": {"homePage": "https://securetrain.invalid", "name": "anonymous"},
}
USEFUL = "feedback/useful"  # the part of a unit that its rating is about
URN = "urn:securetrain:"
VERBS = {
    "started": "http://adlnet.gov/expapi/verbs/initialized",
    "ran": "http://adlnet.gov/expapi/verbs/experienced",
    "chose": "http://id.tincanapi.com/verb/selected",
    "answered": "http://adlnet.gov/expapi/verbs/answered",
    "checked": "http://adlnet.gov/expapi/verbs/attempted",
    "rated": "http://id.tincanapi.com/verb/rated",
    "finished": "http://adlnet.gov/expapi/verbs/completed",
}


@dataclass(frozen=True)
class Summary:
    """What the record says about one unit.

    started, finished: time of the first such event in UTC, or ""
    answered: quiz questions answered; first: right at the first try; right: right once
    checks: the unit's checks -> did the last try pass
    useful: the learner's last rating of the unit, 1 to 5, or 0
    """

    started: str = ""
    finished: str = ""
    answered: int = 0
    first: int = 0
    right: int = 0
    checks: tuple[tuple[str, bool], ...] = ()
    useful: int = 0


def file() -> Path:
    """Return where the record lies."""
    return paths.work() / "progress.jsonl"


def place() -> Path:
    """Return where the record lies as a page says it: below the course's root."""
    root = paths.root()
    return file().relative_to(root) if file().is_relative_to(root) else file()


def start(unit_id: str) -> None:
    """Print what a unit is about, and record that it was started."""
    unit = catalogue.unit(unit_id)
    titles = catalogue.roles()
    print(f"{unit.title} · {unit.kind} · {unit.minutes} minutes")
    print(f"For: {', '.join(titles[role] for role in unit.roles)}")
    print(f"Goal: {unit.goal}", flush=True)
    record("started", unit_id)
    _offer_checks(unit)


def _shell() -> InteractiveShell | None:
    """Return the live notebook's shell; None outside one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _offer_checks(unit: Unit) -> None:
    """Make `%check` known where there is something to check, in a live notebook."""
    if (shell := _shell()) is None:
        return
    # These need IPython, and record with this module.
    from securetrain import cell_runs, check_magic, checks

    cell_runs.WATCH.start(shell, unit.id)
    if unit.kind == "lab":
        print("%check runs this lab's checks; %check TASK --hint helps with a task.")
    elif checks.exercises(unit):
        print("%check runs the check of this lesson's exercise; %check --hint helps.")
    else:
        return
    check_magic.enable(shell, unit.id)


def finish(unit_id: str) -> None:
    """Record that a unit was finished, print which one comes next, and ask about it."""
    unit = catalogue.unit(unit_id)
    record("finished", unit_id)
    print(f"Finished: {unit.title}.")
    # These record with this module.
    from securetrain import cell_runs, feedback, role_paths

    if following := role_paths.after(unit):
        print(f"Next: {following.title} ({following.kind}), {following.path}")
    if not cell_runs.is_read(_shell()):
        return
    if score := cell_runs.score(unit):
        record("ran", unit_id, score=score)
    # This needs Jupyter, which is here: a page shows this cell.
    from IPython.display import display

    display(feedback.show(unit_id))


def record(
    verb: str,
    unit_id: str,
    *,
    part: str = "",
    success: bool | None = None,
    response: str = "",
    score: dict[str, int] | None = None,
) -> None:
    """Append one event to the record.

    verb: a key of `VERBS`; part: the question or check inside the unit
    score: a rating with its range, {"raw": 4, "min": 1, "max": 5}
    A folder that cannot be written gives a warning, as a lesson must go on.
    Raises ValueError for an unknown verb or unit.
    """
    if verb not in VERBS:
        raise ValueError(f"Unknown verb '{verb}', expected one of {', '.join(VERBS)}.")
    target = catalogue.unit(unit_id).id + (f"#{part}" if part else "")
    said = statement(
        datetime.now(UTC),
        verb,
        target,
        success=success,
        response=response or None,
        score=score,
    )
    try:
        _append(file(), json.dumps({"id": str(uuid.uuid4())} | said))
    except OSError as error:
        warnings.warn(
            f"Your progress was not recorded ({error}). Everything else works.",
            stacklevel=2,
        )


def statement(when: datetime, verb: str, target: str, **result: Any) -> dict:
    """Return a statement, still without an id; a result of None is left out."""
    return {
        "timestamp": when.isoformat(timespec="milliseconds"),
        "actor": ACTOR,
        "verb": {"id": VERBS[verb], "display": {"en": verb}},
        "object": {"id": URN + target},
        "result": {key: value for key, value in result.items() if value is not None},
    }


def _append(path: Path, line: str) -> None:
    """Add one line in one write, so that two notebooks never mix theirs.

    A line that a crash cut short is closed first; nothing is glued to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        end = os.lseek(handle, 0, os.SEEK_END)
        if end:
            os.lseek(handle, -1, os.SEEK_END)
        torn = end > 0 and os.read(handle, 1) != b"\n"
        data = (b"\n" if torn else b"") + line.encode() + b"\n"
        if os.write(handle, data) != len(data):
            raise OSError(f"the disk is full: {path}")
    finally:
        os.close(handle)


def events() -> list[dict]:
    """Return every event, oldest first; a damaged line is skipped with a warning.

    A record that cannot be read gives a warning too, and counts as empty.
    """
    return lines()[0]


def read() -> bytes:
    """Return the record as it lies there, b"" when there is none.

    Raises OSError when it cannot be read.
    """
    try:
        return file().read_bytes()
    except FileNotFoundError:
        return b""


def lines() -> tuple[list[dict], int]:
    """Return every event, oldest first, and how many lines are damaged.

    Each of them is a warning too, and so is a record that cannot be read.
    """
    try:
        content = read().split(b"\n")
    except OSError as error:
        warnings.warn(
            f"Your record could not be read ({error}). Everything else works.",
            stacklevel=3,
        )
        return [], 0
    found, damaged = [], 0
    for number, line in enumerate(content, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            _facts(event)
            found.append(event)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            damaged += 1
            warnings.warn(
                f"{file()}: line {number} is not a whole event and was skipped.",
                stacklevel=3,
            )
    return found, damaged


def _facts(event: dict) -> tuple[str, str, str, str, bool]:
    """Return an event's verb, unit id, part, time and success.

    Raises KeyError, TypeError or AttributeError for an event that is not whole.
    """
    verb, time = event["verb"]["display"]["en"], event["timestamp"]
    target = event["object"]["id"]
    if not all(isinstance(text, str) for text in (verb, time, target)):
        raise TypeError("expected verb, time and object in words")
    unit_id, _, part = target.removeprefix(URN).partition("#")
    return verb, unit_id, part, time, event["result"].get("success") is True


def summary(of: Sequence[dict] | None = None) -> dict[str, Summary]:
    """Return what the record, or these events, say for every unit of the catalogue."""
    of_unit: dict[str, list[dict]] = {unit.id: [] for unit in catalogue.units()}
    for event in events() if of is None else of:
        _, unit, *_ = _facts(event)
        if unit in of_unit:
            of_unit[unit].append(event)
    return {unit: _summarise(mine) for unit, mine in of_unit.items()}


def in_words(summary: Summary) -> str:
    """Return what is known of a unit, such as "started, 3 questions answered"."""
    parts = ["finished" if summary.finished else "started"]
    if not (summary.started or summary.finished):
        parts = []
    if summary.answered:
        questions = "question" if summary.answered == 1 else "questions"
        parts.append(
            f"{summary.answered} {questions} answered, {summary.right} right, "
            f"{summary.first} at the first try"
        )
    if summary.checks:
        passed = sum(ok for _, ok in summary.checks)
        parts.append(f"{passed} of {len(summary.checks)} checks pass")
    return ", ".join(parts)


def _summarise(mine: Sequence[dict]) -> Summary:
    """Return what the events of one unit say."""
    times: dict[str, str] = {}
    answers: dict[str, list[bool]] = {}
    checks: dict[str, bool] = {}
    useful = 0
    for event in mine:
        verb, _, part, time, success = _facts(event)
        times.setdefault(verb, time)
        if verb == "answered":
            answers.setdefault(part, []).append(success)
        elif verb == "checked":
            checks[part] = success
        elif (verb, part) == ("rated", USEFUL):
            score = event["result"].get("score")
            value = score.get("raw") if isinstance(score, dict) else 0
            useful = value if value in range(1, 6) else useful
    return Summary(
        started=times.get("started", ""),
        finished=times.get("finished", ""),
        answered=len(answers),
        first=sum(tries[0] for tries in answers.values()),
        right=sum(any(tries) for tries in answers.values()),
        checks=tuple(checks.items()),
        useful=useful,
    )
