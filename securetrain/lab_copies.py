"""The learner's own copies of the labs: made once, never replaced.

`labs/TOPIC/NAME.ipynb` becomes `work/TOPIC/NAME.ipynb`. Beside the copy lies
`.NAME.sha256`, the hash of what it came from, which tells whether a newer lab is out.
"""

from __future__ import annotations

import argparse
import hashlib
from itertools import count
from pathlib import Path

from securetrain import catalogue, own_files, paths
from securetrain.catalogue import Unit


def released(unit: Unit) -> Path:
    """Return where the released version of a lab lies."""
    return paths.root() / "labs" / f"{unit.id}.ipynb"


def own(unit: Unit) -> Path:
    """Return where the learner's copy of a lab lies."""
    return paths.work() / f"{unit.id}.ipynb"


def make(unit: Unit) -> bool:
    """Copy a released lab into the learner's folder, unless something is there.

    Returns whether a copy was made. Raises FileNotFoundError when the lab was not
    released, and ValueError when a symbolic link stands where the copy belongs.
    """
    content, path = _read(unit), own(unit)
    if not own_files.create(path, content):
        return False
    _hash_file(unit).write_text(_hash(content) + "\n", encoding="ascii")
    return True


def make_new(unit: Unit) -> Path:
    """Copy the newest lab beside the learner's copy, under the next free name."""
    content, first = _read(unit), own(unit)
    names = (first.with_stem(f"{first.stem}-{number}") for number in count(2))
    path = next(name for name in names if own_files.create(name, content))
    _hash_file(unit).write_text(_hash(content) + "\n", encoding="ascii")
    return path


def is_old(unit: Unit) -> bool:
    """Say whether the released lab is another one than the copy was made from."""
    try:
        came_from = _hash_file(unit).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        came_from = ""
    return came_from != _hash(_read(unit))


def prepare() -> list[str]:
    """Make the copies that are missing; return what to tell the learner.

    A lab that was not released yet, or a folder that cannot be written, is told
    and stops nothing else.
    """
    told = []
    for unit in labs():
        try:
            told.append(_prepare(unit))
        except (OSError, ValueError) as error:
            told.append(f"{unit.title}: {error}")
    return told


def labs() -> list[Unit]:
    """Return the labs of the catalogue."""
    return [unit for unit in catalogue.units() if unit.kind == "lab"]


def _prepare(unit: Unit) -> str:
    if make(unit):
        return f"{unit.title}: your copy is now {own(unit)}"
    if not is_old(unit):
        return f"{unit.title}: your copy is {own(unit)}"
    return (
        f"{unit.title}: your copy is {own(unit)}. A newer version of this lab is out; "
        f"`securetrain start {unit.id} --new` puts it beside yours."
    )


def _read(unit: Unit) -> bytes:
    path = released(unit)
    if not path.is_file():
        raise FileNotFoundError(
            f"expected the released lab {path}, found no file; `make labs` makes it."
        )
    return path.read_bytes()


def _hash_file(unit: Unit) -> Path:
    return own(unit).with_name(f".{own(unit).stem}.sha256")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _find(name: str) -> list[Unit]:
    """Return the labs that a unit id or a topic names."""
    found = [unit for unit in labs() if name in (unit.id, unit.topic)]
    if not found:
        known = ", ".join(unit.id for unit in labs())
        raise ValueError(f"No lab '{name}'. There are: {known}.")
    return found


def main(argv: list[str]) -> int:
    """Make your own copies of the labs under work/; nothing of yours is replaced."""
    parser = argparse.ArgumentParser(prog="securetrain start", description=main.__doc__)
    parser.add_argument("unit", nargs="?", help="a lab or a topic (default: every lab)")
    parser.add_argument(
        "--new", action="store_true", help="put the newest version beside your copy"
    )
    options = parser.parse_args(argv)
    if options.new and not options.unit:
        parser.error("--new needs the name of a lab")
    if not options.unit:
        print(*prepare(), sep="\n")
        return 0
    for unit in _find(options.unit):
        if options.new and not make(unit):
            print(f"{unit.title}: the newest version is {make_new(unit)}.")
            print(f"Your work stays in {own(unit)}, the copy that is checked.")
        else:
            print(_prepare(unit))
    return 0
