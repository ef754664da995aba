"""The public checks of a lab or a lesson, run on a learner's functions in place.

A lab's checks are those of the released lab. A lesson's exercise asks for one function
NAME; its check is `exercises/UNIT/NAME.py`, which defines `check(NAME)`. Checks run
among a copy of the learner's names, and what they raise becomes a line that says what
to do.
"""

from __future__ import annotations

import ast
import linecache
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from securetrain import catalogue, lab_copies, notebooks
from securetrain.catalogue import Unit
from securetrain.notebook_rules import grading, is_check, is_solution, source

EXERCISES = Path(__file__).parent / "exercises"
LONGEST = 300  # characters of an exception's message


@dataclass(frozen=True)
class Task:
    """A task of a lab, or an exercise of a lesson.

    defines: the functions and classes of its cell; check: the check's source
    """

    name: str
    defines: tuple[str, ...]
    check: str

    def __str__(self) -> str:
        others = [f"`{name}`" for name in self.defines if name != self.name]
        return f"{self.name} ({', '.join(others)})" if others else self.name


@dataclass(frozen=True)
class Lab:
    """A released lab, or a lesson with exercises.

    given: the functions and classes of a lab's locked cells
    """

    unit: Unit
    tasks: tuple[Task, ...]
    given: frozenset[str]

    def find(self, name: str) -> Task:
        """Return the task that a word or a function's name stands for.

        Raises ValueError that lists the tasks.
        """
        for task in self.tasks:
            if name in (task.name, f"check-{task.name}", *task.defines):
                return task
        known = ", ".join(map(str, self.tasks)) or "none"
        raise ValueError(f"No task '{name}' in {self.unit.id}. There are: {known}.")


@dataclass(frozen=True)
class Result:
    """What a check made of a task; state: passed, failed, or why it did not run."""

    task: Task
    state: str
    text: str = ""

    @property
    def tried(self) -> bool:
        """Was there an answer to check?"""
        return self.state in ("passed", "failed")

    def __str__(self) -> str:
        line = f"{self.task.name}: {self.state}"
        return f"{line}. {self.text}" if self.text else line


def load(unit_id: str) -> Lab:
    """Return the tasks of a released lab or of a lesson, with their public checks.

    Raises ValueError for a lesson without an exercise, FileNotFoundError for a lab
    that was not released.
    """
    unit = catalogue.unit(unit_id)
    if tasks := exercises(unit):
        return Lab(unit, tasks, frozenset())
    if unit.kind != "lab":
        known = ", ".join(lab.id for lab in lab_copies.labs())
        others = ", ".join(u.id for u in catalogue.units() if exercises(u))
        raise ValueError(
            f"'{unit_id}' is a {unit.kind}, expected a lab: {known}."
            f" Lessons with an exercise: {others or 'none'}."
        )
    cells = notebooks.read(lab_copies.released(unit))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    checks = {grading(c)["grade_id"]: source(c) for c in code if is_check(c)}
    answers = {grading(c)["grade_id"]: source(c) for c in code if is_solution(c)}
    tasks = [
        Task(name, tuple(_definitions(answer)), checks[f"check-{name}"])
        for name, answer in answers.items()
    ]
    locked = [source(cell) for cell in code if grading(cell).get("locked")]
    given = frozenset(name for text in locked for name in _definitions(text))
    return Lab(unit, tuple(tasks), given)


def exercises(unit: Unit) -> tuple[Task, ...]:
    """Return the exercises of a lesson, in the order of their names; () without any."""
    return tuple(
        Task(
            path.stem,
            (path.stem,),
            f"{path.read_text(encoding='utf-8')}\n\ncheck({path.stem})\n",
        )
        for path in sorted((EXERCISES / unit.id).glob("*.py"))
    )


def _definitions(code: str) -> list[str]:
    """Return the names of the functions and classes at the top of a cell."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(code).body if isinstance(node, kinds)]


def run(task: Task, names: dict[str, Any], given: Iterable[str] = ()) -> Result:
    """Run a task's check on the functions among `names`, which stay as they are.

    The check's own names and functions live in a copy; the learner's functions keep
    the globals they were made with.
    given: functions of the course's own cells, no line of which is the learner's
    """
    missing = [f"`{name}`" for name in task.defines if name not in names]
    if missing:
        text = f"Run the cell that defines {' and '.join(missing)}."
        return Result(task, "not defined yet", text)
    try:
        code = compile(task.check, f"<check-{task.name}>", "exec", dont_inherit=True)
        exec(code, dict(names))
    except (Exception, SystemExit) as error:
        return _explain(task, error, names, frozenset(given))
    return Result(task, "passed")


def _explain(
    task: Task, error: BaseException, names: dict[str, Any], given: frozenset[str]
) -> Result:
    """Return what a learner needs to know of what their check raised."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [
        (frame.f_code, line)
        for frame, line in frames
        if frame.f_globals is names and _function(frame.f_code) not in given
    ]
    short = f"{type(error).__name__}: {_first_line(error)}"
    if own:
        code, line = own[-1]
        name = _function(code)
        if isinstance(error, NotImplementedError) and frames[-1][0].f_code is code:
            text = f"`{name}` still raises NotImplementedError."
            return Result(task, "not written yet", text)
        wrote = linecache.getline(code.co_filename, line).strip()
        text = f"{short}\n    line {line} in `{name}`: {wrote}"
        return Result(task, "failed", text)
    if isinstance(error, AssertionError):
        return Result(task, "failed", str(error) or "A condition of it does not hold.")
    if isinstance(error, NameError):
        text = f"It needs `{error.name}`. Run the cells above its check first."
        return Result(task, "not ready", text)
    asked = " and ".join(f"`{name}`" for name in task.defines) or "your answer"
    text = (
        f"The check stopped with {short}\n"
        f"    Do the arguments and the result of {asked} fit its docstring?"
    )
    return Result(task, "failed", text)


def _first_line(error: BaseException) -> str:
    return (str(error) or "no message").splitlines()[0][:LONGEST]


def _function(code: CodeType) -> str:
    """Return the name of the outermost function or class that code stands in."""
    return code.co_qualname.partition(".")[0]
