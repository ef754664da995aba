"""The labs' hints: three steps a task, no answer's code, and files that are whole."""

import ast
import builtins
from pathlib import Path

import pytest

from securetrain import catalogue, hints, notebooks
from securetrain.notebook_rules import grading, is_solution, source

ROOT = Path(__file__).resolve().parents[1]
LAB = "13-poisoning/poisoning"
LABS = [unit.id for unit in catalogue.units() if unit.kind == "lab"]


@pytest.mark.parametrize("lab", LABS)
def test_every_task_has_three_hints_that_leave_the_code_to_the_learner(lab):
    known = hints.load(lab)
    notebook = notebooks.read(ROOT / "solutions" / f"{lab}.ipynb")
    answers = {
        grading(cell)["grade_id"]: source(cell)
        for cell in notebook["cells"]
        if is_solution(cell)
    }
    assert list(known) == list(answers)
    for task, answer in answers.items():
        texts = [*known[task].steps, *known[task].mistakes.values()]
        assert len(known[task].steps) == 3 and len(set(texts)) == len(texts)
        body = answer.partition("BEGIN SOLUTION")[2].splitlines()
        lines = [line.strip() for line in body if " = " in line or "return" in line]
        for line in lines:
            code = line.partition(" = ")[2] or line.removeprefix("return ")
            if not code.isidentifier():  # a name of the task's own text
                assert not any(code in text for text in texts), (task, code)


@pytest.mark.parametrize("lab", LABS)
def test_a_hint_for_a_mistake_waits_for_words_that_a_check_says(lab):
    notebook = notebooks.read(ROOT / "labs" / f"{lab}.ipynb")
    said = [
        node.value
        for cell in notebook["cells"]
        if grading(cell).get("locked")
        for node in ast.walk(ast.parse(source(cell)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    # An error that the learner's own code raises goes through the check as it is.
    said += [name for name in dir(builtins) if name.endswith("Error")]
    for task, known in hints.load(lab).items():
        for words in known.mistakes:
            assert any(words in text for text in said), (task, words)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stamp = 3", "stamp: expected a table with hints"),
        ("[stamp]", "stamp: expected a table with hints"),
        ("[stamp]\nhints = []", "stamp: expected hints as a list"),
        ('[stamp]\nhints = ["a", " "]', "none of them empty"),
        ('[stamp]\nhints = ["a"]\nhint = "b"', "unknown key 'hint'"),
        ('[stamp]\nhints = ["a"]\nmistakes = "b"', "expected mistakes as a table"),
        ('[stamp]\nhints = ["a"]\n[stamp.mistakes]\nb = 1', "expected mistakes as"),
        ("[stamp", "not valid TOML"),
    ],
)
def test_malformed_hints_are_named(tmp_path, monkeypatch, text, says):
    monkeypatch.setattr(hints, "FOLDER", tmp_path)
    (tmp_path / f"{LAB}.toml").parent.mkdir()
    (tmp_path / f"{LAB}.toml").write_text(text)
    with pytest.raises(ValueError) as caught:
        hints.load(LAB)
    assert str(caught.value).startswith(f"{LAB}.toml: ") and says in str(caught.value)


def test_a_unit_without_hints_has_none():
    assert hints.load("13-poisoning/1-one-sticker") == {}
