"""`%check` in a live shell: what a learner reads, and what it leaves untouched."""

import json
import shutil
from pathlib import Path
from textwrap import dedent

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from graders import mutants, release
from securetrain import catalogue, checks, execution, hints, home, notebooks, progress
from securetrain.notebook_rules import source

ROOT = Path(__file__).resolve().parents[1]
LAB, SMALL = "13-poisoning/poisoning", "01-clip/clip"
LABS = [unit.id for unit in catalogue.units() if unit.kind == "lab"]
RIGHT = (
    "def clip(values, limit):\n    return [max(-limit, min(limit, v)) for v in values]"
)


def cells(folder, lab):
    found = notebooks.read(folder / f"{lab}.ipynb")["cells"]
    return {cell["id"]: source(cell) for cell in found}


class Live:
    """A shell, and what it printed since one last looked."""

    def __init__(self, shell, capsys):
        self.shell, self.capsys = shell, capsys

    def run(self, code):
        """Run a cell; return what it printed, to either stream."""
        self.capsys.readouterr()
        self.shell.run_cell(dedent(code))
        printed = self.capsys.readouterr()
        return printed.out + printed.err

    @property
    def names(self):
        return dict(self.shell.user_ns)


@pytest.fixture
def live(tmp_path, monkeypatch, capsys):
    """A live IPython shell without history or start-up files, and an empty record."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # another's may be active
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path / "work"))
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield Live(InteractiveShell.instance(config=config), capsys)
    InteractiveShell.clear_instance()


@pytest.fixture
def small(course, live, tmp_path, monkeypatch):
    """The small lab, released, in the catalogue and started in a live shell."""
    release.write(course, release.generate(course, release.topics(course)))
    shutil.copy(catalogue.HERE / "threats.toml", tmp_path)
    text = (catalogue.HERE / "catalogue.toml").read_text("utf-8")
    [entry] = [part for part in text.split("[[units]]") if f'id = "{LAB}"' in part]
    lab = "[[units]]" + entry.partition("\n[")[0].replace(LAB, SMALL)
    topic = '[topics.01-clip]\ntitle = "Clip"\nchecklist = "Clip."\n'
    (tmp_path / "catalogue.toml").write_text(f"{text}\n{topic}\n{lab}", "utf-8")
    monkeypatch.setattr(catalogue, "HERE", tmp_path)
    monkeypatch.setattr(hints, "FOLDER", tmp_path / "hints")
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path / "work"))
    for cached in (catalogue._read, catalogue.units):
        cached.cache_clear()
    live.run(f"from securetrain import progress\nprogress.start({SMALL!r})")
    for cell in ("parameters", "data"):
        live.run(cells(course / "labs", SMALL)[cell])
    yield live
    for cached in (catalogue._read, catalogue.units):
        cached.cache_clear()


@pytest.fixture
def steps(small):
    """Hints for the task `clip` of the small lab."""
    file = hints.FOLDER / f"{SMALL}.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        '[clip]\nhints = ["First.", "Second."]\n'
        '[clip.mistakes]\n"was dropped" = "Move, keep all."\n'
    )


def test_a_lab_says_that_it_can_be_checked(live):
    said = live.run(f"from securetrain import progress\nprogress.start({LAB!r})")
    assert said.endswith(
        "%check runs this lab's checks; %check TASK --hint helps with a task.\n"
    )
    lesson = LAB.replace("poisoning/poisoning", "poisoning/1-one-sticker")
    assert "%check" not in live.run(f"progress.start({lesson!r})")


def test_outside_a_live_shell_a_lab_starts_without_a_magic(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path / "work"))
    progress.start(LAB)
    assert "%check" not in capsys.readouterr().out


def test_what_is_not_there_yet_is_named(small, course):
    assert small.run("%check") == "Not defined yet: clip, flag.\n"
    assert small.run("%check flag") == (
        "flag: not defined yet. Run the cell that defines `flag`.\n"
    )
    small.run(cells(course / "labs", SMALL)["clip"])
    assert small.run("%check") == (
        "clip: not written yet. `clip` still raises NotImplementedError.\n"
        "Not defined yet: flag.\n"
    )
    assert progress.summary()[SMALL].checks == ()  # none of these was a try


def test_right_answers_pass_and_the_home_page_counts_them(small):
    small.run(RIGHT)
    small.run("def flag(values, share):\n    return [9] * 6")
    assert small.run("%check") == (
        "clip: passed\nflag: failed. too many were flagged: quiet values are lost too\n"
    )
    assert progress.summary()[SMALL].checks == (("clip", True), ("flag", False))
    assert "checks: 1 of 2 pass" in home.page(progress.summary())


@pytest.mark.parametrize("name", ["does-nothing", "drops", "in-place"])
def test_a_wrong_answer_is_told_its_mistake_in_one_line(small, course, name):
    folder = course / "graders" / "mutants" / "01-clip"
    [mutant] = [m for m in mutants.load(folder) if (m.cell, m.name) == ("clip", name)]
    small.run(mutant.code)
    said = small.run("%check clip")
    assert said.startswith("clip: failed. ") and said.count("\n") == 1
    assert mutant.says in said


def test_a_check_leaves_every_name_as_it_was(small):
    small.run("given, clipped = 'mine', 'mine too'\ncalls = []")
    small.run(RIGHT.replace("    return", "    calls.append(limit)\n    return"))
    before = small.names
    assert "clip: passed" in small.run("%check")
    after = small.names
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert after["calls"] == [2.0], "the learner's function works on its own globals"


def test_what_a_function_prints_is_shown(small):
    small.run(RIGHT.replace("    return", "    print('here')\n    return"))
    assert small.run("%check clip") == "here\nclip: passed\n"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "def half(v):\n    return v / 0\n\n\n"
            "def clip(values, limit):\n    return [half(v) for v in values]",
            "ZeroDivisionError: float division by zero\n"
            "    line 2 in `half`: return v / 0\n",
        ),
        (
            "def clip(values, limit):\n    return [v + lmit for v in values]",
            "NameError: name 'lmit' is not defined\n"
            "    line 2 in `clip`: return [v + lmit for v in values]\n",
        ),
        (
            "def clip(values, limit):\n    assert not values, 'mine'",
            "AssertionError: mine\n    line 2 in `clip`: assert not values, 'mine'\n",
        ),
        (
            "import sys\n\n\ndef clip(values, limit):\n    sys.exit(3)",
            "SystemExit: 3\n    line 5 in `clip`: sys.exit(3)\n",
        ),
        (
            "def clip(values, limit):\n    return None",
            "The check stopped with TypeError: object of type 'NoneType' has no len()\n"
            "    Do the arguments and the result of `clip` fit its docstring?\n",
        ),
        (
            "def clip(values):\n    return values",
            "The check stopped with TypeError: clip() takes 1 positional argument but "
            "2 were given\n"
            "    Do the arguments and the result of `clip` fit its docstring?\n",
        ),
    ],
)
def test_an_error_points_at_the_learners_line(small, code, says):
    small.run(code)
    assert small.run("%check clip") == f"clip: failed. {says}"
    assert progress.summary()[SMALL].checks == (("clip", False),)


def test_an_error_below_a_function_of_the_course_points_at_the_learner(small):
    """`loudest`, of a locked cell, calls the learner's `flag`."""
    small.run("def flag(values, share):\n    return [1] + share")
    assert small.run("%check flag").endswith("line 2 in `flag`: return [1] + share\n")
    small.run("def flag(values, share):\n    return 3")
    assert "result of `flag` fit its docstring" in small.run("%check flag")


