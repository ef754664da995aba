"""Releasing labs: nbgrader's own work, the same bytes each time, nobody's loss."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graders import release
from securetrain import notebooks
from securetrain.cli import main

ROOT = Path(__file__).resolve().parents[1]
SOURCE, LAB = "solutions/01-clip/clip.ipynb", "labs/01-clip/clip.ipynb"


def contents(folder):
    """Return every path below a folder with its bytes, or what a link points to."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def cells(path):
    return {cell["id"]: cell for cell in notebooks.read(path)["cells"]}


def test_the_courses_own_labs_are_what_their_sources_make(monkeypatch, capsys):
    monkeypatch.setenv("SECURETRAIN_ROOT", str(ROOT))
    assert main(["release", "--check"]) == 0, capsys.readouterr().err
    assert notebooks.find(ROOT / "labs")


def test_a_lab_keeps_the_task_and_loses_the_answer(course, capsys):
    assert main(["release"]) == 0
    assert f"released {LAB}" in capsys.readouterr().out
    source, lab = cells(course / SOURCE), cells(course / LAB)
    assert list(source) == list(lab)
    assert "".join(lab["clip"]["source"]) == (
        "def clip(values: list[float], limit: float) -> list[float]:\n"
        '    """Return a new list with each value moved into [-limit, limit]."""\n'
        "    # YOUR CODE HERE\n"
        "    raise NotImplementedError()"
    )
    assert lab["limits"]["source"] == ["YOUR ANSWER HERE"]
    assert lab["check-clip"]["metadata"]["editable"] is False
    assert lab["clip"]["metadata"]["nbgrader"]["checksum"]
    text = (course / LAB).read_text("utf-8")
    for secret in ("HIDDEN", "SOLUTION", "clip both sides", "sorted(range", "attacker"):
        assert secret not in text
    for word in ("title", "parameters", "data", "try-clip"):
        assert lab[word]["source"] == source[word]["source"]


def test_the_same_bytes_each_time_and_check_sees_every_change(course, capsys):
    main(["release", "01-clip"])
    first = (course / LAB).read_bytes()
    assert main(["release", "--check"]) == 0
    (course / LAB).unlink()
    assert main(["release", "--check"]) == 1
    assert f"{LAB}: missing or not what" in capsys.readouterr().err
    assert not (course / LAB).exists(), "--check wrote"
    assert main(["release"]) == 0
    assert (course / LAB).read_bytes() == first
    (course / LAB).write_bytes(first + b" ")
    assert main(["release", "--check"]) == 1
    assert main(["release"]) == 0
    capsys.readouterr()
    assert main(["release"]) == 0
    assert "released" not in capsys.readouterr().out, "an unchanged lab was rewritten"


def test_nbgrader_run_by_an_instructor_writes_the_same_bytes(course, instructor):
    main(["release"])
    ours = (course / LAB).read_bytes()
    (course / LAB).unlink()
    instructor("generate_assignment", "01-clip", "--force")
    assert (course / LAB).read_bytes() == ours


def test_a_lab_without_a_source_is_named_not_deleted(course, capsys):
    main(["release"])
    orphan = course / "labs" / "00-old" / "old.ipynb"
    notebooks.write(orphan, notebooks.read(course / LAB))
    assert main(["release"]) == 1
    assert "labs/00-old/old.ipynb: has no source" in capsys.readouterr().err
    assert orphan.exists()
    assert main(["release", "01-clip"]) == 0, "another topic's lab was looked at"


def test_only_notebooks_are_released(course, capsys):
    folder = course / "solutions" / "01-clip"
    (folder / "answers.csv").write_text("42")
    (folder / "deep").mkdir()
    (folder / "deep" / "key.txt").write_text("42")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "clip-checkpoint.ipynb").write_text("{")
    assert main(["release"]) == 0
    said = capsys.readouterr().out
    assert "not released: solutions/01-clip/answers.csv is no notebook" in said
    assert "not released: solutions/01-clip/deep/key.txt" in said
    assert "checkpoint" not in said
    assert list(contents(course / "labs")) == ["01-clip/clip.ipynb"]


