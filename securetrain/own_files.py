"""Files that are the learner's own: made whole or not at all, and never replaced."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def create(path: Path, content: bytes, mode: int = 0o644) -> bool:
    """Write a new file whole or not at all; False when something has its name.

    mode: who may read it, as far as the process's umask allows
    Raises ValueError when a symbolic link stands where the file or its folder belongs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for place in (path, path.parent):
        if place.is_symlink():
            raise ValueError(f"{place} is a symbolic link; remove it and try again.")
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        _link(scratch, path)
    except FileExistsError:
        return False
    finally:
        scratch.unlink(missing_ok=True)
    return True


def _link(scratch: Path, path: Path) -> None:
    """Give a file its name; unlike a rename, this never replaces another file."""
    try:
        os.link(scratch, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        with path.open("xb") as file:  # a file system without hard links
            file.write(scratch.read_bytes())
