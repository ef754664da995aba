"""Files that somebody handed in: only a file is read, and only so much of it.

The attacker leaves a pipe, a device, a link to one, or a file without end where a
record or a badge should lie. They want the reader to wait for ever, or its memory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from securetrain.archives import KINDS, Refused


def read(path: Path, most: int) -> bytes:
    """Return what a file holds, or the file that a link leads to.

    most: bytes that it may have
    Raises Refused for a larger one, a pipe and a device; OSError, as `open` does, for
    what cannot be opened and for a folder.
    """
    with open(path, "rb", opener=_at_once) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            kind = next((kind for test, kind in KINDS if test(mode)), "no file")
            raise Refused("file", f"{kind}, expected a file")
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused("file", f"larger than {most >> 10:,} KiB")
    return data


def _at_once(name: str, flags: int) -> int:
    """Open a file, a pipe too, without waiting for who writes to it."""
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
