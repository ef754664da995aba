"""A cohort of twenty, run with the commands of the instructor guide as they stand.

Hand-ins are real notebooks, graded in the jail; the people are made up, and everything
made of them says so.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbgrader.api import Gradebook
from test_grading_chain import answer

from graders.mutant_files import load
from securetrain import badges, catalogue, debriefs, kpi_cohort, manifests, responder
from securetrain.kpi_figures import Quarter

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "instructor-guide.md"
TOPIC, NAME = "11-provenance", "provenance"
WORKSPACE = Path("graders", "workspace")
NOW = datetime.now(UTC)
QUARTER = f"{NOW.year}Q{(NOW.month + 2) // 3}"
# What the guide's examples say, and what this run says instead.
SAYS = {"2026-12": f"{NOW:%Y-%m}", "2026Q4": QUARTER}
SHIM = f'#!/bin/sh\nexec "{sys.executable}" -m securetrain.cli "$@"\n'


def blocks():
    """Return the guide's commands, a text for each block."""
    found = re.findall(r"(?ms)^```bash\n(.*?)^```", GUIDE.read_text("utf-8"))
    for old, new in SAYS.items():
        found = [block.replace(old, new) for block in found]
    return found


def plans():
    """Return the guide's minute plans: a list of (start, minutes, text) for each."""
    rows = re.findall(r"(?m)^\| (\d+):(\d\d) \| (\d+) \| (.*) \|$", GUIDE.read_text())
    found = []
    for hours, minutes, lasts, what in rows:
        start = 60 * int(hours) + int(minutes)
        if start == 0:
            found.append([])
        found[-1].append((start, int(lasts), what))
    return found


def test_the_minute_plans_add_up_and_give_each_unit_its_time():
    lengths = []
    for plan in plans():
        clock = 0
        for start, lasts, what in plan:
            assert start == clock, what
            for unit in catalogue.units():
                if f"/{unit.id}.ipynb)" in what:
                    assert lasts >= unit.minutes, what
            clock += lasts
        lengths.append(clock)
    assert lengths == [4 * 60, 7 * 60, 2 * 60]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Run the guide's commands from release to the leader's page; return what came."""
    course = tmp_path_factory.mktemp("instructor").resolve() / "course"
    for folder in ("course", "labs", "solutions"):
        shutil.copytree(ROOT / folder, course / folder)
    shim = course / ".bin" / "securetrain"
    shim.parent.mkdir()
    shim.write_text(SHIM)
    shim.chmod(0o755)
    made = kpi_cohort.draw(1, Quarter.parse(QUARTER), kpi_cohort.Truth(learners=20))
    marks = hand_in(course, sorted(made.roles))
    here = SimpleNamespace(course=course, out=[], marks=marks)
    first, grade, export, drill, end, page = blocks()
    run(here, first)
    evidence(course.parent / "cohort", made)
    run(here, grade)
    run(here, export, status=1)  # nobody has read the answers in words yet
    read_by_hand(course)
    (course / WORKSPACE / "grades.csv").unlink(missing_ok=True)
    run(here, export)
    run(here, f"{drill.rstrip()} --synthetic")
    respond(course.parent / "cohort" / "red")
    run(here, end)
    run(here, page, status=1)  # nobody has kept a hash of the log yet
    return here


def run(here, commands, status=0):
    """Run a block in the course's folder, as a shell would; keep what it printed."""
    search = f"{here.course / '.bin'}{os.pathsep}{os.environ['PATH']}"
    paths = {"PYTHONPATH": str(ROOT), "PATH": search, "SECURETRAIN_ROOT": ""}
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{commands}"],
        cwd=here.course,
        env=os.environ | paths | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    here.out.append(done.stdout + done.stderr)
    assert done.returncode == status, here.out[-1]


