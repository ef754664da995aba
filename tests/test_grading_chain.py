"""The whole chain with real tools: release, answers, collect, grade, feedback, CSV.

The small lab walks it twice, by archives from an LMS and through nbgrader's exchange;
each of the course's own labs once, by a student who makes one known mistake.
"""

import csv
import html
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from graders.mutants import load
from securetrain import notebooks
from securetrain.cli import main
from securetrain.notebook_rules import grading, is_prose, is_solution

ROOT = Path(__file__).resolve().parents[1]
WORKSPACE = Path("graders", "workspace")
PROSE = "It misses an attacker who stays quiet, or whose poison is most of a class."


def answer(source, lab, copy, wrong=None):
    """Write a student's notebook: the released lab, answered.

    source: where the right answers stand; wrong: solution cells and what the student
        writes there instead
    """
    right = {cell["id"]: cell["source"] for cell in notebooks.read(source)["cells"]}
    notebook = notebooks.read(lab)
    for cell in notebook["cells"]:
        if is_solution(cell):
            cell["source"] = (wrong or {}).get(cell["id"], right[cell["id"]])
        if is_prose(cell):
            cell["source"] = PROSE
    notebooks.write(copy, notebook)


def archive(course, topic, student, *files):
    """Put a student's files where an LMS's archive is unpacked to."""
    folder = course / WORKSPACE / "downloaded" / topic / "archive"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{student}.zip", "w") as packed:
        for file in files:
            packed.write(file, file.name)


def scores(course, topic, name, student):
    """Return a student's grades by cell: the score, or None where a human decides."""
    with Gradebook(f"sqlite:///{course / WORKSPACE / 'gradebook.db'}") as gradebook:
        graded = gradebook.find_submission_notebook(name, topic, student).grades
        return {g.name: None if g.needs_manual_grade else g.score for g in graded}