def test_a_check_without_the_cells_above_it_says_so(small):
    small.run(RIGHT)
    small.run("del noise")
    assert small.run("%check clip") == (
        "clip: not ready. It needs `noise`. Run the cells above its check first.\n"
    )
    assert progress.summary()[SMALL].checks == ()


def test_hints_come_in_steps_and_are_offered_once(small, steps):
    offer = "    `%check clip --hint` helps, in 2 steps.\n"
    small.run("def clip(values, limit):\n    return list(values)")
    assert small.run("%check clip").endswith(offer)
    assert offer not in small.run("%check clip")
    assert small.run("%check clip --hint") == "clip, hint 1 of 2: First.\n"
    assert small.run("%check --hint clip") == "clip, hint 2 of 2: Second.\n"
    assert small.run("%check --hint") == "clip, hint 1 of 2: First.\n"
    small.run(f"progress.start({SMALL!r})")
    assert small.run("%check --hint") == "clip, hint 2 of 2: Second.\n"


def test_a_task_that_passed_gets_steps_for_what_is_hidden(small, steps):
    small.run(
        "def clip(values, limit):\n"
        "    return [min(limit, max(-limit, value)) for value in values]"
    )
    small.run("%check clip")
    anyway = "the released check passed; steps anyway. clip, hint"
    assert small.run("%check clip --hint") == f"{anyway} 1 of 2: First.\n"
    small.run("def clip(values, limit):\n    return list(values)")
    small.run("%check clip")
    assert small.run("%check clip --hint") == "clip, hint 2 of 2: Second.\n"


def test_the_first_hint_is_on_the_mistake_just_made(small, steps):
    small.run("def clip(values, limit):\n    return []")
    small.run("%check clip")
    assert small.run("%check clip --hint") == (
        "clip, on what the check said: Move, keep all.\n"
    )
    assert small.run("%check clip --hint") == "clip, hint 1 of 2: First.\n"


