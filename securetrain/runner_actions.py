"""What a runner does for `uses`: a checkout, artifacts, and actions made of steps."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from securetrain import workflow_files
from securetrain.expression_values import plain
from securetrain.runner_shell import git
from securetrain.workflow_files import File


@dataclass(frozen=True)
class Host:
    """What a runner has: the repository, others' actions, secrets, and its storage.

    repository: a git repository; actions: owner/name -> a git repository of steps
    secrets: name -> value; artifacts: a folder that outlives a run
    """

    repository: Path
    actions: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    artifacts: Path | None = None
    seconds: float = 20  # a backstop for each step


@dataclass(frozen=True)
class Place:
    """Where a job works: its workspace, its home, and the token that it was given."""

    space: Path
    home: Path
    token: str


def checkout(host: Host, place: Place, given: Mapping[str, str]) -> str:
    """Bring a commit into the workspace; leave the token there, as GitHub does.

    Raises CalledProcessError when there is no such commit.
    """
    found = git(host.repository, "rev-parse", f"{given['ref']}^{{commit}}")
    sha = found.decode().strip()
    target = place.space / given.get("path", ".")
    target.mkdir(parents=True, exist_ok=True)
    git(target, "init", "--quiet")
    git(target, "fetch", "--quiet", str(host.repository.resolve()), sha)
    git(target, "checkout", "--quiet", "--force", sha)
    if given.get("persist-credentials", "true") != "false":
        secret = base64.b64encode(f"x-access-token:{place.token}".encode()).decode()
        key = "http.https://example.invalid/.extraheader"
        git(target, "config", key, f"AUTHORIZATION: basic {secret}")
    return f"checked out {sha[:12]}"


def upload(host: Host, place: Place, given: Mapping[str, str]) -> str:
    """Keep a file or a folder for later runs. Raises ValueError for one outside."""
    source = (place.space / given.get("path", ".")).resolve()
    if not source.is_relative_to(place.space.resolve()):
        raise ValueError(f"{given['path']} lies outside the workspace")
    target = _storage(host, given)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return f"uploaded {target.name}"


def download(host: Host, place: Place, given: Mapping[str, str]) -> str:
    """Bring what an earlier run kept."""
    target = place.space / given.get("path", ".")
    shutil.copytree(_storage(host, given), target, dirs_exist_ok=True, symlinks=True)
    return f"downloaded {given.get('name', 'artifact')}"


KNOWN: dict[str, Callable[[Host, Place, Mapping[str, str]], str]] = {
    "actions/checkout": checkout,
    "actions/upload-artifact": upload,
    "actions/download-artifact": download,
}


def _storage(host: Host, given: Mapping[str, str]) -> Path:
    if host.artifacts is None:
        raise ValueError("this host keeps no artifacts")
    name = given.get("name", "artifact").replace("/", "_").lstrip(".")
    return host.artifacts / (name or "artifact")


@contextmanager
def fetched(host: Host, space: Path, uses: str) -> Iterator[tuple[File, Path] | str]:
    """Give the action that a text names, at its tag or commit; or why there is none.

    As on GitHub, a commit counts when the storage of the repository and its forks
    holds it, whether or not a branch of the repository leads to it.
    """
    if uses.startswith("./"):
        yield _opened(space / uses[2:], uses)
        return
    whole, _, version = uses.partition("@")
    name, folder = "/".join(whole.split("/")[:2]), "/".join(whole.split("/")[2:])
    source = host.actions.get(name)
    if source is None:
        yield f"{whole} is not on this machine: nothing of it was run"
        return
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        try:
            packed = git(source, "archive", f"{version}^{{commit}}")
        except subprocess.CalledProcessError:
            yield f"{name} has no {version}"
            return
        subprocess.run(["tar", "-x", "-C", scratch], input=packed, check=True)
        yield _opened(Path(scratch, folder), uses)


def _opened(folder: Path, uses: str) -> tuple[File, Path] | str:
    paths = [folder / f"action.{end}" for end in ("yml", "yaml")]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        return f"{uses}: no action.yml there"
    file = workflow_files.load(path)
    if file.data["runs"].get("using") != "composite":
        return f"{uses} needs Docker or JavaScript: nothing of it was run"
    return file, folder


def defaults(action: File) -> dict[str, str]:
    """Return the inputs that an action has when nobody gives any."""
    return {
        key.lower(): plain(more.get("default") if isinstance(more, dict) else None)
        for key, more in (action.data.get("inputs") or {}).items()
    }


def belongs(repository: Path, commit: str) -> bool:
    """Say whether a branch or a tag of a repository leads to a commit.

    A commit that only a fork has, or a pull request, is none of the project's.
    """
    try:
        found = git(repository, "for-each-ref", "--contains", commit, "refs/heads",
                    "refs/tags")  # fmt: skip
    except subprocess.CalledProcessError:
        return False
    return bool(found.strip())
