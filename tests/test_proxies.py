"""A student's functions seen from the trusted side, and what happens when they die."""

import copy

import numpy
import pytest

from graders.checker import Proxy, explain
from graders.sandbox import Gone, Limits
from graders.wire import Opaque

DIE = "import os\nos._exit(0)"
SPIN = "sum(range(10**18))"  # in C, out of reach of Python's signals


# A student's function as a check sees it.


def test_a_call_takes_all_kinds_of_arguments_there_and_back(started):
    code = "def told(a, *b, c=1, **d):\n    return a, list(b), c, d"
    told = Proxy(started(code), "told")
    assert told.__name__ == "told"
    assert told(1, (2, 3), {4}, c=None, e="é", f=b"\0") == (
        *(1, [(2, 3), {4}], None),
        {"e": "é", "f": b"\0"},
    )
    assert type(told(1)) is tuple


def test_arrays_keep_their_type_and_shape(started):
    twice = Proxy(started("def twice(x):\n    return x * 2"), "twice")
    for kind in ("float32", "int8", "complex64"):
        given = numpy.ones((2, 3), kind)
        came = twice(given)
        assert (came.dtype, came.shape) == (given.dtype, (2, 3))
        assert (came == 2).all()


def test_an_object_is_no_answer(started):
    session = started(
        "class Equal(list):\n    def __eq__(self, other): return True\n"
        "def bare(): return Equal()\ndef packed(): return [Equal(), 7]"
    )
    with pytest.raises(TypeError, match="bare returned an object of type Equal; exp"):
        Proxy(session, "bare")()
    hidden, seven = Proxy(session, "packed")()
    assert type(hidden) is Opaque and seven == 7
    assert hidden != [] and hidden != hidden


RAISES = """class Mine(Exception): pass
def fail(kind):
    raise {**globals(), **vars(__builtins__)}[kind]("so", 7)
"""


@pytest.mark.parametrize(
    "kind, seen",
    [
        *[(kind.__name__, kind) for kind in (ValueError, KeyError, RecursionError)],
        *[(name, RuntimeError) for name in ("Mine", "AssertionError", "Warning")],
        *[(name, RuntimeError) for name in ("SystemExit", "KeyboardInterrupt")],
    ],
)
def test_what_a_function_raises_a_check_may_catch(started, kind, seen):
    """An AssertionError of the student's is none of the check's."""
    with pytest.raises(seen) as caught:
        Proxy(started(RAISES), "fail")(kind)
    assert type(caught.value) is seen
    assert caught.value.by_student == (kind, "('so', 7)", 3)
    assert explain(caught.value) == (
        f"Your function raised {kind}: ('so', 7), in line 3 of its cell"
    )


@pytest.mark.parametrize(
    "body", ["x.sort()", "x[0] += 1", "x.append(0)", "x[:] = []", "x[2][0] = 5"]
)
def test_changing_what_was_given_fails_and_changes_nothing_here(started, body):
    given = [3, 1, [2]] if "[2][0]" in body else [3, 1, 2]
    before = copy.deepcopy(given)
    touch = Proxy(started(f"def touch(x):\n    {body}\n    return 7"), "touch")
    with pytest.raises(AssertionError, match="touch changed the data that it was giv"):
        touch(given)
    assert given == before


def test_an_array_or_a_keyword_that_is_changed_fails_too(started):
    session = started("def touch(*args, **k):\n    [*args, *k.values()][0][0] = 9")
    for args, kwargs in (([numpy.zeros(2)], {}), ([], {"x": {0: 1}})):
        with pytest.raises(AssertionError, match="work on a copy"):
            Proxy(session, "touch")(*args, **kwargs)


def test_giving_back_what_came_is_no_change(started):
    given = [1.0, numpy.arange(3)]
    came = Proxy(started("def same(x): return x"), "same")(given)
    assert came[0] == 1.0 and came is not given


def test_a_name_that_is_not_there(started):
    session = started("")
    with pytest.raises(NameError) as caught:
        Proxy(session, "clip")()
    assert "name 'clip' is not defined" in explain(caught.value)
    assert session.get("clip")["error"][0] == "NameError"


# A process that ends.


def test_after_a_death_all_is_back_but_the_guilty_cell(started):
    session = started("x = [1]", "y = x * 2")
    first = session.student.watch
    with pytest.raises(Gone, match="it ended its own process"):
        session.run(f"z = 3\n{DIE}")
    assert session.get("y")["value"] == [1, 1]
    assert session.get("z")["error"][0] == "NameError"
    session.run("z = y")
    assert session.get("z")["value"] == [1, 1]
    assert session.cpu_seconds >= first.cpu_seconds


def test_a_new_start_gives_no_new_cpu_time(started):
    session = started("import time", limits=Limits(cpu_step=9, cpu_total=3))
    burn = "while time.process_time() < 2: pass"
    session.run(burn)
    with pytest.raises(Gone, match="it ended its own process"):
        session.run(DIE)
    with pytest.raises(Gone, match="more than 3 seconds of CPU time"):
        session.run(burn)


def test_a_call_that_ends_the_process_is_survived(started):
    session = started(f"def die():\n    {DIE.replace(chr(10), ';')}", "x = 7")
    with pytest.raises(Gone):
        Proxy(session, "die")()
    assert session.get("x")["value"] == 7


def test_there_are_three_new_starts_and_no_more(started):
    session = started("x = 7")
    for _ in range(3):
        with pytest.raises(Gone):
            session.run(DIE)
        assert session.get("x")["value"] == 7
    for _ in range(2):
        with pytest.raises(Gone, match="it ended its own process"):
            session.run(DIE)
    with pytest.raises(Gone, match="it ended its own process"):
        session.get("x")


def test_one_that_a_limit_ended_gets_no_second_process(started):
    session = started("x = 7", limits=Limits(cpu_step=1, cpu_total=2))
    for _ in range(2):
        with pytest.raises(Gone, match="more than 2 seconds of CPU time") as caught:
            session.run(SPIN)
    assert session.restarts == 1 and not caught.value.wall
    assert session.cpu_seconds == session.student.watch.cpu_seconds > 2
