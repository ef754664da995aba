"""Wrong answers lose their points, and are told why; the right one keeps them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graders import mutants
from securetrain import notebooks

ROOT = Path(__file__).resolve().parents[1]
LABS = notebooks.find(ROOT / "solutions")
SMALL = Path("solutions", "01-clip", "clip.ipynb")
MUTANTS = Path("graders", "mutants", "01-clip")


def judge(notebook, here, *, report):
    """Run a lab's mutants in a process of their own; return its status and words."""
    done = subprocess.run(
        [sys.executable, "-m", "graders.mutants", notebook, "--report", report],
        env=os.environ | {"SECURETRAIN_ROOT": str(here)},
        capture_output=True,
        text=True,
    )
    outcomes = json.loads(report.read_text("utf-8")) if report.exists() else []
    return done.returncode, done.stdout + done.stderr, outcomes


def test_there_are_labs_to_judge():
    assert LABS


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.stem)
def test_every_mutant_of_the_courses_labs_is_caught(lab, tmp_path):
    status, said, outcomes = judge(lab, ROOT, report=tmp_path / "mutants.json")
    assert status == 0, said
    assert all(outcome["caught"] for outcome in outcomes)


@pytest.fixture
def small(course, tmp_path):
    """Return a function that judges the small lab's mutants as they stand."""
    return lambda: judge(course / SMALL, course, report=tmp_path / "mutants.json")


def mutant(course, name, mistake, code):
    path = course / MUTANTS / f"{name}.py"
    path.write_text(f'"""{mistake}"""\n\n{code}\n')


def test_the_small_labs_mutants_are_caught_one_by_one(small):
    status, said, outcomes = small()
    assert status == 0, said
    assert "10 of 10 mutants lose their points" in said
    assert {one["came"] for one in outcomes} == {"AssertionError"}
    assert [one["cell"] for one in outcomes] == ["clip"] * 5 + ["flag"] * 5
    assert all(one["says"] in one["message"] for one in outcomes)


CLIP = "def clip(values, limit):\n    "
RIGHT = CLIP + "return [max(-limit, min(limit, v)) for v in values]"


@pytest.mark.parametrize(
    ("says", "code", "came"),
    [
        ("dropped", RIGHT, "KEPT"),
        ("another message", CLIP + "return []", "a value was dropped"),
        ("dropped", CLIP + "return 1 / 0", "ZeroDivisionError"),
        ("dropped", CLIP + "exit()", "SystemExit"),
        ("dropped", "import os\n\n\ndef clip(*_):\n    os._exit(0)", "killed"),
        ("dropped", "clip = no_such_name", "NameError in the mutant"),
        ("dropped", "assert False, 'dropped'", "AssertionError in the mutant"),
        ("dropped", "def clip(:", "line 6"),
    ],
)
def test_a_mutant_that_is_not_told_its_mistake_is_reported(
    course, small, says, code, came
):
    mutant(course, "clip--odd", f"An odd one.\n\nsays: {says}\n", code)
    status, said, _ = small()
    assert status == 1
    assert came in said, said


def test_mutants_do_not_reach_each_other(course, small):
    """The first to run spoils helpers and caches; the rest are judged as before."""
    spoil = (
        f"import random\n\nrandom.Random = None\nloudest = noise = print\n\n\n{CLIP}"
        "return []"
    )
    mutant(course, "clip--a-spoiler", "Spoils what it finds.\n\nsays: is", spoil)
    status, said, outcomes = small()
    spoiler, *others = outcomes
    assert status == 1 and not spoiler["caught"], said
    assert all(one["caught"] for one in others)


def test_free_cells_after_the_answer_are_not_run_for_a_mutant(course, small, edit):
    edit(
        course / SMALL, try_clip=lambda c: c.update(source="assert clip([9], 1) == [1]")
    )
    status, said, outcomes = small()
    assert status == 0, said
    assert len(outcomes) == 10


def test_a_solution_that_fails_its_own_check_is_named(course, small, edit):
    def break_it(cell):
        cell["source"] = "".join(cell["source"]).replace("max(-limit", "max(limit")

    edit(course / SMALL, clip=break_it)
    status, said, outcomes = small()
    assert status == 1 and outcomes == []
    assert "clip.ipynb: cell 'check-clip': AssertionError" in said


