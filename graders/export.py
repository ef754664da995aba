"""Write a lab's grades for Canvas, for Moodle, or as a table.

    securetrain export 13-poisoning --to canvas --roster gradebook-from-canvas.csv

The roster is the gradebook that the LMS exported. With it, grades go into the LMS's
own column, and a student without a hand-in keeps what the LMS holds. Without it,
nbgrader's student ids are taken for the LMS's logins.

Exit status: 0 everyone is in the file; 1 some were left out, as listed; 2 wrong input.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graders import lms
from graders.lms import Roster, Standing
from securetrain import own_files
from securetrain.paths import root

if TYPE_CHECKING:
    from nbgrader.api import Gradebook


def standings(gradebook: Gradebook, topic: str) -> tuple[list[Standing], float]:
    """Return where every student of the gradebook stands, and the lab's points.

    Sorted by id here: databases sort text each in their own way.
    Raises ValueError, naming the labs there are, when this is none of them.
    """
    labs = {lab.name: lab for lab in gradebook.assignments}
    if topic not in labs:
        raise ValueError(
            f"{topic}: not in the gradebook; it holds: {', '.join(labs) or 'nothing'}. "
            f"Grade it first: securetrain grade {topic}"
        )
    handed_in = {one.student_id: one for one in labs[topic].submissions}
    found = [
        _standing(student, handed_in.get(student.id)) for student in gradebook.students
    ]
    return sorted(found, key=lambda one: one.student), labs[topic].max_score


def _standing(student: Any, submission: Any) -> Standing:
    """Return where a student stands; one query a notebook, so never half a grade."""
    about = {
        "student": student.id,
        "first_name": student.first_name or "",
        "last_name": student.last_name or "",
        "email": student.email or "",
        "lms_id": student.lms_user_id or "",
    }
    if submission is None:
        return Standing(**about)
    grades = [grade for book in submission.notebooks for grade in book.grades]
    late = math.fsum(book.late_submission_penalty or 0 for book in submission.notebooks)
    raw = math.fsum(grade.score for grade in grades)
    # nbgrader counts a cell without a score as 0; PostgreSQL can hold "not a number".
    known = math.isfinite(raw) and not all(map(_unset, grades))
    undecided = any(grade.needs_manual_grade or _unset(grade) for grade in grades)
    return Standing(
        **about,
        score=max(0.0, raw - late) if known else None,
        raw_score=raw if known else None,
        penalty=late if known else None,
        undecided=undecided or not known,
        feedback=_feedback(submission),
    )


def _unset(grade: Any) -> bool:
    return grade.auto_score is None and grade.manual_score is None


def _feedback(submission: Any) -> str:
    """Return the comments on a hand-in, a line for each."""
    comments = [
        (book.name, comment.name, comment.comment)
        for book in submission.notebooks
        for comment in book.comments
        if comment.comment
    ]
    return "\n".join(f"{cell}: {said}" for _, cell, said in sorted(comments))


def select(
    found: Sequence[Standing], roster: Roster | None, partial: bool
) -> tuple[list[Standing], list[str], list[str]]:
    """Return who is exported, whom a human must look at, and who is in no roster.

    With a roster its order and its students count; one who never handed in anything is
    not in our gradebook.
    """
    undecided = [one.student for one in found if one.undecided]
    chosen = {one.student: one for one in found if partial or not one.undecided}
    if roster is None:
        return list(chosen.values()), undecided, []
    strangers = [
        one.student
        for one in found
        if one.student not in roster.rows and one.score is not None
    ]
    ours = {one.student for one in found}
    if roster.rows and ours and not ours & set(roster.rows):
        raise ValueError(
            f"{roster.path}: column {roster.key} names none of the gradebook's "
            f"students. --match names another: {', '.join(roster.header)}"
        )
    rows = [
        chosen.get(student, Standing(student))
        for student in roster.rows
        if student in chosen or student not in ours
    ]
    return rows, undecided, strangers


def table(
    rows: Sequence[Standing],
    to: str,
    topic: str,
    title: str,
    points: float,
    roster: Roster | None,
) -> str:
    """Return the file's text in the LMS's format."""
    if to == "canvas":
        return lms.dumps(lms.canvas(rows, title, points, roster))
    if to == "moodle":
        return lms.dumps(lms.moodle(rows, title, roster))
    return lms.dumps(lms.plain(rows, topic, points))


def write(path: Path, text: str, workspace: Path, force: bool = False) -> None:
    """Write a file whole or not at all, readable by its owner alone.

    Raises ValueError when a file is there that this command did not write, or that
    someone has changed since; `force` replaces it.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    ledger = workspace / "exports.json"
    written: dict[str, str] = {}
    with suppress(OSError, TypeError, ValueError):
        written = dict(json.loads(ledger.read_text("utf-8")))
    name, data = os.path.abspath(path), text.encode("utf-8", "replace")
    try:
        if (path.is_symlink() or path.exists()) and not force:
            there = hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_symlink() or written.get(name) != there:
                raise ValueError(
                    f"{path}: exists, and is not what this command wrote last. "
                    "--out names another file, --force replaces this one."
                )
        own_files.replace(path, data, 0o600)
        written[name] = hashlib.sha256(data).hexdigest()
        own_files.replace(ledger, json.dumps(written, indent=1).encode(), 0o600)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from None


