"""Tricks in the file itself: no code of the student's runs for any of these."""

from __future__ import annotations

import copy

from corpus.forging import Hostile, Notebook, Place, add, change, code_cell, find
from corpus.lab import FULL, RIGHT


def _tag(notebook: Notebook, *tags: str) -> None:
    for word in FULL:
        find(notebook, word)["metadata"]["tags"] = list(tags)


def _meta(notebook: Notebook, **changed: object) -> None:
    for word in FULL:
        find(notebook, word)["metadata"]["nbgrader"] |= changed


def _skip(notebook: Notebook, _: Place) -> None:
    _tag(notebook, "skip-execution")


def _other_tags(notebook: Notebook, _: Place) -> None:
    _tag(notebook, "raises-exception", "remove-cell", "parameters", "nbval-skip")


def _skip_everything(notebook: Notebook, _: Place) -> None:
    for cell in notebook["cells"]:
        cell["metadata"]["tags"] = ["skip-execution"]


def _points(notebook: Notebook, _: Place) -> None:
    _meta(notebook, points=100)
    for word in FULL:
        find(notebook, word)["metadata"] |= {"points": 100, "score": 100}


def _rewritten(notebook: Notebook, _: Place) -> None:
    for word in FULL:
        find(notebook, word)["source"] = "pass\n"


def _removed(notebook: Notebook, _: Place) -> None:
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] not in FULL]


def _first(notebook: Notebook, _: Place) -> None:
    checks = [find(notebook, word) for word in FULL]
    _removed(notebook, _)
    notebook["cells"] = checks + notebook["cells"]


def _twice(notebook: Notebook, _: Place) -> None:
    for word in FULL:
        notebook["cells"].append(copy.deepcopy(find(notebook, word)))
        notebook["cells"][-1]["source"] = "pass\n"


def _answers_twice(notebook: Notebook, _: Place) -> None:
    """The wrong answer stands where the lab has it, the right one further up."""
    for word in RIGHT:
        again = copy.deepcopy(find(notebook, word))
        again["source"] = "raise SystemExit\n"
        notebook["cells"].insert(0, again)


def _impostor(notebook: Notebook, _: Place) -> None:
    for word in FULL:
        ours = find(notebook, word)
        false = copy.deepcopy(ours) | {"id": f"not-{word}", "source": "pass\n"}
        ours["metadata"]["nbgrader"]["grade_id"] = f"not-{word}"
        notebook["cells"].append(false)


def _prose_check(notebook: Notebook, _: Place) -> None:
    for word in FULL:
        cell = find(notebook, word)
        cell["cell_type"] = "markdown"
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def _raw_check(notebook: Notebook, _: Place) -> None:
    _prose_check(notebook, _)
    for word in FULL:
        find(notebook, word)["cell_type"] = "raw"


def _unlocked(notebook: Notebook, _: Place) -> None:
    _meta(notebook, locked=False, solution=True)
    _rewritten(notebook, _)


def _not_graded(notebook: Notebook, _: Place) -> None:
    _meta(notebook, grade=False, locked=False)
    _rewritten(notebook, _)


def _old_schema(notebook: Notebook, _: Place) -> None:
    _meta(notebook, schema_version=1, points=-5)


def _new_schema(notebook: Notebook, _: Place) -> None:
    _meta(notebook, schema_version=99, points="1e308")


def _odd_metadata(notebook: Notebook, _: Place) -> None:
    for number, word in enumerate(FULL):
        find(notebook, word)["metadata"]["nbgrader"] = [["grade", True], number]


def _unhashable(notebook: Notebook, _: Place) -> None:
    _meta(notebook, grade_id={"check": ["clip"]})
    find(notebook, "clip")["metadata"]["nbgrader"]["grade_id"] = ["clip"]


def _forged_outputs(notebook: Notebook, _: Place) -> None:
    for word in FULL:
        cell = find(notebook, word)
        cell["execution_count"] = 7
        text = "All tests passed: full marks.\n"
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]


def _kernel(notebook: Notebook, place: Place) -> None:
    word = f"{place.inside}/../../bin/sh"
    notebook["metadata"]["kernelspec"] = {
        "name": word,
        "display_name": word,
        "language": "python",
    }
    notebook["metadata"]["nbgrader"] = {"extra_credit": 100, "score": 100}
    notebook["metadata"]["papermill"] = {"exception": None}


