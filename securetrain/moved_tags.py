"""A borrowed tool in a git repository whose tags can be moved: tag pin, commit pin.

The attacker has a token that may push. They move the tags of every release to a commit
of theirs, and want whoever borrows the tool by a tag to run it. It happened to Trivy's
action on 19 March 2026 (CVE-2026-33634, GHSA-69fq-xp46-6x23): 76 of 77 tags.

The repository lies on this machine, and the payload writes a marker file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TOOL = "scan.py"


class NoGit(ValueError):
    """There is no git to try it with."""


def git(folder: Path, *words: str, given: str = "") -> str:
    """Run git in a folder, with no setting of the user's; return what it printed."""
    program = shutil.which("git")
    if not program:
        raise NoGit("git is not installed: the moved tags were not tried")
    who = {f"GIT_{one}_NAME": "nobody" for one in ("AUTHOR", "COMMITTER")}
    who |= {f"GIT_{one}_EMAIL": "nobody@example" for one in ("AUTHOR", "COMMITTER")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        [program, *words],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath)} | who | alone,
        input=given,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout.strip()


def version() -> str:
    """Return git's version. Raises NoGit."""
    return git(Path.cwd(), "--version")


def commit(folder: Path, code: str) -> str:
    """Commit the tool with this code, and return the commit's hash."""
    if not (folder / ".git").is_dir():
        folder.mkdir(exist_ok=True)
        git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / TOOL).write_text(code, "utf-8")
    git(folder, "add", TOOL)
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "A release")
    return git(folder, "rev-parse", "HEAD")


def tag(folder: Path, names: Sequence[str], target: str) -> None:
    """Let every tag point to a commit, those that point elsewhere, too."""
    lines = [f"update refs/tags/{name} {target}\n" for name in names]
    git(folder, "update-ref", "--stdin", given="".join(lines))


def tags(folder: Path) -> dict[str, str]:
    """Return the commit that each tag means today."""
    form = "--format=%(refname:short) %(objectname)"
    rows = git(folder, "for-each-ref", form, "refs/tags").splitlines()
    return dict(row.split() for row in rows)


def payload(marker: str) -> str:
    """Return code that a thief would put before the tool's own.

    It writes into the file `marker` how many variables of its environment are named
    like tokens, and nothing else: no name, no value.
    """
    count = "sum(name.endswith('_TOKEN') for name in os.environ)"
    return f"import os\nopen({marker!r}, 'w').write(str({count}))\n"


def borrow(
    folder: Path, wanted: str, at: Path, env: Mapping[str, str]
) -> tuple[str, str]:
    """Fetch the tool by a tag or commit and run it, as a pipeline does.

    at: the folder it runs in; env: the environment that the pipeline gives it
    Returns the commit that was run, and what the tool printed.
    """
    found = git(folder, "rev-parse", "--verify", f"{wanted}^{{commit}}")
    at.mkdir(parents=True, exist_ok=True)
    (at / TOOL).write_text(git(folder, "show", f"{found}:{TOOL}"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-I", TOOL],
        cwd=at,
        env=dict(env),
        capture_output=True,
        text=True,
        check=True,
    )
    return found, done.stdout.strip()
