"""What learners finished, how sure they are, and what they can do.

Grades come from the gradebook, confidence and quiz answers from the records that
learners exported. Nobody is named, and no group of fewer than five is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import mean
from typing import Any

from securetrain import catalogue, kpi_numbers, role_paths, survey
from securetrain.kpi_figures import (
    COMPLETION,
    CONFIDENCE,
    HIDDEN,
    MET,
    MISSED,
    PLAIN,
    QUARTERS,
    SMALL,
    UNKNOWN,
    Figure,
    Input,
    Quarter,
    blank,
    doubt,
    percent,
    scaled,
    spread,
)
from securetrain.kpi_numbers import FEW, SMALLEST
from securetrain.records import Fact


@dataclass(frozen=True)
class Grade:
    """One learner's points in one lab; score is None where there are none yet."""

    student: str
    lab: str
    score: float | None
    points: float
    undecided: bool = False


# --- Completion ---------------------------------------------------------------------


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
        return replace(empty, shown=HIDDEN, status=HIDDEN, notes=(SMALL,))
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
    on_path = {unit.topic for unit in role_paths.path(role) if unit.kind == "lab"}
    return sorted(on_path & set(labs) if labs else on_path)


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
        notes.append(f"{counts['undecided']} wait for a human's grade: at least this")
    if not fixed:
        notes.append("no list of the cohort: who never handed in is not counted")
    status = MISSED if high < COMPLETION else UNKNOWN
    if fixed and low >= COMPLETION:
        status = MET
    shown = f"at most {percent(high, COMPLETION)}"
    says, band = "no 95 % interval without a list of the cohort", None
    if fixed:
        shown = percent(low, COMPLETION)
        interval = kpi_numbers.wilson(low * learners, learners)
        says, band = f"{spread(interval)}, each learner as one", scaled(interval)
        notes += doubt(interval, COMPLETION)
    tables = [_groups("Lab", states, lambda key: key[1])]
    if any(roles.values()):
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


# --- What learners say, and what they can do ------------------------------------------


@dataclass(frozen=True)
class Learner:
    """What one exported record says.

    pairs: (before, after) of each item of the survey that was answered both times
    rated: time of the last answer after the course, None for none
    answered, first: quiz questions answered, and right at the first try
    """

    pairs: tuple[tuple[int, int], ...] = ()
    rated: datetime | None = None
    answered: int = 0
    first: int = 0

    @property
    def confidence(self) -> tuple[float, float]:
        """Mean before and after, 1 to 5, over the items answered both times."""
        return mean(b for b, _ in self.pairs), mean(a for _, a in self.pairs)


def learner(facts: Sequence[Fact]) -> Learner:
    """Return what a record's facts say.

    The last rating counts, but none "before" that came after one "after": whoever runs
    the first notebook again has taken the course.
    Raises ValueError for a rating that is not 1 to 5.
    """
    ordered = sorted(facts, key=lambda one: one.time)
    tries: dict[tuple[str, str], bool] = {}
    for one in ordered:
        if one.verb == "answered":
            tries.setdefault((one.unit, one.part), one.success is True)
    ratings = list(_ratings(ordered))
    ended = [time for when, _, _, time in ratings if when == "after"]
    after = {item: value for when, item, value, _ in ratings if when == "after"}
    before = {
        item: value
        for when, item, value, time in ratings
        if when == "before" and (not ended or time < ended[0])
    }
    pairs = tuple((before[item], after[item]) for item in before if item in after)
    rated = ended[-1] if ended else None
    return Learner(pairs, rated, len(tries), sum(tries.values()))


def _ratings(facts: Sequence[Fact]) -> Iterator[tuple[str, str, int, datetime]]:
    """Yield when it was asked, the item, the answer and its time."""
    known = {item.id for item in survey.items()}
    for one in facts:
        asked, _, rest = one.part.partition("/")
        when, _, item = rest.partition("/")
        ours = one.verb == survey.VERB and asked == "confidence" and item in known
        if ours and when in survey.WHEN:
            yield when, item, _rating(one.rating), one.time


