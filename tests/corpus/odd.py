"""Odd hand-ins that are graded: some keep every point, some are told why not.

Each function gets the folder that should hold `clip.ipynb`, and a good notebook's text.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corpus.broken import FILE, edited, with_cells
from corpus.forging import add, code_cell, find
from corpus.lab import FULL


@dataclass(frozen=True)
class Flawed:
    """A hand-in that is graded, and told of its flaw.

    says: words that the graded notebook must hold; scores: what is earned
    """

    write: Callable[[Path, str], None]
    says: tuple[str, ...]
    scores: dict[str, float]


def _free(code: str, times: int = 1) -> Callable:
    """Add a code cell of the student's own."""

    def edit(notebook: dict) -> None:
        for number in range(times):
            add(notebook, "parameters", code_cell(code, f"mine-{number}"))

    return edited(edit)


def _twice(notebook: dict) -> None:
    """Answer again, wrongly, in a copy of the cell."""
    again = find(notebook, "clip") | {"source": "def clip(values, limit): pass"}
    add(notebook, "clip", again)


def _beside(write: Callable[[Path], object]) -> Callable:
    """Hand in a good notebook, with something beside it."""

    def both(folder: Path, good: str) -> None:
        (folder / FILE).write_text(good)
        write(folder / "timestamp.txt")

    return both


# Odd, but readable: these keep their points.
READABLE: dict[str, Callable[[Path, str], None]] = {
    "byte-order-mark": lambda folder, good: (folder / FILE).write_text(
        good, "utf-8-sig"
    ),
    "metadata-null": edited(lambda n: n.update(metadata=None)),
    "metadata-gone": edited(lambda n: n.pop("metadata")),
    "kernelspec-odd": edited(lambda n: n["metadata"].update(kernelspec=["python"])),
    "number-nan": edited(lambda n: n["metadata"].update(size=float("nan"))),
    "minor-odd": edited(lambda n: n.update(nbformat_minor=99, more=[1])),
    "surrogates": lambda folder, good: (folder / FILE).write_text(
        good.replace("try-clip", "x", 1).replace(
            '"nbformat"', '"odd": "\\ud800\\udc00\\ud800", "nbformat"'
        )
    ),
    "keys-twice": lambda folder, good: (folder / FILE).write_text(
        '{"cells": [], "nbformat": 3, ' + good.lstrip().lstrip("{")
    ),
    "two-notebooks": lambda folder, good: (
        (folder / FILE).write_text(good),
        (folder / "other.ipynb").write_text("broken"),
    ),
    "other-files": lambda folder, good: (
        (folder / FILE).write_text(good),
        (folder / "data").mkdir(),
        (folder / "data" / "securetrain.py").write_text("raise SystemExit"),
        (folder / "timestamp.txt").write_text("not a time \x00\x1b[2J" * 99),
    ),
    "kernel-other": edited(
        lambda n: n["metadata"].update(
            kernelspec={"name": "conda-ml", "display_name": "ml", "language": "Python"}
        )
    ),
    "timestamp-folder": _beside(lambda path: path.mkdir()),
    "timestamp-link": _beside(lambda path: path.symlink_to("/etc/hostname")),
    "timestamp-pipe": _beside(os.mkfifo),
    "timestamp-large": _beside(lambda path: path.write_bytes(bytes(21 * 10**6))),
    "timestamp-number": _beside(lambda path: path.write_text(f"023:5{'9' * 40}1e400")),
}

# What a run brings to light.
FLAWED: dict[str, Flawed] = {
    "output-huge": Flawed(
        _free("for _ in range(50):\n    print('x' * 10**6)"), ("at most 1 MB",), FULL
    ),
    "output-endless": Flawed(
        _free("while True:\n    print('x' * 1000)"), ("OutOfTime", "a loop?"), FULL
    ),
    "nul-in-answer": Flawed(
        edited(lambda n: find(n, "clip").update(source="def clip(v, l): '\0'")),
        ("null bytes", "name 'clip' is not defined"),
        FULL | {"check-clip": 0.0},
    ),
    "not-python": Flawed(
        edited(lambda n: find(n, "clip").update(source="clip <- function(v) v")),
        ("SyntaxError", "name 'clip' is not defined"),
        FULL | {"check-clip": 0.0},
    ),
    "cell-missing": Flawed(
        edited(lambda n: n["cells"].remove(find(n, "clip"))),
        ("The cell 'clip' is missing", "not answered yet"),
        FULL | {"check-clip": 0.0},
    ),
    "cell-twice": Flawed(
        edited(_twice), ("The cell 'clip' stands twice: the first one counts",), FULL
    ),
    "cells-many": Flawed(_free("1 + 1", 300), ("code cells beside the answers",), FULL),
    "cells-none": Flawed(
        with_cells([]), ("The cell 'flag' is missing",), dict.fromkeys(FULL, 0.0)
    ),
}
