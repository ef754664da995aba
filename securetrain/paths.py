"""Where the course, and the tools it calls, lie on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def root() -> Path:
    """Return the folder that holds `course/` and `labs/`.

    Looks upwards from the current folder, then beside this package;
    the environment variable SECURETRAIN_ROOT overrides both.
    Raises FileNotFoundError when none of them is a copy of the course.
    """
    if override := os.environ.get("SECURETRAIN_ROOT"):
        candidates = [Path(override)]
    else:
        here = Path.cwd()
        candidates = [here, *here.parents, Path(__file__).parents[1]]
    for folder in candidates:
        if (folder / "course" / "index.ipynb").is_file():
            return folder.resolve()
    raise FileNotFoundError(
        f"No course here: expected course/index.ipynb in {candidates[0]} or above it. "
        "Run from inside a copy of the course, or set SECURETRAIN_ROOT to it."
    )


def work() -> Path:
    """Return the learner's own folder; git ignores it and nothing overwrites it.

    The environment variable SECURETRAIN_WORK overrides `work/`.
    """
    return Path(os.environ.get("SECURETRAIN_WORK") or root() / "work")


def tool(name: str) -> str | None:
    """Return where a command lies: on PATH, or beside this Python."""
    return shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)
