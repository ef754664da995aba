"""`securetrain kpis`: from a real gradebook to the page, and nothing changed by it."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import sqlite3
from hashlib import sha256

import pytest
from postgres_server import database
from test_export import fill

from graders import kpi_gradebook
from graders import kpis as command
from graders.gradebook import open_gradebook
from securetrain import kpi_cohort, kpis
from securetrain.kpi_figures import Quarter

Q4 = "2025Q4"  # long over, whatever the clock says


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a synthetic cohort, gradebook included."""
    here = tmp_path_factory.mktemp("kpis") / "cohort"
    command.main(["--synthetic", str(here), "--period", Q4])
    return here


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory):
    """Return the file of test_export's class: six real learners, one lab."""
    path = tmp_path_factory.mktemp("class") / "class.db"
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture
def run(course, tmp_path, capsys):
    """Return a function that makes both files: status, rows by title, page, words."""

    def make(*words, name="kpis"):
        page, table = tmp_path / f"{name}.html", tmp_path / f"{name}.csv"
        files = ["--html", str(page), "--csv", str(table)]
        status = command.main(["--period", Q4, *files, *map(str, words)])
        said = capsys.readouterr()
        with open(table, newline="", encoding="utf-8") as file:
            rows = {row["key result"]: row for row in csv.DictReader(file)}
        words = page.read_text("utf-8").replace("\u00a0", " ")
        return status, rows, words, said.out + said.err

    return make


def everything(folder, **instead):
    head = kpis.read_log(folder / "gate.jsonl")[1]
    words = {
        "gradebook": folder / "gradebook.db", "cohort": folder / "cohort.csv",
        "records": folder / "records", "debriefs": folder / "debriefs",
        "gate-log": folder / "gate.jsonl", "head": head,
    } | instead  # fmt: skip
    return [str(word) for key, value in words.items() for word in (f"--{key}", value)]


def find(rows, words):
    return next(row for title, row in rows.items() if words in title)


def digest(path):
    return sha256(path.read_bytes()).hexdigest()


def test_a_whole_cohort_gives_every_number_and_changes_no_file(folder, run):
    before = {path: digest(path) for path in folder.rglob("*") if path.is_file()}
    status, rows, page, said = run(*everything(folder))
    assert status == 0 and len(rows) == 7
    assert {p: digest(p) for p in folder.rglob("*") if p.is_file()} == before
    assert all(hash in page for hash in before.values()), "an auditor finds each file"
    drawn = kpi_cohort.draw(0, Quarter.parse(Q4))
    completed = find(rows, "Labs completed")
    assert completed["n"].startswith("20 learners") and completed["synthetic"]
    grades = kpi_gradebook.read_gradebook(f"sqlite:///{folder}/gradebook.db")
    scores = {(one.student, one.lab): one.score for one in drawn.grades}
    read = {(one.student, one.lab): one.score for one in grades.items}
    assert {key: score for key, score in read.items() if score is not None} == scores
    assert said.count("synthetic") == 7


def test_the_page_names_every_number_with_source_n_and_period(folder, run):
    _, rows, page, _ = run(*everything(folder))
    for row in rows.values():
        assert row["source"] and row["n"] and row["period"]
    source = find(rows, "Labs")["source"]
    assert f"gradebook.db, SHA-256 {digest(folder / 'gradebook.db')[:12]}" in source
    assert "http://" not in page and "https://" not in page
    assert "<script" not in page


def test_a_real_gradebook_counts_those_who_sent_nothing(on_sqlite, run):
    status, rows, page, _ = run("--gradebook", on_sqlite)
    # of six, adam alone passed (14.5 of 15); carl waits for a human with 7 of 15
    assert "at most 33 %" in page and "1 wait for a human" in page
    assert find(rows, "Labs")["status"] == "not met"
    assert status == 1 and find(rows, "integrity")["current"] == ""


def test_postgresql_is_read_and_not_written(postgres_server, run):
    url = fill(database(postgres_server))
    _, rows, page, _ = run("--gradebook", url)
    assert "at most 33 %" in page
    with (
        kpi_gradebook.reading(url) as book,
        pytest.raises(Exception, match="read-only"),
    ):
        book.session.execute(command_text("DELETE FROM grade"))


def command_text(words):
    from sqlalchemy import text

    return text(words)


def test_sqlite_refuses_every_write(on_sqlite):
    url = f"sqlite:///{on_sqlite}"
    with (
        pytest.raises(ValueError, match="readonly"),
        kpi_gradebook.reading(url) as book,
    ):
        book.session.execute(command_text("DELETE FROM grade"))


@pytest.fixture
def copy(on_sqlite, tmp_path):
    return shutil.copy(on_sqlite, tmp_path / "copy.db")