def shown(students: Sequence[str]) -> str:
    """Return ids that cannot steer a terminal."""
    return ", ".join(repr(student)[1:-1] for student in students)


def report(
    path: Path,
    rows: Sequence[Standing],
    undecided: Sequence[str],
    strangers: Sequence[str],
    options: argparse.Namespace,
) -> str:
    """Return what was done, and who was left out and why."""
    missing = [one.student for one in rows if one.score is None]
    lines = [f"wrote {path}: {len(rows) - len(missing)} grades of {options.topic}"]
    if missing:
        lines.append(f"no hand-in, so no grade ({len(missing)}): {shown(missing)}")
        if options.to != "csv" and not options.roster:
            lines.append(
                "  An import deletes a grade that the LMS holds for them; with "
                "--roster it stays."
            )
    if undecided and options.partial:
        lines.append(f"not final, a human decides: {shown(undecided)}")
    elif undecided:
        lines.append(
            f"left out, a human decides ({len(undecided)}): {shown(undecided)}. "
            "Grade them in formgrader, or export what there is: --partial"
        )
    if strangers:
        lines.append(f"left out, not in the roster: {shown(strangers)}")
    ids = [one.student for one in rows]
    if risky := [student for student in ids if lms.safe(student) != student]:
        lines.append(f"written with a ' before it, being formulas: {shown(risky)}")
    return "\n".join(lines)


def arguments(argv: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="securetrain export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("topic", help="such as 13-poisoning")
    add("--to", choices=("canvas", "moodle", "csv"), default="csv")
    add("--db", help="the gradebook; default: a file in the workspace")
    add("--out", type=Path, help="default: graders/workspace/TOPIC-TO.csv")
    add("--roster", type=Path, help="the gradebook that the LMS exported, as CSV")
    add("--match", metavar="COLUMN", help="the roster's column with our student ids")
    add(
        "--column", metavar="NAME", help="the grades' column in the LMS; default: TOPIC"
    )
    add("--partial", action="store_true", help="grades that are not final, too")
    add("--force", action="store_true", help="replace a file that others wrote")
    options = parser.parse_args(argv)
    if options.to == "csv" and (options.roster or options.match or options.column):
        parser.error("--roster, --match and --column need --to canvas or --to moodle")
    if options.match and not options.roster:
        parser.error("--match needs --roster")
    return options


def existing(url: str) -> str:
    """Return the URL; raise FileNotFoundError where nbgrader would make a new file."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    with suppress(ArgumentError):  # which open_gradebook explains
        where = make_url(url)
        path = where.database or ""
        if where.get_backend_name() == "sqlite" and not Path(path).is_file():
            raise FileNotFoundError(
                f"{path}: no gradebook there. Grade first (securetrain grade), or name "
                "one: --db"
            )
    return url


def main(argv: list[str]) -> int:
    """Export one lab's grades."""
    from graders import gradebook

    options = arguments(argv)
    workspace = root() / "graders" / "workspace"
    url = existing(options.db or gradebook.default_url(workspace))
    roster = None
    if options.roster:
        roster = lms.read_roster(options.roster, options.to, options.match)
    with gradebook.open_gradebook(url) as book:
        found, points = standings(book, options.topic)
    rows, undecided, strangers = select(found, roster, options.partial)
    title = options.column or options.topic
    text = table(rows, options.to, options.topic, title, points, roster)
    path = options.out or workspace / f"{options.topic}-{options.to}.csv"
    write(path, text, workspace, options.force)
    print(report(path, rows, undecided, strangers, options))
    return int(bool(strangers or (undecided and not options.partial)))
