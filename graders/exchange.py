"""Collect from nbgrader's exchange what each student handed in, and nothing else.

Students write into the exchange themselves: the name of a folder there says whose work
it is, and a link in it would have been copied with the instructor's rights.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader import utils
from nbgrader.exchange.default import ExchangeCollect

from graders.intake import STUDENT, Refused, read, stamp

NOTEBOOK = re.compile(r"\w[\w .()+-]{0,80}\.ipynb")
MOST = 20  # notebooks of a hand-in
OTHERS = ("timestamp.txt", "submission_secret.txt")  # what `nbgrader submit` adds


class Collect(ExchangeCollect):
    """Leaves out what bears another's name, and takes notebooks alone."""

    def _path_to_record(self, path: str) -> dict[str, Any]:
        """Return whose a folder is, and since when; nobody's if it is not theirs."""
        try:
            record = super()._path_to_record(path)
            owner = _owner(path)
            if not STUDENT.fullmatch(record["username"]):
                raise ValueError(record["username"])
        except (OSError, ValueError, OverflowError):
            self.log.warning("not taken: %r is nothing that `submit` makes", path)
            return {"username": "", "filename": path, "timestamp": datetime.min}
        if self.check_owner and owner != record["username"]:
            self.log.warning(
                "not taken: %r is %r's; c.ExchangeCollect.check_owner = False takes "
                "what others hand in for a student",
                path,
                owner,
            )
            return record | {"username": ""}
        return record

    def init_src(self) -> None:
        """Find each student's newest hand-in."""
        super().init_src()
        self.src_records = [one for one in self.src_records if one["username"]]

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy the notebooks, as far as they are ordinary files of a sane size."""
        for why in take(src, dest):
            self.log.warning("not taken: %r: %s", src, why)


def take(src: str | Path, dest: str | Path) -> list[str]:
    """Copy a folder's notebooks into a new one; return why some were not."""
    faults = []
    try:
        folder = os.open(src, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:  # it was a folder when its owner was looked up
        return [f"it cannot be opened: {error.strerror}"]
    try:
        there = sorted(filter(NOTEBOOK.fullmatch, os.listdir(folder)))[:MOST]
        Path(dest).mkdir(parents=True)
        for name in [*there, *OTHERS]:
            try:  # through the open folder: its name may lead elsewhere by now
                content = read(Path(f"/proc/self/fd/{folder}", name))
                Path(dest, name).write_bytes(content)
            except Refused as error:
                faults += [str(error)] if name in there else []
    finally:
        os.close(folder)
    return faults


def _owner(path: str) -> str:
    """Return who owns a folder. Raises OSError for what is none."""
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(path)
    try:
        return pwd.getpwuid(facts.st_uid).pw_name
    except KeyError:
        return str(facts.st_uid)


def timestamp(folder: str | Path) -> datetime | None:
    """Return when a hand-in came; None where its file says nothing of the kind."""
    text = stamp(Path(folder))
    try:
        return utils.parse_utc(text) if text else None
    except (ValueError, OverflowError):
        return None
