"""What a notebook of this course must have, and STYLE's numbers for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Fault = tuple[int, str]  # number of the cell from 1, 0 for the notebook; what is wrong

WORD = re.compile(r"[a-z][a-z0-9-]{0,63}")
# What Jupyter invents: eight hexadecimal digits, or a whole UUID.
INVENTED = re.compile(r"(?=.*\d)[0-9a-f]{8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REGIONS = ("SOLUTION", "HIDDEN TESTS")


def source(cell: Cell) -> str:
    """Return the text of a cell, whichever way the file stores it."""
    return "".join(cell["source"])


def grading(cell: Cell) -> dict[str, Any]:
    """Return nbgrader's metadata of a cell; empty when it has none."""
    meta = cell["metadata"].get("nbgrader")
    return meta if isinstance(meta, dict) else {}


def is_check(cell: Cell) -> bool:
    """Say whether a cell is graded automatically."""
    return bool(grading(cell).get("grade")) and not grading(cell).get("solution")


def is_solution(cell: Cell) -> bool:
    """Say whether a cell is the learner's code for the check that follows."""
    return bool(grading(cell).get("solution")) and not grading(cell).get("grade")


def is_prose(cell: Cell) -> bool:
    """Say whether a cell is answered by the learner and graded by hand."""
    return bool(grading(cell).get("grade")) and bool(grading(cell).get("solution"))


def where(number: int, cell: Cell) -> str:
    """Return how messages name a cell."""
    return f"cell {number} '{cell['id']}'" if cell.get("id") else f"cell {number}"


def problems(notebook: dict[str, Any], name: str) -> list[str]:
    """Return what must be mended before this notebook is shown to a learner.

    name: how messages name the file; the home page, index.ipynb, has no parameters
    """
    cells = notebook["cells"]
    faults = [*_id_faults(cells), *_output_faults(cells), *_metadata_faults(cells)]
    faults += [*_task_faults(cells), *_region_faults(cells)]
    if Path(name).name != "index.ipynb":
        faults += _parameter_faults(cells)
    return [
        f"{name}: {where(number, cells[number - 1]) + ': ' if number else ''}{text}"
        for number, text in sorted(faults)
    ]


