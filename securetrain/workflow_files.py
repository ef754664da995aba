"""Reading a workflow, or an action made of steps, as plain data with lines.

The attacker writes the file. They want a check that reads it one way, or gives up on
it, while the runner reads it another. What is not as GitHub documents it is an error
here, with file and line, and an error never passes.

Source: GitHub Docs, "Workflow syntax", "Metadata syntax reference"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securetrain import plain_yaml
from securetrain.plain_yaml import Document

TOP = {"name", "run-name", "on", "permissions", "env", "defaults", "concurrency"}
TOP |= {"jobs"}
JOB = {"name", "permissions", "needs", "if", "runs-on", "environment", "concurrency"}
JOB |= {"outputs", "env", "defaults", "steps", "timeout-minutes", "strategy"}
JOB |= {"continue-on-error", "container", "services", "uses", "with", "secrets"}
STEP = {"id", "if", "name", "uses", "run", "working-directory", "shell", "with", "env"}
STEP |= {"continue-on-error", "timeout-minutes"}
ACTION = {"name", "author", "description", "inputs", "outputs", "runs", "branding"}
SCOPES = {"actions", "artifact-metadata", "attestations", "checks", "contents"}
SCOPES |= {"deployments", "discussions", "id-token", "issues", "models", "packages"}
SCOPES |= {"pages", "pull-requests", "repository-projects", "security-events"}
SCOPES |= {"statuses"}
# Events that a stranger causes while the workflow has our secrets and our token.
FOREIGN = {"pull_request_target", "issue_comment", "issues", "discussion"}
FOREIGN |= {"discussion_comment", "fork", "watch", "workflow_run", "gollum"}
OPEN = FOREIGN | {"pull_request", "pull_request_review", "pull_request_review_comment"}
Place = tuple[str | int, ...]


class WorkflowError(ValueError):
    """A file that cannot be read as a workflow; the message says where and why."""


@dataclass(frozen=True)
class Step:
    """One step: where it stands, and what it says."""

    job: str
    place: Place
    data: Mapping[str, Any]

    @property
    def uses(self) -> str:
        return self.data.get("uses", "")

    @property
    def action(self) -> str:
        """The action's name without its version, in small letters."""
        return re.sub("/+", "/", self.uses.partition("@")[0].lower())

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What the action is given; its names in small letters."""
        return {str(k).lower(): v for k, v in (self.data.get("with") or {}).items()}


@dataclass(frozen=True)
class File:
    """A workflow, or an action; `document` knows the lines."""

    document: Document

    @property
    def data(self) -> Mapping[str, Any]:
        return self.document.data

    @property
    def is_action(self) -> bool:
        return "jobs" not in self.data

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        return {} if self.is_action else self.data["jobs"]

    def where(self, *place: str | int) -> str:
        """Return `file:line` of what stands at a place."""
        return self.document.where(*place)

    def triggers(self) -> dict[str, Mapping[str, Any]]:
        """Return what starts the workflow: event -> its filters."""
        on = self.data.get("on", {})
        if isinstance(on, str):
            return {on: {}}
        if isinstance(on, list):
            return {event: {} for event in on}
        return {str(event): more if isinstance(more, dict) else {}
                for event, more in on.items()}  # fmt: skip

    def steps(self, job: str | None = None) -> Iterator[Step]:
        """Yield every step, or those of one job; of an action, its own."""
        if self.is_action:
            for number, step in enumerate(self.data["runs"].get("steps") or []):
                yield Step("", ("runs", "steps", number), step)
        for name, content in self.jobs.items():
            if job in (None, name):
                for number, step in enumerate(content.get("steps") or []):
                    yield Step(name, ("jobs", name, "steps", number), step)


def in_order(file: File) -> list[str]:
    """Return the jobs, each behind those that it needs; a circle as it stands."""
    left, found = list(file.jobs), []
    while left:
        ready = [n for n in left if not set(needed(file.jobs[n])) & set(left) - {n}]
        for name in ready or left[:1]:
            left.remove(name)
            found.append(name)
    return found


def needed(job: Mapping[str, Any]) -> list[str]:
    """Return the jobs that a job waits for."""
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def load(path: str | Path) -> File:
    """Return a workflow or an action from its file. Raises WorkflowError."""
    try:
        return _one(plain_yaml.read_file(path), str(path))
    except plain_yaml.YamlError as error:
        raise WorkflowError(str(error)) from None


def read(content: str | bytes, source: str = "input") -> File:
    """Return a workflow or an action from its text. Raises WorkflowError."""
    try:
        return _one(plain_yaml.read(content, source), source)
    except plain_yaml.YamlError as error:
        raise WorkflowError(str(error)) from None


def _one(documents: list[Document], source: str) -> File:
    if len(documents) != 1:
        why = f"expected one document, found {len(documents)}"
        raise WorkflowError(f"{source}:1: {why}")
    return _checked(documents[0])


def _checked(document: Document) -> File:
    """Return the file, or raise WorkflowError for the first thing that is wrong."""
    _mapping(document, ())
    data = document.data
    if "jobs" in data or "on" in data:
        _workflow(document)
    elif "runs" in data:
        _keys(document, (), ACTION)
        _mapping(document, ("runs",))
        runs = data["runs"]
        _texts_only(document, ("runs",), ("using", "image"))
        if "steps" in runs or str(runs.get("using")).lower() == "composite":
            _steps(document, ("runs", "steps"))
    else:
        why = "no `on` and `jobs`, as a workflow has, and no `runs`, as an action has"
        raise WorkflowError(f"{document.where()}: {why}")
    return File(document)


def _workflow(document: Document) -> None:
    data = document.data
    _keys(document, (), TOP)
    for key in ("on", "jobs"):
        if not data.get(key):
            raise WorkflowError(f"{document.where()}: a workflow needs `{key}`")
    on = data["on"]
    if not (isinstance(on, (str, dict)) or _texts(on)):
        raise WorkflowError(f"{document.where('on')}: `on` names events")
    _common(document, ())
    _mapping(document, ("jobs",))
    for name, job in data["jobs"].items():
        place = ("jobs", name)
        if not isinstance(name, str):
            raise WorkflowError(f"{document.where(*place)}: a job's name is text")
        _mapping(document, place)
        _keys(document, place, JOB)
        _common(document, place)
        if ("uses" in job) == ("steps" in job):
            why = "a job has either `steps` or `uses`"
            raise WorkflowError(f"{document.where(*place)}: {why}")
        _texts_only(document, place, ("uses", "if"))
        if not isinstance(needs := job.get("needs") or [], str) and not _texts(needs):
            where = document.where(*place, "needs")
            raise WorkflowError(f"{where}: `needs` names jobs")
        if "steps" in job:
            _steps(document, (*place, "steps"))
        for key in ("outputs", "strategy", "services", "with"):
            if job.get(key) is not None:
                _mapping(document, (*place, key))


def _common(document: Document, place: Place) -> None:
    """Check what a workflow, a job and a step may all have."""
    data = at(document.data, place)
    if data.get("env") is not None and not isinstance(data["env"], str):
        _mapping(document, (*place, "env"))
        _scalars(document, (*place, "env"))
    rights = data.get("permissions")
    if rights is None or rights in ("read-all", "write-all", {}):
        return
    where = document.where(*place, "permissions")
    if not isinstance(rights, dict):
        raise WorkflowError(f"{where}: permissions are read-all, write-all or a table")
    for scope, level in rights.items():
        if scope not in SCOPES or level not in ("read", "write", "none"):
            where = document.where(*place, "permissions", scope)
            raise WorkflowError(f"{where}: no permission {scope}: {level!r:.40}")


def _steps(document: Document, place: Place) -> None:
    steps = at(document.data, place)
    if not isinstance(steps, list) or not steps:
        raise WorkflowError(f"{document.where(*place)}: expected a list of steps")
    seen: set[str] = set()
    for number, step in enumerate(steps):
        here = (*place, number)
        _mapping(document, here)
        _keys(document, here, STEP)
        if ("uses" in step) == ("run" in step):
            raise WorkflowError(f"{document.where(*here)}: a step has `run` or `uses`")
        _texts_only(document, here, ("uses", "run", "id", "shell"))
        _common(document, here)
        if step.get("with") is not None:
            _mapping(document, (*here, "with"))
            _scalars(document, (*here, "with"))
        if (name := str(step.get("id", "")).lower()) and name in seen:
            raise WorkflowError(f"{document.where(*here)}: two steps have this id")
        seen.add(name)


def at(data: Any, place: Place) -> Any:
    """Return what stands at a place, None when there is nothing."""
    for key in place:
        inside = isinstance(data, dict) and key in data
        listed = isinstance(data, list) and isinstance(key, int) and key < len(data)
        data = data[key] if inside or listed else None
    return data


def _mapping(document: Document, place: Place) -> None:
    if not isinstance(found := at(document.data, place), dict):
        what = ".".join(map(str, place)) or "the file"
        why = f"expected {what} as a table, got {type(found).__name__}"
        raise WorkflowError(f"{document.where(*place)}: {why}")


def _keys(document: Document, place: Place, known: set[str]) -> None:
    for key in at(document.data, place):
        if key not in known:
            where = document.where(*place, key)
            raise WorkflowError(f"{where}: unknown key {key!r:.40}")


def _scalars(document: Document, place: Place) -> None:
    for key, found in at(document.data, place).items():
        if isinstance(found, (dict, list)):
            where = document.where(*place, key)
            raise WorkflowError(f"{where}: expected text for {key!r:.40}")


def _texts_only(document: Document, place: Place, keys: tuple[str, ...]) -> None:
    data = at(document.data, place)
    for key in keys:
        if key in data and not (isinstance(data[key], str) and data[key].strip()):
            if key == "if" and isinstance(data[key], bool):
                continue
            where = document.where(*place, key)
            raise WorkflowError(f"{where}: expected text for `{key}`")


def _texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)
