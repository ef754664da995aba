"""Each role's path through the course, week by week, from the catalogue alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from securetrain import catalogue, pages
from securetrain.catalogue import Unit

WEEK = 120  # minutes that a learner plans for a week
FIXED = "\u00a0"  # a space where no line breaks
FOLDER = "course/01-risk-map"  # where the lesson lies that shows the paths


def path(role: str) -> tuple[Unit, ...]:
    """Return a role's units and what they build on, in the order of the catalogue.

    Raises ValueError that names the roles for one that is not in the catalogue.
    """
    if role not in catalogue.roles():
        known = ", ".join(catalogue.roles())
        raise ValueError(f"No role '{role}' in catalogue.toml. There are: {known}.")
    wanted = {unit.id for unit in catalogue.units() if role in unit.roles}
    for unit in reversed(catalogue.units()):  # what a unit needs stands before it
        if unit.id in wanted:
            wanted.update(unit.needs)
    return tuple(unit for unit in catalogue.units() if unit.id in wanted)


def weeks(units: Sequence[Unit], minutes: int = WEEK) -> list[list[Unit]]:
    """Return units packed into weeks, in their order; none is split over two."""
    found: list[list[Unit]] = []
    for unit in units:
        if not found or sum(u.minutes for u in found[-1]) + unit.minutes > minutes:
            found.append([])
        found[-1].append(unit)
    return found


def hours(units: Sequence[Unit]) -> str:
    """Return how long units take, such as "1 h 30 min", with no break in a number."""
    whole, rest = divmod(sum(unit.minutes for unit in units), 60)
    parts = [f"{whole}{FIXED}h"] * bool(whole)
    if rest or not whole:
        parts.append(f"{rest}{FIXED}min")
    return " ".join(parts)


def show(role: str) -> None:
    """Display a role's path, one row a week, with a link to each unit.

    Raises ValueError for a role that is not in the catalogue.
    """
    units = path(role)
    title = f"{catalogue.roles()[role]}: {hours(units)} in weeks of {WEEK // 60} hours"
    plan = list(enumerate(weeks(units), start=1))
    lines = [f"Week {n}: {', '.join(map(_name, week))}" for n, week in plan]
    rows = [
        [
            f"Week{FIXED}{n}",
            "<br>".join(pages.anchor(u, _name(u), FOLDER) for u in week),
            hours(week),
        ]
        for n, week in plan
    ]
    _display(title, lines, pages.table(title, ["When", "Units", "Time"], rows))


def overview() -> None:
    """Display every role: how many units, how long, and in which stages."""
    title = f"Every role, of {len(catalogue.units())} units"
    rows = [_span(role) for role in catalogue.roles()]
    head = ["Role", "Units", "Time", "Weeks", "Where"]
    page = pages.table(title, head, [[pages.text(cell) for cell in r] for r in rows])
    _display(title, [" · ".join(row) for row in rows], page)


def _span(role: str) -> list[str]:
    units = path(role)
    stages = Counter(catalogue.stages()[unit.stage] for unit in units)
    where = ", ".join(f"{stage}{FIXED}{count}" for stage, count in stages.items())
    title = catalogue.roles()[role]
    return [title, str(len(units)), hours(units), str(len(weeks(units))), where]


def _name(unit: Unit) -> str:
    return f"{unit.title} ({unit.kind}, {unit.minutes} min)"


def _display(title: str, lines: list[str], page: str) -> None:
    from IPython.display import display

    data = {"text/plain": "\n".join([title, *lines]), "text/html": pages.framed([page])}
    display(data, raw=True)
