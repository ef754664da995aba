"""Where a stranger's words become code: expressions traced through a workflow.

The attacker opens a pull request, an issue or a branch, and chooses its words. The
runner copies them into a script before a shell reads it. They travel on: through the
environment, outputs of steps and jobs, a matrix, inputs of an action. This file follows
them and names each place where they arrive as code.

It reads scripts line by line and is no shell: it misses what it does not know, a file
that is written and then run, for example. Read the scripts yourself, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from securetrain import expressions
from securetrain.expressions import ExpressionError, Path, Tree
from securetrain.workflow_files import OPEN, File, Place, Step, WorkflowError, in_order

# Of what an event brings, these leaves cannot hold words: numbers, hashes, dates, names
# that are letters, digits and hyphens. All the rest is the stranger's.
SAFE_LEAVES = {"number", "id", "node_id", "sha", "before", "after", "action", "login"}
SAFE_LEAVES |= {"merged", "draft", "state", "created_at", "updated_at", "event"}
SAFE_LEAVES |= {"full_name", "html_url", "clone_url", "conclusion", "run_number"}
SAFE_LEAVES |= {"merge_commit_sha", "head_sha", "workflow_id", "fork", "private"}
SAFE_LEAVES |= {"author_association", "size", "type"}
STRANGER = {
    "head_ref",
    "ref",
    "ref_name",
    "workflow_ref",
    "event_path",
}  # of `github`, besides its event
VARIABLES = {"GITHUB_HEAD_REF", "GITHUB_REF", "GITHUB_REF_NAME", "GITHUB_EVENT_PATH"}
# Commands that print what strangers wrote, and actions whose outputs are file names
# or branch names of a pull request.
PRINTS = re.compile(r"\bgit (log|show|diff|branch|shortlog)\b|\bgh (pr|issue|api)\b")
LISTS = {"tj-actions/changed-files", "tj-actions/branch-names", "dorny/paths-filter"}
KNOWN = ("actions/", "docker/", "astral-sh/")  # their outputs are no strangers' words
CALLS = re.compile(r"\b(?:eval|execSync|exec|spawnSync|spawn|Function)\s*\(")
LISTS |= {"xt0rted/pull-request-comment-branch"}
RUN_VARIABLES = {"BASH_ENV", "PATH", "LD_PRELOAD", "NODE_OPTIONS", "PYTHONSTARTUP"}
RUN_VARIABLES |= {"GIT_SSH_COMMAND"}
CODE = {"entrypoint", "args", "run", "command", "cmd", "script", "inlinescript"}
INTERPRETS = re.compile(
    r"(?:^|[\s;&|(`])(?:eval|trap|ssh|(?:\S*/)?(?:ba|da|z)?sh\s+(?:-\S+\s+)*-\w*c|python3?\s+-c|node\s+-e|perl\s+-e"
    r"|ruby\s+-e|source\s+<\(|(?:\S*/)?(?:ba|da|z)?sh\b[^|;]*<<<|xargs\s+-I)(.*)"
)
RUNS_INPUT = re.compile(
    r"\|\s*(?:\S*/)?(?:ba|da|z)?sh\b|\b(?:(?:ba|da|z)?sh|python3?|node|perl|ruby)\b"
    r"[^|;]*<<-?\s*\w"
)
TO_FILE = re.compile(r"GITHUB_(OUTPUT|ENV|PATH)\b")


@dataclass
class Taint:
    """What a place in a workflow knows of a stranger's words: name -> how they came."""

    inputs: str = ""  # how strange the inputs are, "" when they are not
    env: dict[str, str] = field(default_factory=dict)
    outputs: dict[tuple[str, str], str] = field(default_factory=dict)  # step, name
    needs: dict[tuple[str, str], str] = field(default_factory=dict)  # job, name
    matrix: str = ""

    def of(self, path: Path) -> str:
        """Return how a stranger's words come to be in a context, "" when not."""
        name, rest = path[0], path[1:]
        dotted = ".".join(path)
        if name == "github":
            return dotted if _strange(rest) else ""
        if name == "env":
            every = rest[:1] in ((), ("*",))
            names = list(self.env) if every else [rest[0], "*"]
            return _via(dotted, [self.env.get(name, "") for name in names])
        if name == "steps":
            return _via(dotted, _matching(self.outputs, rest))
        if name == "needs":
            return _via(dotted, _matching(self.needs, rest))
        if name == "inputs":
            return _via(dotted, [self.inputs])
        return _via(dotted, [self.matrix]) if name == "matrix" else ""

    def tree(self, tree: Tree) -> str:
        """Return how a stranger's words come out of an expression, "" when not."""
        return next((how for p in expressions.flows(tree) if (how := self.of(p))), "")

    def text(self, text: Any, where: str) -> str:
        """Return the same for a text with expressions in it."""
        if not isinstance(text, str):
            return ""
        return next((how for t in trees(text, where) if (how := self.tree(t))), "")


