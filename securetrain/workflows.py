"""What is wrong with a workflow, before anybody runs it.

The attacker needs no account in our team: a pull request, a comment or an action that
we borrow is enough. They want code on a runner that holds a secret, a token that may
write, or the next release. Each rule names one way, with file and line.

No finding means that none of these rules found anything. Whether an action does what
its name says, no rule here can know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securetrain import injections
from securetrain.workflow_files import (
    File,
    Place,
    Step,
    WorkflowError,
    load,
)
from securetrain.workflow_rights import (
    Found,
    cache,
    env_secrets,
    permissions,
    step_secrets,
    strangers,
    triggers,
)  # fmt: skip

COMMIT = re.compile(r"[^@\s]+@[0-9a-f]{40}")
DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
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
    yield from triggers(file)
    yield from permissions(file)
    yield from env_secrets(file.data.get("env"), ("env",), "every job")
    for name, job in file.jobs.items():
        yield from _job(file, name, job, reviewed)


def _job(
    file: File,
    name: str,
    job: Mapping[str, Any],
    reviewed: Mapping[str, Collection[str]] | None,
) -> Found:
    place = ("jobs", name)
    yield from env_secrets(job.get("env"), (*place, "env"), "every step")
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
    yield from strangers(file, name, job)
    yield from cache(file, name, job)
    yield from _borrowed(file, name)
    for step in file.steps(name):
        yield from step_secrets(step, file.where(*step.place))


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
