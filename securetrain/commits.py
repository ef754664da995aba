"""What a commit brings, read from git: its files, what changed, and what was before.

The attacker's commit holds a link where a file belongs, a name that is two files, or
settings that switch a tool off. So files are read from git's storage and not from the
working tree, and a link is not followed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

from securetrain import archives
from securetrain.archives import Refused

FILE_MODES = {"100644", "100755"}
LARGEST = 512 << 20  # bytes of one file


class Blobs(Mapping[str, bytes]):
    """The files of a commit by path; each is read when it is asked for."""

    def __init__(self, repository: Path, names: Mapping[str, str]) -> None:
        self.repository, self.names = repository, names

    def __getitem__(self, path: str) -> bytes:
        name = self.names[path]
        line, env = _line(self.repository, "cat-file", "--batch")
        with subprocess.Popen(line, stdin=PIPE, stdout=PIPE, env=env) as asked:
            asked.stdin.write(f"{name}\n".encode())
            asked.stdin.close()
            said = asked.stdout.readline().decode()  # NAME blob SIZE, or NAME missing
            *_, size = said.split() or [""]
            if not size.isdigit():
                raise ValueError(f"git cat-file failed: {path}: {said.strip()}")
            if int(size) > LARGEST:
                raise Refused("size", f"{path}: more than {LARGEST >> 20} MB")
            content = asked.stdout.read(int(size))
        if len(content) != int(size):
            raise ValueError(f"git cat-file failed: {path}: cut off")
        return content

    def __contains__(self, path: object) -> bool:
        return path in self.names  # Mapping's own would read the file

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Commit:
    """A commit as plain data.

    files: path -> content of every regular file; changed: paths that were added,
    changed or removed; odd: path -> what stands there instead of a regular file
    before: path -> content, as it was in the commit before
    """

    files: Mapping[str, bytes]
    changed: frozenset[str]
    odd: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, bytes] = field(default_factory=dict)
    name: str = "the staged commit"

    def under(self, folder: str) -> dict[str, str]:
        """Return the files of a folder: path below it -> whole path.

        Raises Refused for a link, a submodule, or names that are one on some system.
        """
        start = folder.rstrip("/") + "/"
        for path, what in self.odd.items():
            if f"{path}/".startswith(start) or start.startswith(f"{path}/"):
                raise Refused("names", f"{path}: {what} where a file is expected")
        found = {p.removeprefix(start): p for p in self.files if p.startswith(start)}
        archives.check_names(found)
        return found

    def touches(self, *folders: str) -> bool:
        """Say whether something in one of these folders changed."""
        return any(
            f"{path}/".startswith(folder.rstrip("/") + "/")
            or folder.startswith(f"{path}/")
            for path in self.changed
            for folder in folders
        )


def git(repository: Path, *args: str) -> bytes:
    """Return what git says; settings of the repository's own content are left out.

    Raises ValueError with git's words when it fails.
    """
    line, env = _line(repository, *args)
    done = subprocess.run(line, capture_output=True, env=env)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise ValueError(f"git {args[0]} failed: {said[-300:]}")
    return done.stdout


def _line(repository: Path, *args: str) -> tuple[list[str], dict[str, str]]:
    line = ["git", "-C", str(repository), "-c", "core.quotePath=off", *args]
    return line, os.environ | {"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


def staged(repository: Path) -> Commit:
    """Return what the next commit would bring. Raises ValueError outside of git."""
    rows = git(repository, "ls-files", "-s", "-z").split(b"\0")
    head = _head(repository)
    whole = ["diff", "--cached", "--no-renames", "--name-only", "-z"]
    if head:
        whole.append(head)
        changed = git(repository, *whole).split(b"\0")
    else:
        changed = git(repository, "ls-files", "-z").split(b"\0")
    return _commit(repository, rows, changed, head, "the staged commit")


def since(repository: Path, base: str) -> list[Commit]:
    """Return every commit from `base` on, oldest first; a merge against its first."""
    start = git(repository, "rev-parse", "--verify", f"{base}^{{commit}}").decode()
    listed = git(repository, "rev-list", "--reverse", f"{start.strip()}..HEAD").split()
    return [one(repository, name.decode()) for name in listed]


def one(repository: Path, name: str) -> Commit:
    """Return one commit of the history."""
    rows = git(repository, "ls-tree", "-r", "-z", name).split(b"\0")
    parents = git(repository, "rev-list", "--parents", "-n", "1", name).split()[1:]
    parent = parents[0].decode() if parents else ""
    against = (
        parent or git(repository, "hash-object", "-t", "tree", os.devnull).decode()
    )
    changed = git(
        repository, "diff-tree", "-r", "--no-renames", "--name-only", "-z",
        against.strip(), name,
    ).split(b"\0")  # fmt: skip
    return _commit(repository, rows, changed, parent, f"commit {name[:12]}")


def _head(repository: Path) -> str:
    try:
        return git(repository, "rev-parse", "--verify", "-q", "HEAD").decode().strip()
    except ValueError:  # before the first commit
        return ""


def _commit(
    repository: Path, rows: list[bytes], changed: list[bytes], parent: str, name: str
) -> Commit:
    files, odd = _entries(rows)
    before: dict[str, str] = {}
    if parent:
        before, _ = _entries(
            git(repository, "ls-tree", "-r", "-z", parent).split(b"\0")
        )
    paths = frozenset(_name(path) for path in changed if path)
    found = Blobs(repository, files), paths, odd, Blobs(repository, before), name
    return Commit(*found)


def _entries(rows: list[bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """Return path -> name in git's storage, and what is no regular file."""
    files, odd = {}, {}
    for row in filter(None, rows):
        facts, _, path = row.partition(b"\t")
        mode, *more = facts.decode().split()
        name = _name(path)
        if mode in FILE_MODES:
            files[name] = more[1] if more[0] == "blob" else more[0]
        else:
            odd[name] = {"120000": "a symbolic link", "160000": "a submodule"}.get(
                mode, f"mode {mode}"
            )
    return files, odd


def _name(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
