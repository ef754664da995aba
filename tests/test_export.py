"""Grades for the LMS: one class in a real gradebook, on SQLite and on PostgreSQL."""

import csv
import io
import os
import shutil

import pytest
from postgres_server import database
from sqlalchemy.engine import make_url

from graders import lms
from graders.gradebook import open_gradebook
from securetrain.cli import main

TOPIC = "13-poisoning"
EVIL = "=HYPERLINK(A1)"
SAID = "=cmd|'/C calc'!A0"


def hand_in(gradebook, student, auto, by_hand=None, late=0.0, comment=None):
    """Enter a hand-in: the check's points and a human's, None where there are none."""
    if auto is None and by_hand is None:
        with gradebook.db.no_autoflush:
            gradebook.add_submission(TOPIC, student)
        return
    with gradebook.db.no_autoflush:
        gradebook.add_submission(TOPIC, student, timestamp="2026-11-02 10:00:00")
    check = gradebook.find_grade("check-clip", "clip", TOPIC, student)
    check.auto_score, check.needs_manual_grade = auto, False
    prose = gradebook.find_grade("prose", "clip", TOPIC, student)
    prose.manual_score, prose.needs_manual_grade = by_hand, by_hand is None
    told = gradebook.find_comment("prose", "clip", TOPIC, student)
    told.manual_comment = comment
    notebook = gradebook.find_submission_notebook("clip", TOPIC, student)
    notebook.late_submission_penalty = late
    gradebook.db.commit()


def fill(url):
    """Make the class: adam, Zoe, Éva and EVIL are graded, bob sent nothing, and a
    human has still to look at carl."""
    with open_gradebook(url) as gradebook:
        gradebook.add_assignment(TOPIC)
        gradebook.add_notebook("clip", TOPIC)
        gradebook.add_grade_cell(
            "check-clip", "clip", TOPIC, max_score=10, cell_type="code"
        )
        gradebook.add_grade_cell(
            "prose", "clip", TOPIC, max_score=5, cell_type="markdown"
        )
        gradebook.add_solution_cell("prose", "clip", TOPIC)
        for last, student in enumerate(("Éva", "bob", "carl", "adam", EVIL, "Zoe")):
            gradebook.add_student(student, last_name=f"L{last}", first_name=student)
        hand_in(gradebook, "adam", 10, 4.5, comment="x < 3 & more\nsecond line")
        hand_in(gradebook, "Zoe", 0.1, 0.2, comment=SAID)
        hand_in(gradebook, "Éva", 1, 2, late=5)
        hand_in(gradebook, "carl", 7)
        hand_in(gradebook, EVIL, 3, 0)
    return url


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory):
    """Return the file of a class that every test copies."""
    path = tmp_path_factory.mktemp("class") / "class.db"
    fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def on_postgres(postgres_server):
    """Return the name of a database with the class that every test copies."""
    return make_url(fill(database(postgres_server))).database


@pytest.fixture
def small(on_sqlite, tmp_path):
    """Return the class on SQLite, for what does not depend on the database."""
    return f"sqlite:///{shutil.copy(on_sqlite, tmp_path)}"


@pytest.fixture
def large(on_postgres, postgres_server):
    """Return the class on PostgreSQL."""
    return database(postgres_server, like=on_postgres)


