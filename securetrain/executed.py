"""Executed lessons, kept: the site and the tests share one run of each.

`build/executed/UNIT.json` holds a run and the key of all that it depends on: the
notebook, the library, the lock and Python. Another key means another run. What is not
in the key is the machine: its tools, its speed and its number of cores.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

from securetrain import execution, paths
from securetrain.execution import Run

FOLDER = "build/executed"  # below the course's root
LIBRARY = Path(__file__).parent
FILES = ("requirements.lock", "pyproject.toml")
FACTS = ("seconds", "cpu_seconds", "peak_mb", "claims", "notebook")


def run(path: str | Path, *, fresh: bool = False) -> Run:
    """Return the run of a lesson: the kept one if nothing has changed, else a new one.

    path: a notebook below the course's root; fresh: execute it in any case
    A run in which a cell failed is not kept. Raises as `execution.run` does.
    """
    path = Path(path).resolve()
    place, now = file(path), key(path)
    if not fresh and (kept := _kept(place, now)):
        return Run(path=path, failures=(), **kept)
    done = execution.run(path)
    if not done.failures:
        _keep(place, {"key": now} | {name: getattr(done, name) for name in FACTS})
    return done


def file(path: Path) -> Path:
    """Return where the run of a lesson is kept."""
    name = path.resolve().relative_to(paths.root()).with_suffix(".json")
    return paths.root() / FOLDER / name


def key(path: Path) -> str:
    """Return the SHA-256 of everything in this repository that a run depends on."""
    here = paths.root()
    whole = hashlib.sha256(f"{platform.python_version()}\0".encode())
    parts = {"notebook": path} | {name: here / name for name in FILES} | _library()
    for name, part in parts.items():
        content = part.read_bytes() if part.is_file() else b""
        whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\0".encode())
    return whole.hexdigest()


def _library() -> dict[str, Path]:
    """Return the library's files, its data among them, in a fixed order."""
    left_out = {"__pycache__", ".ipynb_checkpoints"}
    return {
        part.relative_to(LIBRARY).as_posix(): part
        for part in sorted(LIBRARY.rglob("*"))
        if part.is_file() and not left_out & set(part.parts)
    }


def _kept(place: Path, now: str) -> dict[str, Any] | None:
    """Return the facts of a kept run with this key; None when there is none."""
    try:
        found = json.loads(place.read_text("utf-8"))
        if found["key"] != now or found.keys() != {"key", *FACTS}:
            return None
        return {name: found[name] for name in FACTS} | {
            "claims": tuple(found["claims"])
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none yet, or a damaged one: the lesson runs again


def _keep(place: Path, facts: dict[str, Any]) -> None:
    """Write a run whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps(facts), encoding="utf-8")
        os.replace(scratch, place)
    finally:
        scratch.unlink(missing_ok=True)
