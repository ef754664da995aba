"""The graded notebook that people see: in formgrader, and as feedback.

It holds the released checks, never a hidden test; outputs of a short list of kinds;
and nothing that runs in the page of whoever reads it.
"""

from __future__ import annotations

from typing import Any

from graders.checker import Mark, Marked
from graders.outputs import error
from graders.rebuild import Plan
from graders.text import clean, harmless_markdown, line
from securetrain.notebook_rules import grading, source
from securetrain.notebooks import METADATA

MAX_CELL = 20_000  # characters: what colours code takes the square of their number
MAX_CELLS = 100_000  # of all cells of the student's
CUT = f"\n[cut: a page shows at most {MAX_CELL:,} characters of a cell]"


def build(plan: Plan, done: Marked) -> dict[str, Any]:
    """Return the graded notebook: the rebuilt one with outputs and verdicts."""
    left = MAX_CELLS
    said = {mark.id: mark.message for mark in done.marks}
    cells = [note(done.notes)] if done.notes else []
    for step in plan.steps:
        cell = dict(step.cell)
        if step.kind in ("code", "answer", "prose"):
            cell["source"] = _shorter(source(cell), left)
            left -= len(cell["source"])
        if cell["cell_type"] == "code":
            cell["outputs"] = done.shown.get(step.id, [])
            if message := said.get(step.id):
                cell["outputs"] = [error("AssertionError", message)]
            cell["execution_count"] = None
        cells.append(cell)
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def _shorter(text: str, left: int) -> str:
    """Return as much of a student's text as a page shows; `left`: of all of it."""
    limit = max(0, min(MAX_CELL, left))
    return clean(text[:limit], limit) + (CUT if len(text) > limit else "")


def note(lines: list[str]) -> dict[str, Any]:
    """Return a cell on top with what the student should know."""
    text = "\n".join(f"- {harmless_markdown(line(said))}" for said in lines)
    return {
        "cell_type": "markdown",
        "id": "from-the-grader",
        "metadata": {},
        "source": f"**From the grader**\n\n{text}",
    }


def refused(plan: Plan, reason: str) -> dict[str, Any]:
    """Return the result of a hand-in that could not be read: no points, and why."""
    steps = [step for step in plan.steps if step.kind in ("check", "prose")]
    marks = [
        {"id": s.id, "points": float(grading(s.cell)["points"]), "score": 0.0}
        | {"message": "" if s.kind == "prose" else "Nothing could be graded."}
        for s in steps
    ]
    reason = line(reason)
    done = Marked([Mark(**mark) for mark in marks], notes=[reason])
    return {
        "status": "refused",
        "reason": reason,
        "marks": marks,
        "notes": [reason],
        "notebook": build(plan, done),
        "cpu_seconds": 0.0,
    }
