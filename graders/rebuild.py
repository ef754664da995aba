"""Rebuild a hand-in from the master: only the student's answers are taken.

The master is the solution notebook. Its checks, their order, points and tags are the
course's; of a hand-in nothing counts but the answers, found by `grade_id`. Code cells
that the student added run in the jail where they stand, and count for nothing.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from graders.text import clean, harmless_markdown
from securetrain.notebook_rules import (
    grading,
    is_check,
    is_prose,
    is_solution,
    source,
)

Cell = dict[str, Any]
NOT_OURS = re.compile(
    r"^[ \t]*[%!?]|\b(globals|locals|vars|exec|eval|get_ipython)\b", re.M
)
IDLE = re.compile(r"^%(check|matplotlib)\b.*$", re.M)  # magics that bind no name
MAX_FREE_CELLS = 200
MAX_ANALYSED = 100_000  # characters of a cell
MAX_SHOWN = 20_000  # characters of an answer in words


@dataclass(frozen=True)
class Step:
    """What to do with one cell of the rebuilt notebook.

    kind: "text", "code" (the student's, in the jail), "answer" (the same, with names
        that checks call), "given" (the course's, in both processes), "check" (in the
        checker alone) or "prose"
    code: what runs; cell: what is shown, nbgrader's metadata included
    needed: whether a "code" cell runs; the course's own may have no effect
    """

    kind: str
    id: str
    code: str
    cell: Cell = field(repr=False)
    needed: bool = True


@dataclass(frozen=True)
class Plan:
    """A rebuilt notebook: its steps, and what the student should know about it."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


def plan(master: dict, released: dict, submission: dict | None) -> Plan:
    """Return what to run and to show for a hand-in; None stands for an empty one.

    master: the solution notebook; released: what `release` made from it
    """
    shown = {cell["id"]: cell for cell in released["cells"]}
    answers, free, notes = _take(master, submission or {"cells": []})
    ours = {source(cell).strip() for cell in released["cells"]}
    steps: list[Step] = []
    for cell in master["cells"]:
        word = cell["id"]
        if is_solution(cell) or is_prose(cell):
            steps.append(_answer(cell, shown[word], answers.get(word)))
            if submission and word not in answers:
                notes.append(f"The cell '{word}' is missing: it counts as unanswered.")
        elif is_check(cell):
            steps.append(Step("check", word, source(cell), shown[word]))
        elif grading(cell) or "parameters" in cell["metadata"].get("tags", []):
            steps.append(Step("given", word, source(cell), shown[word]))
        elif cell["cell_type"] != "code":
            steps.append(Step("text", word, "", shown[word]))
        if steps and steps[-1].kind == "given":
            given = steps[-1].code.strip()
            free[word] = [code for code in free[word] if code.strip() != given]
        for number, code in enumerate(free[word]):
            steps.append(_free(word, number, code, code.strip() in ours))
    return Plan(tuple(_mark_needed(steps)), tuple(notes))


def _take(master: dict, submission: dict) -> tuple[dict, dict, list[str]]:
    """Return the answers by grade_id, free code by the cell it follows, and notes."""
    known = {cell["id"]: cell for cell in master["cells"]}
    answers: dict[str, str] = {}
    free: dict[str, list[str]] = defaultdict(list)
    notes: list[str] = []
    place = master["cells"][0]["id"]
    for cell in submission["cells"]:
        word = grading(cell).get("grade_id", cell.get("id"))
        ours = known.get(word) if isinstance(word, str) else None
        if ours is not None:
            place = word
        if ours is not None and (is_solution(ours) or is_prose(ours)):
            if word in answers:
                notes.append(f"The cell '{word}' stands twice: the first one counts.")
            answers.setdefault(word, source(cell))
        elif cell["cell_type"] == "code" and not (ours and grading(ours)):
            free[place] += [source(cell)] if source(cell).strip() else []
    if sum(map(len, free.values())) > MAX_FREE_CELLS:
        notes.append(
            f"More than {MAX_FREE_CELLS} code cells beside the answers: none was run."
        )
        free.clear()
    return answers, free, list(dict.fromkeys(notes))


def _answer(cell: Cell, shown: Cell, answer: str | None) -> Step:
    """Return the step of a cell that the student fills in."""
    if is_prose(cell):
        empty = source(shown).strip()
        text = "" if answer is None or answer.strip() == empty else answer.strip()
        # Cleaned first: what is taken out of the middle may leave a tag.
        harmless = harmless_markdown(clean(text, MAX_SHOWN)) or source(shown)
        return Step("prose", cell["id"], text, shown | {"source": harmless})
    code = source(shown) if answer is None else answer
    return Step("answer", cell["id"], code, shown | {"source": code})


def _free(word: str, number: int, code: str, ours: bool) -> Step:
    meta = {"tags": ["course"]} if ours else {}
    cell = {"cell_type": "code", "metadata": meta, "source": code}
    cell |= {"id": f"{word[:50]}-free-{number}", "outputs": [], "execution_count": None}
    return Step("code", cell["id"], code, cell, needed=not ours)


def _mark_needed(steps: list[Step]) -> list[Step]:
    """Skip the course's own free cells unless the student's code uses their names.

    They draw and print; running them again costs time and changes no score.
    """
    wanted: set[str] = set()
    needed: set[str] = set()
    fresh = [step for step in steps if step.kind in ("code", "answer") and step.needed]
    while fresh:
        names = [used(step.code) for step in fresh]
        needed |= {step.id for step in fresh}
        wanted |= set().union(*(found for found in names if found))
        fresh = [
            step
            for step in steps
            if step.kind == "code"
            and step.id not in needed
            and (None in names or wanted & bound(step.code))
        ]
    return [
        replace(step, needed=step.id in needed) if step.kind == "code" else step
        for step in steps
    ]


def _plain(code: str) -> str | None:
    """Return code without the magics that bind nothing; None for what is not Python.

    What only IPython understands counts as such, and what is very long: a student
    decides how long looking at it takes.
    """
    code = IDLE.sub("", code)
    if len(code) > MAX_ANALYSED or NOT_OURS.search(code):
        return None
    try:
        symtable.symtable(code, "cell", "exec")
        ast.parse(code)
        return code
    except Exception:  # whatever a student wrote
        return None


def used(code: str) -> set[str] | None:
    """Return the global names that code reads; None when that cannot be told."""
    plain = _plain(code)
    if plain is None:
        return None
    found = _changed(plain)
    tables = [symtable.symtable(plain, "cell", "exec")]
    while tables:
        table = tables.pop()
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                found.add(symbol.get_name())
        tables += table.get_children()
    return found


def _changed(plain: str) -> set[str]:
    """Return the names in `n += 1` and `del n`, which a symbol table calls bound."""
    targets: list[ast.expr] = []
    for node in ast.walk(ast.parse(plain)):
        targets += [node.target] if isinstance(node, ast.AugAssign) else []
        targets += node.targets if isinstance(node, ast.Delete) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def bound(code: str) -> set[str]:
    """Return the global names that one of the course's own cells binds."""
    plain = _plain(code)
    if plain is None:
        return set()
    table = symtable.symtable(plain, "cell", "exec")
    return {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
