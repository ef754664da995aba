"""Broken hand-ins: one class full of them, graded beside an honest student.

Each is refused with a reason that a student understands; the run goes on.
"""

import html
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from corpus.broken import BROKEN, STUDENTS, unreadable
from corpus.classroom import Classroom, prepare, scores
from corpus.lab import FULL, NAME, NOTHING, TOPIC
from corpus.odd import FLAWED, READABLE
from nbgrader.api import Gradebook

from graders import grade, intake
from graders.intake import Refused
from securetrain import notebooks
from securetrain.notebook_rules import source

ROOT = Path(__file__).resolve().parents[1]
FILE = f"{NAME}.ipynb"
KINDS = {"broken": BROKEN, "odd": READABLE, "flawed": FLAWED}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Hand in everything at once, and what is no hand-in at all."""
    room: Classroom = prepare(tmp_path_factory.mktemp("broken"))
    good = notebooks.dumps(room.answer())
    room.hand_in("ada")
    submitted = room.workspace / "submitted"
    for kind, many in KINDS.items():
        for name, one in many.items():
            folder = submitted / f"{kind}-{name}" / TOPIC
            folder.mkdir(parents=True)
            (one if kind == "odd" else one.write)(folder, good)
    for student in STUDENTS:
        room.hand_in(student)
    (submitted / "linked").symlink_to("ada")
    (submitted / "not-yet").mkdir()
    (submitted / "list.csv").write_text("ada")
    (submitted / ".ipynb_checkpoints" / TOPIC).mkdir(parents=True)
    return room


@pytest.fixture(scope="module")
def results(room):
    """Grade the class; 1 says that some could not be read."""
    return room.grade("--cpu", "2", status=1)


def told(room, student):
    """Return what a student's graded notebook says on top, and below each cell."""
    cells = room.notebook(student)["cells"]
    outputs = json.dumps([cell.get("outputs") for cell in cells])
    return html.unescape(source(cells[0])), outputs


def test_the_class_is_graded_and_the_honest_student_keeps_every_point(room, results):
    assert results["ada"]["status"] == "graded"
    assert scores(results["ada"]) == FULL | {"limits": None}
    named = {f"{kind}-{name}" for kind, many in KINDS.items() for name in many}
    assert set(results) == named | {"ada", "linked", *STUDENTS}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_hand_in_is_refused_with_a_reason(room, results, name):
    student = f"broken-{name}"
    result = results[student]
    assert result["status"] == "refused"
    assert scores(result) == NOTHING | {"limits": 0}
    for words in BROKEN[name].says:
        assert words.lower() in result["reason"].lower(), result["reason"]
    assert len(result["reason"]) < 500
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]|Error|Traceback", result["reason"])
    note, _ = told(room, student)
    assert note.startswith("**From the grader**") and result["reason"] in note
    assert f"not read: {result['reason']}" in grade.summary([result])


@pytest.mark.parametrize("name", READABLE)
def test_what_can_be_read_is_graded(results, name):
    result = results[f"odd-{name}"]
    assert (result["status"], result["notes"]) == ("graded", [])
    assert scores(result) == FULL | {"limits": None}


@pytest.mark.parametrize("name", FLAWED)
def test_a_flaw_costs_its_own_points_and_is_told(room, results, name):
    result, flawed = results[f"flawed-{name}"], FLAWED[name]
    assert result["status"] == "graded"
    assert {cell: scores(result)[cell] for cell in FULL} == flawed.scores
    note, outputs = told(room, f"flawed-{name}")
    for words in flawed.says:
        assert words in note + outputs
    assert len(outputs) < 1_100_000


@pytest.mark.parametrize("student", STUDENTS)
def test_a_folder_that_names_no_student_is_refused(results, student):
    result = results[student]
    assert result["status"] == "refused"
    assert "is no student's name" in result["reason"]
    assert "letters, digits and . _ @ + - only. Rename it." in result["reason"]
    assert result["reason"] in grade.summary([result])


def test_nothing_is_written_for_one_without_a_name(room, results):
    written = {path.name for path in (room.workspace / "autograded").iterdir()}
    assert written == set(results) - set(STUDENTS)
    with Gradebook(room.url) as book:
        assert {student.id for student in book.students} == written


def test_a_students_folder_that_leads_elsewhere_is_refused(results):
    assert results["linked"]["status"] == "refused"
    assert "Expected a folder linked" in results["linked"]["reason"]


def test_a_refused_hand_in_waits_for_nobody(room, results):
    refused = {"check-clip", "check-flag", "limits"}
    for student in ("broken-truncated", "broken-nothing"):
        assert room.entries(student) == dict.fromkeys(refused, (0.0, None, False))


def test_the_summary_has_a_line_of_plain_text_for_everyone(results):
    text = grade.summary(list(results.values()))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    lines = text.splitlines()
    graded = [line for line in lines if re.search(r" [0-6] of 6 ", line)]
    assert len(graded) == len(results)
    assert sum("not read: " in line for line in lines) == sum(
        result["status"] == "refused" for result in results.values()
    )


def test_a_time_that_is_none_is_left_out(room, results):
    with Gradebook(room.url) as book:
        for name in READABLE:
            entry = book.find_submission(TOPIC, f"odd-{name}")
            assert entry.timestamp is None


