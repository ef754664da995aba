"""The trusted side: a whole hand-in is marked, and each check says why."""

import copy
import json
import os
import re
from contextlib import closing

import pytest
from corpus.classroom import SOURCE, prepare
from corpus.forging import add, code_cell, find
from corpus.lab import FULL

from graders import checker, rebuild, worker
from graders.checker import Reference, explain
from graders.sandbox import Gone, Jail, Limits, NoJail
from securetrain import notebooks

DIE = "import os\nos._exit(0)"


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("checker"))


@pytest.fixture(scope="module")
def master(room):
    return notebooks.read(room.course / SOURCE)


@pytest.fixture
def marked(room, master, started):
    """Return a function that marks a hand-in, of a lab that may have other cells."""

    def run(notebook, cpu=10, **course):
        solution = copy.deepcopy(master)
        for word, code in course.items():
            find(solution, word.replace("_", "-"))["source"] = code
        whole = rebuild.plan(solution, room.lab, solution)
        made = rebuild.plan(solution, room.lab, notebook)
        return checker.mark(made, Reference(whole), started(), cpu)

    return run


def scores(done):
    return {mark.id: mark.score for mark in done.marks}


def says(done, word="check-clip"):
    return next(mark.message for mark in done.marks if mark.id == word)


# A whole hand-in.


def test_right_answers_earn_every_point_and_words_wait(room, marked):
    done = marked(room.answer())
    assert scores(done) == FULL | {"limits": None}
    assert {mark.message for mark in done.marks} == {""} and done.notes == []
    assert done.shown["clip"] == []


def test_the_untouched_lab_says_what_is_not_answered(room, marked):
    done = marked(room.lab)
    assert set(scores(done).values()) == {0.0}
    for word in FULL:
        assert says(done, word).startswith("This task is not answered yet")
    assert says(done, "limits") == "No answer was written."


@pytest.mark.parametrize(
    "code, message",
    [
        ("def clip(v, l):\n    return v", "a value above the limit came through"),
        ("def clip(v, l):\n    v.clear()\n    return v", "clip changed the data"),
        (
            "def clip(v, l):\n    return 1 / 0",
            "Your function raised ZeroDivisionError: division by zero, in line 2 of",
        ),
        ("clip = 7", "Your function raised TypeError: 'int' object is not callable"),
        ("def clip(v, l):\n    return 7", "could not use what your function returned"),
        ("def clip(v, l):\n    return print", "returned an object of type builtin_f"),
        ("def clip(v): return v", "takes 1 positional argument but 2 were given"),
        ("def clip(", "name 'clip' is not defined"),
        ("", "name 'clip' is not defined"),
        (f"def clip(v, l):\n    {DIE.replace(chr(10), ';')}", "Your code was stopped"),
    ],
)
def test_a_wrong_answer_is_told_why_and_costs_its_own_points(
    room, marked, code, message
):
    done = marked(room.answer(clip=code))
    assert scores(done) == FULL | {"check-clip": 0.0, "limits": None}
    assert message in says(done)


def test_a_cell_that_ends_the_process_is_noted_and_costs_nothing(room, marked):
    notebook = room.answer()
    add(notebook, "parameters", code_cell(DIE))
    done = marked(notebook)
    assert scores(done) == FULL | {"limits": None}
    (note,) = done.notes
    assert note.startswith("The cell 'parameters-free-0' was stopped: it ended its own")


def test_a_message_is_short_and_plain(room, marked):
    """It goes to terminals, to JSON and into the gradebook."""
    evil = "def clip(v, l):\n    raise ValueError('\\x1b[2J\\x00owned' + 'm' * 10**6)"
    message = says(marked(room.answer(clip=evil)))
    assert "owned" in message and len(message) < 2100
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", message)


def test_an_answer_that_makes_the_check_spin_is_stopped(room, marked):
    spins = room.answer(clip="def clip(v, l):\n    return [10**18]")
    look = "for turn in range(int(clip([9.0], 2.0)[0])):\n    assert turn >= 0"
    done = marked(spins, cpu=1, check_clip=look)
    assert scores(done) == FULL | {"check-clip": 0.0, "limits": None}
    assert "it took too much CPU time: a value may be far too large" in says(done)