def change(path, words):
    with sqlite3.connect(path) as file:
        file.execute(words)
    file.close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("UPDATE alembic_version SET version_num = '167914646830'",
         "made by another nbgrader (schema 167914646830, expected"),
        ("DELETE FROM alembic_version", "made by another nbgrader (schema None"),
        ("DROP TABLE alembic_version", "no gradebook of nbgrader, or one before 0.5"),
        ("DROP TABLE student", "no such table"),
        ("DELETE FROM assignment", "it holds no lab or no learner"),
    ],
)  # fmt: skip
def test_another_gradebook_is_said_and_left_as_it_is(copy, run, words, says):
    change(copy, words)
    before = digest(copy)
    status, rows, page, said = run("--gradebook", copy)
    assert status == 1 and says in said
    assert digest(copy) == before
    assert find(rows, "Labs")["current"] == "" and "not known" in page


def test_a_gradebook_that_changes_while_it_is_read_is_not_known(copy, monkeypatch):
    def slow(book):
        found = list(grades(book))
        change(copy, "UPDATE grade SET auto_score = 0")
        return found

    grades = kpi_gradebook._grades
    monkeypatch.setattr(kpi_gradebook, "_grades", slow)
    found = kpi_gradebook.read_gradebook(f"sqlite:///{copy}")
    assert "changed while it was read" in found.trouble and not found.items


@pytest.mark.parametrize("name", ["copy.db-wal", "copy.db-journal"])
def test_what_is_not_yet_in_the_gradebook_s_file_is_said(copy, tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    url = f"sqlite:///{copy}"
    assert not kpi_gradebook.read_gradebook(url).trouble
    (tmp_path / name).write_bytes(b"x")
    assert name in kpi_gradebook.read_gradebook(url).trouble


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_no_gradebook_is_said_and_none_is_made(tmp_path, run, content):
    path = tmp_path / "odd.db"
    if content is not None:
        path.write_bytes(content)
    status, _, _, said = run("--gradebook", path)
    assert status == 1 and "gradebook: " in said
    assert (path.read_bytes() if content is not None else path.exists()) == (
        content if content is not None else False
    )


def test_a_cohort_of_one_gives_a_page_without_its_numbers(tmp_path, run, capsys):
    here = tmp_path / "one"
    command.main(["--synthetic", str(here), "--period", Q4, "--learners", "1"])
    status, rows, page, said = run(*everything(here))
    assert status == 1 and said.count("fewer than 5 people") == 3
    for words in ("Labs", "Confidence", "Skill"):
        row = find(rows, words)
        assert (row["current"], row["status"], row["n"]) == ("", "not shown", "")
    assert find(rows, "missed")["current"] != ""


def test_files_that_exist_stay_unless_forced(folder, run, tmp_path, capsys):
    words = everything(folder)
    run(*words)
    page = tmp_path / "kpis.html"
    page.write_text("mine")
    line = ["--period", Q4, "--html", str(page), *words]
    with pytest.raises(ValueError, match="exists; --force replaces it"):
        command.main(line)
    assert page.read_text() == "mine"
    assert command.main([*line, "--force"]) == 0 and "mine" not in page.read_text()
    with pytest.raises(FileExistsError):
        command.main(["--synthetic", str(folder), "--period", Q4])


@pytest.mark.parametrize("force", [False, True])
def test_a_failed_write_leaves_nothing_and_the_next_run_needs_no_force(
    tmp_path, monkeypatch, force
):
    page = tmp_path / "kpis.html"
    with pytest.raises(UnicodeEncodeError):
        command.write(page, "\ud800", force)
    assert list(tmp_path.iterdir()) == []

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        for name in ("link", "replace", "rename", "fsync", "write"):
            patch.setattr(os, name, full)
        command.write(page, "<html>", force)
    assert list(tmp_path.iterdir()) == []
    command.write(page, "first", False)
    with pytest.raises(ValueError, match="exists; --force replaces it"):
        command.write(page, "second", False)
    command.write(page, "third", True)
    assert page.read_text() == "third" and list(tmp_path.iterdir()) == [page]


def test_synthetic_evidence_beside_a_real_gradebook_is_refused(
    folder, on_sqlite, tmp_path, course
):
    words = everything(folder, gradebook=on_sqlite)
    page = tmp_path / "mixed.html"
    with pytest.raises(ValueError, match="real: gradebook"):
        command.main(["--period", Q4, "--html", str(page), *words])
    assert not page.exists()


def test_a_gradebook_with_both_kinds_of_learners_is_refused(copy):
    with open_gradebook(f"sqlite:///{copy}") as book:
        book.add_student("synthetic-001")
    with pytest.raises(ValueError, match="synthetic learners and real ones are mixed"):
        kpi_gradebook.read_gradebook(f"sqlite:///{copy}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--period", "2026Q9", "--html", "x"], "expected a quarter"),
        (["--period", "2099Q1", "--html", "x"], "2099Q1 has not begun: today is "),
        (["--period", Q4, "--html", "x", "--passing", "60"], "--passing"),
        (["--period", Q4], "--html FILE, --csv FILE"),
        (["--period", Q4, "--html", "x", "--lab", "13-posioning"],
         "'13-posioning' is no lab. There are: 11-provenance, "),
        (["--period", Q4, "--html", "x", "--lab", "01-risk-map"], "is no lab"),
        (["--html", "x"], "--period"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_said(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        command.main(words)
        raise AssertionError("it ran")
    except ValueError as error:
        assert says in str(error)
    except SystemExit as end:
        assert end.code == 2 and says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
