"""Every commit made again, where its author cannot reach: the same hooks, in CI.

The author of a commit can pass over every hook: `--no-verify`, `SKIP=`, a configuration
that they changed in the same commit, or none installed. They cannot choose what happens
here: rules and configuration are those of the base, and each commit is staged on top of
the one before and judged as if it were made now.

Nothing that a commit brings takes part: no module and no program of its tree is found
by its name alone, and its attributes change no byte that a hook reads.

A hook is told of no file that was removed; a commit that removes one is therefore held
to the hooks with every file. What the hooks do not read, this does not see either.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from securetrain import commits, policies, policy_check
from securetrain.commits import Commit
from securetrain.policies import CONFIG, RULES

HOME = RULES.partition("/")[0]
# What would change which hooks run, or where git looks.
OURS = ("SKIP", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY")
# Stands above every .gitattributes: files are checked out as they are stored.
AS_STORED = "* -text !eol -ident !working-tree-encoding\n"


@dataclass(frozen=True)
class Outcome:
    """What the hooks said of one commit. name: its first digits; said: their words."""

    name: str
    passed: bool
    said: str

    @property
    def why(self) -> list[str]:
        """The hooks that refused it, by their names."""
        lines = self.said.splitlines()
        return [line.partition("....")[0] for line in lines if line.endswith("Failed")]


def commits_since(
    repository: Path, base: str, today: date, env: Mapping[str, str] | None = None
) -> Iterator[Outcome]:
    """Make each commit since `base` again, oldest first, and yield what was said of it.

    env: what the hooks find around them; this process's own if None
    Raises ValueError when the base has no rules, or no hooks: then nothing was asked.
    """
    before = commits.one(repository, base)
    for path in (RULES, CONFIG):
        if path not in before.files:
            raise ValueError(f"{base} has no {path}: nothing to judge commits by")
    policy = policies.read(before.files[RULES], f"{base}:{RULES}")
    listed = commits.since(repository, base)
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        folder = Path(scratch, "repository")
        config = Path(scratch, "config.yaml")
        config.write_bytes(before.files[CONFIG])
        source = str(repository.resolve())
        commits.git(repository, "clone", "-q", "--no-checkout", source, str(folder))
        attributes = folder / ".git/info/attributes"
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text(AS_STORED)
        for commit in listed:
            wrong = policy_check.problems(policy, commit.files, today)
            if commit.touches(HOME):
                wrong += [f"{HOME}: a commit that changes the rules needs their owner"]
            done = _make(folder, commit, config, os.environ if env is None else env)
            said = "\n".join([done.stdout, done.stderr, *wrong]).strip()
            passed = not wrong and not done.returncode
            yield Outcome(_name(commit), passed, said)


def _name(commit: Commit) -> str:
    return commit.name.removeprefix("commit ")


def _make(
    folder: Path, commit: Commit, config: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess:
    """Stage what a commit brings on top of the one before, and run its hooks."""
    name = _name(commit)
    gone = commit.changed - set(commit.files)  # no hook is told of these
    parents = commits.git(folder, "rev-list", "--parents", "-n", "1", name).split()
    if len(parents) < 2:
        raise ValueError(f"{name} has no commit before it: another history came in")
    plain = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
    commits.git(folder, *plain, "checkout", "-q", "-f", parents[1].decode())
    commits.git(folder, *plain, "read-tree", "-u", "--reset", name)
    commits.git(folder, "clean", "-q", "-f", "-f", "-d", "-x")
    # -P: the folder it is started in, the author's, is not searched for modules.
    hooks = [sys.executable, "-P", "-m", "pre_commit", "run", "--color=never"]
    return subprocess.run(
        [*hooks, "--config", str(config), *["--all-files"] * bool(gone)],
        cwd=folder, env=_around(env), capture_output=True, text=True,
    )  # fmt: skip


def _around(env: Mapping[str, str]) -> dict[str, str]:
    """Return what hooks find around them: nothing that names a place in the tree."""
    found = {key: value for key, value in env.items() if key not in OURS}
    ours = str(Path(sys.executable).parent)  # where `securetrain` is
    found["PATH"] = _absolute(os.pathsep.join([ours, env.get("PATH", os.defpath)]))
    found["PYTHONPATH"] = _absolute(env.get("PYTHONPATH", ""))
    return found | {"PYTHONSAFEPATH": "1"}


def _absolute(places: str) -> str:
    """Return a list of folders without those that depend on where one stands."""
    return os.pathsep.join(filter(os.path.isabs, places.split(os.pathsep)))
