"""Where a stranger's words become code: expressions traced through a workflow.

The attacker opens a pull request, an issue or a branch, and chooses its words. The
runner copies them into a script before a shell reads it. They travel on: through the
environment, outputs of steps and jobs, a matrix, inputs of an action. This file follows
them and names each place where they arrive as code.

Scripts are judged by script_taint.py, which reads them and runs nothing. It does not
see what a program of yours does with a variable, an argument or a file: it may evaluate
them, or write outputs. Read those programs yourself, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from securetrain import expressions, script_taint
from securetrain.expressions import ExpressionError, Tree
from securetrain.interpreters import GIVES, RUN_VARIABLES, SETS_ENV
from securetrain.script_taint import Verdict
from securetrain.shell_words import ShellError
from securetrain.taint import Taint, trees
from securetrain.workflow_files import (
    OPEN,
    File,
    Place,
    Step,
    WorkflowError,
    at,
    in_order,
)

TYPED = {"boolean", "number", "choice"}  # GitHub refuses other values
VARIABLES = {"github_head_ref", "github_ref", "github_ref_name", "github_event_path"}
# Actions whose outputs are file names or branch names of a pull request.
LISTS = {"tj-actions/changed-files", "tj-actions/branch-names", "dorny/paths-filter"}
KNOWN = ("actions/", "docker/", "astral-sh/")  # their outputs are no strangers' words
LISTS |= {"xt0rted/pull-request-comment-branch"}
CODE = re.compile(
    r"(?:.*[-_])?(?:entrypoint|args|run|commands?|cmd|scripts?|inlinescript)(?:[-_].*)?"
)  # names of an action's inputs that are code


# --- Following ---------------------------------------------------------------------


def find(file: File) -> Iterator[tuple[Place, str]]:
    """Yield each place where a stranger's words become code, and how they came.

    Raises WorkflowError for an expression that cannot be read.
    """
    _read_all(file)
    top = Taint()
    called = "workflow_call" in file.triggers() if not file.is_action else True
    if called:
        top.inputs, top.typed = "whoever calls it", _typed(file)
    _add_env(top, file.data.get("env"), file.where("env"))
    if file.is_action:
        yield from _job(file, None, top)
    yield from _around(file, (), file.data, top)
    done: dict[tuple[str, str], str] = {}
    for name in in_order(file):
        job = file.jobs[name]
        taint = Taint(top.inputs, top.typed, dict(top.env), {}, done)
        place = ("jobs", name)
        taint.matrix = _matrix(taint, job, file.where(*place, "strategy"))
        _add_env(taint, job.get("env"), file.where(*place, "env"))
        yield from _around(file, place, job, taint)
        yield from _job(file, name, taint)
        if "uses" in job and OPEN & set(file.triggers()):
            done[name.lower(), "*"] = f"{job['uses']}: whatever it found"
        for output, text in (job.get("outputs") or {}).items():
            if how := taint.text(text, file.where(*place, "outputs")):
                done[name.lower(), str(output).lower()] = how


def _typed(file: File) -> set[str]:
    """Return the inputs that are declared as numbers, booleans or choices only."""
    kinds: dict[str, set[str]] = {}
    for event in file.triggers().values():
        declared = event.get("inputs")
        for name, one in declared.items() if isinstance(declared, dict) else ():
            kind = str(one.get("type", "")) if isinstance(one, dict) else ""
            kinds.setdefault(str(name).lower(), set()).add(kind)
    return {name for name, found in kinds.items() if found <= TYPED}


def _matrix(taint: Taint, job: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return how strange words come to be in each key of a job's matrix."""
    data = at(job, ("strategy", "matrix"))
    whole = not isinstance(data, dict) or {"include", "exclude"} & set(data)
    parts = {"*": data} if whole else data
    return {
        str(name).lower(): next(
            filter(None, map(taint.tree, all_trees(part, where))), ""
        )
        for name, part in parts.items()
    }


def _read_all(file: File) -> None:
    """Raise WorkflowError unless every expression of the file can be read."""
    for _ in all_trees(file.data.get("env"), file.where("env")):
        pass
    for name, job in file.jobs.items():
        _read_if(job, file.where("jobs", name))
        for key, part in job.items():
            if key != "steps":
                list(all_trees(part, file.where("jobs", name, key)))
    for step in file.steps():
        where = file.where(*step.place)
        _read_if(step.data, where)
        list(all_trees(step.data, where))


def _read_if(data: Mapping[str, Any], where: str) -> None:
    if isinstance(text := data.get("if"), str):
        try:
            expressions.condition(text)
        except ExpressionError as error:
            raise WorkflowError(f"{where}: {error}") from None


def all_trees(data: Any, where: str) -> Iterator[Tree]:
    """Yield the expressions in any part of a workflow."""
    if isinstance(data, str):
        yield from trees(data, where)
    elif isinstance(data, (dict, list)):
        for part in data.values() if isinstance(data, dict) else data:
            yield from all_trees(part, where)


def _add_env(taint: Taint, env: Any, where: str) -> None:
    if isinstance(env, str):  # the whole table is an expression
        how = taint.text(env, where)
        env = {"*": env} if how else {}
    for name, text in (env or {}).items():
        taint.env[str(name).lower()] = taint.text(text, where)


