"""Wrong answers to a lab, as files: changes of the right answer, or whole answers.

`graders/mutants/TOPIC/CELL.toml` holds a table for each wrong answer that differs from
the solution in a few lines: the solution cell CELL, or, for an exercise of a lesson,
`solutions/TOPIC/CELL.py`. `change` reads as a diff does: `-` before a line
that goes, `+` before one that comes, a space before one that stays, and `@@` between
two places. What goes or stays must stand in the solution exactly once.

    [strictly-below]
    mistake = "Asks for less than the limit, not for at most the limit."
    says = "a part of the message that a learner who makes it must get"
    change = '''
    -    return value <= limit
    +    return value < limit
    '''

`graders/mutants/TOPIC/CELL--NAME.py` is an answer of its own: its docstring says the
mistake in words, and below, on a line that starts with `says:`, that message.
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securetrain import notebooks
from securetrain.notebook_rules import grading, is_solution, source

KEYS = {"mistake", "says", "change"}


@dataclass(frozen=True)
class Mutant:
    """A wrong answer: the cell it replaces, the mistake, and what it must be told."""

    cell: str
    name: str
    mistake: str
    says: str
    code: str


def load(folder: Path) -> list[Mutant]:
    """Return the mutants of a topic, by cell and name.

    Raises ValueError, naming the file, when one is not as this module says.
    """
    found = [_answer(path) for path in folder.glob("*.py")]
    for path in folder.glob("*.toml"):
        found += _changes(path, _solution(folder, path.stem))
    return sorted(found, key=lambda mutant: (mutant.cell, mutant.name))


def _answer(path: Path) -> Mutant:
    """Return an answer of its own."""
    cell, dashes, name = path.stem.partition("--")
    if not (cell and dashes and name):
        raise ValueError(f"{path}: expected a file name such as stamp--does-nothing.py")
    code = path.read_text("utf-8")
    try:
        lines = (ast.get_docstring(ast.parse(code)) or "").splitlines()
    except SyntaxError as error:
        raise ValueError(f"{path}: line {error.lineno}: {error.msg}") from None
    says = [line.partition("says:")[2].strip() for line in lines if "says:" in line[:5]]
    if not lines or len(says) != 1 or not says[0]:
        raise ValueError(
            f"{path}: expected a docstring with the mistake on its first line and one "
            "line `says: a part of the message the learner gets`"
        )
    return Mutant(cell, name, lines[0].strip(), says[0], code)


def _solution(folder: Path, cell: str) -> str:
    """Return the code of a topic's solution cell, or of an exercise's answer."""
    sources = folder.parents[2] / "solutions" / folder.name
    known = {
        path.stem: path.read_text("utf-8").strip() for path in sources.glob("*.py")
    }
    known |= {
        grading(one)["grade_id"]: source(one)
        for notebook in notebooks.find(sources)
        for one in notebooks.read(notebook)["cells"]
        if is_solution(one)
    }
    if cell not in known:
        raise ValueError(
            f"{folder / cell}.toml: no solution cell '{cell}' in {sources}; "
            f"there are: {', '.join(known) or 'none'}"
        )
    return known[cell]


def _changes(path: Path, solution: str) -> list[Mutant]:
    """Return the changes of one solution."""
    found = []
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    for name, given in tables.items():
        texts = isinstance(given, dict) and {k for k, v in given.items() if _text(v)}
        if texts != KEYS or given.keys() != KEYS:
            raise ValueError(
                f"{path}: [{name}]: expected the texts {', '.join(sorted(KEYS))}"
            )
        code = _changed(solution, given["change"], f"{path}: [{name}]")
        given = given["mistake"].strip(), given["says"].strip()
        found.append(Mutant(path.stem, name, *given, code))
    return found


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _changed(solution: str, change: str, where: str) -> str:
    """Return the solution with a change made; a ValueError where it does not fit."""
    code = f"{solution}\n"
    for hunk in change.strip("\n").split("\n@@\n"):
        old, new = "", ""
        for line in hunk.split("\n"):
            mark, text = line[:1], f"{line[1:]}\n"
            if line and mark not in "-+ ":
                raise ValueError(f"{where}: expected -, + or a space before {line!r}")
            old += text if mark != "+" else ""
            new += text if mark != "-" else ""
        places = f"\n{code}".count(f"\n{old}")
        if old == new or not old or places != 1:
            fault = f"these stand there {places} times:\n{old}"
            fault = "these change nothing" if old == new else fault
            fault = "only new ones came" if not old else fault
            raise ValueError(
                f"{where}: expected lines of the solution, which stand there once, and "
                f"a change of them; {fault}"
            )
        code = f"\n{code}".replace(f"\n{old}", f"\n{new}")[1:]
    return code
