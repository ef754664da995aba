"""What every KPI has: its goal, its n, its period, its interval and its source.

A number that is not known says so and is never 0; what was made by a program is marked
synthetic wherever it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from securetrain.kpi_numbers import SMALLEST, Interval

MET, MISSED, UNKNOWN = "met", "not met", "not known"
HIDDEN, PLAIN = "not shown", "no goal"
COMPLETION, INTEGRITY, CONFIDENCE = 0.90, 0.01, 0.30  # goals
QUARTERS = 4  # shown of the past
SMALL = f"fewer than {SMALLEST} people: not shown"


@dataclass(frozen=True, order=True)
class Quarter:
    """Three months, such as 2026Q4, in UTC."""

    year: int
    number: int

    @staticmethod
    def parse(text: str) -> Quarter:
        """Return a quarter. Raises ValueError for anything but four digits, Q, 1-4."""
        if not (found := re.fullmatch(r"(20[2-9][0-9])Q([1-4])", text)):
            raise ValueError(f"period {text!a:.40}: expected a quarter such as 2026Q4")
        return Quarter(int(found[1]), int(found[2]))

    @property
    def months(self) -> tuple[str, ...]:
        first = 3 * self.number - 2
        return tuple(f"{self.year}-{month:02}" for month in range(first, first + 3))

    def holds(self, time: datetime) -> bool:
        """Say whether a time, which knows its zone, lies in the quarter."""
        return f"{time.astimezone(UTC):%Y-%m}" in self.months

    def before(self, count: int) -> list[Quarter]:
        """Return the quarters before this one, oldest first."""
        index = 4 * self.year + self.number - 1
        past = range(index - count, index)
        return [Quarter(one // 4, one % 4 + 1) for one in past]

    def __str__(self) -> str:
        return f"{self.year}Q{self.number}"


def hash_of(rows: Iterable[object]) -> str:
    """Return the SHA-256 of rows, each on a line of its own."""
    return sha256("".join(f"{row}\n" for row in rows).encode()).hexdigest()


@dataclass(frozen=True)
class Input:
    """What one kind of source gave.

    items: what was read; hashes: SHA-256 of each file; synthetic: made by a program,
    not by people; trouble: why nothing is known from it, "" when all was read; name: of
    the file or folder
    """

    kind: str
    items: tuple[Any, ...] = ()
    hashes: tuple[str, ...] = ()
    synthetic: bool = False
    trouble: str = ""
    name: str = ""

    @property
    def digest(self) -> str:
        """The file's hash; of several files the hash of their sorted list of hashes."""
        if len(self.hashes) == 1:
            return self.hashes[0]
        return hash_of(sorted(self.hashes))

    @property
    def source(self) -> str:
        """The kind, the name, the number of files and the first digits of the hash."""
        if not self.hashes:
            return f"{self.kind}: none read"
        kind = " ".join(dict.fromkeys((self.kind, self.name))).strip()
        many = f", {len(self.hashes)} files" if len(self.hashes) > 1 else ""
        return f"{kind}{many}, SHA-256 {self.digest[:12]}…"


@dataclass(frozen=True)
class Figure:
    """One number against its goal.

    what: it is of, in a sentence
    value: None unless it is known and may be shown; shown: the same for people
    target: None without a goal; n: what was counted, in words; notes: what limits it,
    and first what a leader must know
    interval: in words; band: the same in the value's unit, to draw
    tables: their heads and rows; trend: quarter -> value, None where not known
    """

    id: str
    title: str
    what: str
    goal: str
    unit: str
    period: str
    sources: tuple[str, ...]
    synthetic: bool
    value: float | None = None
    shown: str = UNKNOWN
    status: str = UNKNOWN
    target: float | None = None
    n: str = ""
    interval: str = ""
    band: Interval | None = None
    notes: tuple[str, ...] = ()
    tables: tuple[tuple[tuple[str, ...], ...], ...] = ()
    trend: Mapping[str, float | None] = field(default_factory=dict)


def blank(id: str, quarter: Quarter | None, *inputs: Input) -> Figure:
    """Return a figure that nothing is known of, with the reasons."""
    title, what, goal, unit, target = FIGURES[id]
    period = f"{quarter}" if quarter else "as the gradebook stands"
    return Figure(
        id, title, what, goal, unit, period, tuple(one.source for one in inputs),
        any(one.synthetic for one in inputs), target=target,
        notes=tuple(one.trouble for one in inputs if one.trouble),
    )  # fmt: skip


def small(empty: Figure) -> Figure:
    """Return the figure of a group that is too small to be shown."""
    return replace(empty, shown=HIDDEN, status=HIDDEN, notes=(SMALL,))


def trend(
    quarter: Quarter, value: Callable[[Quarter], float | None]
) -> dict[str, float | None]:
    """Return the value of each quarter of the page, the page's own last."""
    return {str(q): value(q) for q in (*quarter.before(QUARTERS), quarter)}


FIGURES = {
    "completion": (
        "Labs completed", "Graded labs that were passed, of all that were assigned.",
        "90 % or more", "%", 100 * COMPLETION,
    ),
    "missed": (
        "Poisonings missed in drills",
        "Manipulated training data, planted in a drill and not found by its team.",
        "0", "poisonings", 0.0,
    ),
    "integrity": (
        "Model integrity failures",
        "Releases that the deployment gate refused: not what was vouched for.",
        "under 1 %", "%", 100 * INTEGRITY,
    ),
    "confidence": (
        "Confidence, self-reported",
        "How much surer the same people say they are after the course.",
        "+30 %", "%", 100 * CONFIDENCE,
    ),
    "skill": (
        "Skill, measured",
        "Quiz questions that the same people got right at the first try.",
        "no goal, set beside confidence", "%", None,
    ),
    "response": (
        "Time to contain an incident",
        "From the start of a drill until a planted fault is stopped; the median.",
        "60 min or less", "min", 60.0,
    ),
    "audit": (
        "Audit evidence", "Whether the gate's log is whole, and can be shown to be.",
        "verified against a kept hash", "decisions", None,
    ),
}  # fmt: skip


def percent(share: float, goal: float | None = None) -> str:
    """Return a share for people, with as many digits as it takes to be true.

    What is not 0 or 1 is not shown as 0 or 100 %, nor what misses the goal as the goal.
    """
    marks = [0.0, 1.0] + [goal] * (goal is not None)
    for digits in range(7):
        text = f"{100 * share:.{digits}f}"
        close = [_side(share, mark) == _side(float(text) / 100, mark) for mark in marks]
        if all(close) and (digits or abs(share) >= 0.1 or share == 0):
            break
    text = text.removesuffix(".0")
    return f"{text} %".replace("-", "\u2212")


def _side(value: float, mark: float) -> int:
    return (value > mark + 1e-12) - (value < mark - 1e-12)


def spread(interval: Interval) -> str:
    return f"95 %: {percent(interval[0])} to {percent(interval[1])}"


def scaled(interval: Interval) -> Interval:
    """Return an interval of shares in percent."""
    return 100 * interval[0], 100 * interval[1]


def doubt(interval: Interval, goal: float) -> list[str]:
    low, high = interval
    says = "the interval holds the goal: met or not met may be chance"
    return [says] * (low < goal <= high)
