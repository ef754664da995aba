"""The files that Canvas and Moodle import, and those they export.

Every text in them may be a student's, so none may act as a spreadsheet's formula.
Formats: Canvas's gradebook_importer.rb, Moodle's grade/import/csv.
"""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securetrain.spreadsheet import safe

Row = list[str]
MATCH = {
    "canvas": ("SIS Login ID",),
    "moodle": ("Username", "ID number", "Email address"),
}
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
POINTS = "Points Possible"


@dataclass(frozen=True)
class Standing:
    """Where a student stands in a lab.

    score: points after the penalty for lateness; None where nothing has any yet
    undecided: a human has not decided all of it yet
    """

    student: str
    score: float | None = None
    raw_score: float | None = None
    penalty: float | None = None
    undecided: bool = False
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    lms_id: str = ""
    feedback: str = ""


@dataclass(frozen=True)
class Roster:
    """A gradebook that the LMS exported: its columns, and its rows by student.

    key: the column that holds the students' ids as our gradebook knows them
    points: Canvas's row of points, by column
    """

    path: Path
    header: Row
    rows: dict[str, dict[str, str]]
    key: str
    points: dict[str, str]


def number(value: float | None) -> str:
    """Return points as the LMS reads them, "" for none: 4 digits at most, no sign."""
    if value is None:
        return ""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def read_roster(path: Path, to: str, match: str | None = None) -> Roster:
    """Return the gradebook that Canvas or Moodle exported.

    match: the column with our students' ids; default: the LMS's own login
    Raises ValueError when it is no such file, or two rows name one student.
    """
    header, *rows = _table(path)
    named = [name for name in (match or "",) if name] or MATCH[to]
    key = next((name for name in named if name in header), None)
    lacks = [] if to == "moodle" else [c for c in ("ID", "Section") if c not in header]
    if key is None or lacks:
        wanted = ", ".join([*lacks, " or ".join(named)])
        raise ValueError(
            f"{path}: expected a gradebook exported by {to.title()}, with the columns "
            f"{wanted}; got {', '.join(header)}. --match COLUMN names another column."
        )
    found: dict[str, dict[str, str]] = {}
    points: dict[str, str] = {}
    for cells in rows:
        row = dict(zip(header, cells, strict=False))
        student = row.get(key, "").strip()
        if to == "canvas" and cells[0].strip() == POINTS and not row["ID"]:
            points = row
        elif student and cells[0] != "Student, Test":  # Canvas's view as a student
            if student in found:
                raise ValueError(f"{path}: {student!r} stands twice in column {key}")
            found[student] = row
    return Roster(path, header, found, key, points)


def _table(path: Path) -> list[Row]:
    """Return the rows of a CSV file, whichever separator it has."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected UTF-8; export it again as UTF-8") from None
    except OSError as error:
        raise ValueError(f"--roster {path}: {error.strerror}") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise ValueError(
            f"{path}: expected CSV as the LMS exports it: {error}"
        ) from None
    rows = [[cell.strip() for cell in row] for row in table if any(row)]
    if not rows:
        raise ValueError(
            f"{path}: expected a gradebook as the LMS exports it, got none"
        )
    return rows


def column(roster: Roster | None, title: str, kind: str = "") -> str:
    """Return the LMS's own name of a column of grades, or the title where it has none.

    kind: what Moodle adds, "Real" or "Feedback"; "" for Canvas, which adds a number
    Raises ValueError when two columns have that title.
    """
    if kind == "Feedback":
        title = title.removesuffix(" (Real)")
    elif roster and title in roster.header:
        return title
    named = rf"(?:[^:]+: ?)?{re.escape(title)} \({kind}\)"
    wanted = re.compile(named if kind else rf"{re.escape(title)} \(\d+\)")
    found = [name for name in roster.header if wanted.fullmatch(name)] if roster else []
    if roster and len(found) > 1:
        raise ValueError(
            f"{roster.path}: expected one column {title!r}, got {', '.join(found)}; "
            "--column takes the whole name"
        )
    return found[0] if found else f"{title} (Feedback)" if kind == "Feedback" else title


def _grade(standing: Standing, held: str) -> str:
    """Return a cell of points.

    held: what the LMS holds; it stays for a student without a hand-in, since both
        Canvas and Moodle take an empty cell for "delete this grade"
    """
    if standing.score is not None:
        return number(standing.score)
    return held if re.fullmatch(r"\d+([.,]\d+)?|EX", held) else ""


def canvas(
    standings: Sequence[Standing], title: str, points: float, roster: Roster | None
) -> list[Row]:
    """Return the table that Canvas imports: the header, the points, the students.

    Raises ValueError when Canvas counts other points than the lab.
    """
    name = column(roster, title)
    info = list(CANVAS)
    if roster:
        info = roster.header[: roster.header.index("Section") + 1]
        counts = roster.points.get(name, "").replace(",", ".")
        if re.fullmatch(r"\d+(\.\d+)?", counts) and not math.isclose(
            float(counts), points, abs_tol=0.01
        ):
            raise ValueError(
                f"{roster.path}: Canvas counts {counts} points for {name}, the lab "
                f"{number(points)}. Set the points in Canvas and export its gradebook "
                "again."
            )
    table = [[*info, name], [f"    {POINTS}", *[""] * (len(info) - 1), number(points)]]
    for one in standings:
        row = roster.rows[one.student] if roster else _person(one)
        cells = [row.get(key, "") for key in info]
        if POINTS in cells[0]:  # a student of that name would set everyone's points
            cells[0] = one.student.replace(POINTS, "")
        table.append([*cells, _grade(one, row.get(name, ""))])
    return table


def _person(standing: Standing) -> dict[str, str]:
    """Return what Canvas knows a student by, as far as our gradebook knows it."""
    names = [standing.last_name, standing.first_name]
    return {
        "Student": ", ".join(filter(None, names)) or standing.student,
        "ID": standing.lms_id,
        "SIS Login ID": standing.student,
    }


def moodle(
    standings: Sequence[Standing], title: str, roster: Roster | None
) -> list[Row]:
    """Return the table that Moodle imports; it asks which column is which."""
    name, told = column(roster, title, "Real"), column(roster, title, "Feedback")
    table = [[roster.key if roster else MATCH["moodle"][0], name, told]]
    for one in standings:
        held = roster.rows[one.student].get(name, "") if roster else ""
        # Moodle shows feedback as HTML.
        feedback = html.escape(one.feedback, quote=False)
        table.append([one.student, _grade(one, held), feedback])
    return table


def plain(standings: Sequence[Standing], topic: str, points: float) -> list[Row]:
    """Return a table for people and programs, with nbgrader's own column names."""
    table = [
        ["assignment", "student_id", "last_name", "first_name", "email", "raw_score"]
        + ["late_submission_penalty", "score", "max_score", "status"]
    ]
    for one in standings:
        status = "missing" if one.score is None else "graded"
        table.append(
            [topic, one.student, one.last_name, one.first_name, one.email]
            + [number(one.raw_score), number(one.penalty), number(one.score)]
            + [number(points), "undecided" if one.undecided else status]
        )
    return table


def dumps(table: Sequence[Row]) -> str:
    """Return a table as CSV, every cell of it safe to open in a spreadsheet."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([safe(cell) for cell in row] for row in table)
    return file.getvalue()
