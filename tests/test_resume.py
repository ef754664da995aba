"""A run that is killed at any moment goes on where it was: none lost, none twice."""

import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from corpus.lab import NAME, RIGHT, TOPIC
from grading_runs import (
    WORKSPACE,
    export,
    hand_in,
    history,
    make_class,
    mixed,
    noted,
    saved,
    until,
)
from nbgrader.api import get_alembic_version
from sqlalchemy import text

from graders.gradebook import open_gradebook

SEED = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(10**6))
UNREADABLE = {"unreadable": "no notebook", "with a space": {}}
CLASS = mixed(18) | UNREADABLE
PHASES = ["start"] * 5 + ["warm"] * 4 + ["work"] * 11


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, grading):
    """Return a class that was graded in one go; two hand-ins are unreadable."""
    here = make_class(tmp_path_factory.mktemp("calm") / "course", CLASS)
    status, said = grading.run(here, "grade", TOPIC, "--jobs", "1")
    assert status == 1 and said.count("not read") == 2, said
    return here


def left(here):
    """Return how many hand-ins a resumed run would start."""
    states = history(here).values() if noted(here) else []
    return len(CLASS) - sum(of.endswith(("graded ", "saved ")) for of in states)


def moment(rng, phase, count):
    """Return when to kill: after this many lines of the journal, and seconds."""
    if phase == "start" or count < 8:
        return rng.randrange(count + 1), rng.uniform(0, 0.02)
    if phase == "warm":
        return count, rng.uniform(0, 2)
    return count + rng.randint(1, 3), rng.uniform(0, 0.02)


def kill(grading, here, rng, phase, **how):
    """Start a run and kill it, its main process alone or all that is in its group."""
    before, (more, seconds) = noted(here), moment(rng, phase, left(here))
    words = ["--resume", "--jobs", str(rng.choice([1, 1, 1, 2]))]
    run = grading.start(here, "grade", TOPIC, *words, **how)
    until(lambda: noted(here) >= before + more, run)
    end = time.monotonic() + seconds  # or sooner, before a fast machine is done
    until(lambda: time.monotonic() >= end or noted(here) > before + more, run)
    group = rng.random() < 0.5
    (os.killpg if group else os.kill)(run, signal.SIGKILL)
    print(f"killed {'group' if group else 'main'} in {phase}: {more} lines, {seconds}")
    status, said = grading.wait(run)
    assert status == -signal.SIGKILL, said
    assert grading.left() == []
    assert grading.logs[run].read_text() == "", "what was left complains"


@pytest.mark.parametrize("database, kills", [("a file", 20), ("postgres", 4)])
def test_killed_at_random_moments_the_class_ends_as_if_nothing_was(
    tmp_path, grading, undisturbed, request, database, kills
):
    print("KILL_SEED", SEED)
    rng, how = random.Random(SEED), {}
    if database == "postgres":
        how["SECURETRAIN_DB"] = request.getfixturevalue("postgres")
    here = make_class(tmp_path / "course", CLASS)
    for number, phase in enumerate(rng.sample(PHASES, kills)):
        module = "" if number else "securetrain.cli"
        kill(grading, here, rng, phase, module=module, **how)
    status, said = grading.run(here, "grade", TOPIC, "--resume", **how)
    assert status == 1 and said.count("not read") == 2, said
    assert grading.left() == []

    for student, of in history(here).items():
        if student not in UNREADABLE:
            assert re.fullmatch("(started )+graded saved ", of), (student, of)
    assert saved(here) == saved(undisturbed)
    assert export(grading, here, **how) == export(grading, undisturbed)
    assert list((here / WORKSPACE / "staging").iterdir()) == []
    assert list((here / WORKSPACE / "scratch").iterdir()) == []
    # A kill while the lab is released leaves a copy of it in the system's own folder.
    copies = [path for path in (here / "tmp").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in copies) < kills * 100_000


WINDOWS = [  # where a run kills itself, in the order in which a result passes by
    ("graders.journal:Journal:stage", "before"),
    ("os:replace", "before"),  # staged, without its name
    ("os:replace", "after"),  # staged, not noted
    ("graders.journal:Journal:stage", "after"),
    ("graders.gradebook:_submitted", "after"),  # within the transaction
    ("graders.gradebook:save", "after"),
    ("os:replace", "before"),  # a graded notebook, without its name
    ("securetrain.notebooks:write", "after"),
    ("graders.journal:Journal:note", "after"),  # saved, still staged
]


def url(here):
    return f"sqlite:///{here / WORKSPACE / 'gradebook.db'}"


def by_hand(here, student, score=None):
    """Grade the answer in words; return the human's score, and whether one is due."""
    with open_gradebook(url(here)) as book:
        grade = book.find_grade("limits", NAME, TOPIC, student)
        if score is not None:
            grade.manual_score, grade.needs_manual_grade = score, False
            book.db.commit()
        return grade.manual_score, grade.needs_manual_grade


def test_killed_between_any_two_steps_a_new_answer_still_gets_a_second_look(
    tmp_path, grading, monkeypatch
):
    here = make_class(tmp_path / "course", {"ada": {}})
    for where, when in (("schema", "before"), ("_stamp", "after")):  # half a gradebook
        new = (f"graders.gradebook:{where}", when, 1)
        assert grading.run(here, "grade", TOPIC, die=new)[0] == -signal.SIGKILL
    assert grading.run(here, "grade", TOPIC, "--jobs", "1")[0] == 0
    by_hand(here, "ada", 1)
    hand_in(here, "ada", RIGHT, "It misses nothing.")
    for where, when in WINDOWS:
        status, said = grading.run(
            here, "grade", TOPIC, "--resume", die=(where, when, 1)
        )
        assert status == -signal.SIGKILL, (where, when, said)
        assert grading.left() == []
    status, said = grading.run(here, "grade", TOPIC, "--resume")
    assert status == 0 and "Nothing to do" in said
    again = "started started started started graded saved "
    assert history(here) == {"ada": "started graded saved " + again}
    assert by_hand(here, "ada") == (1, True)
    (graded,) = saved(here).values()
    assert b"It misses nothing." in graded
    assert list((here / WORKSPACE / "staging").iterdir()) == []
    with open_gradebook(url(here)) as book:
        versions = book.db.scalars(text("SELECT version_num FROM alembic_version"))
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
        assert versions.all() == [get_alembic_version()]  # calls `alembic` by name
