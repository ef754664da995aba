"""Rebuilding a hand-in from the master: what counts, what is shown, what runs."""

import copy
import html

import pytest
from corpus.classroom import SOURCE, prepare
from corpus.forging import add, code_cell, find
from corpus.lab import RIGHT

from graders import rebuild
from graders.rebuild import bound, used
from graders.text import harmless_markdown
from securetrain import notebooks
from securetrain.notebook_rules import grading, source


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("rebuild"))


@pytest.fixture(scope="module")
def master(room):
    return notebooks.read(room.course / SOURCE)


@pytest.fixture
def mine(room):
    """Return a rightly answered lab, to be spoilt."""
    return room.answer()


@pytest.fixture
def plan(room, master):
    """Return a function that makes the plan of a hand-in."""
    return lambda submission: rebuild.plan(master, room.lab, submission)


def step(plan, word):
    return next(step for step in plan.steps if step.id == word)


def free(plan):
    """Return the code of the steps that are neither answers nor the course's."""
    return [step.code for step in plan.steps if step.kind == "code"]


def text(cell):
    return source(cell)


# Where each cell comes from.


def test_the_course_gives_the_checks_and_the_student_the_answers(plan, mine, master):
    made = plan(mine)
    assert made.notes == ()
    kinds = {one.id: one.kind for one in made.steps}
    assert kinds == {
        "title": "text",
        "parameters": "given",
        "data": "given",
        "task-clip": "text",
        "clip": "answer",
        "try-clip-free-0": "code",
        "check-clip": "check",
        "task-flag": "text",
        "flag": "answer",
        "check-flag": "check",
        "task-limits": "text",
        "limits": "prose",
    }
    assert step(made, "clip").code == RIGHT["clip"]
    for word in ("parameters", "data", "check-clip"):
        assert step(made, word).code == text(find(master, word))


def test_what_is_shown_holds_no_hidden_test_and_no_solution(plan, mine, room):
    for made in (plan(mine), plan(None), plan(room.lab)):
        shown = "".join(text(one.cell) for one in made.steps)
        assert "a value was dropped" in shown
        assert "HIDDEN" not in shown and "noise(seed)" not in shown
        assert "BEGIN SOLUTION" not in shown
    assert "order = sorted" not in "".join(text(one.cell) for one in plan(None).steps)


def test_no_hand_in_is_the_untouched_lab(plan, room):
    nothing, untouched = plan(None), plan(copy.deepcopy(room.lab))
    assert nothing.notes == untouched.notes == ()
    assert step(nothing, "clip") == step(untouched, "clip")
    assert "NotImplementedError" in step(nothing, "clip").code
    assert step(nothing, "limits").code == step(untouched, "limits").code == ""
    assert step(nothing, "limits").cell == step(untouched, "limits").cell


def cheat(cell):
    cell["metadata"] |= {"tags": ["skip-execution"], "deletable": False}
    cell["metadata"].setdefault("nbgrader", {}).update(points=100, locked=False)


def forged(cell):
    cheat(cell)
    if grading(cell).get("locked") is False and "check" in cell["id"]:
        cell["source"] = "pass"


def test_tags_points_and_checks_of_a_hand_in_are_ignored(plan, mine):
    honest = plan(copy.deepcopy(mine))
    for cell in mine["cells"]:
        if grading(cell):
            forged(cell)
    assert plan(mine) == honest
    assert [one.cell for one in plan(mine).steps] == [o.cell for o in honest.steps]


def test_the_order_of_a_hand_in_is_ignored(plan, mine):
    honest = plan(copy.deepcopy(mine))
    mine["cells"].reverse()
    made = plan(mine)
    assert [one.id for one in made.steps] == [one.id for one in honest.steps]
    assert step(made, "flag").code == RIGHT["flag"]


def test_a_cell_is_found_by_grade_id_whatever_its_own_id(plan, mine):
    for number, cell in enumerate(mine["cells"]):
        cell["id"] = f"{number:08x}"
    assert step(plan(mine), "clip").code == RIGHT["clip"]
    for cell in mine["cells"]:
        del cell["id"]
    assert step(plan(mine), "clip").code == RIGHT["clip"]
    assert plan(mine).notes == ()


def test_a_cell_without_metadata_is_found_by_its_id(plan, mine):
    for word in ("clip", "limits"):
        find(mine, word)["metadata"] = {}
    assert step(plan(mine), "clip").code == RIGHT["clip"]
    assert step(plan(mine), "limits").code.startswith("It misses")


