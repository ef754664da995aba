"""How sure learners are, and what they can do.

Confidence and quiz answers come from the records that learners exported. Nobody is
named, and no group of fewer than five is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import mean

from securetrain import kpi_numbers, survey
from securetrain.kpi_completion import Grade
from securetrain.kpi_figures import (
    CONFIDENCE,
    MET,
    MISSED,
    PLAIN,
    Figure,
    Input,
    Quarter,
    blank,
    doubt,
    percent,
    scaled,
    small,
    spread,
    trend,
)
from securetrain.kpi_numbers import FEW, SMALLEST
from securetrain.records import Fact


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
        return small(empty)
    pairs = [one.confidence for one in own]
    value, interval = kpi_numbers.growth(pairs), kpi_numbers.growth_interval(pairs)
    before, after = (mean(side) for side in zip(*pairs, strict=True))
    notes = ["self-reported: surer is not abler; see the skill beside it"]
    without = len(records.items) - len(own)
    notes.append(f"records without both answers, left out: {without}")
    notes += [f"fewer than {FEW} pairs: the interval is too narrow"] * (len(own) < FEW)
    return replace(
        empty, value=100 * value, shown=signed(value, CONFIDENCE),
        n=f"{len(own)} pairs", status=MET if value >= CONFIDENCE else MISSED,
        interval=f"95 %: {signed(interval[0])} to {signed(interval[1])}",
        band=scaled(interval),
        notes=(*doubt(interval, CONFIDENCE), *notes),
        tables=((("Mean of 1 to 5", "before", "after"),
                 ("the same learners", f"{before:.1f}", f"{after:.1f}")),),
        trend=trend(quarter, lambda q: _grown(records.items, q)),
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
        return small(empty)
    shares = [one.first / one.answered for one in own]
    value, interval = mean(shares), kpi_numbers.mean_interval(shares)
    notes = ["there is no test before the course: whether it grew is not known"]
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