def test_an_answer_may_be_a_value(room, marked):
    """What a cell assigns is fetched; the names inside a comprehension are not."""
    table = "TABLE = {n: f'{n}' for n in range(3)}\nLIMIT: float = 2.0"
    course = {"clip": table, "check_clip": "assert (TABLE[2], LIMIT) == ('2', 2)"}
    assert scores(marked(room.answer(clip=table), **course))["check-clip"] == 2
    done = marked(room.answer(clip="TABLE = {2: '2'}"), **course)
    assert says(done) == "Your answer does not define 'LIMIT'."
    done = marked(room.answer(clip="TABLE = LIMIT = print"), **course)
    assert scores(done)["check-clip"] == 0


BREAK = """
import psutil

if type(clip).__name__ == "Proxy":
    inside = psutil.Process(JAIL).children(recursive=True)
    psutil.Process(JAIL).kill()
    psutil.wait_procs(inside, timeout=60)
    clip([1.0], 2.0)
"""


def test_a_jail_that_breaks_is_no_fault_of_the_students(room, master):
    solution, notebook = copy.deepcopy(master), json.dumps(room.answer()).encode()
    job = dict.fromkeys(("student", "topic", "name", "timestamp", "refused"), "")
    with closing(Jail(["numpy"], slot=45)) as own:
        own.wait()
        code = BREAK.replace("JAIL", str(own.process.pid))
        find(solution, "check-flag")["source"] = code
        lab = {"master": solution, "released": room.lab}
        reference = Reference(rebuild.plan(solution, room.lab, solution))
        with pytest.raises(NoJail, match="The jail has gone"):
            worker.grade(lab, job | {"content": notebook}, own, reference, Limits())


# What a check says.


@pytest.mark.parametrize(
    "error, message",
    [
        (AssertionError("too loud"), "too loud"),
        (AssertionError(), "The check failed."),
        (Gone("it slept", limit=True), "Your code was stopped: it slept."),
        (KeyError("a"), "could not use what your function returned: KeyError: 'a'"),
        (NameError("x", name="x"), "Your answer does not define 'x'."),
    ],
)
def test_an_error_in_a_students_words(error, message):
    assert message in explain(error)


def test_a_students_error_names_its_line_where_there_is_one():
    error = ValueError("no")
    error.by_student = ("ValueError", "no", 3)
    assert (
        explain(error) == "Your function raised ValueError: no, in line 3 of its cell"
    )
    error.by_student = ("ValueError", "no", 0)
    assert explain(error) == "Your function raised ValueError: no"
    error.by_student = ("NotImplementedError", "later", 2)
    assert explain(error).startswith("Your function raised NotImplementedError: later")


# The course's own answers, and the process that a checker is.


def test_the_courses_own_answers_must_pass(room, master):
    reference = Reference(rebuild.plan(master, room.lab, master))
    assert reference.answered == {"clip": {"clip": True}, "flag": {"flag": True}}
    assert set(reference.given["data"]) == {"random", "noise", "loudest"}
    wrong = copy.deepcopy(master)
    find(wrong, "flag")["source"] = "def flag(values, share): return []"
    with pytest.raises(ValueError) as caught:
        Reference(rebuild.plan(wrong, room.lab, wrong))
    assert str(caught.value) == (
        "the course's own notebook fails in cell 'check-flag' with this seed: "
        "AssertionError: nothing was flagged: the loud values stay in"
    )


def ended(child, pipe):
    with open(pipe, "rb") as file:
        said = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_what_a_child_changes_ends_with_it():
    here = []

    def work():
        here.append(1)
        return b"x" * 300_000

    assert ended(*checker.in_child(work, 10, 500)) == (0, b"x" * 300_000)
    assert here == []


def test_a_child_that_spins_or_fails_says_nothing(capfd):
    status, said = ended(*checker.in_child(lambda: sum(range(10**18)), 1, 500))
    assert status < 0 and said == b""
    assert ended(*checker.in_child(lambda: 1 / 0, 10, 500)) == (1, b"")
    assert "ZeroDivisionError" in capfd.readouterr().err
