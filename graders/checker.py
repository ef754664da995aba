"""The trusted side: run the checks, reach the student's functions through proxies.

Checks and hidden tests never enter the jail. A check calls `stamp(x)` as in a notebook;
here `stamp` is a `Proxy` that sends the arguments to the student's process and gives
back the plain data that comes from there.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from graders import confine
from graders.outputs import MAX_OUTPUT, allowed
from graders.rebuild import Plan, Step
from graders.sandbox import Gone, Jail, Limits, NoJail, OutOfTime, Student
from graders.text import clean
from graders.wire import Opaque
from securetrain.notebook_rules import grading

# What a student's function may raise as in a notebook; no AssertionError, which is how
# a check itself fails, and no StopIteration, which would end a check's loop instead.
PASSED_ON = (ArithmeticError, AttributeError, EOFError, FileNotFoundError, IndexError)
PASSED_ON += (KeyError, LookupError, MemoryError, NameError, NotImplementedError)
PASSED_ON += (OSError, OverflowError, PermissionError, RecursionError, RuntimeError)
PASSED_ON += (TimeoutError, TypeError, ValueError, ZeroDivisionError)
RESTARTS = 3
DIE_WITH_PARENT = 1  # of prctl


@dataclass
class Mark:
    """What a graded cell earned: None when a human decides; and what was said."""

    id: str
    points: float
    score: float | None
    message: str = ""


@dataclass
class Marked:
    """A hand-in after grading: marks, what each cell showed, what is to be told.

    left: how many characters its cells may still show
    """

    marks: list[Mark] = field(default_factory=list)
    shown: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    wall: bool = False
    left: int = MAX_OUTPUT


class Reference:
    """The course's own answers, run once; what they cached serves every hand-in.

    names: the namespace that the checks' functions live in
    given: what each of the course's own cells binds; answered: what each answer binds
    """

    def __init__(self, plan: Plan) -> None:
        """Run it. Raises ValueError when the course's own answers fail a check."""
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.given: dict[str, dict[str, Any]] = {}
        self.answered: dict[str, dict[str, bool]] = {}
        started = time.process_time()
        for step in plan.steps:
            if step.kind not in ("given", "answer", "check"):
                continue
            before = dict(self.names)
            if error := execute(step.code, self.names, step.id):
                raise ValueError(
                    f"the course's own notebook fails in cell '{step.id}' with this "
                    f"seed: {type(error).__name__}: {error}"
                )
            changed = {
                name: value
                for name, value in self.names.items()
                if name not in before or before[name] is not value
            }
            if step.kind == "given":
                self.given[step.id] = changed
            elif step.kind == "answer":
                answered = _public(step.code)
                bound = {n: self.names[n] for n in answered if n in self.names}
                self.answered[step.id] = {n: callable(v) for n, v in bound.items()}
        self.cpu_seconds = time.process_time() - started


def _public(code: str) -> list[str]:
    """Return the names that an answer binds at its top level."""
    found = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name for target in targets for name in ast.walk(target)]
            found += [
                name.id
                for name in names
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            ]
    return found


def execute(code: str, names: dict[str, Any], cell: str) -> BaseException | None:
    """Run trusted code quietly; return what it raised.

    Raises NoJail, which says nothing about the code.
    """
    quiet = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(quiet),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            exec(compile(code, f"<{cell}>", "exec"), names)
    except NoJail:
        raise
    except (Exception, OutOfTime) as error:
        return error
    return None


