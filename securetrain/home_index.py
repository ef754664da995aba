"""What the home page says before it is run: the first unit, and every unit."""

from __future__ import annotations

from pathlib import Path

from securetrain import catalogue, home, notebooks, pages, paths
from securetrain.catalogue import Unit


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
    for digit, units in home.by_stage(catalogue.units()):
        lines += ["", f"### {catalogue.stages()[digit]}", ""]
        lines += [_entry(unit, number) for number, unit in enumerate(units, start=1)]
    return "\n".join(lines)


def _entry(unit: Unit, number: int) -> str:
    roles = ", ".join(catalogue.roles()[role] for role in unit.roles)
    topic = catalogue.topics()[unit.topic]
    return (
        f"{number}. **[{unit.title}]({_address(unit)})** · {topic} · "
        f"{home.facts(unit)}  \n   {unit.goal}  \n   *For: {roles}*"
    )


def _address(unit: Unit) -> str:
    """Return where a unit is linked in the page in git: every learner's default."""
    return pages.relative(unit.path, home.FOLDER)


def write_index(path: Path | None = None) -> bool:
    """Write what the catalogue says into the home page; return if it changed.

    Only the cells `start` and `units` are written. Raises ValueError when one of them
    is not there, or stands there twice.
    """
    path = path or paths.root() / home.HOME
    notebook = notebooks.read(path)
    before = path.read_bytes()
    for id, text in {"start": first_step(), "units": listing()}.items():
        cells = [cell for cell in notebook["cells"] if cell.get("id") == id]
        if len(cells) != 1:
            raise ValueError(f"{path}: expected one cell '{id}', found {len(cells)}.")
        cells[0]["source"] = text.splitlines(keepends=True)
    notebooks.write(path, notebooks.tidy(notebook))
    return path.read_bytes() != before
