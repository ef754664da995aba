"""Say which units to adjust, from the records that learners exported and handed on.

Each rule stands beside its number. Of fewer than five people, no mean and no share is
shown; a share of five may count two.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from securetrain import catalogue, feedback, progress, quiz, records, terminals
from securetrain.records import Fact, Record

SMALLEST = 5  # people behind a number that is shown
USEFUL = 3.5  # a mean rating below this is low
SHARE = 1 / 3  # of people, from which something is many
RULES = (
    f"A unit is named when its mean rating is under {USEFUL:g} of 5; when more than a "
    "third of the people wish the same change, did not finish what they started, or "
    "never passed a check that they tried; or when more than half were wrong at their "
    "first try of a question. "
    f"Of fewer than {SMALLEST} people, no mean and no share is shown; what "
    "they say calls no unit fine."
)


@dataclass
class Person:
    """What one learner's record says of one unit; the last rating and wish count.

    first: question -> was the first answer right; passed: check -> was it ever passed
    """

    started: bool = False
    finished: bool = False
    useful: float | None = None
    change: str = ""
    first: dict[str, bool] = field(default_factory=dict)
    passed: dict[str, bool] = field(default_factory=dict)

    def note(self, fact: Fact) -> None:
        """Add what a fact says."""
        self.started |= fact.verb == "started"
        self.finished |= fact.verb == "finished"
        if fact.verb == "answered":
            self.first.setdefault(fact.part, fact.success is True)
        elif fact.verb == "checked":
            passed = fact.success is True or self.passed.get(fact.part, False)
            self.passed[fact.part] = passed
        elif (fact.verb, fact.part) == ("rated", progress.USEFUL):
            self.useful = fact.rating
        elif fact.part == feedback.CHANGE_PART and fact.response in feedback.CHANGES:
            self.change = fact.response

    def said(self) -> list[str]:
        """Return what this person rated, wished, answered and tried."""
        rated = ["useful"] * (self.useful is not None)
        return rated + ["change"] * bool(self.change) + [*self.first, *self.passed]


def collect(folder: Path) -> tuple[list[Record], list[str]]:
    """Return the records in a folder, and what was left out, one line each.

    Of a learner's records the newest counts. Raises ValueError when there is none, or
    when synthetic and real ones are mixed.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of exported records")
    found: dict[str, Record] = {}
    notes = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = records.read(path)
        except (OSError, ValueError) as error:
            notes.append(f"left out: {error}")
            continue
        other = found.get(record.learner)
        if other:
            notes.append(f"{path}: one more record of the same learner; newest counts")
        if other is None or other.exported < record.exported:
            found[record.learner] = record
    if not found:
        raise ValueError("\n".join([f"{folder}: no record that can be read", *notes]))
    if len({record.synthetic for record in found.values()}) > 1:
        raise ValueError(f"{folder}: synthetic and real records do not mix")
    return list(found.values()), notes


def people(of: Iterable[Record]) -> dict[str, list[Person]]:
    """Return for each unit what every learner's record says of it."""
    units: dict[str, list[Person]] = defaultdict(list)
    for record in of:
        mine: dict[str, Person] = defaultdict(Person)
        for fact in sorted(record.facts(), key=lambda fact: fact.time):
            mine[fact.unit].note(fact)
        for unit, person in mine.items():
            units[unit].append(person)
    return units


def reasons(unit_id: str, group: Sequence[Person]) -> Iterator[str]:
    """Yield why a unit should be looked at, each with its numbers."""
    rated = [person.useful for person in group if person.useful is not None]
    if len(rated) >= SMALLEST and mean(rated) < USEFUL:
        yield f"useful: {mean(rated):.1f} of 5, {len(rated)} people"
    wishes = Counter(person.change for person in group if person.change)
    for wish, count in wishes.most_common():
        if wish != "nothing" and _many(count, wishes.total(), SHARE):
            words = feedback.CHANGES[wish].lower()
            yield f"wish: {words}, {count} of {wishes.total()} people"
    started = [person for person in group if person.started or person.finished]
    left = sum(not person.finished for person in started)
    if _many(left, len(started), SHARE):
        yield f"not finished: {left} of {len(started)} people who started"
    yield from _parts(unit_id, group)


def _parts(unit_id: str, group: Sequence[Person]) -> Iterator[str]:
    """Yield the questions and the checks that many did not get right."""
    asked = {}
    if unit_id in [unit.id for unit in catalogue.units()]:
        asked = {question.id: question.question for question in quiz.load(unit_id)}
    for part in dict.fromkeys(part for person in group for part in person.first):
        tries = [person.first[part] for person in group if part in person.first]
        if _many(tries.count(False), len(tries), 1 / 2):
            said = f"{tries.count(False)} of {len(tries)} wrong at the first try"
            yield f"question {part}: {said}. {asked.get(part, 'No longer asked.')}"
    for part in dict.fromkeys(part for person in group for part in person.passed):
        passes = [person.passed[part] for person in group if part in person.passed]
        if _many(passes.count(False), len(passes), SHARE):
            said = f"{passes.count(False)} of {len(passes)} never passed it"
            yield f"check {part}: {said}"


def _many(count: int, of: int, share: float) -> bool:
    return of >= SMALLEST and count > share * of


def _heard(group: Sequence[Person]) -> bool:
    """Say whether enough people said the same kind of thing, so that it was judged."""
    kinds = Counter(kind for person in group for kind in person.said())
    return max(kinds.values(), default=0) >= SMALLEST


def report(folder: Path) -> Iterator[str]:
    """Yield the report, line by line. Raises ValueError as `collect` does."""
    found, notes = collect(folder)
    units = people(found)
    if found[0].synthetic:
        yield "SYNTHETIC: these records were made up, nobody learned anything."
    yield from notes
    yield f"{len(found)} learners. {RULES}" if len(found) >= SMALLEST else RULES
    known = {unit.id: unit.title for unit in catalogue.units()}
    order = [*known, *sorted(units.keys() - known.keys())]
    small, quiet, fine = [], [], []
    for unit in order:
        group = units.get(unit, [])
        if len(group) < SMALLEST:
            small.append(unit)
        elif why := list(reasons(unit, group)):
            yield f"\n{unit} ({known.get(unit, 'not in this release')})"
            yield from (f"  {line}" for line in why)
        elif _heard(group):
            fine.append(unit)
        else:
            quiet.append(unit)
    yield f"\nNothing to adjust: {', '.join(fine) or 'no unit'}"
    yield f"Not enough said to tell: {', '.join(quiet) or 'no unit'}"
    yield f"Fewer than {SMALLEST} people: {', '.join(small) or 'no unit'}"


def main(argv: list[str]) -> int:
    """Say which units to adjust, from a folder of exported records."""
    parser = argparse.ArgumentParser(
        prog="securetrain feedback",
        description=main.__doc__,
        epilog=RULES,
    )
    parser.add_argument("folder", type=Path, help="holds one .json file a learner")
    options = parser.parse_args(argv)
    lines = list(report(options.folder))
    print(*map(terminals.lines, lines), sep="\n", file=sys.stdout)
    return 0
