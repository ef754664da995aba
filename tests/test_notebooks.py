"""Notebooks as plain JSON: reading, tidying, and what is said of a broken one."""

import json
import os
from pathlib import Path

import nbformat
import pytest

from securetrain import notebooks
from securetrain.cli import main

ROOT = Path(__file__).resolve().parents[1]
LAB = "solutions/01-clip/clip.ipynb"


def test_the_courses_own_notebooks_are_tidy(capsys):
    found = notebooks.find(ROOT / "course", ROOT / "solutions")
    assert found
    status = notebooks.main(["--check", *map(str, found)])
    assert status == 0, capsys.readouterr().err


def test_tidy_strips_a_used_notebook_and_keeps_ids_text_and_grading(course):
    path = course / LAB
    clean = notebooks.read(path)
    used = notebooks.read(path)
    used["metadata"] = {"language_info": {"version": "3.9"}, "widgets": {"big": 1}}
    used["nbformat_minor"] = 4
    for number, cell in enumerate(used["cells"]):
        cell["metadata"] |= {"scrolled": True, "execution": {"at": 1}}
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    before = json.dumps(used)
    assert notebooks.tidy(used) == clean
    assert json.dumps(used) == before, "tidy changed its input"


def test_tidy_text_is_what_jupyter_writes(course):
    text = (course / LAB).read_text("utf-8")
    assert nbformat.writes(nbformat.reads(text, as_version=4)) + "\n" == text
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert notebooks.dumps(notebooks.tidy(json.loads(text))) == text


def test_tidy_keeps_letters_beyond_ascii_and_an_attached_picture(tmp_path):
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "é\u2028ü"}
    picture = {"p.png": {"image/png": "AAAA"}}
    notebook = notebooks.tidy({"cells": [cell | {"attachments": picture}]})
    notebooks.write(tmp_path / "x.ipynb", notebook)
    assert "é" in (tmp_path / "x.ipynb").read_text("utf-8")
    kept = notebooks.read(tmp_path / "x.ipynb")["cells"][0]
    assert "".join(kept["source"]) == "é\u2028ü" and kept["attachments"] == picture


def test_the_command_tidies_then_finds_nothing_left(course, capsys, edit):
    path = course / LAB
    clean = path.read_bytes()
    edit(path, clip=lambda cell: cell.update(execution_count=7))
    assert main(["tidy", "--check"]) == 1
    captured = capsys.readouterr()
    assert f"{LAB}: cell 5 'clip': untidy execution_count" in captured.err
    assert path.read_bytes() != clean, "--check wrote"
    assert main(["tidy"]) == 0
    assert f"tidied {LAB}" in capsys.readouterr().out
    assert path.read_bytes() == clean
    assert main(["tidy", "--check"]) == 0


def test_one_broken_file_does_not_hide_the_next(course, capsys):
    (course / "course" / "01-clip" / "1-loud.ipynb").write_text("{")
    (course / LAB).write_text("[]")
    assert main(["tidy"]) == 1
    said = capsys.readouterr().err
    assert "1-loud.ipynb: line 1" in said and "clip.ipynb: expected a notebook" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"cells": [\n 1,\n}', "line 3, column 1: broken JSON"),
        (b"", "line 1, column 1: broken JSON"),
        (b"\xef\xbb\xbf{}", "broken JSON"),
        ('{"cells": "é"}'.encode("latin-1"), "expected UTF-8 text, byte 11 is not"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "expected a notebook (a JSON object with a list of cells), got a lis"),
        (b"3", "got a number"),
        (b'{"nbformat": 4}', "got no cells"),
        (b'{"cells": [], "nbformat": 3}', "expected notebook format 4, got 3"),
        (b'{"cells": [1], "nbformat": 4}', "cell 1: expected an object, got a number"),
        (b'{"cells": [{"cell_type": "sql"}], "nbformat": 4}', "cell 1: expected code"),
        (
            b'{"cells": [{"cell_type": "raw", "source": [1]}], "nbformat": 4}',
            "cell 1: expected its source as text or a list of lines",
        ),
        (
            b'{"cells": [{"cell_type": "raw", "source": ""}], "nbformat": 4}',
            "cell 1: expected metadata as an object",
        ),
    ],
)
def test_what_is_no_notebook_is_named(tmp_path, content, says):
    path = tmp_path / "odd.ipynb"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        notebooks.read(path)
    assert str(caught.value).startswith(f"{path}: ") and says in str(caught.value)


def test_a_missing_notebook_or_a_folder_is_named(tmp_path):
    for path in (tmp_path / "none.ipynb", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"{path}: expected a notebook"):
            notebooks.read(path)


def change(cell_id, do):
    """Return an edit of a list of cells that changes one of them."""

    def edit(cells):
        do(next(cell for cell in cells if cell["id"] == cell_id))
        return cells

    return edit


def put(cell_id, **values):
    return change(cell_id, lambda cell: cell.update(values))


def meta(cell_id, **values):
    return change(cell_id, lambda cell: cell["metadata"]["nbgrader"].update(values))


def tag(cell_id):
    return change(cell_id, lambda cell: cell["metadata"].update(tags=["parameters"]))


def text(cell_id, old, new):
    def do(cell):
        cell["source"] = "".join(cell["source"]).replace(old, new)

    return change(cell_id, do)


