"""A small runner: it executes a workflow's steps for real, on a repository here.

It does what GitHub's does where attacks live: expressions are copied into scripts as
text, GITHUB_ENV and GITHUB_OUTPUT carry values on, a checkout leaves the token in
.git/config, logs hide secrets as they are spelled. A pull request from a fork gets no
secrets; pull_request_target gets all. Actions made of steps come from repositories on
this machine, at the tag or commit that a workflow names.

Not here: Docker, JavaScript actions, services, caches, other machines. A step that
needs them is skipped, and the result says so. Scripts run as this user, in an
environment of their own: run only what you would run yourself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securetrain import expressions, runner_actions
from securetrain.expression_values import fill, plain, truth, value
from securetrain.runner_actions import Host
from securetrain.runner_shell import assignments, execute, git, mask
from securetrain.workflow_files import File, Step, in_order, needed

SHELLS = {
    "": ["bash", "-e"],
    "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"],
    "sh": ["sh", "-e"],
    "python": [sys.executable, "-I"],
}
RUNS, SKIPPED, FAILED = "success", "skipped", "failure"


class RunnerError(ValueError):
    """A workflow that cannot be started; the message says why."""


@dataclass(frozen=True)
class Event:
    """What starts a run: its name, what it brings, and the commit that it runs on.

    payload: as in GitHub's webhooks; commit: revision of the repository; head: the
    stranger's branch, "" when there is none; fork: it comes from another repository
    """

    name: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    commit: str = "HEAD"
    head: str = ""
    fork: bool = False

    @property
    def trusted(self) -> bool:
        """Say whether the run gets secrets and a token that may write."""
        return not (self.fork and self.name == "pull_request")


@dataclass
class Done:
    """One step after its run: conclusion, log, and the script as a shell got it."""

    job: str
    name: str
    conclusion: str
    log: str = ""
    script: str = ""
    why: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


def run(file: File, event: Event, host: Host) -> list[Done]:
    """Execute a workflow and return its steps, one after the other.

    Raises RunnerError when it is an action, or when this event does not start it.
    """
    if file.is_action:
        raise RunnerError("an action is run by a workflow, not by itself")
    if event.name not in file.triggers():
        names = ", ".join(file.triggers())
        raise RunnerError(f"{event.name} does not start this workflow: {names} do")
    done: list[Done] = []
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        for name in in_order(file):
            place = Path(scratch, f"job-{len(results)}")
            place.mkdir()
            job = _Job(file, name, event, host, place, results)
            done += job.run()
            results[name.lower()] = job.result()
    return done


class _Job:
    """A job on its own fresh machine: a folder, files for env and path, contexts."""

    def __init__(
        self, file: File, name: str, event: Event, host: Host, place: Path, needs: dict
    ) -> None:
        self.file, self.name, self.event, self.host = file, name, event, host
        self.data = file.jobs[name]
        self.space, self.home = place / "work", place / "home"
        for folder in (self.space, self.home):
            folder.mkdir()
        self.token = f"mock{os.urandom(12).hex()}" if event.trusted else "read-only"
        secrets = dict(host.secrets) if event.trusted else {}
        self.secrets = secrets | {"GITHUB_TOKEN": self.token}
        self.github = _github(event, host, self.token)
        self.github["workspace"] = str(self.space)
        wanted = needed(self.data)
        self.needs = {k: v for k, v in needs.items() if k in map(str.lower, wanted)}
        self.env: dict[str, str] = {}
        self.path: list[str] = []
        self.failed = any(v["result"] == FAILED for v in self.needs.values())
        for table in (file.data.get("env"), self.data.get("env")):
            self.env |= self.filled(table, self.contexts({}))

    def contexts(self, steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        found = {"github": self.github, "env": self.env, "secrets": self.secrets}
        found |= {"steps": steps, "needs": self.needs, "job": {"status": "success"}}
        found |= {"runner": {"os": "Linux", "temp": str(self.home)}, "matrix": {}}
        failed = self.failed
        return found | {"success": not failed, "failure": failed} | more

    def filled(self, table: Any, contexts: Mapping[str, Any]) -> dict[str, str]:
        if isinstance(table, str):
            (tree,) = expressions.trees(table)
            table = value(tree, contexts)
        return {
            str(name): fill(plain(text), contexts)
            for name, text in (table or {}).items()
        }

    def run(self) -> list[Done]:
        if "uses" in self.data:
            why = "reusable workflows are not run here"
            return [Done(self.name, self.data["uses"], SKIPPED, why=why)]
        self.steps: dict[str, Any] = {}
        if not self.wanted(self.data.get("if", True), self.contexts({})):
            self.skipped = True
            return [Done(self.name, "job", SKIPPED, why="its `if` is false")]
        done = []
        for step in self.file.steps(self.name):
            done += self.step(step, self.steps, {})
        return done

    def result(self) -> dict[str, Any]:
        """Return what jobs behind this one see of it."""
        contexts = self.contexts(getattr(self, "steps", {}))
        outcome = FAILED if self.failed else RUNS
        outcome = SKIPPED if getattr(self, "skipped", False) else outcome
        outputs = self.filled(self.data.get("outputs"), contexts)
        return {"result": outcome, "outputs": outputs}

    def wanted(self, condition: Any, contexts: Mapping[str, Any]) -> bool:
        """Say whether a step or a job runs: its `if`, and nothing failed before."""
        text = plain(condition)
        trees = expressions.condition(text)
        asks = any(f"{n}(" in text.lower() for n in ("always", "failure", "cancelled"))
        if self.failed and not asks:
            return False
        if "${{" in text and not expressions.alone(text):
            return truth(fill(text, contexts))  # text around it: true when not empty
        return all(truth(value(t, contexts)) for t in trees)

    def step(
        self, step: Step, steps: dict[str, Any], more: dict[str, Any]
    ) -> Iterator[Done]:
        """Run one step, or those of the action that it names."""
        contexts = self.contexts(steps, **more)
        own = self.filled(step.data.get("env"), contexts)
        contexts = contexts | {"env": self.env | own}
        name = fill(plain(step.data.get("name") or step.uses), contexts)
        name = name or step.data.get("run", "").strip().partition("\n")[0]
        if not self.wanted(step.data.get("if", True), contexts):
            yield Done(self.name, name, SKIPPED, why="its `if` is false")
            return
        if step.uses:
            found = list(self.action(step, name, contexts))
        else:
            found = [self.script(step, name, contexts, own)]
        yield from found
        if any(one.conclusion == FAILED for one in found):
            self.failed = self.failed or not step.data.get("continue-on-error")
        if identity := step.data.get("id"):
            steps[identity.lower()] = {
                "outputs": found[-1].outputs if found else {},
                "conclusion": found[-1].conclusion if found else RUNS,
            }

    # --- A script ------------------------------------------------------------------

    def script(
        self, step: Step, name: str, contexts: dict[str, Any], own: dict[str, str]
    ) -> Done:
        """Copy expressions into a script, and let a shell run it."""
        script = fill(step.data["run"], contexts)
        shell = SHELLS.get(step.data.get("shell", ""))
        if shell is None:
            why = f"the shell {step.data['shell']!r} is not here"
            return Done(self.name, name, SKIPPED, script=script, why=why)
        with tempfile.TemporaryDirectory(dir=self.home) as scratch:
            files = {k: Path(scratch, k) for k in ("ENV", "OUTPUT", "PATH", "SUMMARY")}
            for path in files.values():
                path.touch()
            program = Path(scratch, "script")
            program.write_text(script, "utf-8")
            named = {"SUMMARY": "STEP_SUMMARY"}
            env = self.environment() | own
            env |= {f"GITHUB_{named.get(k, k)}": str(p) for k, p in files.items()}
            folder = self.space / fill(
                step.data.get("working-directory", "."), contexts
            )
            code, log = execute([*shell, str(program)], folder, env, self.host.seconds)
            read = {k: path.read_text("utf-8", "replace") for k, path in files.items()}
        self.env |= assignments(read["ENV"])
        self.path = [*reversed(read["PATH"].split()), *self.path]
        why = "" if code == 0 else f"exit status {code}"
        return Done(
            self.name, name, FAILED if code else RUNS, mask(log, self.secrets),
            script, why, assignments(read["OUTPUT"]),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return what every script sees; nothing of this machine's own environment."""
        usual = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
        found = {"PATH": ":".join([*self.path, *usual]), "HOME": str(self.home)}
        found |= {"CI": "true", "GITHUB_ACTIONS": "true", "LANG": "C.UTF-8"}
        found |= {"GIT_CONFIG_NOSYSTEM": "1", "TMPDIR": str(self.home)}
        kept = ("ref", "ref_name", "head_ref", "sha", "repository", "event_name")
        found |= {f"GITHUB_{k.upper()}": str(self.github[k]) for k in kept}
        return found | {"GITHUB_WORKSPACE": str(self.space)} | self.env

    # --- An action -----------------------------------------------------------------

    def action(self, step: Step, name: str, contexts: dict[str, Any]) -> Iterator[Done]:
        """Run what `uses` names: one of three that we know, or an action of steps."""
        given = self.filled(step.inputs, contexts)
        if step.action in runner_actions.KNOWN:
            place = runner_actions.Place(self.space, self.home, self.token)
            try:
                log = runner_actions.KNOWN[step.action](
                    self.host, place, {"ref": self.github["sha"]} | given
                )
                yield Done(self.name, name, RUNS, log=log)
            except (OSError, subprocess.CalledProcessError, ValueError) as error:
                yield Done(self.name, name, FAILED, why=str(error))
            return
        with runner_actions.fetched(self.host, self.space, step.uses) as found:
            if isinstance(found, str):
                yield Done(self.name, name, SKIPPED, why=found)
                return
            action, folder = found
            inputs = runner_actions.defaults(action)
            inputs |= {key.lower(): text for key, text in given.items()}
            steps: dict[str, Any] = {}
            github = self.github | {"action_path": str(folder)}
            for inner in action.steps():
                yield from self.step(inner, steps, {"inputs": inputs, "github": github})
            end = self.contexts(steps, inputs=inputs)
            outputs = {
                key: fill(plain(more.get("value")), end)
                for key, more in (action.data.get("outputs") or {}).items()
            }
            outcome = FAILED if self.failed else RUNS
            yield Done(self.name, name, outcome, outputs=outputs)


def _github(event: Event, host: Host, token: str) -> dict[str, Any]:
    """Return the context `github` of a run."""
    sha = git(host.repository, "rev-parse", f"{event.commit}^{{commit}}").decode()
    branch = "main"
    pull = event.payload.get("pull_request", {})
    ref = f"refs/heads/{branch}"
    if event.name == "pull_request":
        ref = f"refs/pull/{pull.get('number', 1)}/merge"
    return {
        "event": dict(event.payload), "event_name": event.name, "sha": sha.strip(),
        "ref": ref, "ref_name": ref.split("/", 2)[2], "head_ref": event.head,
        "repository": "ours/signs", "actor": "stranger", "token": token,
        "run_id": "1", "base_ref": branch if event.head else "",
    }  # fmt: skip
