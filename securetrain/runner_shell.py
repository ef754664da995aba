"""What a runner does with its machine: commands, git, files that scripts write."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

MASK, MOST = "***", 100_000  # characters of a log that are kept


def assignments(text: str) -> dict[str, str]:
    """Return what a script wrote to GITHUB_ENV or GITHUB_OUTPUT.

    `NAME=value`, or `NAME<<END`, lines and `END`. Other lines count for nothing.
    """
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, sign, rest = line.partition("=")
        if "<<" in name or (not sign and "<<" in line):
            name, _, end = line.partition("<<")
            kept = []
            for more in lines:
                if more == end:
                    break
                kept.append(more)
            found[name] = "\n".join(kept)
        elif sign:
            found[name] = rest
    return {name: value for name, value in found.items() if name.strip()}


def mask(log: str, secrets: Mapping[str, str]) -> str:
    """Return a log with each secret hidden where it stands exactly as it is."""
    for value in secrets.values():
        for line in value.splitlines():
            log = log.replace(line, MASK) if line.strip() else log
    return log[-MOST:]


def git(folder: Path, *args: str) -> bytes:
    """Return what git says. Raises CalledProcessError, with git's own words."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LANG": "C"}
    env |= {f"GIT_{who}_{what}": said for who in ("AUTHOR", "COMMITTER")
            for what, said in (("NAME", "somebody"), ("EMAIL", "a@example.invalid"),
                               ("DATE", "2026-01-01T00:00:00Z"))}  # fmt: skip
    line = ["git", "-c", "init.defaultBranch=main", "-c", "safe.directory=*",
            "-C", str(folder), *args]  # fmt: skip
    return subprocess.run(line, capture_output=True, check=True, env=env).stdout


def execute(
    line: list[str], folder: Path, env: Mapping[str, str], seconds: float
) -> tuple[int, str]:
    """Run a command in a group of its own; return exit status and output.

    The whole group ends with it, also when it takes too long or we are interrupted.
    """
    if not folder.is_dir():
        return 1, f"no folder {folder.name}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            line, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            ended = _ended(process.pid, seconds)
        finally:  # not reaped yet, so that the group is still this one
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        code = code if ended else 124
        log.seek(0)
        return code, log.read(MOST).decode("utf-8", "replace")


def _ended(pid: int, seconds: float) -> bool:
    """Wait for a child to end, and leave it to be reaped; False when time is up."""
    end = time.monotonic() + seconds
    how = os.WEXITED | os.WNOWAIT | os.WNOHANG
    while os.waitid(os.P_PID, pid, how) is None:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
