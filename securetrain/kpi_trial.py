"""Who notices a trick: what a witness kept, and the number beside the one that moved.

The witness kept hashes of an earlier page, outside the reach of whoever is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from securetrain import kpi_cohort, kpi_numbers, kpi_systems, kpis
from securetrain.kpi_cohort import Cohort
from securetrain.kpi_figures import Quarter
from securetrain.kpi_tricks import TRICKS, promises

BETTER = {"completion": 1, "missed": -1, "integrity": -1, "confidence": 1,
          "response": -1, "recovered": -1, "skill": 1}  # fmt: skip
# what should move, too, when a number moves for a good reason
BESIDE = {"completion": "skill", "confidence": "skill", "response": "recovered"}


@dataclass(frozen=True)
class Witness:
    """What somebody outside kept: hashes of an earlier page, nothing else.

    cohort: of the list on the first day; debriefs: of each so far; head: of the log
    """

    cohort: str
    debriefs: frozenset[str]
    head: str

    @staticmethod
    def of(evidence: kpis.Evidence) -> Witness:
        cohort = evidence.cohort.digest if evidence.cohort else ""
        return Witness(cohort, frozenset(evidence.debriefs.hashes), evidence.newest)

    def notices(self, evidence: kpis.Evidence) -> list[str]:
        """Return what does not fit what was kept."""
        found = []
        if not evidence.cohort or evidence.cohort.digest != self.cohort:
            found.append("the cohort is not that of the first day")
        if not self.debriefs <= set(evidence.debriefs.hashes):
            found.append("debriefs are gone or changed")
        hashes = [line["previous"] for line in evidence.log.items] + [evidence.newest]
        if self.head not in hashes:
            found.append("the log does not hold the hash that was kept")
        return found


@dataclass(frozen=True)
class Outcome:
    """What a trick did: to the report, to the page, and what gives it away.

    witness: what does not fit what was kept; beside: the number beside it stays
    """

    report: bool
    page: bool
    witness: bool
    beside: bool


Values = Mapping[str, float]


def values(
    evidence: kpis.Evidence, quarter: Quarter, now: datetime
) -> dict[str, float]:
    """Return the page's numbers by id, `recovered` among them; never is endless."""
    figures = kpis.figures(evidence, quarter, now, head=evidence.newest)
    drills = kpi_systems.drills(evidence.debriefs.items, quarter)
    times = [one.recovered_after_s for drill in drills for one in drill.findings]
    known = {one.id: kpi_numbers.NEVER if one.value is None else one.value
             for one in figures}  # fmt: skip
    return known | {"recovered": kpi_numbers.median(times or [None]) / 60}


def better(kpi: str, before: Values, after: Values) -> bool:
    """Say whether a number moved towards its goal; a hair's breadth does not count."""
    step = BETTER[kpi] * (after[kpi] - before[kpi])
    return step > 0.001


@dataclass(frozen=True)
class Look:
    """A cohort, what the page says of it, and what a report says."""

    evidence: kpis.Evidence
    page: Values
    report: Values


def look(cohort: Cohort, quarter: Quarter, now: datetime) -> Look:
    """Return what there is to see of a cohort."""
    evidence = kpi_cohort.in_memory(cohort)
    return Look(evidence, values(evidence, quarter, now), promises(cohort, quarter))


def judge(kpi: str, before: Look, after: Look, late: bool = False) -> Outcome:
    """Return what a change of evidence did for one number.

    late: a witness kept the hashes before the change, otherwise after it
    """
    page, partner = better(kpi, before.page, after.page), BESIDE.get(kpi)
    stays = bool(partner) and page and not better(partner, before.page, after.page)
    kept = Witness.of((before if late else after).evidence)
    report = better(kpi, before.report, after.report)
    return Outcome(report, page, bool(kept.notices(after.evidence)), stays)


def trial(
    cohorts: Sequence[Cohort], taught: Sequence[Cohort], quarter: Quarter, now: datetime
) -> tuple[dict[str, list[Outcome]], list[Outcome]]:
    """Return each trick's outcomes, by name, and those of honest improvement.

    taught: the same cohorts, taught better; every number of the report is judged
    """
    tricks: dict[str, list[Outcome]] = {one.name: [] for one in TRICKS}
    honest = []
    for cohort, improved in zip(cohorts, taught, strict=True):
        before, after = (look(one, quarter, now) for one in (cohort, improved))
        honest += [judge(kpi, before, after) for kpi in before.report]
        for one in TRICKS:
            seen = look(one.do(cohort), quarter, now)
            tricks[one.name].append(judge(one.kpi, before, seen, one.late))
    return tricks, honest


def unseen(outcomes: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return the tricks that bettered the page once, and nothing gave them away."""
    return [
        name
        for name, row in outcomes.items()
        if any(one.page and not one.witness and not one.beside for one in row)
    ]
