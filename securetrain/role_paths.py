"""Each role's path through the course, week by week, as catalogue.toml has it.

A path fits four weeks of at most two hours, a leader's tour fits 90 minutes. The units
of a role that are not on its path go further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from securetrain import catalogue, pages, progress
from securetrain.catalogue import Unit

WEEKS, WEEK = 4, 120  # a path: how many weeks, and minutes in each
TOUR, TOURIST = 90, "leader"  # a tour: its minutes, and who takes it
FIXED = "\u00a0"  # a space where no line breaks
FOLDER = "course/01-risk-map"  # where the lesson lies that shows the paths
ASKED = "01-risk-map/1-where-models-break"  # the unit in which a role is chosen


def weeks(role: str) -> list[list[Unit]]:
    """Return a role's path, week by week; a leader's tour is one week.

    Raises ValueError that names the roles for one that is not in the catalogue.
    """
    _check(role)
    return [[catalogue.unit(id) for id in week] for week in catalogue.plans()[role]]


def path(role: str) -> tuple[Unit, ...]:
    """Return the units of a role's path, in the order in which they are taken."""
    return tuple(unit for week in weeks(role) for unit in week)


def further(role: str) -> tuple[Unit, ...]:
    """Return a role's other units and what they need, in the catalogue's order."""
    first = {unit.id for unit in path(role)}
    wanted = {unit.id for unit in catalogue.units() if role in unit.roles}
    for unit in reversed(catalogue.units()):  # what a unit needs stands before it
        if unit.id in wanted:
            wanted.update(unit.needs)
    return tuple(u for u in catalogue.units() if u.id in wanted - first)


def problems(plans: Mapping[str, Sequence[Sequence[str]]] | None = None) -> list[str]:
    """Return what is wrong with the paths, one readable line each."""
    plans = catalogue.plans() if plans is None else plans
    found = [f"{role}: it has no path." for role in catalogue.roles().keys() - plans]
    for role, plan in plans.items():
        if role not in catalogue.roles():
            found.append(f"{role}: it is no role.")
            continue
        lines = [*_unit_problems(role, plan), *_time_problems(role, plan)]
        found += [f"{role}: {line}" for line in lines]
    return found


def _unit_problems(role: str, plan: Sequence[Sequence[str]]) -> Iterator[str]:
    known = {unit.id: unit for unit in catalogue.units()}
    seen: set[str] = set()
    for id in (id for week in plan for id in week):
        if id in seen:
            yield f"'{id}' stands twice on its path."
        seen.add(id)
        if id not in known:
            yield f"'{id}' is no unit."
            continue
        if role not in known[id].roles:
            yield f"'{id}' is not for this role."
        for need in known[id].needs:
            if need not in seen:
                yield f"'{id}' needs '{need}', which does not come before it."


def _time_problems(role: str, plan: Sequence[Sequence[str]]) -> Iterator[str]:
    minutes = {unit.id: unit.minutes for unit in catalogue.units()}
    sums = [sum(minutes.get(id, 0) for id in week) for week in plan]
    if role == TOURIST:
        if sums != [TOUR]:
            yield f"its tour takes {sum(sums)} minutes, expected {TOUR} in one go."
        return
    if len(plan) != WEEKS:
        yield f"its path has {len(plan)} weeks, expected {WEEKS}."
    for number, total in enumerate(sums, start=1):
        if not 0 < total <= WEEK:
            yield f"week {number} takes {total} minutes, expected 1 to {WEEK}."


def choose(role: str) -> None:
    """Remember a role, or "" for none, in the learner's record; the last one counts.

    Raises ValueError for one that is not in the catalogue.
    """
    if role:
        _check(role)
    if role != chosen():
        progress.record("chose", ASKED, part="role", response=role)


def chosen(events: Sequence[dict] | None = None) -> str:
    """Return the role that the record, or these events, chose last; "" for none."""
    found = ""
    for event in progress.events() if events is None else events:
        if event["object"]["id"] == f"{progress.URN}{ASKED}#role":
            role = event["result"].get("response", "")
            found = role if role in ["", *catalogue.roles()] else found
    return found


def after(unit: Unit) -> Unit | None:
    """Return the unit after this one on the chosen path, or else in the catalogue."""
    role = chosen()
    order = path(role) if role and unit in path(role) else catalogue.units()
    place = order.index(unit) + 1
    return order[place] if place < len(order) else None


def _check(role: str) -> None:
    if role not in catalogue.roles():
        known = ", ".join(catalogue.roles())
        raise ValueError(f"No role '{role}' in catalogue.toml. There are: {known}.")


def hours(units: Sequence[Unit]) -> str:
    """Return how long units take, such as "1 h 30 min", with no break in a number."""
    whole, rest = divmod(sum(unit.minutes for unit in units), 60)
    parts = [f"{whole}{FIXED}h"] * bool(whole)
    if rest or not whole:
        parts.append(f"{rest}{FIXED}min")
    return " ".join(parts)


def week_name(role: str, number: int) -> str:
    """Return what week `number` (from 1) of a role's path is called."""
    return "The tour" if role == TOURIST else f"Week{FIXED}{number}"


def show(role: str) -> None:
    """Display a role's path, one row a week, with a link to each unit.

    Raises ValueError for a role that is not in the catalogue.
    """
    span = "one tour" if role == TOURIST else f"{WEEKS} weeks"
    title = f"{catalogue.roles().get(role)}: {hours(path(role))} in {span}"
    rows = [
        (week_name(role, number), week)
        for number, week in enumerate(weeks(role), start=1)
    ]
    if more := further(role):
        rows.append(("Go further", more))
    lines = [f"{when}: {', '.join(map(_name, units))}" for when, units in rows]
    cells = [
        [
            when,
            "<br>".join(pages.anchor(u, _name(u), FOLDER) for u in units),
            hours(units),
        ]
        for when, units in rows
    ]
    _display(title, lines, pages.table(title, ["When", "Units", "Time"], cells))


def overview() -> None:
    """Display every role: how long its path is, in which stages, and what is left."""
    title = f"Every role's path, of {len(catalogue.units())} units"
    rows = [_span(role) for role in catalogue.roles()]
    head = ["Role", "Units", "Time", "Where", "Go further"]
    page = pages.table(title, head, [[pages.text(cell) for cell in r] for r in rows])
    _display(title, [" · ".join(row) for row in rows], page)


def _span(role: str) -> list[str]:
    units = path(role)
    stages = Counter(catalogue.stages()[unit.stage] for unit in units)
    order = [name for name in catalogue.stages().values() if name in stages]
    where = ", ".join(f"{stage}{FIXED}{stages[stage]}" for stage in order)
    title = catalogue.roles()[role]
    more = hours(further(role)) if further(role) else "nothing"
    return [title, str(len(units)), hours(units), where, more]


def _name(unit: Unit) -> str:
    return f"{unit.title} ({unit.kind}, {unit.minutes} min)"


def _display(title: str, lines: list[str], page: str) -> None:
    from IPython.display import display

    data = {"text/plain": "\n".join([title, *lines]), "text/html": pages.framed([page])}
    display(data, raw=True)
