"""The learner's home page: the next unit, the chosen path, and what is done.

In JupyterLab it reads the record again when it comes into view, or is clicked or tabbed
into, as long as its kernel runs. Elsewhere it is as old as the run of its cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from securetrain import (
    badges,
    catalogue,
    lab_copies,
    pages,
    progress,
    quiz,
    role_paths,
)
from securetrain.catalogue import Unit
from securetrain.progress import Summary

if TYPE_CHECKING:
    from securetrain.widgets import Home

HOME = "course/index.ipynb"
FOLDER = Path(HOME).parent


def show(role: str = "") -> None:
    """Display the chosen path, or every unit, and what comes next.

    role: choose this role, as the page's own control does; the record remembers it.
    Raises ValueError for one that is unknown.
    """
    from IPython.display import display

    from securetrain.widgets import Home  # needs Jupyter, which `page` does not

    if role:
        role_paths.choose(role)
    lab_copies.prepare()
    roles = {"": "Not chosen: every unit", **catalogue.roles()}
    widget = Home(roles=roles, folder=str(FOLDER), role=role or role_paths.chosen())
    _refresh(widget)
    widget.on_msg(lambda _, message, __: _answer(widget, message))
    display(widget)


def _answer(widget: Home, message: dict[str, str]) -> None:
    """Choose the role that the page sent, if any, and read the record again."""
    if "role" in message:
        role_paths.choose(message["role"])
        widget.role = message["role"]
    else:
        widget.role = role_paths.chosen() or widget.role
    _refresh(widget)


def _refresh(widget: Home) -> None:
    widget.html = page(progress.summary(), widget.role)
    widget.draws += 1  # the page waits for this, also when nothing has changed


def page(record: dict[str, Summary], role: str = "") -> str:
    """Return the home page below the choice of a role, as HTML.

    record: what `progress.summary` says of each unit; role: of the catalogue, or ""
    """
    units = role_paths.path(role) if role else catalogue.units()
    more = role_paths.further(role) if role else ()
    done = sum(1 for unit in units if record[unit.id].finished)
    whose = f"Your path: {catalogue.roles()[role]}" if role else "Every unit"
    after = next_unit(record, units)
    steps = _weeks(role, record, after) if role else _stages(record, after)
    parts = [
        _next(after or next_unit(record, more), record, path_done=after is None),
        '<section aria-labelledby="st-progress">',
        f'<h2 id="st-progress">{pages.text(whose)}</h2>',
        f'<p class="st-quiet">{done} of {len(units)} units finished. '
        "This record stays on your machine.</p>",
        *steps,
        _further(more, record),
        "</section>",
        _asked(record),
        badges.section(),
    ]
    return "\n".join(parts)


def next_unit(
    record: dict[str, Summary], units: Sequence[Unit] | None = None
) -> Unit | None:
    """Return the first unfinished unit whose prerequisites are finished, if any."""
    units = catalogue.units() if units is None else units
    open_units = [u for u in units if not record[u.id].finished]
    ready = [u for u in open_units if all(record[n].finished for n in u.needs)]
    return (ready or open_units or [None])[0]


def by_stage(units: Sequence[Unit]) -> groupby:
    """Return units by the digit of their stage, in their order."""
    return groupby(units, key=lambda unit: unit.stage)


def _next(unit: Unit | None, record: dict[str, Summary], path_done: bool) -> str:
    if unit is None:
        return (
            '<section class="st-next"><h2>Every unit is finished</h2>'
            "<p>Now take the checklist lines to your own repository.</p></section>"
        )
    verb = "Continue" if record[unit.id].started else "Start"
    link = pages.anchor(unit, f"{verb} this {unit.kind}", FOLDER, "st-button")
    lead = "Your path is finished. To go further" if path_done else "Next"
    return (
        '<section class="st-next" aria-labelledby="st-next">'
        f'<p class="st-quiet">{lead}: {facts(unit)}</p>'
        f'<h2 id="st-next">{pages.text(unit.title)}</h2>'
        f"<p>{pages.text(unit.goal)}</p>"
        f"<p>{link}</p>"
        "</section>"
    )


def _weeks(role: str, record: dict[str, Summary], after: Unit | None) -> Iterator[str]:
    """Yield one part for each week of a role's path."""
    for number, units in enumerate(role_paths.weeks(role), start=1):
        name = role_paths.week_name(role, number)
        yield _part(f"week-{number}", name, units, record, after)