def test_the_reason_stands_on_the_students_feedback_page(room, results):
    config = ROOT / "graders" / "nbgrader_config.py"
    (room.course / "graders" / config.name).write_bytes(config.read_bytes())
    scratch = str(room.course.parent / "jupyter")
    environment = {k: v for k, v in os.environ.items() if "JUPYTER" not in k}
    environment |= {"JUPYTER_CONFIG_DIR": scratch, "JUPYTER_DATA_DIR": scratch}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["nbgrader", "generate_feedback", TOPIC, "--student", "broken-o*"],
        cwd=room.course / "graders",
        env=environment,
        capture_output=True,
        check=True,
    )
    for student in ("broken-other-name", "broken-odd-name"):
        page = room.workspace / "feedback" / student / TOPIC / f"{NAME}.html"
        text = html.unescape(re.sub(r"<[^>]*>", "", page.read_text("utf-8")))
        reason = html.unescape(results[student]["reason"])
        assert " ".join(reason.split()) in " ".join(text.split())


# Reading one file.


def test_bytes_are_returned_as_they_are(tmp_path):
    (tmp_path / FILE).write_bytes(b"\xef\xbb\xbf{}\r\n\0")
    assert intake.read(tmp_path / FILE) == b"\xef\xbb\xbf{}\r\n\0"


def test_twenty_megabytes_are_taken_and_not_a_byte_more(tmp_path):
    path = tmp_path / FILE
    path.write_bytes(b" " * 20_000_000)
    assert len(intake.read(path)) == 20_000_000
    path.write_bytes(b" " * 20_000_001)
    with pytest.raises(Refused, match="has 20 MB, at most 20 are taken"):
        intake.read(path)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/random"])
def test_a_device_is_no_ordinary_file(device):
    with pytest.raises(Refused, match="is no ordinary file"):
        intake.read(Path(device))


def test_a_pipe_that_nobody_writes_to_holds_nothing_up(tmp_path):
    os.mkfifo(tmp_path / FILE)
    started = time.monotonic()
    with pytest.raises(Refused, match="is no ordinary file. Hand in the notebook"):
        intake.read(tmp_path / FILE)
    assert time.monotonic() - started < 60


def test_a_missing_file_is_named_with_what_lies_there(tmp_path):
    for name in ("b.ipynb", "a.ipynb", "c.py"):
        (tmp_path / name).touch()
    with pytest.raises(Refused) as caught:
        intake.read(tmp_path / FILE)
    assert str(caught.value) == (
        "No clip.ipynb was handed in; there is: a.ipynb, b.ipynb. "
        "Hand it in under this very name."
    )


LOOK = """
import json, sys
from pathlib import Path
from graders import intake
print(json.dumps([[s.student, s.refused] for s in intake.collect(Path(sys.argv[1]),
    "01-clip", "clip")]))
"""


def test_what_may_not_be_read_is_refused_and_nobody_is_skipped(tmp_path):
    """Looked at as a user who is not root: files and folders without their rights."""
    for student in ("file", "folder", "no-list", "whole"):
        (tmp_path / student / TOPIC).mkdir(parents=True)
    unreadable(tmp_path / "file" / TOPIC, "{}")
    for student, mode in (("folder", 0), ("no-list", 0o100)):
        (tmp_path / student / TOPIC).chmod(mode)
    (tmp_path / "whole").chmod(0)
    world = ["bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000"]
    world += ["--dev-bind", "/", "/"]
    done = subprocess.run(
        [*world, sys.executable, "-c", LOOK, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for path in (tmp_path / "whole", *tmp_path.glob(f"*/{TOPIC}")):
        path.chmod(0o700)
    assert done.returncode == 0, done.stderr
    reasons = dict(json.loads(done.stdout))
    assert sorted(reasons) == ["file", "folder", "no-list", "whole"]
    for reason in reasons.values():
        assert "Permission denied" in reason


# Whose work is there.


def found(submitted, *students):
    return [one.student for one in intake.collect(submitted, TOPIC, NAME, students)]


def test_hand_ins_come_in_the_order_of_names(tmp_path):
    for student in ("bob", "ada", "Zoe", "eve"):
        (tmp_path / student / TOPIC).mkdir(parents=True)
    assert found(tmp_path) == ["Zoe", "ada", "bob", "eve"]
    assert found(tmp_path, "eve", "ada", "nobody") == ["ada", "eve"]
    assert found(tmp_path / "nowhere") == []


def test_the_time_of_a_hand_in_is_kept(tmp_path):
    folder = tmp_path / "ada" / TOPIC
    folder.mkdir(parents=True)
    (folder / FILE).write_text("{}")
    (folder / "timestamp.txt").write_text("2026-11-02 10:00:00.123456 UTC\n")
    (one,) = intake.collect(tmp_path, TOPIC, NAME)
    assert one.timestamp == "2026-11-02 10:00:00.123456 UTC"
    assert (one.content, one.refused) == (b"{}", "")


# Reading a notebook's text.


def test_a_notebook_is_returned_whole(room):
    notebook = room.answer()
    text = json.dumps(notebook)
    assert intake.parse(text.encode("utf-8-sig"), FILE) == notebook
    assert intake.parse(f"\n {text}\n".encode(), FILE) == notebook


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "clip.ipynb is empty"),
        (b"\xff", "is not UTF-8 text (byte 0 is not)"),
        (b'{"a": 1', "is no whole notebook (Expecting ',' delimiter"),
        (b"[" * 10**6, "is nested too deeply"),
        (b"{}", "expected a notebook (a JSON object with a list of cells)"),
        (b'{"nbformat": 4, "cells": [7]}', "cell 1: expected an object, got a number"),
    ],
)
def test_text_that_is_no_notebook_is_refused(content, says):
    with pytest.raises(Refused, match=re.escape(says)):
        intake.parse(content, FILE)
