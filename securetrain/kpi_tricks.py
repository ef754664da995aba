"""How a number gets better while nothing else does, and who would notice.

Whoever is judged by the page chooses what is counted, what is repeated and what is
lost. A trick takes a cohort and returns what it leaves behind instead.

Source: Problems of monetary management, Goodhart 1975: a measure that becomes a target
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from securetrain import catalogue, kpi_completion, kpi_numbers
from securetrain.debriefs import Debrief, Finding
from securetrain.kpi_cohort import Cohort
from securetrain.kpi_figures import Quarter
from securetrain.kpi_systems import is_failure

# --- The report that looks good -------------------------------------------------------


def promises(cohort: Cohort, quarter: Quarter) -> dict[str, float]:
    """Return what a report says that counts what lies at hand.

    completion: the mean of the labs' rates among those who handed in; missed: what
    teams report of the poisonings that they found; integrity: refused requests among
    all; confidence: all answers before against all after; response: the median minutes
    to contain, of the faults that were found.
    """
    labs: dict[str, list[bool]] = {}
    for one in cohort.grades:
        labs.setdefault(one.lab, []).append(
            catalogue.passed(one.score or 0, one.points)
        )
    events = [
        event
        for time, event in cohort.log
        if quarter.holds(datetime.fromisoformat(time))
    ]
    before, after = answers(cohort)
    held = [one.contained_after_s for one in found(cohort, quarter)]
    return {
        "completion": 100 * fmean(fmean(passed) for passed in labs.values()),
        "missed": 0.0,  # nobody reports what nobody found
        "integrity": 100 * fmean(map(is_failure, events)),
        "confidence": 100 * (fmean(after) / fmean(before) - 1),
        "response": kpi_numbers.median(held) / 60,
    }


def answers(cohort: Cohort) -> tuple[list[int], list[int]]:
    """Return every rating before and after, whoever gave it."""
    ratings: dict[str, list[int]] = {"before": [], "after": []}
    for record in cohort.records:
        for one in record["statements"]:
            if score := one["result"].get("score"):
                when = one["object"]["id"].partition("#")[2].split("/")[1]
                ratings[when].append(score["raw"])
    return ratings["before"], ratings["after"]


def found(cohort: Cohort, quarter: Quarter) -> list[Finding]:
    """Return the faults of a quarter's drills that somebody found."""
    every = [one for drill in cohort.debriefs for one in drill.findings
             if drill.month in quarter.months]  # fmt: skip
    return [one for one in every if one.found]


# --- Tricks ---------------------------------------------------------------------------


def forget_leavers(cohort: Cohort) -> Cohort:
    """Take those who left off the list, out of the gradebook and the records."""
    labs: dict[str, int] = {}
    for one in cohort.grades:
        labs[one.student] = labs.get(one.student, 0) + 1
    roles = {
        who: role
        for who, role in cohort.roles.items()
        if labs.get(who, 0) >= len(kpi_completion.labs_of(role))
    }
    grades = tuple(one for one in cohort.grades if one.student in roles)
    return replace(cohort, grades=grades, roles=roles)


def hand_in_again(cohort: Cohort) -> Cohort:
    """Hand in until the checks pass, as the feedback allows: the last grade stays."""
    enough = catalogue.PASSED + 0.05
    best = [replace(one, score=max(one.score or 0, enough * one.points))
            for one in cohort.grades]  # fmt: skip
    return replace(cohort, grades=tuple(best))


def drill_again(cohort: Cohort) -> Cohort:
    """Repeat each drill a day later, when everybody knows what was planted."""
    return replace(
        cohort, debriefs=cohort.debriefs + tuple(map(_again, cohort.debriefs))
    )


def _again(one: Debrief) -> Debrief:
    day = timedelta(days=1)
    times = [
        (datetime.fromisoformat(t) + day).isoformat() for t in (one.started, one.ended)
    ]
    return replace(_easy(one), started=times[0], ended=times[1])


def _easy(one: Debrief) -> Debrief:
    """Return a drill in which everything was found within half an hour."""
    quick = tuple(Finding(f.id, f.kind, True, 600, 1200, 1800) for f in one.findings)
    return replace(one, findings=quick, false_alarms=0)


def drill_easily(cohort: Cohort) -> Cohort:
    """Plant only what everybody finds."""
    return replace(cohort, debriefs=tuple(map(_easy, cohort.debriefs)))


def lose_debriefs(cohort: Cohort) -> Cohort:
    """Lose the debriefs of the drills in which poison was missed."""

    def good(one: Debrief) -> bool:
        return all(f.found or f.kind != "poisoned-data" for f in one.findings)

    return replace(cohort, debriefs=tuple(filter(good, cohort.debriefs)))


def close_early(cohort: Cohort) -> Cohort:
    """Call a fault contained a minute after it was seen; it is repaired no sooner."""

    def early(one: Finding) -> Finding:
        if one.detected_after_s is None:
            return one
        return replace(one, contained_after_s=one.detected_after_s + 60)

    drills = [
        replace(d, findings=tuple(map(early, d.findings))) for d in cohort.debriefs
    ]
    return replace(cohort, debriefs=tuple(drills))


def ask_often(cohort: Cohort) -> Cohort:
    """Ask the gate about each honest release twenty times."""
    log = [line for line in cohort.log for _ in range(1 if is_failure(line[1]) else 20)]
    return replace(cohort, log=tuple(log))


def cut_log(cohort: Cohort) -> Cohort:
    """Take the failures out of the log and chain it anew."""
    return replace(cohort, log=tuple(x for x in cohort.log if not is_failure(x[1])))


def talk_up(cohort: Cohort) -> Cohort:
    """End the course with praise: every answer after it rises by one, to 5 at most."""
    records = tuple(
        one | {"statements": [_praised(s) for s in one["statements"]]}
        for one in cohort.records
    )
    return replace(cohort, records=records)


def _praised(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    if "confidence/after" not in statement["object"]["id"]:
        return statement
    score = statement["result"]["score"]
    higher = score | {"raw": min(score["max"], score["raw"] + 1)}
    return {**statement, "result": {"score": higher}}


@dataclass(frozen=True)
class Trick:
    """kpi: what it is for; late: it changes what somebody may have kept already."""

    name: str
    do: Callable[[Cohort], Cohort]
    kpi: str
    late: bool = False


TRICKS = (
    Trick("forget who left", forget_leavers, "completion", late=True),
    Trick("hand in until it passes", hand_in_again, "completion"),
    Trick("praise at the end", talk_up, "confidence"),
    Trick("repeat drills", drill_again, "response"),
    Trick("call it contained", close_early, "response"),
    Trick("lose bad debriefs", lose_debriefs, "missed", late=True),
    Trick("plant only the easy", drill_easily, "missed"),
    Trick("ask the gate often", ask_often, "integrity"),
    Trick("cut the log", cut_log, "integrity", late=True),
)