def _stages(record: dict[str, Summary], after: Unit | None) -> Iterator[str]:
    """Yield one part for each stage, and which stages have no unit yet."""
    for digit, members in by_stage(catalogue.units()):
        name = catalogue.stages()[digit]
        yield _part(f"stage-{digit}", name, list(members), record, after)


def _part(
    id: str,
    name: str,
    units: list[Unit],
    record: dict[str, Summary],
    after: Unit | None,
) -> str:
    """Return a week or a stage: how far it is, and its units as steps of a path."""
    left = [unit for unit in units if not record[unit.id].finished]
    done = len(units) - len(left)
    said = f"{done} of {len(units)} finished"
    said += f", {role_paths.hours(left)} to go" if left else ""
    return (
        f'<section aria-labelledby="st-{id}"><div class="st-stage-head">'
        f'<h3 id="st-{id}">{pages.text(name)}</h3><span class="st-quiet">{said}</span>'
        f'</div><progress max="{len(units)}" value="{done}" '
        f'aria-label="{pages.text(name)}"></progress>{_steps(units, record, after)}'
        "</section>"
    )


def _steps(
    units: Sequence[Unit], record: dict[str, Summary], after: Unit | None = None
) -> str:
    topics = [unit.topic for unit in units]
    steps = "".join(
        _step(unit, record[unit.id], unit is after, unit.topic not in topics[:place])
        for place, unit in enumerate(units)
    )
    return f'<ol class="st-path" role="list">{steps}</ol>'


def _further(units: Sequence[Unit], record: dict[str, Summary]) -> str:
    """Return the units that are not on the path, folded away; "" for none."""
    if not units:
        return ""
    done = sum(1 for unit in units if record[unit.id].finished)
    said = f"{len(units)} units, {role_paths.hours(units)}, {done} finished"
    return (
        '<details class="st-further"><summary><span class="st-name">Go further</span> '
        f'<span class="st-quiet">{said}</span></summary>{_steps(units, record)}'
        "</details>"
    )


def _asked(record: dict[str, Summary]) -> str:
    """Return which unit was finished last and not rated yet; "" for none."""
    done = [unit for unit in catalogue.units() if record[unit.id].finished]
    unrated = [unit for unit in done if not record[unit.id].useful]
    if not unrated:
        return ""
    last = max(unrated, key=lambda unit: record[unit.id].finished)
    return (
        '<p class="st-quiet st-later">How was it? Two questions at the end of '
        f"{pages.anchor(last, last.title, FOLDER)} are still open.</p>"
    )


def _step(unit: Unit, summary: Summary, is_next: bool, is_first: bool) -> str:
    """Return one step of a path; the first of a topic carries the topic's title."""
    done = "Finished" if summary.finished else "Started" if summary.started else ""
    style = (done or "not").lower()
    topic = f"<h4>{pages.text(catalogue.topics()[unit.topic])}</h4>" if is_first else ""
    current = ' aria-current="step"' if is_next else ""
    state = done or ("Next" if is_next else "Not started")
    lines = " · ".join([facts(unit), *_results(unit, summary)])
    return (
        f'<li class="st-step st-{style}"{current}>{topic}'
        f'<span class="st-name">{pages.anchor(unit, unit.title, FOLDER)}</span>'
        f'<span class="st-state">{state}</span>'
        f'<span class="st-quiet">{pages.text(lines)}</span></li>'
    )


def _results(unit: Unit, summary: Summary) -> list[str]:
    """Return the unit's quiz result and checks in words."""
    lines = []
    total = len(quiz.load(unit.id))
    if summary.answered:
        left = total - summary.answered
        lines.append(
            f"quiz: {summary.right} of {total} right, {summary.first} at the first try"
            + (f", {left} not answered" if left > 0 else "")
        )
    elif total:
        lines.append(f"quiz: {total} questions, none answered")
    if summary.checks:
        passed = sum(ok for _, ok in summary.checks)
        lines.append(f"checks: {passed} of {len(summary.checks)} pass")
    return lines


def facts(unit: Unit) -> str:
    """Return what kind of unit it is, and how long it takes."""
    return f"{unit.kind}, {unit.minutes} minutes"