@pytest.fixture(params=["small", "large"])
def url(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def export(course, tmp_path, capsys):
    """Return a function that exports: the exit status, the table, what was said."""

    def run(url, *words, out="grades.csv"):
        path = tmp_path / out
        status = main(["export", TOPIC, "--db", url, "--out", str(path), *words])
        said = capsys.readouterr()
        with open(path, newline="", encoding="utf-8") as file:
            return status, list(csv.reader(file)), said.out + said.err

    return run


@pytest.fixture
def refused(course, tmp_path, capsys):
    """Return a function that exports and must not: what was said."""

    def run(url, *words, status=2):
        out = ["--out", str(tmp_path / "refused.csv")]
        assert main(["export", TOPIC, "--db", url, *out, *words]) == status
        assert not (tmp_path / "refused.csv").exists()
        return capsys.readouterr().err

    return run


def roster(path, *rows, separator=","):
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return ["--roster", str(path)]


CANVAS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
CANVAS_ROWS = [
    [*CANVAS, "Essay (7)", "13-poisoning (42)", "Current Score"],
    ["", "", "", "", "", "Manual Posting", "", "(read only)"],
    ["    Points Possible", "", "", "", "", "10.00", "15.00", "(read only)"],
    ["Berg, Eva", "101", "s1", "Éva", "A", "9", "", "0"],
    ["Points Possible", "102", "s2", "adam", "A", "", "1", "0"],
    ["=1+1", "103", "s3", EVIL, "A", "", "", "0"],
    ["Bo, Bob", "104", "s4", "bob", "A", "", "EX", "0"],
    ["Ca, Carl", "105", "s5", "carl", "A", "", "6", "0"],
    ["Dee, Dora", "106", "s6", "dora", "A", "", "", "0"],
    ["Student, Test", "107", "", "f00d", "A", "", "", "0"],
]


# One class, two databases


def test_the_same_class_gives_the_same_table_on_both_databases(url, export):
    status, table, said = export(url)
    assert [row[1:2] + row[5:] for row in table] == [
        ["student_id", "raw_score", "late_submission_penalty", "score", "max_score"]
        + ["status"],
        ["'" + EVIL, "3", "0", "3", "15", "graded"],
        ["Zoe", "0.3", "0", "0.3", "15", "graded"],
        ["adam", "14.5", "0", "14.5", "15", "graded"],
        ["bob", "", "", "", "15", "missing"],
        ["Éva", "3", "5", "0", "15", "graded"],
    ]
    assert status == 1
    assert "left out, a human decides (1): carl" in said
    assert "no hand-in, so no grade (1): bob" in said


def test_canvas_and_moodle_get_the_same_from_both_databases(url, export, tmp_path):
    words = roster(tmp_path / "canvas.csv", *CANVAS_ROWS)
    _, table, _ = export(url, "--to", "canvas", *words)
    assert [row[-1] for row in table] == [
        "13-poisoning (42)", "15", "0", "14.5", "3", "EX", "",
    ]  # fmt: skip
    _, table, _ = export(url, "--to", "moodle", out="moodle.csv")
    assert [row[:2] for row in table] == [
        ["Username", TOPIC], ["'" + EVIL, "3"], ["Zoe", "0.3"], ["adam", "14.5"],
        ["bob", ""], ["Éva", "0"],
    ]  # fmt: skip


def test_an_export_changes_nothing_in_the_gradebook(url, export):
    def scores():
        with open_gradebook(url) as gradebook:
            found = gradebook.assignment_submissions(TOPIC)
            return sorted((s.student.id, s.score, s.needs_manual_grade) for s in found)

    before = scores()
    export(url, "--partial")
    assert scores() == before
    assert len(before) == 5


def test_an_export_leaves_the_search_path_alone(small, export, monkeypatch):
    """nbgrader calls alembic by name, so a gradebook is opened with another PATH."""
    monkeypatch.setenv("PATH", os.defpath)
    export(small)
    assert os.environ.get("PATH") == os.defpath


# Canvas


def test_canvas_without_a_roster_knows_students_by_login(small, export):
    status, table, said = export(small, "--to", "canvas")
    assert table[0] == [*CANVAS, TOPIC]
    assert table[1] == ["    Points Possible", "", "", "", "", "15"]
    by_login = {row[3]: row for row in table[2:]}
    assert set(by_login) == {"'" + EVIL, "Zoe", "adam", "bob", "Éva"}
    assert by_login["adam"] == ["L3, adam", "", "", "adam", "", "14.5"]
    assert "An import deletes a grade" in said
    assert "written with a ' before it" in said


def test_canvas_with_its_own_gradebook_keeps_its_ids_and_its_order(
    small, export, tmp_path
):
    words = roster(tmp_path / "canvas.csv", *CANVAS_ROWS)
    status, table, said = export(small, "--to", "canvas", *words)
    assert table[0] == [*CANVAS, "13-poisoning (42)"]
    assert [row[1] for row in table[2:]] == ["101", "102", "103", "104", "106"]
    assert status == 1
    assert "left out, not in the roster: Zoe" in said
    assert "(2): bob, dora" in said
    assert export(small, "--to", "canvas", "--partial", *words)[0] == 1


def test_a_student_named_like_canvas_row_of_points_sets_no_points(
    small, export, tmp_path
):
    """Canvas takes any row whose name holds these words for the row of points."""
    words = roster(tmp_path / "canvas.csv", *CANVAS_ROWS)
    _, table, _ = export(small, "--to", "canvas", *words)
    assert sum("Points Possible" in row[0] for row in table) == 1
    assert table[3] == ["adam", "102", "s2", "adam", "A", "14.5"]


def test_the_roster_may_name_students_by_another_column(small, export, tmp_path):
    rows = [CANVAS, ["Ng, Adam", "7", "adam", "ng7", "B"], ["Z", "8", "Zoe", "z8", "B"]]
    words = roster(tmp_path / "canvas.csv", *rows, separator=";")
    _, table, _ = export(small, "--to", "canvas", *words, "--match", "SIS User ID")
    assert table[2:] == [
        ["Ng, Adam", "7", "adam", "ng7", "B", "14.5"],
        ["Z", "8", "Zoe", "z8", "B", "0.3"],
    ]


def test_other_points_in_canvas_are_refused(small, refused, tmp_path):
    rows = [[*row] for row in CANVAS_ROWS]
    rows[2][6] = "100"
    said = refused(small, "--to", "canvas", *roster(tmp_path / "canvas.csv", *rows))
    assert "Canvas counts 100 points for 13-poisoning (42), the lab 15" in said


# Moodle


def test_moodle_gets_its_own_columns_and_feedback_as_text(small, export, tmp_path):
    held = ["Assignment: Poison (Real)", "Assignment: Poison (Feedback)"]
    rows = [
        ["First name", "Last name", "ID number", "Email address", *held],
        ["Adam", "A", "adam", "a@example.org", "-", ""],
        ["Bob", "B", "bob", "b@example.org", "3.00", ""],
        ["Zoe", "Z", "Zoe", "z@example.org", "-", ""],
    ]
    words = roster(tmp_path / "moodle.csv", *rows)
    _, table, _ = export(small, "--to", "moodle", "--column", "Poison", *words)
    assert table == [
        ["ID number", *held],
        ["adam", "14.5", "prose: x &lt; 3 &amp; more\nsecond line"],
        ["bob", "3.00", ""],
        ["Zoe", "0.3", f"prose: {SAID}"],
    ]


def test_moodle_without_a_hand_in_gets_an_empty_cell_never_a_zero(
    small, export, tmp_path
):
    rows = [["Username", f"Assignment: {TOPIC} (Real)"], ["bob", "-"], ["adam", "-"]]
    words = roster(tmp_path / "moodle.csv", *rows)
    _, table, said = export(small, "--to", "moodle", *words)
    assert [row[1] for row in table[1:]] == ["", "14.5"]
    assert "no hand-in, so no grade (1): bob" in said


# Formulas


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "\0=1"],
)
def test_a_formula_is_written_as_text(text):
    [[cell]] = csv.reader(io.StringIO(lms.dumps([[text]]), newline=""))
    assert cell == "'" + text.replace("\0", "")