def test_too_few_mutants_are_counted(course, small):
    (course / MUTANTS / "flag--nothing.py").unlink()
    status, said, _ = small()
    assert status == 1
    assert "cell 'flag' has 4 mutants, expected 5 or more" in said
    assert "9 of 9 mutants lose their points" in said


def test_a_mutant_for_no_cell_is_named(course, small):
    mutant(course, "klip--typo", "A typo.\n\nsays: x", "klip = 1")
    status, said, _ = small()
    assert status == 1
    assert "mutant klip--typo: no solution cell 'klip'" in said
    assert "there are: clip, flag" in said


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("clip", '"""A.\n\nsays: b"""', "expected a file name such as"),
        ("clip--", '"""A.\n\nsays: b"""', "expected a file name such as"),
        ("clip--x", "def clip(): ...", "expected a docstring"),
        ("clip--x", '"""A mistake."""', "one line `says:"),
        ("clip--x", '"""A mistake.\n\nsays:\n"""', "one line `says:"),
        ("clip--x", '"""A mistake.\n\nsays: a\nsays: b\n"""', "one line `says:"),
        ("clip--x", '"""A mistake."""\n(', "line 2:"),
    ],
)
def test_a_malformed_mutant_is_named(tmp_path, name, content, says):
    path = tmp_path / f"{name}.py"
    path.write_text(content)
    with pytest.raises(ValueError) as caught:
        mutants.load(tmp_path)
    assert str(caught.value).startswith(f"{path}: ") and says in str(caught.value)


# --- Changes of the solution --------------------------------------------------------

GOOD = """
[no-floor]
mistake = "Has no lower limit."
says = "below -limit came through"
change = '''
-    return [max(-limit, min(limit, value)) for value in values]
+    return [min(limit, value) for value in values]
'''
"""
TWO_PLACES = """
[no-mark]
mistake = "Has no marks."
says = "x"
change = '''
-    ### BEGIN SOLUTION
     return [max(-limit, min(limit, value)) for value in values]
+    # done
@@
-    ### END SOLUTION
'''
"""


def changed(course, text, cell="clip"):
    """Write changes of one cell into the small course; return their file."""
    path = course / MUTANTS / f"{cell}.toml"
    path.write_text(text)
    return path


def named(course, name):
    """Return the code of one of the small course's mutants."""
    [code] = [m.code for m in mutants.load(course / MUTANTS) if m.name == name]
    return code


def test_a_change_of_the_solution_is_a_mutant(course, small):
    changed(course, GOOD)
    code = named(course, "no-floor")
    assert "return [min(limit, value) for value in values]" in code
    assert "max(-limit" not in code and code.startswith("def clip(values: list")
    status, said, outcomes = small()
    assert status == 0 and "11 of 11 mutants lose their points" in said
    [outcome] = [one for one in outcomes if one["name"] == "no-floor"]
    assert outcome["mistake"] == "Has no lower limit."


def test_a_change_may_have_several_places_and_lines_that_stay(course):
    changed(course, TWO_PLACES)
    code = named(course, "no-mark")
    assert code.endswith("min(limit, value)) for value in values]\n    # done\n")
    assert "###" not in code


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("value in values]\n+", "value in value]\n+", "these stand there 0 times"),
        (
            "-    return [max(-limit, min(limit, value)) for value in values]\n",
            "",
            "new",
        ),
        ("[min(limit, value)", "[max(-limit, min(limit, value))", "change nothing"),
        ("+    return", "*    return", "expected -, + or a space before"),
        ("mistake", "misstake", "expected the texts change, mistake, says"),
        ('"below -limit came through"', "1", "expected the texts"),
        ('"below -limit came through"', '" "', "expected the texts"),
        ("[no-floor]", "[no-floor", "line 2"),
        (GOOD, "no-floor = 1", "[no-floor]: expected the texts"),
    ],
)
def test_a_change_that_does_not_fit_is_named(course, old, new, says):
    assert old in GOOD
    path = changed(course, GOOD.replace(old, new))
    with pytest.raises(ValueError) as caught:
        mutants.load(course / MUTANTS)
    assert str(caught.value).startswith(f"{path}: ") and says in str(caught.value)


def test_changes_of_no_cell_are_named(course):
    path = changed(course, GOOD, "klip")
    with pytest.raises(ValueError, match="no solution cell 'klip' in .*clip, flag"):
        mutants.load(path.parent)