def _rating(value: float | None) -> int:
    if type(value) is not int or not survey.LOW <= value <= survey.HIGH:
        raise ValueError(f"a rating of {value!a:.20}: expected 1 to 5")
    return value


def finished(records: Sequence[Learner], quarter: Quarter) -> list[Learner]:
    """Return who answered the survey before, and after it in this quarter."""
    return [
        one for one in records if one.pairs and one.rated and quarter.holds(one.rated)
    ]


def confidence(records: Input, quarter: Quarter) -> Figure:
    """Return how much surer the same learners say they are after the course.

    records: items are `Learner`s
    """
    empty = blank("confidence", quarter, records)
    if empty.notes:
        return empty
    own = finished(records.items, quarter)
    if not own:
        return replace(empty, notes=("nobody answered both surveys in this quarter",))
    if len(own) < SMALLEST:
        return replace(empty, shown=HIDDEN, status=HIDDEN, notes=(SMALL,))
    pairs = [one.confidence for one in own]
    value, interval = kpi_numbers.growth(pairs), kpi_numbers.growth_interval(pairs)
    before, after = (mean(side) for side in zip(*pairs, strict=True))
    notes = ["self-reported: surer is not abler; see the skill beside it"]
    notes.append(
        f"{len(records.items) - len(own)} records without both answers, left out"
    )
    notes += [f"fewer than {FEW} pairs: the interval is too narrow"] * (len(own) < FEW)
    past = {str(q): _grown(records.items, q) for q in quarter.before(QUARTERS)}
    return replace(
        empty, value=100 * value, shown=signed(value, CONFIDENCE),
        n=f"{len(own)} pairs", status=MET if value >= CONFIDENCE else MISSED,
        interval=f"95 %: {signed(interval[0])} to {signed(interval[1])}",
        band=scaled(interval),
        notes=(*notes, *doubt(interval, CONFIDENCE)),
        tables=((("Mean of 1 to 5", "before", "after"),
                 ("the same learners", f"{before:.1f}", f"{after:.1f}")),),
        trend=past | {str(quarter): 100 * value},
    )  # fmt: skip


def signed(share: float, goal: float | None = None) -> str:
    """Return a change for people, with its sign."""
    text = percent(share, goal)
    return text if share < 0 or text == "0 %" else f"+{text}"


def _grown(records: Sequence[Learner], quarter: Quarter) -> float | None:
    own = finished(records, quarter)
    if len(own) < SMALLEST:
        return None
    return 100 * kpi_numbers.growth([one.confidence for one in own])


def skill(records: Input, quarter: Quarter, grades: Input | None = None) -> Figure:
    """Return the share of quiz questions that the same learners got at the first try.

    The mean over learners, each counting alike; lab points stand beside it.
    """
    empty = blank("skill", quarter, records)
    if empty.notes:
        return empty
    own = [one for one in finished(records.items, quarter) if one.answered]
    if not own:
        why = "nobody with both surveys answered a quiz in this quarter"
        return replace(empty, notes=(why,))
    if len(own) < SMALLEST:
        return replace(empty, shown=HIDDEN, status=HIDDEN, notes=(SMALL,))
    shares = [one.first / one.answered for one in own]
    value, interval = mean(shares), kpi_numbers.mean_interval(shares)
    notes = [
        "quiz questions right at the first try; there is no test before the course"
    ]
    sources = empty.sources
    if grades and not grades.trouble and (points := _points(grades.items)):
        notes.append(points)
        sources += (grades.source,)
    return replace(
        empty, value=100 * value, shown=percent(value), status=PLAIN, sources=sources,
        n=f"{len(own)} learners, {sum(one.answered for one in own)} questions",
        interval=spread(interval), band=scaled(interval), notes=tuple(notes),
    )  # fmt: skip


def _points(grades: Sequence[Grade]) -> str:
    """Return the share of points in the labs that were graded, "" for a small group."""
    done = [one for one in grades if one.score is not None and one.points > 0]
    people = len({one.student for one in done})
    if people < SMALLEST:
        return ""
    share = sum(one.score for one in done) / sum(one.points for one in done)
    return f"labs handed in: {percent(share)} of the points, {people} learners"