@pytest.mark.parametrize("text", ["adam", "14.5", "a=b", "x-y@z.org", "", "    Points"])
def test_other_text_stays_as_it_is(text):
    assert lms.safe(text) == text


def test_no_cell_of_any_format_starts_a_formula(small, export, tmp_path):
    words = roster(tmp_path / "canvas.csv", *CANVAS_ROWS)
    tables = [
        export(small, "--to", to, *more, out=f"{n}.csv")[1]
        for n, (to, more) in enumerate(
            [("csv", []), ("canvas", []), ("canvas", words), ("moodle", [])]
        )
    ]
    cells = [cell for table in tables for row in table for cell in row]
    assert "'" + EVIL in cells and "'=1+1" in cells
    assert not [cell for cell in cells if cell.strip().startswith(tuple("=+-@"))]


# Who is left out


def test_what_a_human_must_decide_is_left_out_unless_asked_for(small, export):
    status, table, said = export(small)
    assert status == 1 and "carl" not in [row[1] for row in table]
    status, table, said = export(small, "--partial")
    assert status == 0 and "not final, a human decides: carl" in said
    carl = next(row for row in table if row[1] == "carl")
    assert carl[5:] == ["7", "0", "7", "15", "undecided"]


def test_a_hand_in_that_was_never_graded_is_no_zero(url, export):
    with open_gradebook(url) as gradebook:
        hand_in(gradebook, "bob", None)
    status, table, said = export(url)
    assert status == 1 and "(2): bob, carl" in said
    _, table, _ = export(url, "--partial")
    bob = next(row for row in table if row[1] == "bob")
    assert bob[5:] == ["", "", "", "15", "undecided"]


