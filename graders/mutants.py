"""Prove that plausible wrong answers to a lab lose their points.

They lie in `graders/mutants/TOPIC/`; mutant_files.py says how they are written.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from IPython.display import display

from graders.mutant_files import Mutant, load
from securetrain import notebooks
from securetrain.notebook_rules import grading, is_check, is_solution, source
from securetrain.paths import root

AT_LEAST = 5  # mutants for each cell that is graded automatically
CPU_SECONDS = 300  # a backstop against an endless mutant


@dataclass(frozen=True)
class Outcome:
    """What a check made of a mutant.

    came: "passed", or the name of the exception; message: the exception's
    caught: it lost its points, and was told of its mistake
    """

    cell: str
    name: str
    mistake: str
    says: str
    came: str
    message: str
    seconds: float

    @property
    def caught(self) -> bool:
        return self.came == "AssertionError" and self.says in self.message


def run(notebook: Path, mutants: Sequence[Mutant]) -> list[Outcome]:
    """Try each mutant against its own cell's check, in this one process.

    The notebook runs once, as plain Python in its own folder. After a check has
    passed the reference solution, a fork for each mutant of its task goes back to the
    names from before the solution, and runs the mutant and that check alone. A fork
    inherits what the reference run has cached, and changes nothing for the others.
    Raises ValueError when the notebook itself fails, or has no cell for a mutant.
    """
    cells = _code(notebook)
    tasks = [grading(cell)["grade_id"] for cell in cells if is_solution(cell)]
    for mutant in mutants:
        if mutant.cell not in tasks:
            raise ValueError(
                f"mutant {mutant.cell}--{mutant.name}: no solution cell "
                f"'{mutant.cell}' in {notebook}; there are: {', '.join(tasks)}"
            )
    names: dict[str, Any] = {"__name__": "__main__", "display": display}
    before: dict[str, Any] = {}
    task = ""
    outcomes = []
    with contextlib.chdir(notebook.parent):
        for cell in cells:
            if is_solution(cell):
                before, task = dict(names), grading(cell)["grade_id"]
            came, message = attempt(names, source(cell), cell["id"])
            if came != "passed":
                raise ValueError(f"{notebook}: cell '{cell['id']}': {came}: {message}")
            if is_check(cell):
                outcomes += [
                    _fork(names, before, mutant, cell)
                    for mutant in mutants
                    if mutant.cell == task
                ]
    return outcomes


def _code(notebook: Path) -> list[dict[str, Any]]:
    found = notebooks.read(notebook)
    if faults := notebooks.problems(found, str(notebook)):
        raise ValueError("\n".join(faults))
    return [cell for cell in found["cells"] if cell["cell_type"] == "code"]


def few(notebook: Path, mutants: Sequence[Mutant]) -> dict[str, int]:
    """Return the solution cells with too few mutants, and how many each has."""
    count = Counter(mutant.cell for mutant in mutants)
    tasks = [grading(cell)["grade_id"] for cell in _code(notebook) if is_solution(cell)]
    return {task: count[task] for task in tasks if count[task] < AT_LEAST}


def attempt(names: dict[str, Any], code: str, cell: str) -> tuple[str, str]:
    """Run code among `names`, quietly; return "passed" or what it raised, and why."""
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            exec(compile(code, f"<{cell}>", "exec"), names)
    except (Exception, SystemExit) as error:
        return type(error).__name__, str(error)
    return "passed", ""


def _fork(names: dict, before: dict, mutant: Mutant, check: dict) -> Outcome:
    """Judge one mutant in a child process."""
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    started = time.perf_counter()
    child = context.Process(
        target=_judge, args=(theirs, names, before, mutant, source(check), check["id"])
    )
    child.start()
    theirs.close()
    try:
        came, message = ours.recv()
    except EOFError:
        came, message = "killed", "the process ended without a word"
    child.join()
    ours.close()
    given = (mutant.cell, mutant.name, mutant.mistake, mutant.says)
    return Outcome(*given, came, message, round(time.perf_counter() - started, 2))


def _judge(
    answer: Connection,
    names: dict[str, Any],
    before: dict[str, Any],
    mutant: Mutant,
    check: str,
    cell: str,
) -> None:
    """Run a mutant and its check; the names stay the one dict that functions see."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    names.clear()
    names.update(before)
    came, message = attempt(names, mutant.code, mutant.cell)
    if came == "passed":
        came, message = attempt(names, check, cell)
    else:
        message = f"the mutant itself does not run: {message}"
        came = f"{came} in the mutant"
    answer.send((came, message))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as text, the mistakes that went uncaught marked."""
    lines = []
    for one in outcomes:
        mark = "lost" if one.caught else "KEPT" if one.came == "passed" else "??"
        lines.append(f"{mark:<5}{one.seconds:6.2f} s  {one.cell:<12} {one.mistake}")
        if not one.caught:
            lines.append(f"      expected: …{one.says}…")
            lines.append(f"      came:     {one.came}: {one.message}")
    caught = sum(outcome.caught for outcome in outcomes)
    return "\n".join([*lines, f"{caught} of {len(outcomes)} mutants lose their points"])


def main(argv: list[str]) -> int:
    """Run a topic's mutants; 1 when one keeps its points or is told something else."""
    parser = argparse.ArgumentParser(
        prog="python -m graders.mutants", description=main.__doc__
    )
    parser.add_argument("notebook", type=Path, help="solutions/TOPIC/NAME.ipynb")
    parser.add_argument("--report", type=Path, help="write the outcomes here as JSON")
    options = parser.parse_args(argv)
    notebook = options.notebook.resolve()
    mutants = load(root() / "graders" / "mutants" / notebook.parent.name)
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        # One thread: a fork loses the others of a thread pool. Set before any import.
        os.environ |= {
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
            "SECURETRAIN_WORK": scratch,
        }
        outcomes = run(notebook, mutants)
    print(table(outcomes))
    if options.report:
        rows = [asdict(one) | {"caught": one.caught} for one in outcomes]
        options.report.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    missing = few(notebook, mutants)
    for cell, count in missing.items():
        print(f"cell '{cell}' has {count} mutants, expected {AT_LEAST} or more")
    return 1 if missing or not all(one.caught for one in outcomes) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"mutants: {error}")
