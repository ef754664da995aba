"""Show your own record in words, or export it as a file that you may hand on.

Your record stays on this machine until you export it and hand the file on yourself.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from pathlib import Path

from securetrain import catalogue, progress, records, role_paths

WORDS = {  # verb -> what one of them is, and several
    "started": ("unit that you opened", "units that you opened"),
    "ran": (
        "time that a lesson was run to its end",
        "times that a lesson was run to its end",
    ),
    "finished": ("unit that you finished", "units that you finished"),
    "chose": (
        "choice: your role, or what should change in a unit",
        "choices: your role, and what should change in a unit",
    ),
    "answered": (
        "answer to a quiz question, with what you chose",
        "answers to quiz questions, with what you chose",
    ),
    "checked": (
        "try of a lab's or an exercise's check",
        "tries of a lab's or an exercise's check",
    ),
    "rated": (
        "rating: how sure you are, or what you think of a unit",
        "ratings: how sure you are, and what you think of a unit",
    ),
}


def _show() -> int:
    """Print what the record holds, and where it lies."""
    events, damaged = _events()
    facts = [records.fact(event) for event in events]
    print(f"Your record: {progress.file()}")
    if not facts:
        print("It holds nothing yet.")
    for line in _holds(events):
        print(f"  {line}")
    titles = {unit.id: unit.title for unit in catalogue.units()}
    for unit, summary in progress.summary(events).items():
        if said := progress.in_words(summary):
            print(f"{titles[unit]}: {said}")
    gone = sorted({fact.unit for fact in facts} - titles.keys())
    if gone:
        print(f"Not in this release of the course any more: {', '.join(gone)}")
    _say_damaged(damaged)
    print("It names nobody and is sent nowhere.")
    return 0


def _export(options: argparse.Namespace) -> int:
    """Write the record as one file, and say what that file contains."""
    _check_place(options.to)
    events, damaged = _events()
    role = options.role or role_paths.chosen(events)
    data = records.make(events, "not-made-yet", role, without=options.without)
    if not data["statements"]:
        why = ": you keep all that it holds" if events else " yet"
        why += f"; damaged lines: {damaged}" if damaged else ""
        raise ValueError(f"nothing to export{why}")
    learner = data["learner"] = records.learner_id()
    records.write(options.to, data)
    print(f"{options.to} now holds, as learner {learner}:")
    print(f"  your role: {role or 'not said'}")
    for line in _holds(data["statements"]):
        print(f"  {line}")
    for name in dict.fromkeys(options.without):
        print(f"  no {name}: you kept them")
    _say_damaged(damaged)
    print("It has times, and no name. Nothing was sent: you hand the file on, or not.")
    return 0


def _check_place(path: Path) -> None:
    """Raise ValueError for a folder, or for a file in one that is not there."""
    if path.is_dir():
        raise ValueError(f"{path}: expected a file name, and this is a folder")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent}: no such folder; make it first")


def _events() -> tuple[list[dict], int]:
    """Return the whole events of the record, and how many lines are damaged.

    Raises ValueError when the record cannot be read: it may hold much.
    """
    try:
        progress.read()
    except OSError as error:
        why = f"your record cannot be read: {error.strerror}"
        raise ValueError(f"{progress.file()}: {why}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged lines are counted here
        lines, torn = progress.lines()
    whole, strange = records.split(lines)
    return whole, torn + strange


def _holds(events: list[dict]) -> list[str]:
    facts = [records.fact(event) for event in events]
    counts = Counter(fact.verb for fact in facts)
    for verb in ("started", "finished"):  # a unit that was opened twice is one unit
        counts[verb] = len({fact.unit for fact in facts if fact.verb == verb})
    said = [
        f"{counts[verb]} {one if counts[verb] == 1 else many}"
        for verb, (one, many) in WORDS.items()
        if counts[verb]
    ]
    if facts:
        times = sorted(fact.time for fact in facts)
        said.append(f"from {times[0]:%Y-%m-%d %H:%M} to {times[-1]:%Y-%m-%d %H:%M} UTC")
    return said


def _say_damaged(number: int) -> None:
    if number:
        what = "line is" if number == 1 else "lines are"
        print(f"{number} {what} damaged and left out; they stay in your record.")


def main(argv: list[str]) -> int:
    """Run `securetrain progress show` or `securetrain progress export`."""
    parser = argparse.ArgumentParser(
        prog="securetrain progress", description=__doc__.partition("\n")[0]
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("show", help="say in words what your record holds (default)")
    export = commands.add_parser("export", help="write it as one file, without a name")
    export.add_argument(
        "--to", type=Path, required=True, metavar="FILE", help="new file"
    )
    export.add_argument("--role", choices=list(catalogue.roles()), default="")
    export.add_argument(
        "--without",
        choices=list(records.PARTS),
        action="append",
        default=[],
        help="what to keep to yourself; may stand twice",
    )
    options = parser.parse_args(argv)
    return _export(options) if options.command == "export" else _show()