def test_hints_that_are_not_there_are_not_offered(small):
    small.run("def clip(values, limit):\n    return []")
    assert "--hint" not in small.run("%check clip")
    assert small.run("%check clip --hint") == (
        "clip: there are no hints for this task.\n"
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%check klip", f"No task 'klip' in {SMALL}. There are: clip, flag."),
        ("%check --hint", "Name a task: %check TASK --hint. There are: clip, flag."),
        ("%check --hnt", "unrecognized arguments: --hnt"),
        ('%check "clip', "No closing quotation"),
        ("%check --lab 99-x/y", "No unit '99-x/y'"),
        (
            "%check --lab 13-poisoning/1-one-sticker",
            f"is a lesson, expected a lab: {', '.join([*LABS, SMALL])}.",
        ),
        (f"%check --lab {LAB}", f"labs/{LAB}.ipynb: expected a notebook here"),
    ],
)
def test_bad_input_is_answered_with_what_to_do(small, line, says):
    said = small.run(line)
    assert said.startswith("UsageError: ") and says in said
    assert "Traceback" not in said


def test_outside_a_lab_the_labs_are_named(live):
    live.run("%load_ext securetrain.check_magic")
    said = live.run("%check")
    assert said.startswith("UsageError: No lab was started here.") and LAB in said
    assert "Not defined yet: usable, stamp, success (`success_rate`)" in live.run(
        f"%check --lab {LAB}"
    )


def test_a_copy_of_another_version_is_mentioned(small, course, tmp_path):
    small.run("def clip(values, limit):\n    return []")
    own = tmp_path / "work" / f"{SMALL}.ipynb"
    own.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(course / "labs" / f"{SMALL}.ipynb", own)
    own.with_name(".clip.sha256").write_text("of an older one\n")
    assert f"securetrain start {SMALL} --new" in small.run("%check")
    small.run(RIGHT)
    assert small.run("%check clip") == "clip: passed\n"


def test_the_poisoning_lab_passes_its_answers_and_names_the_mistakes(live):
    """Every wrong answer of the lab gets the message that it is to get."""
    right = cells(ROOT / "solutions", LAB)
    for cell in ("start", "set-up", "parameters"):
        live.run(right[cell])
    tasks = [task.name for task in checks.load(LAB).tasks]
    assert tasks == ["usable", "stamp", "success", "spectral", "remove"]
    for task in tasks:
        live.run(right[task])
    before = live.names
    assert live.run("%check") == "".join(f"{task}: passed\n" for task in tasks)
    assert live.run("%check keep_clean") == "remove: passed\n"
    after = live.names
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    for mutant in mutants.load(ROOT / "graders" / "mutants" / "13-poisoning"):
        live.run(mutant.code)
        said = live.run(f"%check {mutant.cell}")
        assert said.startswith(f"{mutant.cell}: failed. "), mutant
        assert mutant.says in said, mutant
        live.run(right[mutant.cell])


def test_a_real_kernel_checks_the_released_lab(tmp_path):
    """The lab as a learner opens it: the stub, a slip, an answer."""
    released = cells(ROOT / "labs", LAB)
    slip = "def stamp(x, pattern, mask):\n    return x @ [mask]"
    answer = cells(ROOT / "solutions", LAB)["stamp"]
    codes = [released["start"], released["set-up"], released["parameters"]]
    codes += [released["stamp"], "%check stamp", slip, "%check", "%check --hint"]
    codes += [answer, "%check", "print([name for name in dir() if 'check' in name])"]
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {"tags": ["parameters"]} if number == 2 else {},
            "source": code,
            "execution_count": None,
            "outputs": [],
        }
        for number, code in enumerate(codes)
    ]
    path = tmp_path / "lab.ipynb"
    notebooks.write(path, notebooks.tidy({"cells": made}))
    work = tmp_path / "work"
    environment = {"SECURETRAIN_WORK": str(work), "SECURETRAIN_ROOT": str(ROOT)}
    done = execution.run(path, env=environment)
    assert done.error is None
    said = {
        cell["id"]: "".join(
            "".join(output.get("text", "")) for output in cell.get("outputs", [])
        )
        for cell in done.notebook["cells"]
    }
    assert said["cell-4"].startswith("stamp: not written yet.")
    assert said["cell-6"].startswith("stamp: failed. TypeError: ")
    assert "\n    line 2 in `stamp`: return x @ [mask]\n" in said["cell-6"]
    assert said["cell-7"].startswith("stamp, hint 1 of 3: ")
    assert said["cell-9"].startswith("stamp: passed\n")
    assert said["cell-10"] == "[]\n"
    lines = (work / "progress.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    tries = [e["result"]["success"] for e in events if "#stamp" in e["object"]["id"]]
    assert tries == [False, True]