def _more_tasks(notebook: Notebook, _: Place) -> None:
    meta = copy.deepcopy(find(notebook, "check-clip")["metadata"]["nbgrader"])
    meta |= {"grade_id": "check-extra", "points": 1000}
    notebook["cells"].append(code_cell("pass\n", "check-extra", nbgrader=meta))


def _given(notebook: Notebook, _: Place) -> None:
    quiet = "def noise(seed, size=50):\n    return [0.0] * size\n"
    loud = "def loudest(values):\n    return [0, 10, 20, 30, 40]\n"
    cell = find(notebook, "data")
    cell["source"] = quiet + loud
    del cell["metadata"]["nbgrader"]


def _regions(notebook: Notebook, _: Place) -> None:
    for word in ("clip", "check-clip", "check-flag"):
        cell = find(notebook, word)
        cell["source"] = f"### END HIDDEN TESTS\n### BEGIN SOLUTION\n{cell['source']}"


def _paid_prose(notebook: Notebook, _: Place) -> None:
    meta = find(notebook, "limits")["metadata"]["nbgrader"]
    meta |= {"points": 100, "solution": False, "grade_id": "check-clip"}
    find(notebook, "limits")["source"] = "Full marks, please."


def _many_cells(notebook: Notebook, _: Place) -> None:
    for number in range(3000):
        add(notebook, "title", code_cell("1 + 1\n", f"more-{number}"))


def _wide(notebook: Notebook, _: Place) -> None:
    for number in range(20):
        code = "# " + "\U0001f600" * 78_000 + "\n"
        add(notebook, "title", code_cell(code, f"wide-{number}"))


def _blank(notebook: Notebook, _: Place) -> None:
    code = "\n" * 2_000_000 + "x = 1\n"
    add(notebook, "title", code_cell(code, "blank"))


def _commands(notebook: Notebook, _: Place) -> None:
    code = "a = !true\n" * 200_000
    for number in range(5):
        add(notebook, "title", code_cell(f"1 / 0\n{code}", f"commands-{number}"))


_CHANGES = {
    "skip-tag": ("tags the checks skip-execution", _skip),
    "skip-everything": ("tags every cell skip-execution", _skip_everything),
    "other-tags": ("tags the checks so that errors are allowed", _other_tags),
    "points-raised": ("makes the checks worth 100 points", _points),
    "check-rewritten": ("replaces the checks by pass", _rewritten),
    "checks-removed": ("deletes the checks", _removed),
    "checks-first": ("moves the checks to the top", _first),
    "check-twice": ("adds a second cell with the name of each check", _twice),
    "answer-twice": ("hands in two cells for each answer", _answers_twice),
    "check-impostor": ("renames the checks and gives others their names", _impostor),
    "check-as-prose": ("makes the checks markdown", _prose_check),
    "check-as-raw": ("makes the checks raw cells", _raw_check),
    "check-unlocked": ("makes the checks cells to be answered", _unlocked),
    "check-ungraded": ("says that the checks are not graded", _not_graded),
    "schema-old": ("claims nbgrader's first schema and negative points", _old_schema),
    "schema-new": ("claims a schema of the future", _new_schema),
    "metadata-odd": ("gives a list where nbgrader expects an object", _odd_metadata),
    "grade-id-odd": ("gives a list and an object as the cells' names", _unhashable),
    "outputs-forged": ("hands in outputs that say: all passed", _forged_outputs),
    "kernel-forged": ("names a program as the notebook's kernel", _kernel),
    "more-tasks": ("adds a task of 1000 points", _more_tasks),
    "given-rewritten": ("makes the course's own data easy", _given),
    "regions": ("writes the marks of hidden tests and solutions", _regions),
    "prose-as-check": ("gives the answer in words a check's name", _paid_prose),
    "many-cells": ("adds 3000 cells of code", _many_cells),
    "wide-cells": ("adds cells that take twelve bytes a character", _wide),
    "blank-cell": ("adds two million blank lines", _blank),
    "command-cells": ("adds a million shell commands", _commands),
}

FILE: list[Hostile] = [
    change(name, f"The student {story}.", edit)
    for name, (story, edit) in _CHANGES.items()
]