def trees(text: str, where: str) -> list[Tree]:
    """Return a text's expressions. Raises WorkflowError with the place."""
    try:
        return expressions.trees(text)
    except ExpressionError as error:
        raise WorkflowError(f"{where}: {error}") from None


def _strange(rest: Path) -> bool:
    if not rest or rest[0] == "*":  # toJSON(github): everything at once
        return True
    if rest[0] != "event":
        return rest[0] in STRANGER
    if rest[1:2] == ("inputs",):  # typed by somebody who may start the workflow
        return False
    if len(rest) > 2 and (rest[-2], rest[-1]) == ("base", "ref"):
        return False  # a branch of our own
    if rest[-2:] == ("pull_request", "commits"):
        return False  # their number; those of a push are words
    return len(rest) == 1 or rest[-1] not in SAFE_LEAVES


def _via(name: str, hows: Any) -> str:
    how = next((how for how in hows if how), "")
    return f"{name}, from {how}" if how else ""


def _matching(known: Mapping[tuple[str, str], str], rest: Path) -> list[str]:
    """Return what is known of `steps.ID.outputs.NAME` or `needs.JOB.outputs.NAME`."""
    who = rest[0] if rest else "*"
    name = rest[2] if len(rest) > 2 else "*"
    if rest[1:2] not in ((), ("outputs",), ("*",)):
        return []
    return [
        how
        for (owner, output), how in known.items()
        if who in (owner, "*") and ("*" in (name, output) or name == output)
    ]


# --- Following ---------------------------------------------------------------------


def find(file: File) -> Iterator[tuple[Place, str]]:
    """Yield each place where a stranger's words become code, and how they came.

    Raises WorkflowError for an expression that cannot be read.
    """
    _read_all(file)
    top = Taint()
    called = "workflow_call" in file.triggers() if not file.is_action else True
    if called:
        top.inputs = "whoever calls it"
    _add_env(top, file.data.get("env"), file.where("env"))
    if file.is_action:
        yield from _job(file, None, top)
    yield from _around(file, (), file.data, top)
    done: dict[tuple[str, str], str] = {}
    for name in in_order(file):
        job = file.jobs[name]
        taint = Taint(top.inputs, dict(top.env), {}, done)
        place = ("jobs", name)
        for tree in _all_trees(job.get("strategy"), file.where(*place, "strategy")):
            taint.matrix = taint.matrix or taint.tree(tree)
        _add_env(taint, job.get("env"), file.where(*place, "env"))
        yield from _around(file, place, job, taint)
        yield from _job(file, name, taint)
        if "uses" in job and OPEN & set(file.triggers()):
            done[name.lower(), "*"] = f"{job['uses']}: whatever it found"
        for output, text in (job.get("outputs") or {}).items():
            if how := taint.text(text, file.where(*place, "outputs")):
                done[name.lower(), str(output).lower()] = how


def _read_all(file: File) -> None:
    """Raise WorkflowError unless every expression of the file can be read."""
    for _ in _all_trees(file.data.get("env"), file.where("env")):
        pass
    for name, job in file.jobs.items():
        _read_if(job, file.where("jobs", name))
        for key, part in job.items():
            if key != "steps":
                list(_all_trees(part, file.where("jobs", name, key)))
    for step in file.steps():
        where = file.where(*step.place)
        _read_if(step.data, where)
        list(_all_trees(step.data, where))


def _read_if(data: Mapping[str, Any], where: str) -> None:
    if isinstance(text := data.get("if"), str):
        try:
            expressions.condition(text)
        except ExpressionError as error:
            raise WorkflowError(f"{where}: {error}") from None


def _all_trees(data: Any, where: str) -> Iterator[Tree]:
    """Yield the expressions in any part of a workflow."""
    if isinstance(data, str):
        yield from trees(data, where)
    elif isinstance(data, (dict, list)):
        for part in data.values() if isinstance(data, dict) else data:
            yield from _all_trees(part, where)


def _add_env(taint: Taint, env: Any, where: str) -> None:
    if isinstance(env, str):  # the whole table is an expression
        how = taint.text(env, where)
        env = {"*": env} if how else {}
    for name, text in (env or {}).items():
        taint.env[str(name).lower()] = taint.text(text, where)


