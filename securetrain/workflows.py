"""What is wrong with a workflow, before anybody runs it.

The attacker needs no account in our team: a pull request, a comment or an action that
we borrow is enough. They want code on a runner that holds a secret, a token that may
write, or the next release. Each rule names one way, with file and line.

No finding means that none of these rules found anything. Whether an action does what
its name says, no rule here can know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securetrain import expressions, injections
from securetrain.workflow_conditions import asks_whose
from securetrain.workflow_files import (
    FOREIGN,
    OPEN,
    File,
    Place,
    Step,
    WorkflowError,
    load,
)

RELEASES = {"release", "deployment", "registry_package"}
COMMIT = re.compile(r"[^@\s]+@[0-9a-f]{40}")
DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
FETCHES = re.compile(
    r"gh pr (?:checkout|diff)|FETCH_HEAD|\bgit\b[^\n|;]*"
    r"\b(?:fetch|pull|checkout|merge|apply|clone)\b[^\n]*(?:pull/|\bhead\b|\$)", re.I
)  # fmt: skip
HOSTED = re.compile(r"(?:ubuntu|windows|macos)-[\w.-]+|.*\$\{\{.*", re.S)
DOWNLOADS = re.compile(r"gh run download|downloadArtifact|actions/artifacts")
CACHES = {"actions/cache", "actions/cache/save", "mozilla-actions/sccache-action"}
SETS_UP = {"actions/setup-python", "actions/setup-node", "actions/setup-go"}
SETS_UP |= {"actions/setup-java", "astral-sh/setup-uv"}
RULES = {
    "injection": "a stranger's words become code",
    "trigger": "strangers start it, with our rights",
    "checkout": "a stranger's code beside our rights",
    "artifact": "files of a run that a stranger caused",
    "permissions": "a token that may do more than the job",
    "pin": "code that can change under its name",
    "secret": "a secret that more code sees than needs it",
    "credentials": "the token stays in .git/config",
    "cache": "what a stranger stored goes into a release",
    "runner": "a stranger's code on a machine that stays",
}


@dataclass(frozen=True)
class Finding:
    """One thing to mend: the rule, where (`file:line`), the place in the data, why."""

    rule: str
    where: str
    place: Place
    says: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.says}"


def check(
    files: Sequence[File], reviewed: Mapping[str, Collection[str]] | None = None
) -> list[Finding]:
    """Return what is wrong with workflows and actions, in order of file and line.

    reviewed: action -> commits that somebody has read; None when there is no such list
    Raises WorkflowError for an expression that cannot be read.
    """
    found: dict[Finding, None] = {}
    for file in files:
        for rule, place, says in _findings(file, reviewed):
            found[Finding(rule, file.where(*place), place, says)] = None
    return sorted(found, key=_order)


def _order(finding: Finding) -> tuple[str, int, int]:
    name, _, line = finding.where.rpartition(":")
    return name, int(line), list(RULES).index(finding.rule)


def check_paths(
    paths: Sequence[Path], reviewed: Mapping[str, Collection[str]] | None = None
) -> tuple[list[str], list[str]]:
    """Return what is wrong with files, and what could not be read, as lines of text.

    A folder stands for the workflows and actions in it; one without any, and a file
    that is not there, count as unread.
    """
    found, unread = [], []
    for path in paths:
        files = in_folder(path) if path.is_dir() else [path]
        if not files:
            unread.append(f"{path}: no workflow and no action in this folder")
        for one in files:
            try:
                file = load(one)
                files += [p for p in _named(file, path) if p not in files]
                found += [str(finding) for finding in check([file], reviewed)]
            except WorkflowError as error:
                unread.append(str(error))
            except Exception as error:  # one file must not hide the others
                why = f"{type(error).__name__}: {error}"
                unread.append(f"{one}:1: cannot be checked: {why}")
    return found, unread


def _named(file: File, folder: Path) -> list[Path]:
    """Return the actions of the repository that a workflow or an action names."""
    homes = [folder / s.uses for s in file.steps() if s.uses.startswith("./")]
    named = [home / f"action.{end}" for home in homes for end in ("yml", "yaml")]
    return [path for path in named if path.is_file()]


def in_folder(folder: Path) -> list[Path]:
    """Return the workflows and actions of a repository, or of a folder of them."""
    named = [p for end in ("yml", "yaml") for p in folder.rglob(f"action.{end}")]
    homes = [folder / ".github" / "workflows", folder]
    home = next((one for one in homes if one.is_dir()), folder)
    if home == folder and (folder / ".git").exists():
        home = homes[0]  # a repository without workflows: its other files are none
    listed = [p for end in ("yml", "yaml") for p in home.glob(f"*.{end}")]
    hidden = {".git", "node_modules", ".venv"}
    return sorted(
        path
        for path in {*named, *listed}
        if not hidden & set(path.relative_to(folder).parts)
    )


def is_workflow(path: str) -> bool:
    """Say whether GitHub would run a file at this path of a repository."""
    name = path.rpartition("/")[2].lower()
    home = path.lower().startswith(".github/workflows/") and path.count("/") == 2
    return name in ("action.yml", "action.yaml") or (
        home and name.endswith((".yml", ".yaml"))
    )


# --- The rules ---------------------------------------------------------------------

Found = Iterator[tuple[str, Place, str]]


def _findings(file: File, reviewed: Mapping[str, Collection[str]] | None) -> Found:
    for place, says in injections.find(file):
        yield "injection", place, says
    for step in file.steps():
        yield from _pin(step.uses, (*step.place, "uses"), reviewed)
        yield from _credentials(step)
    if file.is_action:
        runs = file.data["runs"]
        if str(runs.get("image", "")).startswith("docker://"):
            yield from _image(runs["image"][9:], ("runs", "image"))
        return
    yield from _triggers(file)
    yield from _permissions(file)
    yield from _env_secrets(file.data.get("env"), ("env",), "every job")
    for name, job in file.jobs.items():
        yield from _job(file, name, job, reviewed)


def _job(
    file: File,
    name: str,
    job: Mapping[str, Any],
    reviewed: Mapping[str, Collection[str]] | None,
) -> Found:
    place = ("jobs", name)
    yield from _env_secrets(job.get("env"), (*place, "env"), "every step")
    if "uses" in job:
        yield from _pin(job["uses"], (*place, "uses"), reviewed)
        if job.get("secrets") == "inherit":
            yield "secret", (*place, "secrets"), "every secret goes to what is called"
    images = {("container",): job.get("container")}
    for key, service in (job.get("services") or {}).items():
        images["services", key] = service
    for where, image in images.items():
        image = image.get("image") if isinstance(image, dict) else image
        if isinstance(image, str):
            yield from _image(image, (*place, *where))
    yield from _strangers(file, name, job)
    yield from _cache(file, name, job)
    yield from _borrowed(file, name)
    for step in file.steps(name):
        yield from _step_secrets(step, file.where(*step.place))


def _triggers(file: File) -> Found:
    for event in file.triggers():
        place = ("on", event) if isinstance(file.data["on"], dict) else ("on",)
        if event == "pull_request_target":
            says = "pull_request_target runs with our secrets and a token that may "
            yield "trigger", place, says + "write, for anybody's pull request"
        if event == "workflow_run" and not all(asks_whose(file, n) for n in file.jobs):
            says = "workflow_run runs with our rights after a run that anybody may "
            says += "cause; ask for head_repository.full_name == github.repository"
            yield "trigger", place, says


def _permissions(file: File) -> Found:
    top, foreign = file.data.get("permissions"), FOREIGN & set(file.triggers())
    if top == "write-all":
        yield "permissions", ("permissions",), "write-all: the token may do everything"
    for scope, level in top.items() if isinstance(top, dict) else ():
        if level == "write":
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
            if level == "write" and foreign:
                says = f"{scope}: write in a workflow that a stranger can start"
                yield "permissions", (*place, scope), says


def _pin(
    uses: str, place: Place, reviewed: Mapping[str, Collection[str]] | None
) -> Found:
    if not uses or uses.startswith("./"):
        return
    if uses.startswith("docker://"):
        yield from _image(uses[9:], place)
        return
    action, _, version = uses.partition("@")
    if not COMMIT.fullmatch(uses):
        says = f"{uses} is not pinned: a tag or branch can be moved to other code"
        yield "pin", place, says
    elif reviewed is not None:
        known = {name.lower(): commits for name, commits in reviewed.items()}
        if version not in known.get(action.lower(), ()):
            says = f"{action} at {version[:12]}… is not on the list of reviewed commits"
            yield "pin", place, says


def _borrowed(file: File, name: str) -> Found:
    """Yield actions from another repository that a step checked out, unpinned."""
    loose: list[str] = []
    for step in file.steps(name):
        given = {k: str(step.inputs.get(k, "")) for k in ("repository", "path", "ref")}
        other = step.action == "actions/checkout" and given["repository"]
        if other and not re.fullmatch("[0-9a-f]{40}", given["ref"]):
            loose.append(given["path"].removeprefix("./").strip("/"))
        used = step.uses.removeprefix("./")
        if step.uses.startswith("./") and any(
            not path or f"{used}/".startswith(f"{path}/") for path in loose
        ):
            says = f"{step.uses} comes from a checkout that is not pinned to a commit"
            yield "pin", (*step.place, "uses"), says


def _image(image: str, place: Place) -> Found:
    if not DIGEST.fullmatch(image) or "${{" in image:
        yield "pin", place, f"the image {image} is not pinned by its digest"


def _credentials(step: Step) -> Found:
    kept = str(step.inputs.get("persist-credentials", "true")).lower()
    if step.action == "actions/checkout" and kept != "false":
        says = "the token stays in .git/config, for every later step and archive; "
        yield "credentials", step.place, says + "set persist-credentials: false"


def _secrets(text: Any, where: str) -> list[tuple[str, ...]]:
    return [
        path
        for tree in injections.trees(str(text), where)
        for path in expressions.names(tree)
        if path[0] == "secrets" or path == ("github", "token")
    ]


def _env_secrets(env: Any, place: Place, who: str) -> Found:
    if isinstance(env, str) and _secrets(env, str(place)):
        yield "secret", place, f"a secret in the environment of {who}"
    for name, text in env.items() if isinstance(env, dict) else ():
        if _secrets(text, str(place)):
            says = f"{name}: a secret in the environment of {who}"
            yield "secret", (*place, name), f"{says}; give it to the one that needs it"


def _step_secrets(step: Step, where: str) -> Found:
    for path in _secrets(step.data.get("run"), where):
        says = f"{'.'.join(path)} is copied into the script; hand it over in `env`"
        yield "secret", (*step.place, "run"), says
    given = [*step.inputs.values(), *(step.data.get("env") or {}).values()] if not (
        isinstance(step.data.get("env"), str)) else [step.data["env"]]  # fmt: skip
    if any(len(p) < 2 or p[1] == "*" for text in given for p in _secrets(text, where)):
        yield "secret", step.place, "every secret at once goes to this step"


def _strangers(file: File, name: str, job: Mapping[str, Any]) -> Found:
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


def _cache(file: File, name: str, job: Mapping[str, Any]) -> Found:
    """Yield where a cache meets a release, or strangers write to ours."""
    events = file.triggers()
    rights = job.get("permissions", file.data.get("permissions"))
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
