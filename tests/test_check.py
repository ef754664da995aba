"""`securetrain check`: a learner's own copy, graded as the instructor would."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from corpus.classroom import PROSE
from corpus.forging import add, code_cell
from corpus.lab import NAME, RIGHT, TOPIC, answered

from graders import release
from graders.check import report
from securetrain import notebooks, progress
from securetrain.cli import main

WRONG = {"flag": "def flag(values, share):\n    return [0]"}


@pytest.fixture
def lab(course):
    """Return the lab as it was released."""
    (lab,) = release.generate(course, [course / "solutions" / TOPIC]).values()
    return lab


@pytest.fixture
def write(course, lab):
    """Return a function that writes the learner's copy."""

    def copy(wrong=None, cell="", prose=PROSE, folder=course / "work" / TOPIC):
        answered(lab, RIGHT | (wrong or {}), prose)
        if cell:
            add(lab, "parameters", code_cell(cell))
        notebooks.write(folder / f"{NAME}.ipynb", lab)
        return folder / f"{NAME}.ipynb"

    return copy


def fingerprint(folder):
    """Return every path below a folder with its content and its time."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_right_answers_pass_and_nothing_on_the_disk_changes(course, write, capsys):
    write(cell="open('mine.txt', 'w').write('x')\n__import__('os').remove('mine.txt')")
    before = fingerprint(course)
    assert main(["check", TOPIC]) == 0
    assert capsys.readouterr().out == (
        "work/01-clip/clip.ipynb\n"
        "  passed  check-clip (2 points)\n"
        "  passed  check-flag (3 points)\n"
        "  read    limits (1 point): an instructor reads it\n"
    )
    assert fingerprint(course) == before


def test_wrong_answers_are_told_why(course, write, tmp_path, monkeypatch, capsys):
    """The copy lies where SECURETRAIN_WORK says; the other one is not looked at."""
    write()
    (course / "work" / TOPIC / f"{NAME}.ipynb").write_text("[]")
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path / "mine"))
    write(WRONG, "import os\nos._exit(0)", "", tmp_path / "mine" / TOPIC)
    before = fingerprint(tmp_path)
    assert main(["check", TOPIC]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0] == "  passed  check-clip (2 points)"
    assert lines[1].startswith("  failed  check-flag (3 points): ")
    assert "a loud negative value was missed" in lines[1]
    assert lines[2] == "  failed  limits (1 point): No answer was written."
    assert lines[3].startswith("  note    The cell 'parameters-free-0' was stopped: it")
    assert fingerprint(tmp_path) == before


def test_a_lab_is_named_as_start_names_it(write, capsys):
    write()
    assert main(["check", f"{TOPIC}/{NAME}"]) == 0
    assert capsys.readouterr().out.startswith("work/01-clip/clip.ipynb\n")
    assert main(["check", f"{TOPIC}/klip"]) == 2
    said = capsys.readouterr().err
    assert f"no lab '{TOPIC}/klip', expected {TOPIC} or one of: {TOPIC}/{NAME}" in said
    assert main(["check", f"{TOPIC}/"]) == 2


def test_what_is_said_of_each_mark():
    marks = [
        {"id": "check-a", "points": 1.0, "score": 1.0, "message": ""},
        {"id": "check-b", "points": 2.5, "score": 0.0, "message": "too loud"},
        {"id": "why", "points": 2.0, "score": None, "message": ""},
    ]
    assert report({"marks": marks, "notes": ["a cell is missing"]}).splitlines() == [
        "  passed  check-a (1 point)",
        "  failed  check-b (2.5 points): too loud",
        "  read    why (2 points): an instructor reads it",
        "  note    a cell is missing",
    ]


def test_what_passes_stands_in_the_learners_record(course, write, capsys):
    """The small lab takes the place of one that the catalogue knows."""
    topic, name = "13-poisoning", "poisoning"
    shutil.copytree(course / "solutions" / TOPIC, course / "solutions" / topic)
    (course / "solutions" / topic / f"{NAME}.ipynb").rename(
        course / "solutions" / topic / f"{name}.ipynb"
    )
    (course / "work" / topic).mkdir(parents=True)
    write(WRONG).rename(course / "work" / topic / f"{name}.ipynb")
    assert main(["check", topic, "--json"]) == 1
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["status"], result["topic"]) == ("graded", topic)
    assert "notebook" not in result
    checks = progress.summary()[f"{topic}/{name}"].checks
    assert checks == (("clip", True), ("flag", False))
    assert len(progress.events()) == 2


# What cannot be checked.


@pytest.fixture
def refused(capsys):
    """Return a function that checks and must not: what was said."""

    def run(topic=TOPIC):
        assert main(["check", topic]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run


def test_without_a_copy_it_says_how_to_make_one(course, refused):
    says = "found no notebook of yours; `securetrain start 01-clip` makes your copy"
    assert says in refused()
    (course / "work" / TOPIC).mkdir(parents=True)
    assert says in refused()
    assert "there are: 01-clip" in refused("02-clop")


def test_a_copy_that_cannot_be_read_is_not_called_missing(course, write, refused):
    path = write()
    path.rename(path.with_name("real.ipynb"))
    path.symlink_to("real.ipynb")
    assert "clip.ipynb is a symbolic link" in refused()
    path.unlink()
    path.write_bytes(b" " * 21_000_000)
    assert "clip.ipynb has 21 MB, at most 20 are taken" in refused()
    path.write_text("[1, 2]")
    assert "expected a notebook" in refused()


def outside(course, tmp_path, *words):
    """Check where there is no bubblewrap; return the finished process."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    if not (tmp_path / "bin" / "env").exists():
        (tmp_path / "bin" / "env").symlink_to("/usr/bin/env")
    environment = os.environ | {"PATH": str(tmp_path / "bin")}
    return subprocess.run(
        [sys.executable, "-m", "securetrain.cli", "check", TOPIC, *words],
        env=environment | {"SECURETRAIN_ROOT": str(course)},
        capture_output=True,
        text=True,
    )


def test_without_bubblewrap_only_trust_checks(course, write, tmp_path):
    """Without a jail the same marks come out, and the cells leave nothing behind."""
    mark = f"left-{os.getpid()}.txt"
    write(WRONG, f"open({mark!r}, 'w').write('x')")
    before = fingerprint(course)
    done = outside(course, tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert "apt install bubblewrap" in done.stderr and "Traceback" not in done.stderr
    done = outside(course, tmp_path, "--trust", "--json")
    assert done.returncode == 1, done.stderr
    (result,) = json.loads(done.stdout)
    scores = {mark["id"]: mark["score"] for mark in result["marks"]}
    assert scores == {"check-clip": 2, "check-flag": 0, "limits": None}
    assert fingerprint(course) == before
    assert not Path("/tmp", mark).exists() and not Path(mark).exists()
