"""What a grading run has done, so that one that was killed goes on where it was.

A hand-in is started, graded (its result staged on disk) and saved (in the gradebook),
or refused: then the next run says so again. The journal is a line of JSON for each
step, written through to the disk; a line that a crash cut short is ignored. Saving
twice changes nothing, so what is staged but not saved is saved again, and nothing is
graded twice.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from graders.intake import Submission
from graders.pool import Lab
from securetrain.notebooks import dumps

Key = tuple[str, str, str]  # student, topic, notebook


def digest(lab: Lab, submission: Submission, where: str) -> str:
    """Return what a result depends on: the hand-in, the lab and the seed.

    where: the gradebook; what one has saved, another has not
    """
    parts = [submission.content, submission.refused.encode(), where.encode()]
    parts += [dumps(lab.master).encode(), str(lab.seed).encode()]
    hashes = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(hashes).hexdigest()


def key(submission: Submission) -> Key:
    """Return which hand-in this is."""
    return submission.student, submission.topic, submission.name


def settle(*paths: Path) -> None:
    """Return when files and folders are on the disk, new names in a folder too."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Journal:
    """The journal of a workspace; only one grading run at a time may hold it."""

    def __init__(self, workspace: Path) -> None:
        """Open it. Raises ValueError when another run is at work."""
        workspace.mkdir(parents=True, exist_ok=True)
        self.staging = workspace / "staging"
        self.path = workspace / "journal.jsonl"
        self.file = open(self.path, "a+b", buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.file.close()
            raise ValueError(
                f"another grading run is at work in {workspace}; wait for its end"
            ) from None
        self.scratch = workspace / "scratch"  # may hold what a killed run left
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        self.staging.mkdir(exist_ok=True)
        settle(workspace)
        self.last: dict[Key, tuple[str, str]] = {}
        self.file.seek(0)
        content = self.file.read()
        for line in content.split(b"\n"):
            self._take(line)
        if content and not content.endswith(b"\n"):
            self.file.write(b"\n")

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            who = (said["student"], said["topic"], said["name"])
            self.last[who] = (said["digest"], said["state"])
        except (ValueError, KeyError, TypeError):  # cut short by a crash
            return

    def state(self, submission: Submission, digest: str) -> str:
        """Return the last step of this very hand-in; "" when it is new."""
        came, state = self.last.get(key(submission), ("", ""))
        return state if came == digest else ""

    def note(self, submission: Submission, digest: str, state: str) -> None:
        """Write a step down for good."""
        who = dict(zip(("student", "topic", "name"), key(submission), strict=True))
        line = json.dumps(who | {"digest": digest, "state": state}).encode() + b"\n"
        if self.file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self.file)
        self._take(line)

    def _staged(self, submission: Submission) -> Path:
        # As JSON: a folder's name may be no text at all.
        name = hashlib.sha256(json.dumps(key(submission)).encode()).hexdigest()[:32]
        return self.staging / f"{name}.json"

    def stage(self, submission: Submission, digest: str, result: dict) -> None:
        """Keep a result until it is saved, below a line that proves it whole."""
        path, body = self._staged(submission), json.dumps(result).encode()
        scratch = path.with_suffix(".tmp")
        scratch.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        settle(scratch)
        os.replace(scratch, path)
        settle(self.staging)
        self.note(submission, digest, "graded")

    def staged(self, submission: Submission) -> dict[str, Any] | None:
        """Return the result that was kept; None when a crash took it or a part."""
        try:
            proof, _, body = self._staged(submission).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        whole = proof == hashlib.sha256(body).hexdigest().encode()
        return json.loads(body) if whole else None

    def let_go(self, submission: Submission) -> None:
        """Remove the staged result of what is saved."""
        self._staged(submission).unlink(missing_ok=True)

    def close(self) -> None:
        """Let another run have it."""
        self.file.close()
