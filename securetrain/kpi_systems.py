"""What drills and the gate's log say: what was missed, how fast, what was refused.

Drills know the truth, which was sealed before they began. The log knows only what
reached the gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from securetrain import kpi_numbers
from securetrain.debriefs import Debrief
from securetrain.kpi_figures import (
    INTEGRITY,
    MET,
    MISSED,
    UNKNOWN,
    Figure,
    Input,
    Quarter,
    blank,
    doubt,
    percent,
    scaled,
    spread,
    trend,
)
from securetrain.kpi_numbers import NEVER

OPERATIONAL = {"time", "version floor"}  # refusals that say nothing about integrity
UNSIGNED = sha256(b"").hexdigest()  # what the gate logs where no manifest came
CONTAIN_S = 3600  # the first hour: this course's goal
ALIKE = (
    "faults of one drill are not independent, as the interval takes them: it is too "
    "narrow"
)

# --- Drills ----------------------------------------------------------------------


def drills(debriefs: Sequence[Debrief], quarter: Quarter) -> list[Debrief]:
    """Return each team's first drill of each month of a quarter: repeats teach only."""
    first: dict[tuple[str, str], Debrief] = {}
    for one in sorted(debriefs, key=lambda one: datetime.fromisoformat(one.started)):
        if one.month in quarter.months:
            first.setdefault((one.month, one.team), one)
    return list(first.values())


def _poisons(found: Sequence[Debrief]) -> list[bool]:
    every = [one for drill in found for one in drill.findings]
    return [one.found for one in every if one.kind == "poisoned-data"]


def missed(debriefs: Input, quarter: Quarter, now: datetime) -> Figure:
    """Return how many poisonings the teams of a quarter's drills did not find.

    A month that is over and in which no poison was planted keeps a 0 from being known:
    nobody looked.
    """
    empty = blank("missed", quarter, debriefs)
    if empty.notes:
        return empty
    held = drills(debriefs.items, quarter)
    poisons = _poisons(held)
    if not poisons:
        why = "no drill of this quarter planted poison: nobody looked"
        return replace(empty, notes=(why,))
    misses = poisons.count(False)
    over = [month for month in quarter.months if month < f"{now:%Y-%m}"]
    planted = {one.month for one in held if _poisons([one])}
    unseen = [month for month in over if month not in planted]
    again = sum(one.month in quarter.months for one in debriefs.items) - len(held)
    alarms = sum(one.false_alarms for one in held)
    late = sum(one.month != _held_in(one) for one in held)
    notes = [_unlooked(month, held) for month in unseen]
    notes += [f"drills held in another month than their own: {late}"] * (late > 0)
    notes.append(f"false alarms in these drills: {alarms}")
    notes += [f"{again} repeated drills not counted: the first counts"] * (again > 0)
    notes.append(ALIKE)
    known = MISSED if misses else UNKNOWN if unseen else MET
    return replace(
        empty, value=float(misses), shown=f"{misses} of {len(poisons)}", status=known,
        n=f"{len(poisons)} poisonings planted in {len(held)} drills",
        interval="share missed, " + spread(kpi_numbers.wilson(misses, len(poisons))),
        notes=tuple(notes),
        trend=trend(quarter, lambda q: _count(_poisons(drills(debriefs.items, q)))),
    )  # fmt: skip


def _held_in(one: Debrief) -> str:
    return f"{datetime.fromisoformat(one.started).astimezone(UTC):%Y-%m}"


def _unlooked(month: str, held: Sequence[Debrief]) -> str:
    if month in {one.month for one in held}:
        return f"no poison was planted in {month}: nobody looked for it"
    return f"no drill in {month}: nobody looked"


def _count(poisons: Sequence[bool]) -> float | None:
    return float(poisons.count(False)) if poisons else None


def minutes(seconds: float) -> str:
    """Return a time for people; NEVER is never, and more than the goal is no goal."""
    if seconds == NEVER:
        return "never"
    for digits in range(3):
        text = f"{seconds / 60:.{digits}f}"
        if seconds <= CONTAIN_S or 60 * float(text) > CONTAIN_S:
            break
    return f"{text} min"


