"""The gradebook as the KPIs need it: opened for reading alone, or made for no people.

One of another nbgrader is not migrated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

from graders.export import standings
from securetrain import kpi_cohort, kpis
from securetrain.kpi_completion import Grade
from securetrain.kpi_figures import Input, hash_of

KIND = "gradebook"


class Reading:
    """nbgrader's tables as `export.standings` asks for them, and nothing else."""

    def __init__(self, session: Any) -> None:
        self.session = session

    @property
    def assignments(self) -> list[Any]:
        from nbgrader.api import Assignment

        return self.session.query(Assignment).order_by(Assignment.name).all()

    @property
    def students(self) -> list[Any]:
        from nbgrader.api import Student

        return self.session.query(Student).order_by(Student.id).all()


@contextmanager
def reading(url: str) -> Iterator[Reading]:
    """Open a gradebook so that nothing in it can change.

    Raises ValueError for one that cannot be read, or that another nbgrader made.
    """
    from sqlalchemy import inspect, text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.orm import Session

    from graders.gradebook import reason, schema, without_password

    shown, engine = without_password(url), None
    try:
        engine = _engine(url)
        if not inspect(engine).has_table("alembic_version"):
            raise ValueError(f"{shown}: no gradebook of nbgrader, or one before 0.5")
        with Session(engine) as session:
            version = session.scalar(text("SELECT version_num FROM alembic_version"))
            if version != (expected := schema()):
                raise ValueError(
                    f"{shown}: made by another nbgrader (schema {version}, expected "
                    f"{expected}). Copy it, run `nbgrader db upgrade` on the copy, and "
                    "name the copy"
                )
            yield Reading(session)
            session.rollback()
    except SQLAlchemyError as error:
        raise ValueError(f"{shown}: cannot be read: {reason(error)}") from None
    except ModuleNotFoundError as error:
        raise ValueError(f"{shown}: its driver is missing ({error.name})") from None
    finally:
        if engine is not None:
            engine.dispose()


def _engine(url: str) -> Any:
    """Return an engine whose connections cannot write."""
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    if (path := database(url)) is None:
        engine = create_engine(make_url(url))
        return engine.execution_options(postgresql_readonly=True)
    # Python's own SQLite has nothing else that refuses every write
    where = f"{path.resolve().as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(where, uri=True))


def database(url: str) -> Path | None:
    """Return the file of a gradebook on SQLite, None for a server's."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    return Path(parts.database or "") if parts.get_backend_name() == "sqlite" else None


def read_gradebook(url: str) -> Input:
    """Return every learner's grade in every lab, or why it is not known.

    Its hash is the file's, which must not change meanwhile; a server's gradebook has
    that of the rows that were read.
    """
    hashes: tuple[str, ...] = ()
    try:
        path = database(url)
        if path and not path.is_file():
            raise ValueError(f"{path}: no gradebook there")
        hashes = (_hash(path),) if path else ()
        with reading(url) as book:
            grades = tuple(_grades(book))
            students = [student.id for student in book.students]
        if path and hashes != (_hash(path),):
            raise ValueError("it changed while it was read: try again, or name a copy")
        if not grades:
            raise ValueError("it holds no lab or no learner")
    except OSError as error:
        return Input(KIND, trouble=f"{KIND}: {error.strerror}")
    except ValueError as error:
        return Input(KIND, (), hashes, False, f"{KIND}: {error}")
    synthetic = kpis.is_synthetic(students, KIND)
    hashes = hashes or (hash_of(grades),)
    return Input(KIND, grades, hashes, synthetic, "", path.name if path else "")


def _hash(path: Path) -> str:
    """Return a file's hash. Raises ValueError where part of it lies in another file."""
    for beside in (Path(f"{path}-wal"), Path(f"{path}-journal")):
        if beside.exists() and beside.stat().st_size:
            raise ValueError(
                f"{beside.name} holds what is not in it yet: close what writes to it"
            )
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _grades(book: Reading) -> Iterator[Grade]:
    for lab in book.assignments:
        found, points = standings(book, lab.name)
        for one in found:
            yield Grade(one.student, lab.name, one.score, points, one.undecided)


def write_gradebook(path: Path, cohort: kpi_cohort.Cohort) -> None:
    """Write a cohort's grades into a new gradebook, with nbgrader's own words."""
    from nbgrader import api

    from graders.gradebook import open_gradebook

    with open_gradebook(f"sqlite:///{path}") as book:
        for lab in sorted({one.lab for one in cohort.grades}):
            book.add_assignment(lab)
            book.add_notebook("lab", lab)
            points = {"max_score": kpi_cohort.POINTS, "cell_type": "code"}
            book.add_grade_cell("check", "lab", lab, **points)
        labs = {lab.name: lab for lab in book.assignments}
        students = {name: api.Student(id=name) for name in cohort.roles}
        book.db.add_all(students.values())
        with book.db.no_autoflush:  # one transaction, where add_submission makes many
            for one in cohort.grades:
                (notebook,) = (lab := labs[one.lab]).notebooks
                (cell,) = notebook.grade_cells
                whole = api.SubmittedAssignment(
                    assignment=lab, student=students[one.student]
                )
                entry = api.SubmittedNotebook(notebook=notebook, assignment=whole)
                api.Grade(
                    cell_id=cell.id, cell=cell, notebook=entry,
                    auto_score=one.score, needs_manual_grade=False,
                )  # fmt: skip
                book.db.add(whole)
        book.db.commit()