def test_everyone_exported_is_status_0(small, export):
    with open_gradebook(small) as gradebook:
        grade = gradebook.find_grade("prose", "clip", TOPIC, "carl")
        grade.manual_score, grade.needs_manual_grade = 1, False
        gradebook.db.commit()
    status, table, said = export(small)
    assert status == 0 and "left out" not in said
    assert next(row for row in table if row[1] == "carl")[7] == "8"


# Files


def test_its_own_file_is_replaced_and_no_one_elses(small, export, tmp_path, capsys):
    out = tmp_path / "grades.csv"
    export(small)
    export(small, "--to", "moodle")  # what it wrote itself it may replace
    assert out.read_text("utf-8").startswith("Username,")
    assert out.stat().st_mode & 0o077 == 0
    out.write_text("mine\n")
    words = ["export", TOPIC, "--db", small, "--out", str(out)]
    assert main(words) == 2
    assert "is not what this command wrote last" in capsys.readouterr().err
    assert out.read_text() == "mine\n"
    assert main([*words, "--force"]) == 1
    assert out.read_text("utf-8").startswith("assignment,")


def test_a_link_is_not_followed(small, export, tmp_path, capsys):
    out, mine = tmp_path / "grades.csv", tmp_path / "mine.csv"
    export(small)
    out.rename(mine)
    out.symlink_to(mine)
    before = mine.read_bytes()
    words = ["export", TOPIC, "--db", small, "--out", str(out), "--to", "moodle"]
    assert main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*words, "--force"]) == 1
    assert mine.read_bytes() == before
    assert not out.is_symlink()


def test_a_folder_that_is_not_there_is_said_and_nothing_is_left(small, course, capsys):
    out = course / "nowhere" / "grades.csv"
    assert main(["export", TOPIC, "--db", small, "--out", str(out)]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["export", TOPIC, "--db", small]) == 1
    workspace = course / "graders" / "workspace"
    assert sorted(os.listdir(workspace)) == [f"{TOPIC}-csv.csv", "exports.json"]


# Wrong input


def test_no_gradebook_is_said_and_none_is_made(refused, tmp_path):
    missing = tmp_path / "no.db"
    assert "no gradebook there" in refused(f"sqlite:///{missing}")
    assert not missing.exists()


def test_an_unknown_lab_names_those_there_are(small, course, capsys):
    assert main(["export", "99-none", "--db", small]) == 2
    assert f"it holds: {TOPIC}" in capsys.readouterr().err


def test_a_database_that_is_away_is_said_without_its_password(refused):
    password = "top-" + "secret"  # in two parts: our own hook scans this file
    url = f"postgresql+psycopg2://teacher:{password}@127.0.0.1:1/grades"
    said = refused(url)
    assert "127.0.0.1" in said and password not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Name,Points\nadam,3\n", "SIS Login ID"),
        ("", "got none"),
        (b"Student,ID,SIS Login ID,Section\n\xe9,1,adam,A\n", "expected UTF-8"),
        ("Student,ID,SIS Login ID,Section\na,1,adam,A\nb,2,adam,A\n", "stands twice"),
        ("Student,ID,SIS Login ID,Section\na,1,n1,A\n", "none of the gradebook's"),
        (f"Student,ID,SIS Login ID,Section,{TOPIC} (1),{TOPIC} (2)\na,1,adam,A,,\n",
         "--column takes the whole name"),
    ],
)  # fmt: skip
def test_a_wrong_roster_is_refused_with_what_it_lacks(
    small, refused, tmp_path, text, says
):
    path = tmp_path / "roster.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(small, "--to", "canvas", "--roster", str(path))
    assert says in said and str(path) in said


def test_a_missing_roster_is_said(small, refused, tmp_path):
    words = ["--to", "moodle", "--roster", str(tmp_path / "none.csv")]
    assert "No such file" in refused(small, *words)


def test_nbgrader_itself_reads_and_upgrades_a_gradebook_on_postgresql(
    large, instructor
):
    instructor("db", "upgrade", "--db", large)
    assert TOPIC in instructor("db", "assignment", "list", "--db", large)
    instructor("export", "--db", large)
    instructor("db", "student", "remove", "adam", "--force", "--db", large)
    with open_gradebook(large) as gradebook:
        assert "adam" not in [student.id for student in gradebook.students]
        assert len(gradebook.assignment_submissions(TOPIC)) == 4
