"""Exercises of lessons: an answer passes, a mistake is named, and `%check` says so."""

import ast
import json
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from graders import mutants
from securetrain import catalogue, checks, hints, notebooks, progress
from securetrain.notebook_rules import source

ROOT = Path(__file__).resolve().parents[1]
TASKS = [
    pytest.param(unit, task, id=f"{unit.id}:{task.name}")
    for unit in catalogue.units()
    for task in checks.exercises(unit)
]
UNIT = "14-adaptive-poisons/1-hidden-in-the-crowd"
each = pytest.mark.parametrize(("unit", "task"), TASKS)


def cells(unit):
    """Return a lesson's code cells by their ids."""
    found = notebooks.read(ROOT / unit.source)["cells"]
    return {cell["id"]: cell for cell in found if cell["cell_type"] == "code"}


def defined(code):
    """Return the names that a learner's kernel holds after this cell."""
    names = {}
    exec(compile(code, "<answer>", "exec"), names)
    return names


def answer(unit, task):
    path = ROOT / "solutions" / unit.topic / f"{task.name}.py"
    return path.read_text("utf-8")


def wrong(unit, task):
    found = mutants.load(ROOT / "graders" / "mutants" / unit.topic)
    return [mutant for mutant in found if mutant.cell == task.name]


def test_there_are_exercises():
    assert TASKS


@each
def test_the_cell_asks_for_the_function_and_runs_unanswered(unit, task):
    cell = cells(unit)[task.name]
    assert "exercise" in cell["metadata"]["tags"]
    names = defined(source(cell))
    assert task.defines == (task.name,) and names[task.name].__doc__
    assert checks.run(task, names).state == "not written yet"


@each
def test_only_exercise_cells_are_tagged_so(unit, task):
    tagged = {
        word
        for word, cell in cells(unit).items()
        if "exercise" in cell["metadata"].get("tags", [])
    }
    assert tagged == {one.name for one in checks.exercises(unit)}


@each
def test_the_answer_passes_again_and_again(unit, task):
    names = defined(answer(unit, task))
    before = dict(names)
    for _ in range(20):  # a check may draw its numbers anew
        assert str(checks.run(task, names)) == f"{task.name}: passed"
    assert names == before


@each
def test_every_mistake_fails_and_is_named(unit, task):
    found = wrong(unit, task)
    assert len(found) >= mutants.AT_LEAST
    for mutant in found:
        for _ in range(20):
            result = checks.run(task, defined(mutant.code))
            assert result.state == "failed", mutant
            assert mutant.says in result.text, (mutant, result.text)


@each
def test_it_has_three_hints_that_leave_the_code_to_the_learner(unit, task):
    known = hints.load(unit.id)[task.name]
    assert len(known.steps) == 3
    lines = [line.strip() for line in answer(unit, task).splitlines()]
    code = [line for line in lines if " = " in line or line.startswith("return")]
    for text in (*known.steps, *known.mistakes.values()):
        assert not any(line in text for line in code)


@each
def test_a_hint_for_a_mistake_waits_for_words_that_the_check_says(unit, task):
    said = [
        node.value
        for node in ast.walk(ast.parse(task.check))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for words in hints.load(unit.id)[task.name].mistakes:
        assert any(words in text for text in said), words


@pytest.fixture
def live(tmp_path, monkeypatch, capsys):
    """Return a function that runs a cell in a live shell and returns what it prints."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path / "work"))
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(config=config)

    def run(code):
        capsys.readouterr()
        shell.run_cell(code)
        printed = capsys.readouterr()
        return printed.out + printed.err

    yield run
    InteractiveShell.clear_instance()


def test_a_learner_checks_an_exercise_in_the_lesson(live):
    unit = catalogue.unit(UNIT)
    [task] = checks.exercises(unit)
    said = live(f"from securetrain import progress\nprogress.start({UNIT!r})")
    assert said.endswith(
        "%check runs the check of this lesson's exercise; %check --hint helps.\n"
    )
    assert live("%check") == f"Not defined yet: {task.name}.\n"
    assert live("%check --hint").startswith(f"{task.name}, hint 1 of 3: ")
    live(source(cells(unit)[task.name]))
    assert live("%check").startswith(f"{task.name}: not written yet.")
    slip = wrong(unit, task)[0]
    live(slip.code)
    said = live("%check")
    assert said.startswith(f"{task.name}: failed. ") and slip.says in said
    live(answer(unit, task))
    assert live("%check") == f"{task.name}: passed\n"
    nothing = f"{task.name}: its last check passed, there is nothing to hint at.\n"
    assert live("%check --hint") == nothing
    assert progress.summary()[UNIT].checks == ((task.name, True),)
    lines = progress.file().read_text("utf-8").splitlines()
    verbs = [json.loads(line)["verb"]["display"]["en"] for line in lines]
    assert verbs == ["started", "checked", "checked"]


def test_a_lesson_without_an_exercise_offers_none(live):
    said = live(
        "from securetrain import progress\nprogress.start('13-poisoning/1-one-sticker')"
    )
    assert "%check" not in said
    with pytest.raises(ValueError, match=f"Lessons with an exercise: .*{UNIT}"):
        checks.load("13-poisoning/1-one-sticker")
