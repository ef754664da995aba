"""The learner's home page: the next unit, all units, and what is done."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from securetrain import (
    catalogue,
    lab_copies,
    notebooks,
    pages,
    paths,
    progress,
    quiz,
    role_paths,
)
from securetrain.catalogue import Unit
from securetrain.progress import Summary

HOME = "course/index.ipynb"
FOLDER = Path(HOME).parent


def show(role: str = "") -> None:
    """Display the next unit and the path through every stage.

    role: show this role's path only. Raises ValueError for one that is unknown.
    """
    from IPython.display import HTML, display

    lab_copies.prepare()
    display(HTML(page(progress.summary(), role)))


def page(record: dict[str, Summary], role: str = "") -> str:
    """Return the home page as HTML.

    record: what `progress.summary` says of each unit; role: of the catalogue, or ""
    """
    units = role_paths.path(role) if role else catalogue.units()
    done = sum(1 for unit in units if record[unit.id].finished)
    whose = f"Your path: {catalogue.roles()[role]}" if role else "Your path"
    after = next_unit(record, units)
    parts = [
        _next(after, record),
        '<section aria-labelledby="st-progress">',
        f'<h2 id="st-progress">{pages.text(whose)}</h2>',
        f'<p class="st-quiet">{done} of {len(units)} units finished. '
        "This record stays on your machine.</p>",
        *(_stage(digit, list(u), record, after) for digit, u in _by_stage(units)),
        _still_to_come(),
        "</section>",
    ]
    return pages.framed(parts, "home.css", kind="st-home")


def next_unit(
    record: dict[str, Summary], units: Sequence[Unit] | None = None
) -> Unit | None:
    """Return the first unfinished unit whose prerequisites are finished, if any."""
    units = catalogue.units() if units is None else units
    open_units = [u for u in units if not record[u.id].finished]
    ready = [u for u in open_units if all(record[n].finished for n in u.needs)]
    return (ready or open_units or [None])[0]


def _by_stage(units: Sequence[Unit]) -> groupby:
    return groupby(units, key=lambda unit: unit.stage)


def _next(unit: Unit | None, record: dict[str, Summary]) -> str:
    if unit is None:
        return (
            '<section class="st-next"><h2>Every unit is finished</h2>'
            "<p>Now take the checklist lines to your own repository.</p></section>"
        )
    verb = "Continue" if record[unit.id].started else "Start"
    link = pages.anchor(unit, f"{verb} this {unit.kind}", FOLDER, "st-button")
    return (
        '<section class="st-next" aria-labelledby="st-next">'
        f'<p class="st-quiet">Next: {_facts(unit)}</p>'
        f'<h2 id="st-next">{pages.text(unit.title)}</h2>'
        f"<p>{pages.text(unit.goal)}</p>"
        f"<p>{link}</p>"
        "</section>"
    )


def _stage(
    digit: str, units: list[Unit], record: dict[str, Summary], after: Unit | None
) -> str:
    """Return one stage: how far it is, and its units as steps of a path."""
    name = pages.text(catalogue.stages()[digit])
    left = [unit for unit in units if not record[unit.id].finished]
    done = len(units) - len(left)
    said = f"{done} of {len(units)} finished"
    said += f", {role_paths.hours(left)} to go" if left else ""
    topics = [unit.topic for unit in units]
    steps = "".join(
        _step(unit, record[unit.id], unit is after, unit.topic not in topics[:place])
        for place, unit in enumerate(units)
    )
    return (
        f'<section aria-labelledby="st-stage-{digit}"><div class="st-stage-head">'
        f'<h3 id="st-stage-{digit}">{name}</h3><span class="st-quiet">{said}</span>'
        f'</div><progress max="{len(units)}" value="{done}" aria-label="{name}">'
        f'</progress><ol class="st-path" role="list">{steps}</ol></section>'
    )


def _step(unit: Unit, summary: Summary, is_next: bool, is_first: bool) -> str:
    """Return one step of a path; the first of a topic carries the topic's title."""
    done = "Finished" if summary.finished else "Started" if summary.started else ""
    style = (done or "not").lower()
    topic = f"<h4>{pages.text(catalogue.topics()[unit.topic])}</h4>" if is_first else ""
    current = ' aria-current="step"' if is_next else ""
    state = done or ("Next" if is_next else "Not started")
    lines = " · ".join([_facts(unit), *_results(unit, summary)])
    return (
        f'<li class="st-step st-{style}"{current}>{topic}'
        f'<span class="st-name">{pages.anchor(unit, unit.title, FOLDER)}</span>'
        f'<span class="st-state">{state}</span>'
        f'<span class="st-quiet">{pages.text(lines)}</span></li>'
    )


def _still_to_come() -> str:
    """Return which stages have no unit in the catalogue yet; "" for none."""
    here = {unit.stage for unit in catalogue.units()}
    missing = [name for digit, name in catalogue.stages().items() if digit not in here]
    if not missing:
        return ""
    return f'<p class="st-quiet st-later">Still to come: {", ".join(missing)}.</p>'


def _results(unit: Unit, summary: Summary) -> list[str]:
    """Return the unit's quiz result and checks in words."""
    lines = []
    total = len(quiz.load(unit.id))
    if summary.answered:
        lines.append(
            f"quiz: {summary.right} of {total} right, {summary.first} at the first try"
        )
    elif total:
        lines.append(f"quiz: {total} questions, none answered")
    if summary.checks:
        passed = sum(ok for _, ok in summary.checks)
        lines.append(f"checks: {passed} of {len(summary.checks)} pass")
    return lines


def _facts(unit: Unit) -> str:
    return f"{unit.kind}, {unit.minutes} minutes"


def first_step() -> str:
    """Return what stands in the home page's `start` cell: the first unit."""
    first = catalogue.units()[0]
    return (
        "## Start here\n\n"
        f"Open **[{first.title}]({_address(first)})**, a {first.kind} of "
        f"{first.minutes} minutes, and run its cells from top to bottom."
    )


def listing() -> str:
    """Return what stands in the home page's `units` cell: every unit, by stage."""
    lines = ["## All units", "", "Each stage is a path; take its units in this order."]
    for digit, units in _by_stage(catalogue.units()):
        lines += ["", f"### {catalogue.stages()[digit]}", ""]
        lines += [_entry(unit, number) for number, unit in enumerate(units, start=1)]
    return "\n".join(lines)


def _entry(unit: Unit, number: int) -> str:
    roles = ", ".join(catalogue.roles()[role] for role in unit.roles)
    topic = catalogue.topics()[unit.topic]
    return (
        f"{number}. **[{unit.title}]({_address(unit)})** · {topic} · {_facts(unit)}  \n"
        f"   {unit.goal}  \n   *For: {roles}*"
    )


def _address(unit: Unit) -> str:
    """Return where a unit is linked in the page in git: every learner's default."""
    return pages.relative(unit.path, FOLDER)


def write_index(path: Path | None = None) -> bool:
    """Write what the catalogue says into the home page; return if it changed.

    Only the cells `start` and `units` are written. Raises ValueError when one of them
    is not there, or stands there twice.
    """
    path = path or paths.root() / HOME
    notebook = notebooks.read(path)
    before = path.read_bytes()
    for id, text in {"start": first_step(), "units": listing()}.items():
        cells = [cell for cell in notebook["cells"] if cell.get("id") == id]
        if len(cells) != 1:
            raise ValueError(f"{path}: expected one cell '{id}', found {len(cells)}.")
        cells[0]["source"] = text.splitlines(keepends=True)
    notebooks.write(path, notebooks.tidy(notebook))
    return path.read_bytes() != before
