"""Honest hand-ins that look odd: each answers rightly and keeps every point."""

from __future__ import annotations

import copy
from collections.abc import Callable

from corpus.forging import Notebook, add, code_cell, find
from corpus.lab import RIGHT

Forge = Callable[[Notebook], Notebook]


def _cells(code: str, after: str = "parameters", **answers: str) -> Forge:
    """Add a cell of the student's own, and answer in another way."""

    def forge(notebook: Notebook) -> Notebook:
        forged = copy.deepcopy(notebook)
        if code:
            add(forged, after, code_cell(code, "mine"))
        for word, answer in answers.items():
            find(forged, word)["source"] = answer
        return forged

    return forge


def _each(edit: Callable[[dict], None]) -> Forge:
    """Change every cell."""

    def forge(notebook: Notebook) -> Notebook:
        forged = copy.deepcopy(notebook)
        for cell in forged["cells"]:
            edit(cell)
        return forged

    return forge


def _carriage_returns(cell: dict) -> None:
    cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")


def _lines(cell: dict) -> None:
    cell["source"] = "".join(cell["source"]).splitlines(keepends=True)


def _run(cell: dict) -> None:
    """Leave what a run leaves: outputs, counters, the editor's own metadata."""
    cell["metadata"] |= {"scrolled": True, "collapsed": False, "jp-id": [1, None]}
    if cell["cell_type"] == "code":
        text = {"text/plain": "7", "text/html": "<b>7</b>"}
        cell["execution_count"] = 12
        cell["outputs"] = [
            {"output_type": "stream", "name": "stderr", "text": ["a\n", "b\n"]},
            {"output_type": "display_data", "metadata": {}, "data": text},
        ]


def _without_ids(notebook: Notebook) -> Notebook:
    forged = copy.deepcopy(notebook)
    for cell in forged["cells"]:
        del cell["id"]
    return forged | {"nbformat_minor": 4}


def _new_ids(notebook: Notebook) -> Notebook:
    forged = copy.deepcopy(notebook)
    for number, cell in enumerate(forged["cells"]):
        cell["id"] = f"{number:08x}"
    return forged


def _free_deleted(notebook: Notebook) -> Notebook:
    kept = [c for c in notebook["cells"] if c["metadata"].get("nbgrader")]
    return copy.deepcopy(notebook) | {"cells": copy.deepcopy(kept)}


def _moved(notebook: Notebook) -> Notebook:
    """Answer the second task first."""
    forged = copy.deepcopy(notebook)
    later = [find(forged, word) for word in ("task-clip", "clip", "check-clip")]
    forged["cells"] = [c for c in forged["cells"] if c not in later]
    place = forged["cells"].index(find(forged, "check-flag")) + 1
    forged["cells"][place:place] = later
    return forged


def _split(notebook: Notebook) -> Notebook:
    """Run in any order: the helper stands below, the function calls it later."""
    forged = copy.deepcopy(notebook)
    find(forged, "clip")["source"] = (
        "def clip(values, limit):\n    return [cut(value, limit) for value in values]\n"
    )
    helper = "def cut(value, limit):\n    return max(-limit, min(limit, value))\n"
    add(forged, "clip", code_cell(helper, "helper"))
    return forged


NUMPY = {
    "clip": "import numpy as np\n\n\ndef clip(values, limit):\n"
    "    return np.clip(np.asarray(values), -limit, limit).tolist()\n",
    "flag": "def flag(values, share):\n"
    "    order = np.argsort(-np.abs(values))\n"
    "    return list(order[: round(share * len(values))])\n",
}
CLASSES = """
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field


def told(function: Callable) -> Callable:
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return function(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


@dataclass
class Range:
    limit: float
    seen: list[float] = field(default_factory=list)

    def __call__(self, value: float) -> float:
        self.seen.append(value)
        return max(-self.limit, min(self.limit, value))


@told
def clip(values: list[float], limit: float) -> list[float]:
    cut = Range(limit)
    return [cut(value) for value in values]
"""
CACHED = """
import functools
import random
import sys

sys.setrecursionlimit(5000)


@functools.cache
def cut(value, limit):
    return limit if value > limit else -cut(-value, limit) if value < 0 else value


def clip(values, limit, place=0):
    if place == 0:
        random.seed(3)
        random.shuffle([1, 2, 3])
    if place == len(values):
        return []
    return [cut(values[place], limit), *clip(values, limit, place + 1)]
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor
from queue import Queue


def clip(values, limit):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda v: max(-limit, min(limit, v)), values))
"""
PRINTS = RIGHT["clip"].replace(
    "    return", "    for number in range(20_000):\n        print(number)\n    return"
)
TORCH = """
import torch


def clip(values, limit):
    found = torch.tensor(values, dtype=torch.float64).clamp(-limit, limit)
    return [value.item() for value in found]
"""
GENERATED = """
flag = lambda values, share: [
    place for _, place in sorted((-abs(v), i) for i, v in enumerate(values))
][: round(share * len(values))]
"""
LONG = "ß→漢字🙂\u0301\u202e " * 3000
FIGURE = """
import matplotlib.pyplot as plt

figure, axes = plt.subplots()
axes.plot(noise(SEED), label="größer → lauter")
axes.legend()
plt.show()
figure
"""
MAGICS = """
%matplotlib inline
%timeit -n 1 -r 1 noise(1)
files = !echo one two
print(files)
%who
!echo three
noise?
"""