def _job(file: File, name: str | None, taint: Taint) -> Iterator[tuple[Place, str]]:
    for step in file.steps(name):
        here = replace(taint, env=dict(taint.env))
        where = file.where(*step.place)
        _add_env(here, step.data.get("env"), where)
        yield from _code(step, here, where)
        if "run" in step.data:
            yield from _script(file, step, here, taint)
        elif identity := str(step.data.get("id", "")).lower():
            given = [*step.inputs.values(), *(step.data.get("env") or {}).values()]
            how = next((h for text in given if (h := here.text(text, where))), "")
            if step.action in LISTS:
                how = how or f"{step.action}: names that a pull request chose"
            script = step.action == "actions/github-script"
            known = step.action.startswith(KNOWN) and not script
            if not known and OPEN & set(file.triggers()):
                how = how or f"{step.action}: whatever it found"
            if how:
                taint.outputs[identity, "*"] = how


def _around(
    file: File, place: Place, data: Mapping[str, Any], taint: Taint
) -> Iterator[tuple[Place, str]]:
    """Yield where words become code beside the steps: image, machine, shell, env."""
    for key in ("container", "services", "runs-on", "defaults"):
        for tree in all_trees(data.get(key), file.where(*place)):
            if how := taint.tree(tree):
                yield (*place, key), f"{how} is copied into `{key}`"
    yield from _run_by_programs(data.get("env"), taint, (*place, "env"))


def _run_by_programs(
    env: Any, taint: Taint, place: Place
) -> Iterator[tuple[Place, str]]:
    for name in env if isinstance(env, dict) else ():
        if str(name).lower() in RUN_VARIABLES and (how := taint.env[str(name).lower()]):
            yield (*place, name), f"{how} is run as code by what reads {name}"


def _code(step: Step, taint: Taint, where: str) -> Iterator[tuple[Place, str]]:
    """Yield where an expression is copied into code."""
    yield from _run_by_programs(step.data.get("env"), taint, (*step.place, "env"))
    for key in ("run", "shell", "working-directory"):
        if how := taint.text(step.data.get(key), where):
            yield (*step.place, key), f"{how} is copied into `{key}`"
    script = step.action == "actions/github-script"
    for key, text in (step.data.get("with") or {}).items():
        place, code = (*step.place, "with", key), CODE.fullmatch(str(key).lower())
        if not code or (script and str(key).lower() != "script"):
            continue
        if how := taint.text(text, where):
            yield place, f"{how} is copied into `{key}`"
            continue
        plain, _ = _unfilled(str(text), taint, where)
        found = _judged(plain, taint, where, "github-script" if script else "bash")
        if found.code:
            yield place, f"{found.code} is run as code by `{key}`"
        if script and found.env:
            yield place, f"{found.env} is written to GITHUB_ENV or GITHUB_PATH"


# --- Scripts -----------------------------------------------------------------------


def _script(
    file: File, step: Step, here: Taint, after: Taint
) -> Iterator[tuple[Place, str]]:
    """Follow words through a script; yield where they run or reach the environment."""
    place = (*step.place, "run")
    text, inlined = _unfilled(step.data["run"], here, file.where(*place))
    for shell in _shells(file, step):
        found = _judged(text, here, file.where(*place), shell)
        if found.code:
            yield place, f"{found.code} is run as code by the script itself"
        how = inlined if SETS_ENV.search(text) else ""
        if how := found.env or how:
            yield place, f"{how} is written to GITHUB_ENV or GITHUB_PATH"
            after.env["*"] = how
        how = inlined if GIVES.search(text) else ""
        identity = str(step.data.get("id", "")).lower()
        if (how := found.outputs or how) and identity:
            after.outputs[identity, "*"] = how


def _unfilled(text: str, taint: Taint, where: str) -> tuple[str, str]:
    """Return a script with 0 for each expression, and how strange words come in."""
    try:
        parts = expressions.parts(text)
    except ExpressionError as error:
        raise WorkflowError(f"{where}: {error}") from None
    plain = "".join(part if isinstance(part, str) else "0" for part in parts)
    return plain, taint.text(text, where)


def _judged(text: str, taint: Taint, where: str, shell: str) -> Verdict:
    strange = {name: how for name, how in taint.env.items() if how}
    strange |= {name: f"${name.upper()}" for name in VARIABLES}
    try:
        return script_taint.judge(text, strange, taint.files, shell)
    except ShellError as error:
        raise WorkflowError(f"{where}: {error}") from None


def _shells(file: File, step: Step) -> list[str]:
    """Return the shells that may read a step's script; two where a machine varies."""
    job = file.jobs.get(step.job, {})
    machine = str(job.get("runs-on", "")).lower()
    named = step.data.get("shell")
    for data in (job, file.data):
        named = named or at(data, ("defaults", "run", "shell"))
    if not named and "${{" in machine:
        return ["bash", "pwsh"]
    named = str(named or ("pwsh" if "windows" in machine else "bash"))
    return [named.split()[0].rpartition("/")[2].removesuffix(".exe").lower()]
