"""`%check` in a lab or a lesson: run the checks of your tasks, here and at once.

`progress.start` of a unit that has checks switches it on in a live notebook. The first
hint is offered after the first failure, the next one each time that it is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from securetrain import checks, hints, lab_copies, progress
from securetrain.catalogue import Unit
from securetrain.checks import Lab, Result, Task
from securetrain.hints import Hints


@dataclass
class Told:
    """What a learner was told about a task in this kernel.

    steps: hints shown; offered: knows that there are hints
    failed: what the last check said, "" when it passed, None before any
    explained: mistakes' hints
    """

    steps: int = 0
    offered: bool = False
    failed: str | None = None
    explained: set[str] = field(default_factory=set)


@magics_class
class CheckMagic(Magics):
    """The magic, and what it remembers in this kernel: the lab, and what was told."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.unit_id = ""
        self.told: dict[tuple[str, str], Told] = defaultdict(Told)

    @line_magic
    @magic_arguments()
    @argument("tasks", nargs="*", metavar="TASK", help="default: all that you wrote")
    @argument("--hint", action="store_true", help="the next hint for a task")
    @argument("--lab", metavar="TOPIC/NAME", help="default: the lab you started")
    def check(self, line: str) -> None:
        """Run the checks of your tasks here and at once, or read a hint."""
        try:
            options = parse_argstring(self.check, line)
            lab = self._lab(options.lab)
            tasks = [lab.find(name) for name in options.tasks]
            (self._hints if options.hint else self._checks)(lab, tasks)
        except (FileNotFoundError, ValueError) as error:
            raise UsageError(str(error)) from None

    def _lab(self, name: str | None) -> Lab:
        if not (name or self.unit_id):
            known = ", ".join(lab.id for lab in lab_copies.labs())
            raise ValueError(
                "No lab was started here. Run the lab's first cell, or name the lab: "
                f"%check --lab NAME. There are: {known}."
            )
        return checks.load(name or self.unit_id)

    def _checks(self, lab: Lab, tasks: list[Task]) -> None:
        """Check these tasks, or all that are defined; print a line for each."""
        names = self.shell.user_ns
        later = [t for t in lab.tasks if not all(name in names for name in t.defines)]
        chosen = tasks or [task for task in lab.tasks if task not in later]
        results = []
        for task in chosen:
            results.append(checks.run(task, names, lab.given))
            print(results[-1], flush=True)
            self._note(lab.unit, results[-1])
        if later and not tasks:
            print(f"Not defined yet: {', '.join(map(str, later))}.")
        if any(result.state == "failed" for result in results):
            self._compare_versions(lab.unit)

    def _note(self, unit: Unit, result: Result) -> None:
        """Record a try, and say once a task that there are hints."""
        if not result.tried:
            return
        name = result.task.name
        told = self.told[unit.id, name]
        told.failed = result.text
        progress.record("checked", unit.id, part=name, success=not told.failed)
        if not told.failed or told.offered:
            return
        told.offered = True
        if steps := hints.load(unit.id).get(name, Hints()).steps:
            print(f"    `%check {name} --hint` helps, in {len(steps)} steps.")

    def _compare_versions(self, unit: Unit) -> None:
        """Say so when the learner's copy comes from another release than the checks."""
        if unit.kind != "lab":
            return
        if lab_copies.own(unit).is_file() and lab_copies.is_old(unit):
            print(
                "Note: your copy was made from another version of this lab than these "
                f"checks; `securetrain start {unit.id} --new` puts the newest beside."
            )

    def _hints(self, lab: Lab, tasks: list[Task]) -> None:
        """Print the next hint for these tasks, or for the first that failed."""
        failed = [t for t in lab.tasks if self.told[lab.unit.id, t.name].failed]
        if len(lab.tasks) == 1:
            failed = [*lab.tasks]  # the only one that can be meant
        if not (tasks or failed):
            known = ", ".join(map(str, lab.tasks))
            raise ValueError(f"Name a task: %check TASK --hint. There are: {known}.")
        known = hints.load(lab.unit.id)
        for task in tasks or failed[:1]:
            print(self._hint(lab.unit, task.name, known.get(task.name, Hints())))

    def _hint(self, unit: Unit, name: str, known: Hints) -> str:
        """Return what to say next: on the mistake just made, then step by step.

        A lesson has no hidden check: after a pass there is nothing to hint at.
        """
        told = self.told[unit.id, name]
        told.offered = True
        before = name
        passed = told.failed == ""
        if passed and unit.kind == "lab":  # hidden checks may still ask for more
            before = f"the released check passed; steps anyway. {name}"
        elif passed:
            return f"{name}: its last check passed, there is nothing to hint at."
        mistake = known.about(told.failed or "")
        if mistake and mistake not in told.explained:
            told.explained.add(mistake)
            return f"{name}, on what the check said: {mistake}"
        if not known.steps:
            return f"{name}: there are no hints for this task."
        number = told.steps % len(known.steps)  # after the last, from the start
        told.steps += 1
        said = f"hint {number + 1} of {len(known.steps)}: {known.steps[number]}"
        return f"{before}, {said}"


def enable(shell: InteractiveShell, unit_id: str = "") -> None:
    """Make `%check` known in a live shell, for one lab or lesson.

    Once more in the same kernel changes the unit and forgets no hint.
    """
    registry = shell.magics_manager.registry
    if "CheckMagic" not in registry:
        shell.register_magics(CheckMagic)
    registry["CheckMagic"].unit_id = unit_id or registry["CheckMagic"].unit_id


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Let `%load_ext securetrain.check_magic` do the same without a lab."""
    enable(shell)