def grade_by_hand(course, topic, name, student, cell, score, comment):
    with Gradebook(f"sqlite:///{course / WORKSPACE / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade(cell, name, topic, student)
        grade.manual_score, grade.needs_manual_grade = score, False
        told = gradebook.find_comment(cell, name, topic, student)
        told.manual_comment = comment
        gradebook.db.commit()


def feedback(course, topic, name, student):
    """Return the text of a student's feedback page."""
    page = course / WORKSPACE / "feedback" / student / topic / f"{name}.html"
    return html.unescape(re.sub(r"<[^>]*>", "", page.read_text("utf-8")))


def exported(course):
    with open(course / WORKSPACE / "grades.csv", newline="") as file:
        return {row["student_id"]: row for row in csv.DictReader(file)}


def points(notebook):
    """Return what each graded cell is worth."""
    cells = [cell for cell in notebooks.read(notebook)["cells"] if grading(cell)]
    return {c["id"]: grading(c)["points"] for c in cells if grading(c)["grade"]}


SOURCE, LAB = Path("solutions/01-clip/clip.ipynb"), Path("labs/01-clip/clip.ipynb")
DROPS = "def clip(values, limit):\n    return [v for v in values if abs(v) <= limit]"


@pytest.fixture
def students(course, tmp_path, instructor):
    """Release the small lab and let two students answer it; return their files."""
    assert main(["release"]) == 0
    instructor("generate_assignment", "01-clip", "--force")
    assert main(["release", "--check"]) == 0
    files = {name: tmp_path / name / "clip.ipynb" for name in ("ada", "bob")}
    answer(course / SOURCE, course / LAB, files["ada"])
    answer(course / SOURCE, course / LAB, files["bob"], {"clip": DROPS})
    return files


def by_archive(course, instructor, students, tmp_path):
    for student, file in students.items():
        archive(course, "01-clip", student, file)
    instructor("zip_collect", "01-clip", "--strict")


def by_exchange(course, instructor, students, tmp_path):
    """Each student fetches the lab, saves the answers there, and submits."""
    instructor("release_assignment", "01-clip")
    for student, file in students.items():
        home = tmp_path / f"home-{student}"
        home.mkdir()
        exchange = course / WORKSPACE / "exchange"
        (home / "nbgrader_config.py").write_text(
            "c = get_config()\n"
            f"c.Exchange.root = {str(exchange)!r}\n"
            f"c.Exchange.cache = {str(home / 'cache')!r}\n"
            "c.CourseDirectory.course_id = 'secure-ai-training'\n"
        )
        instructor("fetch_assignment", "01-clip", cwd=home)
        assert (home / "01-clip" / "clip.ipynb").read_bytes() == (
            course / LAB
        ).read_bytes()
        shutil.copy(file, home / "01-clip" / "clip.ipynb")
        instructor("submit", "01-clip", f"--student={student}", cwd=home)
    # One account hands in for all of them here.
    instructor("collect", "01-clip", "--ExchangeCollect.check_owner=False")


@pytest.mark.parametrize("collect", [by_archive, by_exchange])
def test_two_students_get_their_grades(course, instructor, students, tmp_path, collect):
    work = course / "work" / "01-clip" / "clip.ipynb"
    notebooks.write(work, notebooks.read(course / LAB))
    before = work.read_bytes()

    collect(course, instructor, students, tmp_path)
    instructor("autograde", "01-clip")
    ada = {"check-clip": 2, "check-flag": 3, "limits": None}
    assert scores(course, "01-clip", "clip", "ada") == ada
    assert scores(course, "01-clip", "clip", "bob") == ada | {"check-clip": 0}

    grade_by_hand(course, "01-clip", "clip", "bob", "limits", 1, "Well said.")
    instructor("generate_feedback", "01-clip")
    text = feedback(course, "01-clip", "clip", "bob")
    assert "a value was dropped: clip moves, it keeps all" in text
    assert "Well said." in text and PROSE in text
    assert "AssertionError" not in feedback(course, "01-clip", "clip", "ada")

    instructor("export")
    rows = exported(course)
    assert {name: row["score"] for name, row in rows.items()} == {
        "ada": "5.0",
        "bob": "4.0",
    }
    assert {row["max_score"] for row in rows.values()} == {"6.0"}
    assert work.read_bytes() == before
    assert [p.name for p in (course / "work").iterdir()] == ["01-clip"]


def test_a_changed_check_is_put_back_before_it_is_graded(
    course, instructor, students, edit
):
    """A student who rewrites the check, its points or its name gains nothing."""

    def cheat(cell):
        cell["source"] = "pass"
        cell["metadata"]["nbgrader"]["points"] = 100

    edit(students["bob"], check_clip=cheat)
    archive(course, "01-clip", "bob", students["bob"])
    instructor("zip_collect", "01-clip")
    instructor("autograde", "01-clip")
    assert scores(course, "01-clip", "clip", "bob")["check-clip"] == 0


def test_the_untouched_lab_earns_nothing(course, instructor, students):
    archive(course, "01-clip", "eve", course / LAB)
    instructor("zip_collect", "01-clip")
    instructor("autograde", "01-clip")
    assert set(scores(course, "01-clip", "clip", "eve").values()) == {0}


@pytest.mark.parametrize(
    "lab", notebooks.find(ROOT / "solutions"), ids=lambda p: p.stem
)
def test_the_courses_own_lab_is_graded(course, instructor, tmp_path, lab):
    """One mutant among right answers costs its own points, and only those."""
    topic, name = lab.parent.name, lab.stem
    shutil.copytree(lab.parent, course / "solutions" / topic)
    assert main(["release", topic]) == 0
    instructor("generate_assignment", topic, "--force")
    released = course / "labs" / topic / f"{name}.ipynb"
    assert released.read_bytes() == (ROOT / "labs" / topic / released.name).read_bytes()

    last = [c["id"] for c in notebooks.read(lab)["cells"] if is_solution(c)][-1]
    mutant, *_ = [m for m in load(ROOT / "graders/mutants" / topic) if m.cell == last]
    copy = tmp_path / f"{name}.ipynb"
    answer(lab, released, copy, {mutant.cell: mutant.code})
    archive(course, topic, "ada", copy)
    instructor("zip_collect", topic, "--strict")
    instructor("autograde", topic)
    prose = [c["id"] for c in notebooks.read(lab)["cells"] if is_prose(c)]
    assert prose
    assert scores(course, topic, name, "ada") == (
        points(lab) | dict.fromkeys(prose) | {f"check-{mutant.cell}": 0}
    )

    instructor("generate_feedback", topic)
    assert mutant.says in feedback(course, topic, name, "ada")
    instructor("export")
    earned = sum(v for v in scores(course, topic, name, "ada").values() if v)
    row = exported(course)["ada"]
    assert (row["assignment"], float(row["score"])) == (topic, earned)
    assert float(row["max_score"]) == sum(points(lab).values())