def test_the_home_page_follows_the_catalogue(course, capsys, edit):
    page = course / "course" / "index.ipynb"
    main(["release"])
    assert "One sticker" in page.read_text("utf-8")
    before = page.read_bytes()
    edit(page, units=lambda cell: cell.update(source="- an old list"))
    assert main(["release", "--check"]) == 1
    assert "course/index.ipynb: not the catalogue's" in capsys.readouterr().err
    assert b"an old list" in page.read_bytes(), "--check wrote"
    assert main(["release"]) == 0
    assert page.read_bytes() == before


def test_an_unknown_topic_is_told_those_there_are(course, capsys):
    assert main(["release", "02-none"]) == 2
    said = capsys.readouterr().err
    assert "solutions/02-none: expected a topic" in said and "01-clip" in said


def text(old, new):
    """Return a way to break a file: replace a text in it."""
    return lambda path: path.write_text(path.read_text("utf-8").replace(old, new))


def link(path):
    """Put a link to a file in the file's own place."""
    path.rename(path.with_name("real"))
    path.symlink_to("real")


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda path: path.write_text("{\n"), "clip.ipynb: line 2, column 1: broken"),
        (lambda path: path.write_bytes(b"\xff"), "clip.ipynb: expected UTF-8"),
        (
            text('"points": 2', '"x": 2'),
            "cell 7 'check-clip': is graded but has",
        ),
        (text(" SOLUTION", ""), "cell 5 'clip': holds no BEGIN SOLUTION"),
        (text('"check-flag"', '"check-clip"'), "cell 10 'check-clip': has the same gr"),
        (link, f"{SOURCE}: expected a file, got a symbolic link"),
    ],
)
def test_a_broken_source_stops_the_release_before_it_writes(
    course, capsys, broken, says
):
    other = course / "solutions" / "00-fine" / "fine.ipynb"
    notebooks.write(other, notebooks.read(course / SOURCE))
    broken(course / SOURCE)
    before = contents(course)
    assert main(["release"]) == 2
    said = capsys.readouterr().err
    assert SOURCE in said and says in said
    assert contents(course) == before


def test_what_only_nbgrader_refuses_is_told_in_its_words(course):
    """A kernel in a language for which nbgrader knows no stub."""
    notebook = notebooks.read(course / SOURCE)
    notebook["metadata"]["kernelspec"]["language"] = "cobol"
    notebooks.write(course / SOURCE, notebook)
    with pytest.raises(ValueError, match="(?s)solutions/01-clip: nbgrader.*'cobol'"):
        release.generate(course, [course / "solutions" / "01-clip"])


@pytest.mark.parametrize("link", ["labs", "labs/01-clip", LAB])
def test_a_release_never_reaches_a_learners_work(course, capsys, link):
    """Not even when `labs/` was made a link to it."""
    mine = course / "work" / "01-clip" / "clip.ipynb"
    mine.parent.mkdir(parents=True)
    mine.write_text("my answers")
    (course / "work" / "progress.jsonl").write_text("{}\n")
    before = contents(course / "work")
    assert main(["release"]) == 0
    assert contents(course / "work") == before
    (course / LAB).unlink()
    for folder in ("labs/01-clip", "labs"):
        if link in (folder, "labs"):
            (course / folder).rmdir()
    target = {"labs": "work", "labs/01-clip": "work/01-clip"}.get(link)
    (course / link).symlink_to(course / target if target else mine)
    assert main(["release"]) == 2
    assert "got a symbolic link" in capsys.readouterr().err
    assert contents(course / "work") == before


def test_releasing_imports_no_learner_code_and_runs_none(course, edit):
    """A cell with an effect has none: a release reads, it does not execute."""
    mark = course / "ran"
    edit(course / SOURCE, data=lambda c: c.update(source=f"open({str(mark)!r}, 'w')"))
    assert main(["release"]) == 0
    assert not mark.exists()
    assert str(mark) in json.dumps(cells(course / LAB)["data"]["source"])


def test_the_command_works_from_a_subfolder(course):
    done = subprocess.run(
        [sys.executable, "-m", "securetrain.cli", "release", "--check"],
        cwd=course / "solutions",
        env={k: v for k, v in os.environ.items() if k != "SECURETRAIN_ROOT"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and f"{LAB}: missing" in done.stderr