@contextlib.contextmanager
def bounded(cpu: float) -> Iterator[None]:
    """Raise OutOfTime when the block takes more CPU seconds, then every second."""
    signal.signal(signal.SIGPROF, _out_of_time)
    signal.setitimer(signal.ITIMER_PROF, cpu, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


class Session:
    """A student's process; one that ends is started anew without the guilty cell.

    All of them together have what the limits give to one.
    """

    def __init__(self, jail: Jail, limits: Limits) -> None:
        self.jail, self.limits, self.stack = jail, limits, contextlib.ExitStack()
        self.student: Student = self.stack.enter_context(jail.submission(limits))
        self.ran: list[str] = []
        self.restarts, self.over = 0, ""

    def run(self, code: str) -> dict[str, Any]:
        """Run a cell. Raises Gone when it ends the process."""
        answer = self._ask({"op": "run", "code": code})
        self.ran.append(code)
        return answer

    def call(self, name: str, args: tuple, kwargs: dict) -> dict[str, Any]:
        """Call a function. Raises Gone when it ends the process."""
        return self._ask(
            {"op": "call", "name": name, "args": list(args), "kwargs": kwargs}
        )

    def get(self, name: str) -> dict[str, Any]:
        """Fetch a value. Raises Gone when the process ends over it."""
        return self._ask({"op": "get", "name": name})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.over:
            raise Gone(self.over)
        try:
            return self.student.ask(request)
        except Gone as gone:
            self._again(gone)
            raise

    def _again(self, gone: Gone) -> None:
        """Start a new process and bring it to where the old one was."""
        before = self.student.watch
        self.stack.close()
        self.restarts += 1
        if gone.limit or self.restarts > RESTARTS:
            self.over = str(gone)
            return
        again = self.jail.submission(self.limits, before)
        self.student = self.stack.enter_context(again)
        try:
            for code in self.ran:
                self.student.ask({"op": "run", "code": code})
        except Gone as again:
            self.over = str(again)

    @property
    def cpu_seconds(self) -> float:
        """What the student's processes have used."""
        return self.student.watch.cpu_seconds

    def close(self) -> None:
        """End the student's process."""
        self.stack.close()


class Proxy:
    """A student's function as a check sees it."""

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._name = session, name
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = self._session.call(self._name, args, kwargs)
        if answer.get("error"):
            raise _as_raised(*answer["error"])
        if answer.get("changed"):
            # Written back, a change could rig what the check expects.
            raise AssertionError(
                f"{self._name} changed the data that it was given: work on a copy."
            )
        value = answer.get("value")
        if type(value) is Opaque:
            raise TypeError(
                f"{self._name} returned an object of type {value.kind}; expected plain "
                "data: numbers, text, lists, dicts, arrays or tensors"
            )
        return value


def _as_raised(name: str, message: str, line: int, kinds: list[str]) -> Exception:
    """Return a student's exception: of the nearest of its classes that is a plain one.

    kinds: the names of its class and of those it descends from, in Python's order
    """
    plain = {kind.__name__: kind for kind in PASSED_ON}
    nearest = next((plain[kind] for kind in kinds if kind in plain), RuntimeError)
    error = nearest(message)
    error.by_student = (name, message, line)
    return error


def mark(plan: Plan, reference: Reference, session: Session, cpu: int) -> Marked:
    """Run a rebuilt notebook: the student's cells in the jail, the checks here.

    cpu: CPU seconds that one step may use in this process; all of them together may
        use as many as a student's processes
    """
    names, done = reference.names, Marked(notes=list(plan.notes))
    names.clear()  # what the reference run left: a check sees what this run made
    names["__name__"] = "__main__"
    end = time.process_time() + session.limits.cpu_total
    for step in plan.steps:
        left = min(cpu, end - time.process_time())
        try:
            with bounded(max(left, 0.1)):
                _take(step, reference, session, done)
        except OutOfTime as error:  # between the places that expect it
            if step.kind == "check" and step.id not in [m.id for m in done.marks]:
                done.marks.append(_lost(step, error))
    return done


def _take(step: Step, reference: Reference, session: Session, done: Marked) -> None:
    """Do what a step asks for."""
    names = reference.names
    if step.kind in ("code", "answer", "given") and step.needed:
        done.shown[step.id], done.left = allowed(_run(step, session, done), done.left)
    if step.kind == "given":
        names.update(reference.given[step.id])
    elif step.kind == "answer":
        names.update(_answers(reference.answered[step.id], session))
    elif step.kind == "check":
        done.marks.append(_check(step, names, done))
    elif step.kind == "prose":
        done.marks.append(_prose(step))


def _run(step: Step, session: Session, done: Marked) -> dict[str, Any]:
    try:
        return session.run(step.code)
    except Gone as gone:
        done.wall |= gone.wall
        done.notes.append(f"The cell '{step.id}' was stopped: {gone}.")
        return {"error": ["Stopped", str(gone), 0, []]}


def _answers(names: dict[str, bool], session: Session) -> dict[str, Any]:
    """Return what the checks see of an answer: proxies for functions, plain values."""
    found: dict[str, Any] = {}
    for name, is_function in names.items():
        if is_function:
            found[name] = Proxy(session, name)
            continue
        with contextlib.suppress(Gone):
            answer = session.get(name)
            if not answer.get("error"):
                found[name] = answer.get("value")
    return found


def _check(step: Step, names: dict[str, Any], done: Marked) -> Mark:
    """Run one check, all or nothing."""
    error = execute(step.code, names, step.id)
    if error is None:
        points = float(grading(step.cell)["points"])
        return Mark(step.id, points, points)
    if isinstance(error, Gone):
        done.wall |= error.wall
    return _lost(step, error)


def _lost(step: Step, error: BaseException) -> Mark:
    """Return the mark of a check that failed."""
    points = float(grading(step.cell)["points"])
    return Mark(step.id, points, 0.0, clean(explain(error)))


def explain(error: BaseException) -> str:
    """Say in a student's words why a check failed."""
    if isinstance(error, Gone):
        return f"Your code was stopped: {error}."
    if hasattr(error, "by_student"):
        name, message, line = error.by_student
        if name == "NotImplementedError" and not message:
            return "This task is not answered yet: the function raises an error."
        where = f", in line {line} of its cell" if line > 0 else ""
        return f"Your function raised {name}: {message}{where}"
    if isinstance(error, AssertionError):
        return str(error) or "The check failed."
    if isinstance(error, MemoryError):
        return "The check ran out of memory: what your function returned is too large."
    if isinstance(error, NameError) and error.name:  # the course's own answers have it
        return f"Your answer does not define '{error.name}'."
    return (
        "The check could not use what your function returned: "
        f"{type(error).__name__}: {error}"
    )


def _prose(step: Step) -> Mark:
    """An answer in words waits for a human; an untouched one earns nothing."""
    points = float(grading(step.cell)["points"])
    if step.code:
        return Mark(step.id, points, None)
    return Mark(step.id, points, 0.0, "No answer was written.")


def _out_of_time(*_: Any) -> None:
    raise OutOfTime("it took too much CPU time: a value may be far too large")


def in_child(
    work: Callable[[], bytes], cpu_seconds: int, memory_mb: int
) -> tuple[int, int]:
    """Fork, and let the child write what `work` returns; return (process, its pipe).

    The child's CPU time is bounded, and the memory that it takes besides what it
    starts with; whatever it changes ends with it.
    """
    ours, theirs = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child:
        os.close(theirs)
        return child, ours
    status = 1
    try:
        confine.call("prctl", DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        memory = psutil.Process().memory_info().data + memory_mb * confine.MEGABYTE
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.getppid() == parent:
            with open(theirs, "wb") as pipe:
                pipe.write(work())
            status = 0
    except BaseException:  # the instructor's to read: a fault of the course or grader
        traceback.print_exc()
    finally:
        os._exit(status)
