"""nbgrader's gradebook, on SQLite or PostgreSQL: what the course has, who earned what.

People go on in formgrader, feedback and export; only how scores get in is ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from graders.intake import Submission
from graders.pool import Lab
from securetrain import notebooks, slow_imports
from securetrain.notebook_rules import source

with slow_imports.without_iris():
    from nbgrader import utils
    from nbgrader.api import (
        Comment,
        Grade,
        Gradebook,
        MissingEntry,
        Student,
        SubmittedAssignment,
        SubmittedNotebook,
    )

COURSE = "secure-ai-training"


def open_gradebook(url: str) -> Gradebook:
    """Open a gradebook; use it in a `with` statement.

    Raises ValueError, without the password, when the database cannot be reached.
    """
    shown = without_password(url)
    try:
        _stamp(url)
        return Gradebook(url, COURSE)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{shown}: its driver is missing ({error.name}). Install the course's "
            "extra: pip install -e .[cluster]"
        ) from None
    except SQLAlchemyError as error:
        raise ValueError(
            f"{shown}: the gradebook cannot be opened: {reason(error)}"
        ) from None


def without_password(url: str) -> str:
    """Return a gradebook's URL as it may be shown. Raises ValueError for others."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        raise ValueError(
            "--db: expected an URL such as sqlite:////folder/gradebook.db or "
            "postgresql+psycopg2://user@127.0.0.1/grades"
        ) from None


def reason(error: Exception) -> str:
    """Return the first line of what the disk or the database said."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]


def schema() -> str:
    """Return the version of a gradebook's schema that this nbgrader reads."""
    import nbgrader
    from alembic.script import ScriptDirectory

    folder = Path(nbgrader.__file__).parent / "alembic"
    return ScriptDirectory(str(folder)).get_current_head() or ""


def _stamp(url: str) -> None:
    """Note the schema's version, also where a crash kept somebody from it.

    nbgrader notes it only in a database without tables, with a process that takes
    seconds; without it `nbgrader db upgrade` fails one day.
    """
    engine = create_engine(url)
    try:
        _note_schema(engine)
    finally:
        engine.dispose()


def _note_schema(engine: Engine) -> None:
    known = inspect(engine).has_table("alembic_version")
    with engine.begin() as database:
        if not known:
            database.execute(
                text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            )
        if not database.scalar(text("SELECT count(*) FROM alembic_version")):
            database.execute(
                text("INSERT INTO alembic_version VALUES (:version)"),
                {"version": schema()},
            )


def has(book: Gradebook, submission: Submission) -> bool:
    """Say whether a gradebook holds a hand-in, whatever it earned."""
    one = submission
    try:
        book.find_submission_notebook(one.name, one.topic, one.student)
    except MissingEntry:
        return False
    return True


def register(url: str, lab: Lab) -> None:
    """Make the lab's cells known to the gradebook, as generate_assignment does."""
    import nbformat
    from nbgrader.preprocessors import (
        ClearOutput,
        ClearSolutions,
        ComputeChecksums,
        SaveCells,
    )

    with open_gradebook(url) as gradebook:
        gradebook.update_or_create_assignment(lab.topic)
    notebook = nbformat.reads(notebooks.dumps(lab.master), as_version=4)
    where = {"assignment": lab.topic, "notebook": lab.name, "db_url": url}
    resources = {"nbgrader": where}
    for step in (ClearSolutions, ClearOutput, ComputeChecksums, SaveCells):
        try:
            notebook, resources = step().preprocess(notebook, resources)
        except RuntimeError as error:  # cells came or went after hand-ins were graded
            raise ValueError(
                f"{lab.topic}/{lab.name}: {error}. Start a new gradebook with --db, or "
                "put the cells back."
            ) from None


def save(
    gradebook: Gradebook, result: dict[str, Any], before: dict[str, Any] | None
) -> None:
    """Write one result, all of it in one transaction.

    before: the graded notebook that is there already; a human's score of an answer
    that has not changed since stays, and needs no second look
    Saving twice, as after a crash, is as good as once: a look that is due stays due.
    """
    db = gradebook.db
    try:
        notebook = _submitted(gradebook, result)
        was = _sources(before or {"cells": []})
        now = _sources(result["notebook"])
        marks = {mark["id"]: mark for mark in result["marks"]}
        for grade in notebook.grades:
            mark = marks[grade.name]
            due = grade.needs_manual_grade or grade.auto_score != mark["score"]
            due |= was.get(grade.name) != now.get(grade.name)
            grade.auto_score = mark["score"]
            by_hand = grade.manual_score is not None
            undecided = mark["score"] is None and not by_hand
            grade.needs_manual_grade = undecided or (by_hand and due)
        for comment in notebook.comments:
            mark = marks.get(comment.name)
            comment.auto_comment = mark["message"] if mark else None
        db.commit()
    except BaseException:
        db.rollback()
        raise


def _sources(notebook: dict[str, Any]) -> dict[str, str]:
    return {cell["id"]: source(cell) for cell in notebook["cells"]}


def _submitted(gradebook: Gradebook, result: dict[str, Any]) -> SubmittedNotebook:
    """Return the gradebook's entry of a hand-in, made if it is the first."""
    db = gradebook.db
    assignment = gradebook.find_assignment(result["topic"])
    student = db.get(Student, result["student"])
    if student is None:
        student = Student(id=result["student"])
        db.add(student)
    submission = (
        db.query(SubmittedAssignment)
        .filter_by(assignment_id=assignment.id, student_id=student.id)
        .one_or_none()
    )
    with db.no_autoflush:
        if submission is None:
            submission = SubmittedAssignment(assignment=assignment, student=student)
        there = {notebook.name for notebook in submission.notebooks}
        for notebook in assignment.notebooks:
            if notebook.name not in there:
                _empty(notebook, submission)
        db.add(submission)  # and the new notebooks with it
    db.flush()
    if result["timestamp"]:
        try:
            submission.timestamp = utils.parse_utc(result["timestamp"])
        except (ValueError, ArithmeticError):
            submission.timestamp = None
    for notebook in submission.notebooks:
        if notebook.name == result["name"]:
            return notebook
    raise MissingEntry(f"{result['topic']} has no notebook {result['name']}")


def _empty(notebook: Any, submission: SubmittedAssignment) -> None:
    """Add a notebook without grades, as nbgrader's own add_submission does."""
    entry = SubmittedNotebook(notebook=notebook, assignment=submission)
    for cell in notebook.grade_cells:
        Grade(cell_id=cell.id, cell=cell, notebook=entry)
    for cell in notebook.solution_cells:
        Comment(cell_id=cell.id, cell=cell, notebook=entry)


def default_url(workspace: Path) -> str:
    """Return the gradebook to use: SECURETRAIN_DB, else a file in the workspace."""
    return os.environ.get("SECURETRAIN_DB") or f"sqlite:///{workspace}/gradebook.db"
