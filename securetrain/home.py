"""The learner's home page: the next unit, all units, and what is done."""

from __future__ import annotations

import html
import os
from itertools import groupby
from pathlib import Path

from securetrain import catalogue, lab_copies, notebooks, paths, progress, quiz
from securetrain.catalogue import Unit
from securetrain.progress import Summary

HOME = "course/index.ipynb"
STYLE = Path(__file__).parent / "static" / "front.css"


def show() -> None:
    """Display the next unit and the progress in every unit."""
    from IPython.display import HTML, display

    lab_copies.prepare()
    display(HTML(page(progress.summary())))


def page(record: dict[str, Summary]) -> str:
    """Return the home page as HTML.

    record: what `progress.summary` says of each unit
    """
    done = sum(1 for summary in record.values() if summary.finished)
    return "\n".join(
        (
            f"<style>{STYLE.read_text(encoding='utf-8')}</style>",
            '<div class="st-front st-home">',
            _next(record),
            '<section aria-labelledby="st-progress">',
            '<h2 id="st-progress">Your progress</h2>',
            f'<p class="st-quiet">{done} of {len(record)} units finished. '
            "This record stays on your machine.</p>",
            *(_topic(topic, list(members), record) for topic, members in _by_topic()),
            "</section>",
            "</div>",
        )
    )


def next_unit(record: dict[str, Summary]) -> Unit | None:
    """Return the first unfinished unit whose prerequisites are finished, if any."""
    open_units = [u for u in catalogue.units() if not record[u.id].finished]
    ready = [u for u in open_units if all(record[n].finished for n in u.needs)]
    return (ready or open_units or [None])[0]


def _by_topic() -> groupby:
    return groupby(catalogue.units(), key=lambda unit: unit.topic)


def _next(record: dict[str, Summary]) -> str:
    unit = next_unit(record)
    if unit is None:
        return (
            '<section class="st-next"><h2>Every unit is finished</h2>'
            "<p>Now take the checklist lines to your own repository.</p></section>"
        )
    verb = "Continue" if record[unit.id].started else "Start"
    return (
        '<section class="st-next" aria-labelledby="st-next">'
        f'<p class="st-quiet">Next: {_facts(unit)}</p>'
        f'<h2 id="st-next">{_text(unit.title)}</h2>'
        f"<p>{_text(unit.goal)}</p>"
        f"<p>{_link(unit, f'{verb} this {unit.kind}', 'st-button')}</p>"
        "</section>"
    )


def _topic(topic: str, members: list[Unit], record: dict[str, Summary]) -> str:
    rows = "".join(_row(unit, record[unit.id]) for unit in members)
    return (
        f'<h3>{_text(_heading(topic))}</h3><ul class="st-units" role="list">{rows}</ul>'
    )


def _row(unit: Unit, summary: Summary) -> str:
    state = "Not started"
    if summary.started:
        state = "Started"
    if summary.finished:
        state = "Finished"
    lines = [_facts(unit), *_results(unit, summary)]
    return (
        f'<li class="st-unit st-{state.split()[0].lower()}">'
        f'<span class="st-name">{_link(unit, unit.title)}</span>'
        f'<span class="st-state">{state}</span>'
        f'<span class="st-quiet">{_text(" · ".join(lines))}</span></li>'
    )


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


def _link(unit: Unit, text: str, style: str = "") -> str:
    """Return a link to a unit's notebook, as JupyterLab opens it from the home page."""
    target = paths.root() / unit.path
    if unit.kind == "lab":
        target = lab_copies.own(unit).resolve()
    if not target.is_relative_to(paths.root()):  # JupyterLab does not reach it
        return f"{_text(text)} ({_text(str(target))})"
    address = html.escape(_address(target.relative_to(paths.root())))
    return f'<a class="{style}" href="{address}">{_text(text)}</a>'


def _text(text: str) -> str:
    return html.escape(text)


def listing() -> str:
    """Return the list of units that stands in the home page's `units` cell."""
    first = catalogue.units()[0]
    lines = [
        "## Start here",
        "",
        f"Open **[{first.title}]({_address(first.path)})**, a {first.kind} of "
        f"{first.minutes} minutes, and run its cells from top to bottom.",
        "",
        "## All units",
    ]
    for topic, members in _by_topic():
        units = list(members)
        lines += ["", f"### {_heading(topic)}", "", *map(_entry, units)]
    return "\n".join(lines)


def _entry(unit: Unit) -> str:
    roles = ", ".join(catalogue.roles()[role] for role in unit.roles)
    return (
        f"- **[{unit.title}]({_address(unit.path)})** · {_facts(unit)}  \n"
        f"  {unit.goal}  \n  *For: {roles}*"
    )


def _heading(topic: str) -> str:
    return f"{catalogue.stages()[topic[0]]} · {catalogue.topics()[topic]}"


def _address(path: str | Path) -> str:
    """Return a path in the course as a link on the home page has it."""
    return Path(os.path.relpath(path, Path(HOME).parent)).as_posix()


def write_index(path: Path | None = None) -> bool:
    """Write the catalogue's list of units into the home page; return if it changed.

    Only the cell `units` is written. Raises ValueError when there is none.
    """
    path = path or paths.root() / HOME
    notebook = notebooks.read(path)
    cells = [cell for cell in notebook["cells"] if cell.get("id") == "units"]
    if len(cells) != 1:
        raise ValueError(f"{path}: expected one cell 'units', found {len(cells)}.")
    before = path.read_bytes()
    cells[0]["source"] = listing().splitlines(keepends=True)
    notebooks.write(path, notebooks.tidy(notebook))
    return path.read_bytes() != before