def hand_in(course, students):
    """Write each student's notebook: right, or with one known mistake.

    Return the cells that each of them got wrong.
    """
    source = course / "solutions" / TOPIC / f"{NAME}.ipynb"
    lab = course / "labs" / TOPIC / f"{NAME}.ipynb"
    wrong = load(ROOT / "graders" / "mutants" / TOPIC)
    marks = {}
    for number, student in enumerate(students):
        folder = course / WORKSPACE / "submitted" / student / TOPIC
        folder.mkdir(parents=True)
        mistakes = {}
        if number % 2:
            one = wrong[number * 7 % len(wrong)]
            mistakes = {one.cell: one.code}
        answer(source, lab, folder / f"{NAME}.ipynb", mistakes)
        marks[student] = set(mistakes)
    return marks


def evidence(folder, made):
    """Put what a cohort leaves behind where the guide says; the drills come later."""
    kpi_cohort.write(made, folder / "made")
    shutil.move(folder / "made" / "gate.jsonl", folder / "gate.jsonl")
    (folder / "cohort.csv").write_text("\n".join(["student", *made.roles, ""]))
    for path in (folder / "made" / "records").iterdir():
        shutil.move(path, folder / "records" / path.name)
    for path in (folder / "made" / "debriefs").rglob("*debrief.json"):
        name = "-".join(path.relative_to(folder / "made" / "debriefs").parts)
        shutil.move(path, folder / "debriefs" / name)


def read_by_hand(course):
    """Give every answer in words its points, as formgrader's pages do."""
    with Gradebook(f"sqlite:///{course / WORKSPACE / 'gradebook.db'}") as gradebook:
        for submission in gradebook.assignment_submissions(TOPIC):
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    if grade.needs_manual_grade:
                        grade.manual_score = grade.max_score
                        grade.needs_manual_grade = False
        gradebook.db.commit()


def respond(folder):
    """Play the team with the course's own tools."""
    found = responder.respond(folder)
    responder.hand_in(folder, found, datetime.now(UTC), pause=0)


def scores(course):
    """Return each student's share of the points."""
    with Gradebook(f"sqlite:///{course / WORKSPACE / 'gradebook.db'}") as gradebook:
        found = gradebook.assignment_submissions(TOPIC)
        return {one.student.id: one.score / one.max_score for one in found}


def test_everybody_has_the_marks_they_earned(cohort):
    found = scores(cohort.course)
    assert len(found) == 20
    assert {s for s, share in found.items() if share == 1} == {
        student for student, wrong in cohort.marks.items() if not wrong
    }


def test_badges_go_to_who_passed_and_verify(cohort):
    passed = {s for s, share in scores(cohort.course).items() if share >= 0.7}
    public = manifests.read_public_key(cohort.course.parent / "cohort" / "issuer.pub")
    found = sorted((cohort.course / WORKSPACE / "badges").rglob("*.svg"))
    assert {path.parent.name for path in found} == passed
    for path in found:
        badge = badges.verify(path.read_bytes(), [public])
        assert not badge.holder and badges.belongs_to(badge, path.parent.name)


def test_the_drill_was_held_and_its_debrief_is_among_the_others(cohort):
    drill = debriefs.read(cohort.course.parent / "cohort" / "red" / "debrief.json")
    assert drill.synthetic and drill.month == f"{NOW:%Y-%m}" and not drill.false_alarms
    assert all(one.found and one.recovered_after_s for one in drill.findings)


def test_the_leaders_page_is_made_of_this_cohort(cohort):
    folder = cohort.course.parent / "cohort"
    with open(folder / f"kpis-{QUARTER}.csv", newline="") as file:
        rows = {row["key result"].split(": ")[1]: row for row in csv.DictReader(file)}
    assert all(row["synthetic"] == "synthetic" for row in rows.values())
    assert {name for name, row in rows.items() if row["status"] == "not known"} == {
        "Audit evidence"
    }
    passed = sum(share >= 0.7 for share in scores(cohort.course).values())
    done = rows["Labs completed"]
    assert float(done["current"]) == pytest.approx(passed / 20 * 100, abs=0.06)
    page = (folder / f"kpis-{QUARTER}.html").read_text("utf-8")
    assert "synthetic" in page.lower() and "<script src" not in page
