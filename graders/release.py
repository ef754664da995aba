"""Make the learner's labs from the solution notebooks.

nbgrader's own `generate_assignment` does it, in a temporary folder, on the notebooks
alone: left to itself it copies every other file of the folder into the release.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from securetrain import home, home_index, notebooks, slow_imports
from securetrain.notebook_rules import is_solution, source, where
from securetrain.paths import root

Labs = dict[str, dict[str, Any]]  # path below the course's root, released notebook


def topics(here: Path, topic: str | None = None) -> list[Path]:
    """Return the folders of `solutions/` to release: one topic, or all.

    Raises FileNotFoundError, naming the topics there are, when there is no such one.
    """
    found = {path.parent for path in here.glob("solutions/*/*.ipynb")}
    if topic is None:
        return sorted(found)
    if here / "solutions" / topic not in found:
        names = ", ".join(sorted(path.name for path in found)) or "none"
        raise FileNotFoundError(
            f"solutions/{topic}: expected a topic with a notebook; there are: {names}"
        )
    return [here / "solutions" / topic]


def left_out(folder: Path) -> list[str]:
    """Return the files of a topic that are no notebooks, so are never released."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and ".ipynb_checkpoints" not in path.parts
        and (path.parent != folder or path.suffix != ".ipynb")
    )


def sources(here: Path, folder: Path) -> list[Path]:
    """Return a topic's solution notebooks, all of them fit to be released.

    Raises ValueError with every problem, by file and cell.
    """
    found = sorted(folder.glob("*.ipynb"))
    faults: list[str] = []
    for path in found:
        name = str(path.relative_to(here))
        if path.resolve() != path:
            faults.append(f"{name}: expected a file, got a symbolic link; remove it")
            continue
        notebook = notebooks.read(path)
        faults += notebooks.problems(notebook, name) + _source_faults(notebook, name)
    if faults:
        raise ValueError("nothing is released:\n" + "\n".join(faults))
    return found


def _source_faults(notebook: dict[str, Any], name: str) -> list[str]:
    """Return what only a source can lack; nbgrader would drop such cells whole."""
    return [
        f"{name}: {where(number, cell)}: holds no BEGIN SOLUTION; "
        "mark the lines that the learner writes"
        for number, cell in enumerate(notebook["cells"], 1)
        if is_solution(cell) and "BEGIN SOLUTION" not in source(cell)
    ]


def generate(here: Path, folders: Iterable[Path]) -> Labs:
    """Return the labs that these topics of `solutions/` make. Writes nothing.

    Raises ValueError, naming file and cell, when a source is not fit.
    """
    labs: Labs = {}
    for folder in folders:
        found = sources(here, folder)
        with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
            course = Path(scratch, "solutions", folder.name)
            course.mkdir(parents=True)
            for path in found:
                shutil.copy(path, course / path.name)
            _nbgrader(scratch, folder.name)
            for path in found:
                released = Path(scratch, "labs", folder.name, path.name)
                name = f"labs/{folder.name}/{path.name}"
                labs[name] = notebooks.tidy(notebooks.read(released))
    return labs


def _nbgrader(course: str, topic: str) -> None:
    """Let nbgrader write the learner's version, with no one's configuration but ours.

    Raises ValueError with nbgrader's last words when it refuses.
    """
    with slow_imports.without_iris():
        from nbgrader.converters import GenerateAssignment
        from nbgrader.converters.base import NbGraderException
        from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = course
    config.CourseDirectory.source_directory = "solutions"
    config.CourseDirectory.release_directory = "labs"
    config.CourseDirectory.assignment_id = topic
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False
    said = _Said()
    log = logging.Logger("nbgrader", logging.ERROR)
    log.addHandler(said)
    folder = CourseDirectory(config=config, log=log)
    try:
        GenerateAssignment(coursedir=folder, config=config, log=log).start()
    except NbGraderException as error:
        raise ValueError(
            f"solutions/{topic}: nbgrader refuses it:\n" + "\n".join(said.lines)
        ) from error


class _Said(logging.Handler):
    """Keeps what nbgrader logs, to be shown when it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def stale(here: Path, name: str, notebook: dict[str, Any]) -> bool:
    """Say whether a file below the course's root holds anything but this notebook."""
    path = here / name
    wanted = notebooks.dumps(notebook).encode()
    return not path.is_file() or path.read_bytes() != wanted


def write(here: Path, labs: Labs) -> list[str]:
    """Write the labs that changed and return their names.

    Raises ValueError when `labs/` leads elsewhere, such as into a learner's work.
    """
    for folder in {(here / name).parent for name in labs}:
        if folder.resolve() != folder:
            name = folder.relative_to(here)
            raise ValueError(f"{name}: expected a folder, got a symbolic link")
    changed = [name for name, notebook in labs.items() if stale(here, name, notebook)]
    for name in changed:
        notebooks.write(here / name, labs[name])
    return changed


def differences(here: Path, labs: Labs, topic: str | None = None) -> list[str]:
    """Return how `labs/`, or a topic of it, differs from what it should hold."""
    found = [
        f"{name}: missing or not what its source makes; run `securetrain release`"
        for name, notebook in labs.items()
        if stale(here, name, notebook)
    ]
    for path in notebooks.find(here / "labs" / (topic or "")):
        name = str(path.relative_to(here))
        if name not in labs:
            found.append(f"{name}: has no source under solutions/; delete it")
    return found


def home_page(here: Path, check: bool) -> list[str]:
    """Bring the home page's list of units up to date; return what is left to do."""
    page = here / home.HOME
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        fresh = Path(shutil.copy(page, scratch))
        if not home_index.write_index(fresh):
            return []
        if check:
            return [f"{home.HOME}: not the catalogue's; run `securetrain release`"]
        notebooks.write(page, notebooks.read(fresh))
    print(f"released {home.HOME}")
    return []


def main(argv: list[str]) -> int:
    """Write `labs/` and the home page's list of units, or only compare them."""
    parser = argparse.ArgumentParser(
        prog="securetrain release", description=main.__doc__
    )
    parser.add_argument("topic", nargs="?", help="such as 13-poisoning; default: all")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(argv)
    here = root()
    folders = topics(here, options.topic)
    labs = generate(here, folders)
    for folder in folders:
        for name in left_out(folder):
            print(f"not released: solutions/{folder.name}/{name} is no notebook")
    if not options.check:
        for name in write(here, labs):
            print(f"released {name}")
    wrong = differences(here, labs, options.topic) + home_page(here, options.check)
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0