def _job(file: File, name: str | None, taint: Taint) -> Iterator[tuple[Place, str]]:
    for step in file.steps(name):
        here = Taint(taint.inputs, dict(taint.env), taint.outputs, taint.needs,
                     taint.matrix)  # fmt: skip
        where = file.where(*step.place)
        _add_env(here, step.data.get("env"), where)
        yield from _code(step, here, where)
        if "run" in step.data:
            yield from _script(step, here, taint)
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
        for tree in _all_trees(data.get(key), file.where(*place)):
            if how := taint.tree(tree):
                yield (*place, key), f"{how} is copied into `{key}`"
    yield from _run_by_programs(data.get("env"), taint, (*place, "env"))


def _run_by_programs(
    env: Any, taint: Taint, place: Place
) -> Iterator[tuple[Place, str]]:
    for name in env if isinstance(env, dict) else ():
        if str(name).upper() in RUN_VARIABLES and (how := taint.env[str(name).lower()]):
            yield (*place, name), f"{how} is run as code by what reads {name}"


def _code(step: Step, taint: Taint, where: str) -> Iterator[tuple[Place, str]]:
    """Yield where an expression is copied into code."""
    yield from _run_by_programs(step.data.get("env"), taint, (*step.place, "env"))
    for key in ("run", "shell", "working-directory"):
        if how := taint.text(step.data.get(key), where):
            yield (*step.place, key), f"{how} is copied into `{key}`"
    for key, text in (step.data.get("with") or {}).items():
        place = (*step.place, "with", key)
        if str(key).lower() in CODE and (how := taint.text(text, where)):
            yield place, f"{how} is copied into `{key}`"
    script = str(step.inputs.get("script", ""))
    if step.action == "actions/github-script" and CALLS.search(script):
        strange = {name.upper(): how for name, how in taint.env.items() if how}
        payload = "context.payload" if "context.payload" in script else ""
        if how := payload or _used(script, strange):
            yield (*step.place, "with"), f"{how} is run as code by the script itself"


# --- Scripts -----------------------------------------------------------------------


def _script(step: Step, here: Taint, after: Taint) -> Iterator[tuple[Place, str]]:
    """Follow variables through a script; yield where one is run as code."""
    place = (*step.place, "run")
    strange = {name.upper(): how for name, how in here.env.items() if how}
    strange |= {name: name for name in VARIABLES}
    text = step.data["run"].replace("\\\n", " ")
    inlined = here.text(text, "")
    block = bool(re.search(r"\}\s*>>|<<-?\s*['\"]?\w", text))
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        how = _used(line, strange) or (inlined if "${{" in line else "")
        if target := re.match(r"\s*(?:local |export |readonly )?(\w+)\+?=", line):
            if how or PRINTS.search(line):
                strange[target[1]] = how or "a command that prints strangers' words"
        elif (read := re.match(r".*\bread\b.*?(\w+)\s*(?:<|$|;)", line)) and how:
            strange[read[1]] = how
        code = INTERPRETS.search(line)
        run = _used(code[1], strange) if code else ""
        if RUNS_INPUT.search(line):  # a pipe into a shell, or a text for a program
            run = run or _used(text if "<<" in line else line, strange)
        if command := re.match(r"\s*\"?(\$\{?\w+)", line):
            run = run or _used(command[1], strange)
        if run:
            yield place, f"{run} is run as code by the script itself"
        files = TO_FILE.findall(text if block else line)
        how = how or ("what it prints" if files and PRINTS.search(line) else "")
        if not how:
            continue
        if {"ENV", "PATH"} & set(files):
            yield place, f"{how} is written to GITHUB_ENV or GITHUB_PATH"
        if "OUTPUT" in files and (identity := str(step.data.get("id", "")).lower()):
            named = re.search(r"([A-Za-z_][\w-]*)\s*(?:=|<<)", line)
            name = named[1].lower() if named and not block else "*"
            after.outputs[identity, name] = how
        if "ENV" in files:
            after.env["*"] = how


def _used(line: str, strange: Mapping[str, str]) -> str:
    """Return how the first strange variable of a line came, "" without one."""
    for name in re.findall(r"\$\{?[!#]?(\w+)", line) + re.findall(
        r"(?:environ\[['\"]|getenv\(['\"]|process\.env\.)(\w+)", line
    ):
        if how := strange.get(name) or strange.get(name.upper()):
            return f"${name}" if how == name else f"${name}, from {how}"
    return ""
