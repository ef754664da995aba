"""Files that are made whole or not at all, and never replace another unasked."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # a file system without them


def create(path: Path, content: bytes, mode: int = 0o644) -> bool:
    """Write a new file whole or not at all; False when something has its name.

    mode: who may read it, as far as the process's umask allows
    Raises ValueError when a symbolic link stands where the file or its folder belongs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for place in (path, path.parent):
        if place.is_symlink():
            raise ValueError(f"{place} is a symbolic link; remove it and try again.")
    scratch = _scratch(path, content, mode & ~_umask())
    try:
        try:
            os.link(scratch, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            _write_new(path, content, mode)
    except FileExistsError:
        return False
    finally:
        scratch.unlink()
    return True


def replace(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file whole or not at all, in the place of one that is there.

    mode: who may read it, whatever the umask; None: as for a new file. A power cut
    after this leaves the new one.
    """
    scratch = _scratch(path, content, 0o644 & ~_umask() if mode is None else mode)
    try:
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _scratch(path: Path, content: bytes, mode: int) -> Path:
    """Return a file beside `path` with this content, under a name nobody can guess."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file where links are not known: with its mode from the start."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(handle, "wb") as file:
            file.write(content)
    except BaseException:
        with suppress(FileNotFoundError):
            path.unlink()
        raise


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
