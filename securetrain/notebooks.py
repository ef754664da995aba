"""Notebooks as plain JSON: read them, tidy them, say what is wrong with them."""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

from securetrain.notebook_rules import outliers, problems, source, where
from securetrain.paths import root

__all__ = ["dumps", "find", "main", "outliers", "problems", "read", "tidy", "write"]

KEPT = ("deletable", "editable", "nbgrader", "tags")
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def read(path: str | Path) -> dict[str, Any]:
    """Return the notebook that a file holds.

    Raises FileNotFoundError when there is no file, and ValueError when it is no
    notebook of format 4; both name the file, and the line or cell where it breaks.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a notebook here, found no file")
    try:
        notebook = json.loads(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8 text, byte {error.start} is not; save it as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}: line {error.lineno}, column {error.colno}: broken JSON: "
            f"{error.msg}"
        ) from None
    except RecursionError:
        raise ValueError(f"{path}: broken JSON: nested too deeply") from None
    if fault := shape_fault(notebook):
        raise ValueError(f"{path}: {fault}")
    return notebook


def shape_fault(notebook: Any) -> str | None:
    """Return why this is not a notebook, or None when it is one."""
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        return (
            "expected a notebook (a JSON object with a list of cells), "
            f"got {'no cells' if isinstance(notebook, dict) else _kind(notebook)}"
        )
    if notebook.get("nbformat") != 4:
        came = notebook.get("nbformat")
        return (
            f"expected notebook format 4, got {came!r}; open and save it in JupyterLab"
        )
    for number, cell in enumerate(notebook["cells"], 1):
        if not isinstance(cell, dict):
            return f"cell {number}: expected an object, got {_kind(cell)}"
        if cell.get("cell_type") not in ("code", "markdown", "raw"):
            came = cell.get("cell_type")
            return f"cell {number}: expected code, markdown or raw, got {came}"
        lines = cell.get("source")
        parts = lines if isinstance(lines, list) else [lines]
        if not all(isinstance(part, str) for part in parts):
            return f"cell {number}: expected its source as text or a list of lines"
        if not isinstance(cell.get("metadata"), dict):
            return f"cell {number}: expected metadata as an object"
    return None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "null"}
    return names.get(type(value), "a number")


def tidy(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a copy without outputs, counters and stray metadata.

    Cell ids stay as they are, or missing: `problems` speaks of those.
    """
    return {
        "cells": [_tidy_cell(cell) for cell in notebook["cells"]],
        "metadata": copy.deepcopy(METADATA),
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _tidy_cell(cell: dict[str, Any]) -> dict[str, Any]:
    kept = {name: cell["metadata"].get(name) for name in KEPT}
    tidied = {
        "cell_type": cell["cell_type"],
        "metadata": {k: copy.deepcopy(v) for k, v in kept.items() if v or v is False},
        "source": source(cell).splitlines(keepends=True),
    }
    if cell["cell_type"] == "code":
        tidied |= {"execution_count": None, "outputs": []}
    for name in ("id", "attachments"):
        if cell.get(name):
            tidied[name] = copy.deepcopy(cell[name])
    return tidied


def dumps(notebook: dict[str, Any]) -> str:
    """Return the notebook as the text of its file, laid out as Jupyter does."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(path: str | Path, notebook: dict[str, Any]) -> None:
    """Write a notebook whole or not at all.

    Raises ValueError when `path` is a symbolic link, which may point anywhere.
    """
    path = Path(path)
    if path.is_symlink():
        raise ValueError(f"{path}: expected a file, got a symbolic link; remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(dumps(notebook), encoding="utf-8", newline="\n")
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def find(*folders: Path) -> list[Path]:
    """Return the notebooks in these folders, in reading order."""
    found = {path for folder in folders for path in folder.rglob("*.ipynb")}
    return sorted(p for p in found if ".ipynb_checkpoints" not in p.parts)


def _untidy(notebook: dict[str, Any], tidied: dict[str, Any], name: str) -> list[str]:
    """Return where a notebook differs from its tidy form."""
    found = []
    for number, (came, want) in enumerate(
        zip(notebook["cells"], tidied["cells"], strict=True), 1
    ):
        parts = [k for k in sorted(came.keys() | want) if came.get(k) != want.get(k)]
        if parts:
            found.append(f"{name}: {where(number, came)}: untidy {', '.join(parts)}")
    return found or [f"{name}: untidy notebook metadata or layout"]


def _tidy_file(path: Path, name: str, check: bool) -> list[str]:
    """Tidy one file, unless only checking; return what stays wrong with it."""
    notebook = read(path)
    tidied = tidy(notebook)
    faults = problems(tidied, name)
    if path.read_bytes() != dumps(tidied).encode():
        if check:
            faults = _untidy(notebook, tidied, name) + faults
        else:
            write(path, tidied)
            print(f"tidied {name}")
    for line in outliers(tidied, name):
        print(f"note: {line}")
    return faults


def main(argv: list[str]) -> int:
    """Tidy notebooks, or only check them; 1 when something stays wrong."""
    parser = argparse.ArgumentParser(prog="securetrain tidy", description=main.__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="default: the course's own")
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args(argv)
    here = root()
    faults = []
    for path in options.files or find(here / "course", here / "solutions"):
        inside = path.resolve().is_relative_to(here)
        name = str(path.resolve().relative_to(here) if inside else path)
        try:
            faults += _tidy_file(path, name, options.check)
        except (FileNotFoundError, ValueError) as error:
            faults.append(str(error))
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0
