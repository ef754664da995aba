"""Who may start a workflow, and what rights, secrets and files meet them there.

A stranger may start a job that can do no more than label and comment. Code, keys and
other rights are for runs of our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from securetrain import expressions, injections
from securetrain.workflow_conditions import asks_whose
from securetrain.workflow_files import FOREIGN, OPEN, File, Place, Step

Found = Iterator[tuple[str, Place, str]]  # rule, place, what is wrong
RELEASES = {"release", "deployment", "registry_package"}
FETCHES = re.compile(  # within one command
    r"gh pr checkout|FETCH_HEAD|\bgit\b[^\n|;&]*\b(?:apply|am)\b|\bgit\b[^\n|;&]*"
    r"\b(?:fetch|pull|checkout|merge|clone)\b[^\n|;&]*(?:pull/|\$)", re.I
)  # fmt: skip
LABELS = {"issues", "pull-requests"}  # rights to label and comment
HOSTED = re.compile(r"(?:ubuntu|windows|macos)-[\w.-]+|.*\$\{\{.*", re.S)
DOWNLOADS = re.compile(r"gh run download|downloadArtifact|actions/artifacts")
CACHES = {"actions/cache", "actions/cache/save", "mozilla-actions/sccache-action"}
SETS_UP = {"actions/setup-python", "actions/setup-node", "actions/setup-go"}
SETS_UP |= {"actions/setup-java", "astral-sh/setup-uv"}


def triggers(file: File) -> Found:
    for event in file.triggers():
        if event == "pull_request_target" and all(
            _labels(file, name) for name in file.jobs
        ):
            continue
        place = ("on", event) if isinstance(file.data["on"], dict) else ("on",)
        if event == "pull_request_target":
            says = "pull_request_target runs with our secrets and a token that may "
            yield "trigger", place, says + "write, for anybody's pull request"
        if event == "workflow_run" and not all(asks_whose(file, n) for n in file.jobs):
            says = "workflow_run runs with our rights after a run that anybody may "
            says += "cause; ask for head_repository.full_name == github.repository"
            yield "trigger", place, says


def _labels(file: File, name: str) -> bool:
    """Say whether a job can do no more than label and comment, and needs to.

    It states so in its permissions, takes no code or files in, and has no secret but
    the token. What it runs is ours, from our own branch.
    """
    job = file.jobs[name]
    rights = _rights(file, name)
    writes = {s for s, level in rights.items() if level == "write"} if isinstance(
        rights, dict) else set()  # fmt: skip
    where = file.where("jobs", name)
    trees = injections.all_trees([job, file.data.get("env")], where)
    held = {path for tree in trees for path in _named_secrets(tree)}
    tokens = {("github", "token"), ("secrets", "github_token")}
    taken = any(rule in ("checkout", "artifact") for rule, *_ in strangers(
        file, name, job))  # fmt: skip
    inherits = "secrets" in job or "uses" in job
    return bool(writes) and writes <= LABELS and not (
        taken or inherits or held - tokens)  # fmt: skip


def _rights(file: File, name: str) -> Any:
    return file.jobs[name].get("permissions", file.data.get("permissions"))


def permissions(file: File) -> Found:
    top, foreign = file.data.get("permissions"), FOREIGN & set(file.triggers())
    if top == "write-all":
        yield "permissions", ("permissions",), "write-all: the token may do everything"
    for scope, level in top.items() if isinstance(top, dict) else ():
        if level == "write" and not (scope in LABELS and len(file.jobs) == 1):
            says = f"{scope}: write for every job; give it to the one that needs it"
            yield "permissions", ("permissions", scope), says
    for name, job in file.jobs.items():
        own, place = job.get("permissions"), ("jobs", name, "permissions")
        if own is None and top is None:
            says = "no permissions: the token has whatever the repository's default is"
            yield "permissions", ("jobs", name), says
        if own == "write-all":
            yield "permissions", place, "write-all: the token may do everything"
        for scope, level in own.items() if isinstance(own, dict) else ():
            if level == "write" and foreign and scope not in LABELS:
                says = f"{scope}: write in a workflow that a stranger can start"
                yield "permissions", (*place, scope), says


def _secrets(text: Any, where: str) -> list[tuple[str, ...]]:
    return [p for t in injections.trees(str(text), where) for p in _named_secrets(t)]


def _named_secrets(tree: expressions.Tree) -> list[tuple[str, ...]]:
    paths = expressions.names(tree)
    return [p for p in paths if p[0] == "secrets" or p == ("github", "token")]


def env_secrets(env: Any, place: Place, who: str) -> Found:
    if isinstance(env, str) and _secrets(env, str(place)):
        yield "secret", place, f"a secret in the environment of {who}"
    for name, text in env.items() if isinstance(env, dict) else ():
        if _secrets(text, str(place)):
            says = f"{name}: a secret in the environment of {who}"
            yield "secret", (*place, name), f"{says}; give it to the one that needs it"


def step_secrets(step: Step, where: str) -> Found:
    for path in _secrets(step.data.get("run"), where):
        says = f"{'.'.join(path)} is copied into the script; hand it over in `env`"
        yield "secret", (*step.place, "run"), says
    given = [*step.inputs.values(), *(step.data.get("env") or {}).values()] if not (
        isinstance(step.data.get("env"), str)) else [step.data["env"]]  # fmt: skip
    if any(len(p) < 2 or p[1] == "*" for text in given for p in _secrets(text, where)):
        yield "secret", step.place, "every secret at once goes to this step"


def strangers(file: File, name: str, job: Mapping[str, Any]) -> Found:
    """Yield where a stranger's code or files meet our rights, or our machines."""
    events = set(file.triggers())
    runs_on = job.get("runs-on", [])
    group = isinstance(runs_on, dict)
    labels = [runs_on] if isinstance(runs_on, str) else runs_on
    own = not all(isinstance(x, str) and HOSTED.fullmatch(x) for x in labels)
    if (group or own) and events & OPEN:
        says = "a stranger's code on a machine that keeps what it leaves behind"
        yield "runner", ("jobs", name, "runs-on"), says
    if not events & FOREIGN:
        return
    asked = asks_whose(file, name)
    for step in file.steps(name):
        given = " ".join(str(step.inputs.get(k, "")) for k in ("ref", "repository"))
        fetched = step.action == "actions/checkout" and re.search(
            r"\$\{\{|\bpull/", given
        )
        script = f"{step.data.get('run', '')} {step.inputs.get('script', '')}"
        if (fetched or FETCHES.search(script)) and not asked:
            says = "checks a stranger's commit out, in a job with our secrets and token"
            yield "checkout", step.place, says
        taken = step.action.endswith("download-artifact") and (
            "run-id" in step.inputs or "run_id" in step.inputs
            or not step.action.startswith("actions/")
        )  # fmt: skip
        if (taken or DOWNLOADS.search(script)) and not asked:
            says = "takes files from a run that a stranger may have caused"
            yield "artifact", step.place, says


def cache(file: File, name: str, job: Mapping[str, Any]) -> Found:
    """Yield where a cache meets a release, or strangers write to ours."""
    events = file.triggers()
    rights = _rights(file, name)
    writes = [s for s, level in rights.items() if level == "write"] if isinstance(
        rights, dict) else []  # fmt: skip
    publishes = bool(RELEASES & set(events)) or bool(
        {"contents", "packages", "id-token", "attestations"} & set(writes)
    ) or "tags" in (events.get("push") or {})  # fmt: skip
    for step in file.steps(name):
        cached = step.action in CACHES or (
            step.action in SETS_UP
            and str(step.inputs.get("cache", step.inputs.get("enable-cache", "")))
            not in ("", "false", "False")
        )
        if (cached or step.action == "actions/cache/restore") and publishes:
            says = "a job that publishes starts from a cache that other runs can fill"
            yield "cache", step.place, says
        elif cached and FOREIGN & set(events):
            says = "a run that a stranger starts can write our branch's cache"
            yield "cache", step.place, says