@pytest.mark.parametrize("odd", [7, None, ["clip"], {"clip": 1}, "", "clip " * 99])
def test_a_grade_id_that_is_none_is_no_answer(plan, mine, odd):
    find(mine, "clip")["metadata"]["nbgrader"]["grade_id"] = odd
    made = plan(mine)
    assert made.notes == ("The cell 'clip' is missing: it counts as unanswered.",)
    assert "NotImplementedError" in step(made, "clip").code


def test_missing_cells_are_noted_one_by_one(plan, mine):
    mine["cells"] = [c for c in mine["cells"] if c["id"] not in ("flag", "limits")]
    assert plan(mine).notes == (
        "The cell 'flag' is missing: it counts as unanswered.",
        "The cell 'limits' is missing: it counts as unanswered.",
    )


def test_of_two_answers_the_first_counts_and_that_is_noted_once(plan, mine):
    for code in ("def clip(): 1", "def clip(): 2"):
        mine["cells"].append(find(mine, "clip") | {"source": code})
    made = plan(mine)
    assert step(made, "clip").code == RIGHT["clip"]
    assert made.notes == ("The cell 'clip' stands twice: the first one counts.",)
    assert "def clip(): 2" not in free(made)


def test_an_answer_is_taken_from_a_cell_turned_to_text_and_back(plan, mine):
    find(mine, "clip")["cell_type"] = "markdown"
    find(mine, "limits")["cell_type"] = "code"
    made = plan(mine)
    assert step(made, "clip").code == RIGHT["clip"]
    assert step(made, "clip").cell["cell_type"] == "code"
    assert step(made, "limits").cell["cell_type"] == "markdown"


def test_nothing_of_the_hand_in_or_the_master_is_changed(plan, mine, master):
    before = copy.deepcopy((mine, master))
    plan(mine)
    assert (mine, master) == before


# Answers in words.


@pytest.mark.parametrize("prose", ["", " \n", "as released"])
def test_untouched_prose_is_no_answer(plan, mine, room, prose):
    released = text(find(room.lab, "limits"))
    find(mine, "limits")["source"] = f"{released}\n" if prose else prose
    made = step(plan(mine), "limits")
    assert made.code == "" and text(made.cell) == released


def test_prose_is_shown_without_what_a_page_would_act_on(plan, mine):
    find(mine, "limits")["source"] = "<b>x</b> [a](javascript:b) ![c](//d)"
    shown = text(step(plan(mine), "limits").cell)
    assert shown == "&lt;b>x&lt;/b> [a]&#40;javascript:b) ![c]&#40;//d)"


@pytest.mark.parametrize(
    "prose", ["a < b and b <3 > 2", "f(x)[1, 2]", "**so** `x[0]`", "a << b <= c"]
)
def test_plain_prose_stays_as_it_is(prose):
    assert harmless_markdown(prose) == prose


@pytest.mark.parametrize(
    "prose",
    ["<script>", "</b", "<!--", "<?x", "[a] (b)", "[a]\n(b)", "[a]: b", "[a]\t:b"],
)
def test_tags_and_links_are_defused_and_read_the_same(prose):
    assert harmless_markdown(prose) != prose
    assert html.unescape(harmless_markdown(prose)) == prose


# The student's own cells.


def test_added_cells_keep_their_place(plan, mine):
    add(mine, "title", code_cell("at = 'the top'"))
    add(mine, "data", code_cell("below = 'data'"))
    add(mine, "check-clip", code_cell("after = 'a check'"))
    mine["cells"].append(code_cell("at = 'the end'"))
    mine["cells"].insert(0, code_cell("before = 'all'"))
    order = [one.id if one.kind != "code" else one.code for one in plan(mine).steps]
    assert order[:3] == ["title", "before = 'all'", "at = 'the top'"]
    assert order[order.index("data") + 1] == "below = 'data'"
    assert order[order.index("check-clip") + 1] == "after = 'a check'"
    assert order[-2:] == ["limits", "at = 'the end'"]


def test_empty_cells_and_texts_of_the_students_are_left_out(plan, mine):
    note = {"cell_type": "markdown", "id": "note", "metadata": {}, "source": "<b>"}
    for cell in (code_cell(""), code_cell(" \n"), note, note | {"cell_type": "raw"}):
        add(mine, "data", cell)
    assert plan(mine) == plan({**mine, "cells": [c for c in mine["cells"] if c["id"]]})
    assert free(plan(mine)) == [text(find(mine, "try-clip"))]