def response(debriefs: Input, quarter: Quarter) -> Figure:
    """Return the median time to contain a fault; what nobody found counts as never."""
    empty = blank("response", quarter, debriefs)
    if empty.notes:
        return empty
    held = drills(debriefs.items, quarter)
    every = [one for drill in held for one in drill.findings]
    if not every:
        return replace(empty, notes=("no drill in this quarter",))
    rows: list[tuple[str, ...]] = [("Step", "median", "range", "done")]
    for step in ("detected", "contained", "recovered"):
        times = [getattr(one, f"{step}_after_s") for one in every]
        done = [time for time in times if time is not None]
        between = f"{minutes(min(done))} to {minutes(max(done))}" if done else "–"
        many = f"{len(done)} of {len(times)}"
        rows.append((step, minutes(kpi_numbers.median(times)), between, many))
    times = [one.contained_after_s for one in every]
    middle, sure = kpi_numbers.median(times), kpi_numbers.median_interval(times)
    interval = "fewer than six faults: no 95 % interval"
    if sure:
        interval = f"95 %: {minutes(sure[0])} to {minutes(sure[1])}"
    notes = ["what was never contained counts as longer than any time"]
    notes += ["the goal of an hour is this course's own", *([ALIKE] if sure else [])]
    return replace(
        empty, value=None if middle == NEVER else middle / 60, shown=minutes(middle),
        status=MET if middle <= CONTAIN_S else MISSED, interval=interval,
        n=f"{len(every)} faults in {len(held)} drills", notes=tuple(notes),
        band=(sure[0] / 60, sure[1] / 60) if sure else None,
        tables=(tuple(rows),),
        trend=trend(quarter, lambda q: _contained(drills(debriefs.items, q))),
    )  # fmt: skip


def _contained(held: Sequence[Debrief]) -> float | None:
    times = [one.contained_after_s for drill in held for one in drill.findings]
    middle = kpi_numbers.median(times) if times else NEVER
    return None if middle == NEVER else middle / 60


# --- The gate's log ------------------------------------------------------------------


def releases(
    lines: Sequence[Mapping[str, Any]], quarter: Quarter
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Return a quarter's requests to deploy a model, by release: name and manifest.

    Asking again makes no new release. What came without a manifest cannot be told
    apart: all such requests for one name are one.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in lines:
        event = line["event"]
        when = datetime.fromisoformat(line["time"])
        if event.get("kind") == "software" or not quarter.holds(when):
            continue
        found.setdefault((event["name"], event["manifest"]), []).append(event)
    return found


def is_failure(event: Mapping[str, Any]) -> bool:
    """Say whether the gate refused because what came is not what was vouched for."""
    return event["decision"] != "deploy" and event["check"] not in OPERATIONAL


def integrity(log: Input, quarter: Quarter) -> Figure:
    """Return the share of a quarter's releases that failed a check of integrity.

    log: items are the lines of `audit_log.events`. Counted are releases, not requests:
    a loop that asks for the same again, or without a manifest, does not move the share.
    A new manifest each time does.
    """
    empty = blank("integrity", quarter, log)
    if empty.notes:
        return empty
    found = releases(log.items, quarter)
    if not found:
        return replace(empty, notes=("no request to deploy a model in this quarter",))
    bad = [key for key, events in found.items() if any(map(is_failure, events))]
    checks = Counter(e["check"] for key in bad for e in found[key] if is_failure(e))
    passed = [
        key for key in bad if any(event["decision"] == "deploy" for event in found[key])
    ]
    share = len(bad) / len(found)
    interval = kpi_numbers.wilson(len(bad), len(found))
    notes = doubt(interval, INTEGRITY)
    notes += ["refused, so caught: the log cannot show a model that went past the gate"]
    notes += [
        f"refused by the check {name}: {count}"
        for name, count in sorted(checks.items())
    ]
    notes += [f"{len(passed)} of them were deployed, too, when they were whole"] * bool(
        passed
    )
    bare = [events for (_, manifest), events in found.items() if manifest == UNSIGNED]
    if bare:
        many = sum(map(len, bare))
        notes.append(
            f"{many} requests without a manifest: one release for each name, "
            f"{len(bare)} in all"
        )
    requests = sum(map(len, found.values()))
    return replace(
        empty, value=100 * share, shown=percent(share, INTEGRITY),
        status=MET if share < INTEGRITY else MISSED, interval=spread(interval),
        n=f"{len(bad)} of {len(found)} releases, {requests} requests",
        band=scaled(interval),
        trend=trend(quarter, lambda q: _failing(log.items, q)), notes=tuple(notes),
    )  # fmt: skip


def _failing(lines: Sequence[Mapping[str, Any]], quarter: Quarter) -> float | None:
    found = releases(lines, quarter).values()
    bad = sum(any(map(is_failure, events)) for events in found)
    return 100 * bad / len(found) if found else None


def audit(log: Input, head: str = "", newest: str = "") -> Figure:
    """Return whether the log is whole, and what an auditor needs to see that.

    head: a hash of the log that a witness kept, "" for none; newest: the log's own
    """
    empty = replace(blank("audit", None, log), period="whole log")
    if empty.notes:
        return empty
    hashes = [line["previous"] for line in log.items[1:]] + [newest]
    if not head:
        status = UNKNOWN
        says = "no hash kept elsewhere: lines cut off at the end would not show"
    elif head not in hashes:
        status = MISSED
        says = "the hash that a witness kept is not in the log: lines are missing"
    else:
        status, covered = MET, hashes.index(head) + 1
        says = f"a witness's hash covers the first {covered} decisions"
    return replace(
        empty, value=float(len(log.items)), shown=f"{len(log.items)} decisions",
        status=status, n="chain verified from its first line",
        notes=(says, f"newest hash of the log: {newest}"),
    )  # fmt: skip
