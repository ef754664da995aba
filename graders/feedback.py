"""The graded notebook that people see: in formgrader, and as feedback.

It holds the released checks, never a hidden test; outputs of a short list of kinds;
and nothing that runs in the page of whoever reads it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from graders.checker import Mark, Marked
from graders.rebuild import Plan, Step
from graders.text import clean, harmless_markdown, line
from securetrain.notebook_rules import grading, source
from securetrain.notebooks import METADATA

MAX_OUTPUT = 1_000_000  # characters of all outputs of a notebook
MAX_SHOWN = 500  # outputs of a cell, besides what it printed
IMAGES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
CUT = "\n[cut: a notebook shows at most 1 MB of output]"


def build(plan: Plan, done: Marked) -> dict[str, Any]:
    """Return the graded notebook: the rebuilt one with outputs and verdicts."""
    left = MAX_OUTPUT
    said = {mark.id: mark for mark in done.marks}
    cells = [note(done.notes)] if done.notes else []
    for step in plan.steps:
        cell = dict(step.cell)
        cell["source"] = clean(source(cell), MAX_OUTPUT)
        if cell["cell_type"] == "code":
            cell["outputs"], left = _outputs(step, done, said.get(step.id), left)
            cell["execution_count"] = None
        cells.append(cell)
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def _outputs(
    step: Step, done: Marked, mark: Mark | None, left: int
) -> tuple[list[dict[str, Any]], int]:
    """Return what a cell shows, and how many characters are left for the others."""
    if mark is not None:
        return ([error("AssertionError", mark.message)] if mark.message else []), left
    if step.id not in done.shown:
        return [], left
    return allowed(done.shown[step.id], left)


def allowed(answer: dict[str, Any], left: int) -> tuple[list[dict[str, Any]], int]:
    """Return a cell's outputs as far as they are text, PNG or JPEG, and what is left.

    answer: what the student's process says that the cell showed; anything may be in it
    """
    outputs: list[dict[str, Any]] = []
    text = answer.get("text")
    if text := clean(text, left) if type(text) is str else "":
        text = text if len(text) <= left else text[:left] + CUT
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
        left -= len(text)
    shown = answer.get("shown")
    for item in shown[:MAX_SHOWN] if type(shown) is list else []:
        data = _data(item, left)
        size = sum(map(len, data.values()))
        if data and size <= left:
            left -= size
            kind = {"output_type": "display_data", "metadata": {}}
            outputs.append(kind | {"data": data})
    if answer.get("error"):
        name, message, number = answer["error"]
        where = f" (line {number})" if number > 0 else ""
        outputs.append(error(clean(name, 80), clean(message) + where))
    return outputs, max(left, 0)


def _data(item: Any, left: int) -> dict[str, str]:
    """Return the harmless ones among an output's representations, if they fit."""
    if type(item) is not dict:
        return {}
    kept = {}
    for kind, magic in IMAGES.items():
        coded = item.get(kind)
        if type(coded) is not str or len(coded) > 2 * left:
            continue
        try:
            raw = base64.b64decode(coded, validate=False)
        except (ValueError, binascii.Error):
            continue
        if raw.startswith(magic):
            kept[kind] = base64.b64encode(raw).decode()
    if type(item.get("text/plain")) is str:
        kept["text/plain"] = clean(item["text/plain"], 10_000)
    return kept


def error(name: str, message: str) -> dict[str, Any]:
    """Return an error output; a check's verdict is shown as one."""
    lines = [f"{name}: {message}"]
    return {
        "output_type": "error",
        "ename": name,
        "evalue": message,
        "traceback": lines,
    }


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