def test_a_rewritten_given_cell_is_not_run(plan, mine):
    find(mine, "data")["source"] = "def noise(seed, size=50): return []"
    assert "return []" not in "".join(one.code for one in plan(mine).steps)


def test_other_parameters_are_the_students_own_cell(plan, mine):
    find(mine, "parameters")["source"] = "SEED = 5"
    made = plan(mine)
    assert step(made, "parameters").code == "SEED = 0"
    assert step(made, "parameters-free-0").code == "SEED = 5"


def test_many_added_cells_are_noted_and_none_runs(plan, mine):
    for number in range(198):
        add(mine, "data", code_cell(f"x = {number}"))
    assert len(free(plan(mine))) == 199 and plan(mine).notes == ()
    add(mine, "data", code_cell("y = 1"))
    made = plan(mine)
    assert free(made) == [] and step(made, "clip").code == RIGHT["clip"]
    assert made.notes == ("More than 200 code cells beside the answers: none was run.",)


def needed(plan):
    return {one.code for one in plan.steps if one.kind == "code" and one.needed}


def test_the_courses_free_cell_is_shown_and_runs_only_when_it_is_used(
    room, master, mine
):
    """The course's cell binds a name; the student's cell, or answer, reads it."""
    master, lab = copy.deepcopy(master), copy.deepcopy(room.lab)
    for notebook in (master, lab, mine):
        find(notebook, "try-clip")["source"] = "limits_ = 3\ncut = limits_"
        add(notebook, "try-clip", code_cell("shown = cut", "show"))
    made = rebuild.plan(master, lab, mine)
    assert len(free(made)) == 2 and needed(made) == set()
    assert step(made, "show-free-0").cell["metadata"] == {"tags": ["course"]}

    reads = copy.deepcopy(mine)
    add(reads, "flag", code_cell("print(shown)", "mine"))
    made = rebuild.plan(master, lab, reads)
    assert needed(made) == set(free(made)), "the cell that `show` reads runs, too"

    for code in ("def clip(values, limit):\n    return cut", "%time clip(1)"):
        asks = copy.deepcopy(mine)
        find(asks, "clip")["source"] = code
        assert "limits_ = 3\ncut = limits_" in needed(rebuild.plan(master, lab, asks))


# Names.


@pytest.mark.parametrize(
    "code, names",
    [
        ("a = b + c", {"b", "c"}),
        ("a = 1\nprint(a)", {"print", "a"}),
        ("def f(x=d):\n    y = x\n    return g + y", {"d", "g"}),
        ("class A(B):\n    x = q", {"B", "q"}),
        ("f = lambda z: z + w", {"w"}),
        ("[n * k for n in ns]", {"k", "ns"}),
        ("def f():\n    def g():\n        return deep", {"deep"}),
        ("total += 1", {"total"}),
        ("def f():\n    global n\n    n += 1", {"n"}),
        ("del gone", {"gone"}),
        ("x[0].y = 1", {"x"}),
        ("print(f'{name:{width}}')", {"print", "name", "width"}),
        ("%matplotlib inline\n%check stamp\na", {"a"}),
    ],
)
def test_names_that_code_uses(code, names):
    assert names <= used(code) <= names | {"A", "f"}


@pytest.mark.parametrize(
    "code",
    ["%time f()", "!ls", "%%bash\nls", "globals()['x']", "eval('x')", "def broken(:"]
    + ["x = get_ipython()", "a\0", "vars()", "exec(text)", "noise?", "x = !ls"]
    + ["a = 1\n" * 50_000, "x = " + "-" * 90_000 + "1"],
    ids=lambda code: code[:20],
)
def test_code_that_cannot_be_told_uses_anything(code):
    assert used(code) is None


def test_names_that_code_binds():
    code = "import a.b, c as d\nfrom e import f\ng = h = 1\nfor i in (): pass\n"
    code += "def j(): k = 1\nclass L: m = 1\nwith n as o: pass\n(p := 1)"
    assert bound(code) == {"a", "d", "f", "g", "h", "i", "j", "L", "o", "p"}
    assert bound("def broken(:") == bound("%time x = 1") == set()
