"""How sure a learner is, before the course and after it; the answers stay with them.

The items stand in survey.toml. An answer is one event of the learner's own record
(`progress`): it can be given later and changed, and the last one counts.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from securetrain import catalogue, progress

if TYPE_CHECKING:
    from securetrain.widgets import Survey

FILE = Path(__file__).with_name("survey.toml")
WHEN = ("before", "after")
LOW, HIGH = 1, 5
VERB = "rated"


@dataclass(frozen=True)
class Item:
    """One thing to be sure of. id: never changes; stage: a digit of the catalogue."""

    id: str
    stage: str
    text: str


@dataclass(frozen=True)
class Pair:
    """One learner's answers to one item, 1 (not at all) to 5 (very sure)."""

    item: str
    before: int
    after: int


@cache
def _read() -> dict:
    return tomllib.loads(FILE.read_text("utf-8"))


def items() -> tuple[Item, ...]:
    """Return every item, by stage."""
    return tuple(Item(**entry) for entry in _read()["items"])


def problems(of: tuple[Item, ...] | None = None) -> Iterator[str]:
    """Yield what is wrong with the items, one readable line each."""
    seen: set[str] = set()
    stage = ""
    for item in items() if of is None else of:
        if item.id in seen:
            yield f"{item.id}: this id stands twice in {FILE.name}."
        if item.stage not in catalogue.stages() or item.stage < stage:
            yield f"{item.id}: stage '{item.stage}' is unknown or out of order."
        if not item.text.strip() or "/" in item.id:
            yield f"{item.id}: expected a text, and an id without a slash."
        seen.add(item.id)
        stage = item.stage


def rate(when: str, item: str, value: int, unit_id: str) -> None:
    """Append one answer to the learner's record.

    when: "before" or "after" the course; value: 1 to 5; unit_id: where it was asked
    Raises ValueError for anything else. A record that cannot be written is a warning.
    """
    _check_when(when)
    if item not in (known := [i.id for i in items()]):
        raise ValueError(f"No item '{item}' in {FILE.name}. There are: {known}.")
    if not _is_rating(value):
        raise ValueError(f"Expected a whole number from 1 to 5, but came {value!r}.")
    score = {"raw": value, "min": LOW, "max": HIGH}
    progress.record(VERB, unit_id, part=f"confidence/{when}/{item}", score=score)


def ratings(when: str) -> dict[str, int]:
    """Return the last answer to each item, in the items' order.

    An event that is no answer from 1 to 5, or belongs to an item that is no longer
    asked, is left out with a warning. Raises ValueError for an unknown `when`.
    """
    _check_when(when)
    known = [item.id for item in items()]
    found: dict[str, int] = {}
    for item, value, time in _answers(when):
        if item not in known:
            _warn(f"the answer of {time} to '{item}', which is no longer asked")
        elif not _is_rating(value):
            _warn(f"the answer of {time} to '{item}': {value!r} is not 1 to 5")
        else:
            found[item] = value
    return {item: found[item] for item in known if item in found}


def pairs() -> list[Pair]:
    """Return the items that were answered before the course and after it."""
    before, after = ratings("before"), ratings("after")
    return [Pair(item, before[item], after[item]) for item in before if item in after]


def least_sure(values: Mapping[str, int]) -> str:
    """Return the stage (a digit) whose answers are lowest on average; "" for none."""
    means = _by_stage(values)
    return min(means, key=means.__getitem__, default="")


def report() -> None:
    """Print what is stored, stage by stage, and where it lies."""
    before, after = ratings("before"), ratings("after")
    if not before and not after:
        print("No answers stored yet. Answer the survey, then run this cell again.")
        return
    first, last = _by_stage(before), _by_stage(after)
    for stage in sorted({*first, *last}):
        said = f"{first[stage]:.1f} before" if stage in first else "no answer before"
        said += f", {last[stage]:.1f} after" if stage in last else ""
        print(f"{catalogue.stages()[stage]:<10} {said}")
    if stage := least_sure(after or before):
        print(f"You are least sure of: {catalogue.stages()[stage]}.")
    print(_kept(len(after or before), "after" if after else "before"))


def show(when: str, unit_id: str) -> Survey:
    """Return the survey for the notebook to show, with the answers stored so far.

    Raises ValueError for an unknown `when` or unit.
    """
    from securetrain.widgets import Survey  # needs Jupyter, which the rest does not

    catalogue.unit(unit_id)
    widget = Survey(
        question=_read()["question"],
        scale=_read()["scale"],
        items=[
            {"id": i.id, "stage": catalogue.stages()[i.stage], "text": i.text}
            for i in items()
        ],
    )
    return widget.keep(
        give=lambda answers: _give(when, answers, unit_id),
        read=lambda: ratings(when),
        say=lambda stored: _kept(len(stored), when),
    )


def _give(when: str, answers: Mapping[str, int], unit_id: str) -> None:
    """Record the answers that are new."""
    stored = ratings(when)
    for item, value in answers.items():
        if stored.get(item) != value:
            rate(when, item, value, unit_id)


def _kept(number: int, when: str) -> str:
    return (
        f"{number} of {len(items())} answers ({when} the course) are stored in "
        f"{progress.place()} on this machine. They name nobody and are sent nowhere."
    )


def _answers(when: str) -> Iterator[tuple[str, object, str]]:
    """Yield item, answer and time of each answer in the record, oldest first."""
    for event in progress.events():
        part = event["object"]["id"].partition("#")[2].split("/")
        if event["verb"]["display"]["en"] == VERB and part[:2] == ["confidence", when]:
            score = event["result"].get("score")
            value = score.get("raw") if isinstance(score, dict) else None
            yield "/".join(part[2:]), value, event["timestamp"]


def _by_stage(values: Mapping[str, int]) -> dict[str, float]:
    """Return the mean answer of each stage that has one."""
    found: dict[str, list[int]] = {}
    for item in items():
        if item.id in values:
            found.setdefault(item.stage, []).append(values[item.id])
    return {stage: mean(numbers) for stage, numbers in found.items()}


def _is_rating(value: object) -> bool:
    return type(value) is int and LOW <= value <= HIGH


def _check_when(when: str) -> None:
    if when not in WHEN:
        raise ValueError(f"Expected one of {', '.join(WHEN)}, but came {when!r}.")


def _warn(what: str) -> None:
    warnings.warn(f"{progress.file()}: left out {what}.", stacklevel=3)
