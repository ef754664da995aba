"""What a crash, a full disk or a hand may leave in the workspace stops no class."""

import os
import re
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from corpus.lab import NAME, RIGHT, TOPIC
from grading_runs import (
    WORKSPACE,
    Runs,
    hand_in,
    history,
    make_class,
    mixed,
    noted,
    saved,
    until,
)

from graders import intake, pool
from graders.journal import Journal, digest

GRADE = ("grade", TOPIC, "--jobs", "1")
CLASS = mixed(4)
TOLD = {"unreadable": "no notebook", "with a space": {}}
NOTHING_TO_DO = "Nothing to do: every hand-in is graded and saved.\n"


@pytest.fixture(scope="module")
def graded(tmp_path_factory, grading):
    """Return a graded class of four, which every test copies."""
    here = make_class(tmp_path_factory.mktemp("graded") / "course", CLASS)
    assert grading.run(here, *GRADE)[0] == 0
    return here


@pytest.fixture
def here(graded, tmp_path):
    return shutil.copytree(graded, tmp_path / "course")


def stage(here, results):
    """Leave the workspace as a crash does between grading and saving."""
    (lab,) = pool.labs(here, TOPIC)
    journal = Journal(here / WORKSPACE)
    for one in intake.collect(here / WORKSPACE / "submitted", TOPIC, NAME):
        journal.stage(one, digest(lab, one, "sqlite:////gradebook.db"), results)
    journal.close()
    return sorted((here / WORKSPACE / "staging").iterdir())


def test_a_staged_result_that_is_not_whole_is_graded_again(here, graded, grading):
    """And a journal with noise in it, its last line cut short."""
    missing, empty, cut, changed = stage(here, {"student": "s", "marks": []})
    missing.unlink()
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:-9])
    changed.write_bytes(changed.read_bytes().replace(b"marks", b"MARKS"))
    with open(here / WORKSPACE / "journal.jsonl", "ab") as journal:
        journal.write(
            b'\0\0\0\n[]\nnull\n\xff\n{"student": []}\n{"student": "s00", "to'
        )
    status, said = grading.run(here, *GRADE, "--resume")
    assert status == 0 and "s03" in said, said
    assert saved(here) == saved(graded)
    assert grading.run(here, *GRADE, "--resume") == (0, NOTHING_TO_DO)


def test_what_was_taken_away_is_graded_again(here, graded, grading):
    shutil.rmtree(here / WORKSPACE / "autograded" / "s01")
    status, said = grading.run(here, *GRADE, "--resume")
    assert status == 0 and "s01" in said and "s02" not in said
    (here / WORKSPACE / "gradebook.db").unlink()
    status, said = grading.run(here, *GRADE, "--resume")
    assert status == 0 and all(student in said for student in CLASS)
    assert saved(here) == saved(graded)


def test_another_gradebook_gets_the_whole_class(here, grading):
    other = f"sqlite:///{here / 'other.db'}"
    resume = (*GRADE, "--resume", "--db", other)
    status, said = grading.run(here, *resume)
    assert status == 0 and all(student in said for student in CLASS)
    assert grading.run(here, *resume) == (0, NOTHING_TO_DO)


def test_a_graded_notebook_that_is_broken_stops_nobody(here, graded, grading):
    """A crash of the machine can leave a file without its content."""
    (here / WORKSPACE / "autograded" / "s00" / TOPIC / f"{NAME}.ipynb").write_text("")
    assert grading.run(here, *GRADE)[0] == 0
    assert saved(here) == saved(graded)


def test_a_hand_in_that_cannot_be_read_is_told_by_every_run(here, grading):
    for student, answers in TOLD.items():
        hand_in(here, student, answers)
    status, said = grading.run(here, *GRADE, "--resume")
    assert status == 1 and said.count("not read") == 2 and "s00" not in said, said
    hand_in(here, "unreadable", RIGHT)
    status, said = grading.run(here, *GRADE, "--resume")
    assert status == 1 and said.count("not read") == 1 and "with a space" in said
    assert "started graded saved " in history(here)["unreadable"]


def test_two_runs_at_once_and_a_worker_that_is_killed(tmp_path, grading):
    """The second run is refused; the class ends, and nobody loses a point."""
    here = make_class(tmp_path / "course", mixed(8))
    run = grading.start(here, *GRADE)
    until(lambda: noted(here, b"graded"), run)
    (worker,) = psutil.Process(run).children()
    worker.kill()
    status, said = grading.run(here, *GRADE)
    assert status == 2 and "another grading run is at work" in said
    status, said = grading.wait(run)
    assert status == 0 and grading.left() == []
    points = [int(line.split()[1]) for line in said.splitlines()[1:]]
    assert points == [5, 2, 3, 0, 5, 2, 3, 0]
    assert all(of == "started graded saved " for of in history(here).values())


def test_ctrl_c_ends_with_a_sentence_and_leaves_nothing(tmp_path, grading):
    here = make_class(tmp_path / "course", CLASS)
    run = grading.start(here, *GRADE)
    until(lambda: noted(here, b"graded"), run)
    os.killpg(run, signal.SIGINT)
    status, said = grading.wait(run)
    assert status == 2 and said.startswith("securetrain grade: grading stopped"), said
    assert said.endswith("add --resume.\n") and grading.left() == []
    assert grading.run(here, *GRADE, "--resume")[0] == 0
    assert all(of.endswith("graded saved ") for of in history(here).values())


SOMEONE = ["--unshare-user", "--uid", "1000", "--gid", "1000"]
INSIDE = ["bwrap", *SOMEONE, "--dev-bind", "/", "/", "--proc", "/proc"]


def test_a_full_and_a_read_only_disk_are_told_and_mended(tmp_path):
    """In a world of its own, where one workspace is small and one cannot be written."""
    full = make_class(tmp_path / "full", mixed(8))
    fixed = make_class(tmp_path / "fixed", CLASS)
    small, frozen = str(full / WORKSPACE), str(fixed / WORKSPACE)
    around = ["--size", str(1 << 20), "--tmpfs", small, "--ro-bind"]
    around += [f"{small}/submitted", f"{small}/submitted", "--ro-bind", frozen, frozen]
    with Runs([*INSIDE, *around]) as runs:
        status, said = runs.run(fixed, *GRADE)
        assert status == 2 and "Read-only file system" in said, said
        assert "Traceback" not in said and "--resume" in said

        (inside,) = psutil.Process(runs.process.pid).children()
        world = f"/proc/{inside.pid}/root"
        ballast = Path(f"{world}{small}/ballast")
        ballast.write_bytes(bytes(780_000))
        status, said = runs.run(full, *GRADE)
        assert status == 2 and re.search("No space left|disk is full", said), said
        assert "Traceback" not in said and "--resume" in said
        ballast.unlink()
        assert runs.run(full, *GRADE, "--resume")[0] == 0
        states = history(Path(f"{world}{full}"))
        assert len(states) == 8 and runs.left() == []
        assert all(of.endswith("graded saved ") for of in states.values())