def drop(cell_id):
    return lambda cells: [cell for cell in cells if cell["id"] != cell_id]


def twice(cell_id):
    return lambda cells: [c for c in cells for _ in range(1 + (c["id"] == cell_id))]


UUID = "abcdef01-1111-2222-3333-a1b2c3d4e5f6"
SOLUTION = "### BEGIN SOLUTION\n### END SOLUTION\nimport"
HIDDEN = "### BEGIN HIDDEN TESTS\n    ### END HIDDEN TESTS\n    return"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("clip", id=None), "cell 5: has no id"),
        (put("data", id="0f3a9c1e"), "cell 3 '0f3a9c1e': id is not a word"),
        (put("data", id="a1b2c3d4"), "id is not a word"),
        (put("data", id=UUID), "id is not a word"),
        (put("data", id="Data 1"), "id is not a word"),
        (twice("check-clip"), "cell 8 'check-clip': has the same id as cell 7"),
        (twice("check-clip"), "cell 8 'check-clip': has the same grade_id as cell 7"),
        (meta("clip", grade_id="klip"), "cell 5 'clip': grade_id is 'klip'"),
        (meta("clip", grade_id=None), "cell 5 'clip': grade_id is None"),
        (meta("check-clip", points=None), "cell 7 'check-clip': is graded but has no"),
        (meta("check-clip", points=0), "is graded but has no points (got 0)"),
        (meta("check-clip", points=True), "is graded but has no points (got True)"),
        (meta("check-clip", locked=False), "must be a locked code cell"),
        (meta("clip", locked=True), "cell 5 'clip': is the learner's to fill in"),
        (meta("clip", grade=None), "needs grade as true or false"),
        (meta("clip", schema_version=2), "needs schema_version 3"),
        (put("clip", metadata={"nbgrader": []}), "needs grade as true or false"),
        (meta("limits", grade=False), "'limits': is answered in prose, so it must be"),
        (drop("check-clip"), "cell 5 'clip': no check follows; expected the next one"),
        (drop("check-flag"), "cell 9 'flag': no check follows"),
        (drop("clip"), "cell 6 'check-clip': checks no solution cell"),
        (text("clip", "### END SOLUTION", ""), "END SOLUTION do not pair up"),
        (text("check-flag", "BEGIN HIDDEN", "B"), "END HIDDEN TESTS do not pair up"),
        (text("data", "import", SOLUTION), "'data': holds SOLUTION, so it must be a s"),
        (text("clip", "return", HIDDEN), "'clip': holds HIDDEN TESTS, so it must be a"),
        (drop("parameters"), f"{LAB}: no cell is tagged `parameters`"),
        (tag("title"), "cell 1 'title': is tagged `parameters`, so it must be code"),
        (tag("data"), "cell 3 'data': is tagged `parameters`, as cell 2 is; one only"),
        (put("data", outputs=[{}]), "cell 3 'data': holds output of a run"),
        (put("data", execution_count=1), "cell 3 'data': holds output of a run"),
    ],
)
def test_problems_name_file_and_cell(course, change, says):
    notebook = notebooks.read(course / LAB)
    assert notebooks.problems(notebook, LAB) == []
    notebook["cells"] = change(notebook["cells"])
    found = notebooks.problems(notebook, LAB)
    assert all(line.startswith(f"{LAB}: ") for line in found)
    assert any(says in line for line in found), found


def test_the_home_page_needs_no_parameters(course):
    notebook = notebooks.read(course / "course" / "index.ipynb")
    assert notebooks.problems(notebook, "course/index.ipynb") == []
    assert notebooks.outliers(notebook, "course/index.ipynb") == []


def test_outliers_are_numbers_outside_style(course):
    notebook = notebooks.read(course / LAB)
    long = "word " * 121 + "[link](https://example.org/a/b) | --- | <br>"
    notebook["cells"][0]["source"] = [long]
    notebook["cells"][2]["source"] = ["x = 1\n"] * 26 + ["\n"] * 9
    found = notebooks.outliers(notebook, LAB)
    assert f"{LAB}: cell 1 'title': 122 words, at most 120" in found
    assert f"{LAB}: cell 3 'data': 26 lines, at most 25" in found
    assert f"{LAB}: 12 cells, usually 18 to 26" in found
    assert f"{LAB}: 3 tasks, usually 4 to 6" in found
    assert f"{LAB}: 6 points, usually 10 to 20" in found
    lesson = notebooks.read(course / "course/01-clip/1-loud.ipynb")
    assert notebooks.outliers(lesson, "a.ipynb") == [
        "a.ipynb: 4 cells, usually 22 to 32",
        "a.ipynb: 11 words, usually 700 to 1000",
    ]


def test_a_failed_write_leaves_the_old_file(course, monkeypatch):
    path = course / LAB
    old = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        notebooks.write(path, {"cells": []})
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == ["clip.ipynb"]


def test_nothing_is_written_through_a_link(course, tmp_path):
    target = tmp_path / "mine.ipynb"
    target.write_text("mine")
    link = course / "link.ipynb"
    link.symlink_to(target)
    with pytest.raises(ValueError, match="link.ipynb: expected a file, got a symbolic"):
        notebooks.write(link, {"cells": []})
    assert target.read_text() == "mine"