HONEST: dict[str, Forge] = {
    "plain": _cells(""),
    "helper": _cells(
        "def cut(v, limit):\n    return max(-limit, min(limit, v))\n",
        clip="def clip(values, limit):\n    return [cut(v, limit) for v in values]\n",
    ),
    "helper-below": _split,
    "magics": _cells(MAGICS, "data"),
    "cell-time": _cells("%%time\nnoise(3)\n", "data"),
    "cell-bash": _cells("%%bash\necho hello\nls /usr > /dev/null\n"),
    "cell-capture": _cells("%%capture seen\nprint('hello')\n"),
    "cell-writefile": _cells("%%writefile mine.py\ncut = 3\n"),
    "own-module": _cells(
        "%%writefile cuts.py\ndef cut(v, limit):\n"
        "    return max(-limit, min(limit, v))\n",
        clip="from cuts import cut\n\n\ndef clip(values, limit):\n"
        "    return [cut(v, limit) for v in values]\n",
    ),
    "numpy": _cells("", **NUMPY),
    "torch": _cells("", clip=TORCH),
    "classes": _cells("", clip=CLASSES),
    "cached": _cells("", clip=CACHED),
    "threads": _cells("", clip=THREADS),
    "prints": _cells("", clip=PRINTS),
    "lambda": _cells("", flag=GENERATED),
    "async": _cells("import asyncio\n\nawait asyncio.sleep(0.01)\n"),
    "figure": _cells(FIGURE, "data"),
    "error": _cells("1 / 0\n"),
    "syntax-error": _cells("def broken(:\n"),
    "warnings": _cells("import warnings\n\nwarnings.warn('careful')\n"),
    "files": _cells("open('mine.txt', 'w').write('x')\nprint(open('mine.txt').read())"),
    "subprocess": _cells("import subprocess\n\nprint(subprocess.run(['echo', 'hi']))"),
    "names-reused": _cells("list_ = sum_ = noise_ = 7\nvalues = limit = None\n"),
    "helpers-called": _cells("print(loudest(noise(SEED)))\n", "flag"),
    "own-copy": _cells(
        "quiet = noise(5)\nquiet[0] = 0\nclip(quiet, 1.0)\n", "check-clip"
    ),
    "asserts": _cells("assert clip([9.0], 1.0) == [1.0], 'no'\n", "clip"),
    "unicode": _cells(f"größe = '{LONG}'\nprint(größe)\n"),
    "seed-changed": _cells("", **{"parameters": "SEED = 5\n"}),
    "carriage-returns": _each(_carriage_returns),
    "lines": _each(_lines),
    "was-run": _each(_run),
    "without-ids": _without_ids,
    "new-ids": _new_ids,
    "free-deleted": _free_deleted,
    "moved": _moved,
    "tabs": _cells("", clip=RIGHT["clip"].replace("    ", "\t")),
    "no-newline": _cells("", clip=RIGHT["clip"].strip()),
    "blank-lines": _cells("", clip="\n\n\n" + RIGHT["clip"] + "\n \n\t\n"),
    "second-thought": _cells(
        "", clip="def clip(v, l):\n    return v\n\n" + RIGHT["clip"]
    ),
    "prose-maths": _cells("", limits="If $a < b$ and b > c, then a <b. `x<y`, **so**."),
    "prose-html": _cells("", limits="The tag <b>poison</b> misses *quiet* attackers."),
}
