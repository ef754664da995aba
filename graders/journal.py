"""What a grading run has done, so that one that was killed goes on where it was.

A hand-in is started, graded (its result staged on disk) and saved (in the gradebook).
The journal is a line of JSON for each step, written through to the disk; a line that
a crash cut short is ignored. Saving twice changes nothing, so what is staged but not
saved is saved again, and nothing is graded twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from graders.intake import Submission
from graders.pool import Lab
from securetrain.notebooks import dumps

Key = tuple[str, str, str]  # student, topic, notebook


def digest(lab: Lab, submission: Submission) -> str:
    """Return what a result depends on: the hand-in, the lab and the seed."""
    parts = [submission.content, submission.refused.encode()]
    parts += [dumps(lab.master).encode(), str(lab.seed).encode()]
    hashes = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(hashes).hexdigest()


def key(submission: Submission) -> Key:
    """Return which hand-in this is."""
    return submission.student, submission.topic, submission.name


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
        except OSError:
            self.file.close()
            raise ValueError(
                f"another grading run is at work in {workspace}; wait for its end"
            ) from None
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
        """Return "started", "graded" or "saved"; "" when this very hand-in is new."""
        came, state = self.last.get(key(submission), ("", ""))
        return state if came == digest else ""

    def note(self, submission: Submission, digest: str, state: str) -> None:
        """Write a step down for good."""
        who = dict(zip(("student", "topic", "name"), key(submission), strict=True))
        line = json.dumps(who | {"digest": digest, "state": state}).encode() + b"\n"
        self.file.write(line)
        os.fsync(self.file)
        self._take(line)

    def _staged(self, submission: Submission) -> Path:
        # As JSON: a folder's name may be no text at all.
        name = hashlib.sha256(json.dumps(key(submission)).encode()).hexdigest()[:32]
        return self.staging / f"{name}.json"

    def stage(self, submission: Submission, digest: str, result: dict) -> None:
        """Keep a result until it is saved."""
        self.staging.mkdir(exist_ok=True)
        path = self._staged(submission)
        scratch = path.with_suffix(".tmp")
        with open(scratch, "w", encoding="utf-8") as file:
            json.dump(result, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        self.note(submission, digest, "graded")

    def staged(self, submission: Submission) -> dict[str, Any]:
        """Return the result that was kept."""
        return json.loads(self._staged(submission).read_text("utf-8"))

    def saved(self, submission: Submission, digest: str) -> None:
        """Note that the gradebook has the result, and let go of the staged one."""
        self.note(submission, digest, "saved")
        self._staged(submission).unlink(missing_ok=True)

    def close(self) -> None:
        """Let another run have it."""
        self.file.close()
