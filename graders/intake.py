"""Take in what students handed in; what cannot be read gets a reason, not a crash."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securetrain.notebooks import shape_fault

MAX_MEGABYTES = 20
STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


class Refused(ValueError):
    """A hand-in that cannot be graded; the message is for the student."""


@dataclass(frozen=True)
class Submission:
    """One student's notebook as it was handed in, unread.

    content: the file's bytes, empty when `refused` says why there are none
    timestamp: when it was handed in, as nbgrader's collector noted it, or ""
    """

    student: str
    topic: str
    name: str
    content: bytes = b""
    refused: str = ""
    timestamp: str = ""


def collect(
    submitted: Path, topic: str, name: str, students: Sequence[str] = ()
) -> list[Submission]:
    """Return every hand-in of a lab, in the order of the students' names.

    submitted: holds STUDENT/TOPIC/NAME.ipynb
    students: only theirs; by default, of everyone who has a folder for the topic
    """
    folders = sorted(submitted.iterdir()) if submitted.is_dir() else []
    return [
        _collect_one(folder, topic, name)
        for folder in folders
        if folder.name != ".ipynb_checkpoints"
        and (not students or folder.name in students)
        and _is_there(folder / topic)
    ]


def _is_there(path: Path) -> bool:
    """Say whether something has this name; where we may not look, it may have."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _collect_one(folder: Path, topic: str, name: str) -> Submission:
    student, path = folder.name, folder / topic / f"{name}.ipynb"
    try:
        if not STUDENT.fullmatch(student):
            raise Refused(
                f"The folder {student!r} is no student's name: expected letters, "
                "digits and . _ @ + - only. Rename it."
            )
        for place in (folder, folder / topic):
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                raise Refused(
                    f"Expected a folder {place.name} that holds {path.name}, got a "
                    "link or a file. Hand it in again."
                )
        content = read(path)
    except OSError as error:
        reason = f"The folder cannot be opened: {error.strerror}. Hand it in again."
        return Submission(student, topic, name, refused=reason)
    except Refused as error:
        return Submission(student, topic, name, refused=str(error))
    return Submission(student, topic, name, content, timestamp=stamp(path.parent))


def stamp(folder: Path) -> str:
    """Return when a hand-in came, as its collector noted it, or ""."""
    try:
        text = read(folder / "timestamp.txt").decode("ascii", "ignore")
    except Refused:
        return ""
    return text.strip()[:80]


def read(path: Path) -> bytes:
    """Return a hand-in's bytes; only an ordinary file of a sane size is read.

    Raises Refused with what was expected, what came and what to do.
    """
    handle = _open(path)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise Refused(f"{path.name} is no ordinary file. Hand in the notebook.")
        if facts.st_size > MAX_MEGABYTES * 10**6:
            raise Refused(
                f"{path.name} has {facts.st_size / 1e6:.0f} MB, at most "
                f"{MAX_MEGABYTES} are taken. In JupyterLab choose Edit, Clear Outputs "
                "of All Cells, save, and hand it in again."
            )
        with open(handle, "rb", closefd=False) as file:
            return file.read(MAX_MEGABYTES * 10**6 + 1)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    """Return a handle of whatever lies there: no link is followed, nothing awaited.

    A link may lead to another student's work; a pipe would never end.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Refused(_missing(path)) from None
    except OSError as error:
        linked = error.errno == errno.ELOOP
        fault = "is a symbolic link" if linked else f"cannot be read: {error.strerror}"
        raise Refused(
            f"{path.name} {fault}. Hand in the notebook itself, as an ordinary file."
        ) from None


def _missing(path: Path) -> str:
    """Say which notebook is missing, and what lies there instead."""
    try:
        there = sorted(p.name for p in path.parent.iterdir() if p.suffix == ".ipynb")
    except OSError as error:
        return f"No {path.name} is to be seen: {error.strerror}. Hand it in again."
    instead = f"; there is: {', '.join(there)[:200]}" if there else ""
    return f"No {path.name} was handed in{instead}. Hand it in under this very name."


def parse(content: bytes, name: str) -> dict[str, Any]:
    """Return the notebook in a hand-in. Raises Refused with a readable reason."""
    if not content.strip():
        raise Refused(f"{name} is empty. Save the notebook and hand it in again.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(
            f"{name} is not UTF-8 text (byte {error.start} is not). Save it in "
            "JupyterLab and hand it in again."
        ) from None
    try:
        notebook = json.loads(text)
    except RecursionError:
        raise Refused(
            f"{name} is nested too deeply. Hand in the lab's own notebook."
        ) from None
    except ValueError as error:
        raise Refused(
            f"{name} is no whole notebook ({error}): perhaps the upload was cut off. "
            "Hand it in again."
        ) from None
    if fault := shape_fault(notebook):
        raise Refused(f"{name}: {fault}. Hand in the lab's own notebook.")
    language = _language(notebook.get("metadata"))
    if language.lower() not in ("python", ""):
        raise Refused(
            f"{name} was written for {language[:30]}, expected Python. In JupyterLab "
            "choose Kernel, Change Kernel, Python 3, save, and hand it in again."
        )
    return notebook


def _language(metadata: Any) -> str:
    """Return what a notebook says its code is written in, "" when it does not."""
    for part, word in (("kernelspec", "language"), ("language_info", "name")):
        facts = metadata.get(part) if isinstance(metadata, dict) else None
        language = facts.get(word) if isinstance(facts, dict) else None
        if isinstance(language, str) and language:
            return language
    return ""