def _id_faults(cells: list[Cell]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for number, cell in enumerate(cells, 1):
        word = cell.get("id")
        if not isinstance(word, str) or not word:
            yield number, "has no id; give it a word of its own"
        elif word in seen:
            yield number, f"has the same id as cell {seen[word]}; ids are unique"
        elif not WORD.fullmatch(word) or INVENTED.fullmatch(word):
            yield number, "id is not a word; use small letters, digits and hyphens"
        seen.setdefault(str(word), number)


def _output_faults(cells: list[Cell]) -> Iterator[Fault]:
    for number, cell in enumerate(cells, 1):
        if cell.get("outputs") or cell.get("execution_count"):
            yield number, "holds output of a run; run `securetrain tidy`"


def _metadata_faults(cells: list[Cell]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for number, cell in enumerate(cells, 1):
        if "nbgrader" not in cell["metadata"]:
            continue
        meta = grading(cell)
        for key in ("grade", "solution", "locked"):
            if not isinstance(meta.get(key), bool):
                yield number, f"nbgrader metadata needs {key} as true or false"
        if meta.get("schema_version") != 3:
            yield number, "nbgrader metadata needs schema_version 3"
        word = meta.get("grade_id")
        if not word or word != cell.get("id"):
            yield number, f"grade_id is {word!r}; make it the same as the cell's id"
        if word and str(word) in seen:
            yield number, f"has the same grade_id as cell {seen[str(word)]}"
        seen.setdefault(str(word), number)
        yield from ((number, text) for text in _grade_faults(cell, meta))


def _grade_faults(cell: Cell, meta: dict[str, Any]) -> Iterator[str]:
    points = meta.get("points")
    if meta.get("grade") and not (type(points) in (int, float) and points > 0):
        yield f"is graded but has no points (got {points!r}); give it some"
    if is_check(cell) and (cell["cell_type"] != "code" or meta.get("locked") is False):
        yield "checks answers, so it must be a locked code cell"
    if is_solution(cell) and cell["cell_type"] != "code":
        yield "is answered in prose, so it must be graded too: grade true, with points"
    if meta.get("solution") and meta.get("locked"):
        yield "is the learner's to fill in, so it must not be locked"


def _task_faults(cells: list[Cell]) -> Iterator[Fault]:
    """A solution cell is followed by the check cell that has its name."""
    tasks = [(n, c) for n, c in enumerate(cells, 1) if is_check(c) or is_solution(c)]
    for place, (number, cell) in enumerate(tasks):
        check = f"check-{grading(cell).get('grade_id')}"
        after = tasks[place + 1 : place + 2]
        if is_solution(cell) and not any(
            is_check(c) and grading(c).get("grade_id") == check for _, c in after
        ):
            yield number, f"no check follows; expected the next one to be '{check}'"
        if is_check(cell) and (place == 0 or is_check(tasks[place - 1][1])):
            yield number, "checks no solution cell; one must stand before it"


def _region_faults(cells: list[Cell]) -> Iterator[Fault]:
    """Regions that a release removes: well formed, and where nbgrader looks."""
    for number, cell in enumerate(cells, 1):
        for region in REGIONS:
            marks = re.findall(rf"(BEGIN|END) {region}", source(cell))
            if marks != ["BEGIN", "END"] * (len(marks) // 2):
                yield number, f"BEGIN {region} and END {region} do not pair up"
            wanted = "solution" if region == "SOLUTION" else "grade"
            if marks and not grading(cell).get(wanted):
                yield number, f"holds {region}, so it must be a {wanted} cell"


def _parameter_faults(cells: list[Cell]) -> Iterator[Fault]:
    tagged = [
        (number, cell)
        for number, cell in enumerate(cells, 1)
        if "parameters" in (cell["metadata"].get("tags") or [])
    ]
    if not tagged:
        yield 0, "no cell is tagged `parameters`; tag the one that sets SEED"
    for number, cell in tagged:
        if number != tagged[0][0]:
            yield number, f"is tagged `parameters`, as cell {tagged[0][0]} is; one only"
        if cell["cell_type"] != "code":
            yield number, "is tagged `parameters`, so it must be code"


def outliers(notebook: dict[str, Any], name: str) -> list[str]:
    """Return where a notebook leaves STYLE's numbers; a list to read, no failure."""
    if Path(name).name == "index.ipynb":
        return []
    cells = notebook["cells"]
    points = [grading(c).get("points", 0) for c in cells if grading(c).get("grade")]
    texts = {n: _words(c) for n, c in _numbered(cells, "markdown")}
    codes = {n: _lines(c) for n, c in _numbered(cells, "code")}
    found = [
        _outside(len(cells), (18, 26) if points else (22, 32), "cells"),
        _outside(sum(texts.values()), (400, 600) if points else (700, 1000), "words"),
    ]
    if points:
        found.append(_outside(len(points), (4, 6), "tasks"))
        found.append(_outside(sum(points), (10, 20), "points"))
    for limit, unit, sizes in ((120, "words", texts), (25, "lines", codes)):
        found += [
            f"{where(number, cells[number - 1])}: {size} {unit}, at most {limit}"
            for number, size in sizes.items()
            if size > limit
        ]
    return [f"{name}: {text}" for text in found if text]


def _numbered(cells: list[Cell], kind: str) -> list[tuple[int, Cell]]:
    return [(n, c) for n, c in enumerate(cells, 1) if c["cell_type"] == kind]


def _words(cell: Cell) -> int:
    text = re.sub(r"<[^>]*>|\]\([^)]*\)", " ", source(cell))  # no tags, no addresses
    return sum(any(c.isalnum() for c in word) for word in text.split())


def _lines(cell: Cell) -> int:
    return sum(bool(line.strip()) for line in source(cell).splitlines())


def _outside(size: float, bounds: tuple[int, int], unit: str) -> str | None:
    low, high = bounds
    return None if low <= size <= high else f"{size} {unit}, usually {low} to {high}"
