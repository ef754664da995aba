"""A lesson is executed once for the site and the tests, and again when it changed."""

import pytest

from securetrain import executed, execution, notebooks

LESSON = "course/01-clip/1-loud.ipynb"


@pytest.fixture
def lesson(course, monkeypatch):
    """Return a lesson whose runs are counted, with a small library of its own."""
    (course / "library" / "__pycache__").mkdir(parents=True)
    (course / "library" / "clip.py").write_text("loud = 1\n")
    monkeypatch.setattr(executed, "LIBRARY", course / "library")
    return course / LESSON


@pytest.fixture
def broken():
    """Return the failures of the next runs; fill it to let them fail."""
    return []


@pytest.fixture
def count(monkeypatch, broken):
    """Return the list of notebooks that are executed, here without a kernel."""
    seen = []

    def run(path, **options):
        seen.append(path)
        claims = ({"id": "loud", "value": 1.0},)
        found = notebooks.read(path)
        return execution.Run(path, 2.0, 1.0, 90.0, claims, tuple(broken), found)

    monkeypatch.setattr(execution, "run", run)
    return seen


def test_a_kept_run_is_the_real_one(lesson, monkeypatch):
    first = executed.run(lesson)
    monkeypatch.delattr(execution, "run")
    second = executed.run(lesson)
    assert second == first and second.notebook == first.notebook
    assert first.cpu_seconds > 0 and second.error is None
    assert executed.file(lesson).is_relative_to(lesson.parents[2] / "build")


def test_the_second_run_is_the_first_one(lesson, count):
    assert executed.run(lesson) == executed.run(lesson)
    assert count == [lesson]


def test_fresh_executes_in_any_case(lesson, count):
    executed.run(lesson)
    executed.run(lesson, fresh=True)
    assert count == [lesson, lesson]


def in_notebook(lesson, edit):
    edit(lesson, title=lambda cell: cell.update(source=["# Another title"]))


def in_library(lesson, edit):
    (executed.LIBRARY / "clip.py").write_text("loud = 2\n")


def in_data(lesson, edit):
    (executed.LIBRARY / "clip.toml").write_text("loud = 2\n")


def in_lock(lesson, edit):
    (lesson.parents[2] / "requirements.lock").write_text("numpy==2.2.0\n")


@pytest.mark.parametrize("change", [in_notebook, in_library, in_data, in_lock])
def test_what_a_run_depends_on_changes_its_key(lesson, edit, change):
    before = executed.key(lesson)
    change(lesson, edit)
    assert executed.key(lesson) != before


def test_compiled_files_change_nothing(lesson):
    before = executed.key(lesson)
    (executed.LIBRARY / "__pycache__" / "clip.pyc").write_text("x")
    assert executed.key(lesson) == before


def test_the_library_itself_is_in_the_key(course, monkeypatch):
    before = executed.key(course / LESSON)
    (course / "empty").mkdir()
    monkeypatch.setattr(executed, "LIBRARY", course / "empty")
    assert executed.key(course / LESSON) != before


def test_a_changed_lesson_runs_again(lesson, count):
    executed.run(lesson)
    in_library(lesson, None)
    executed.run(lesson)
    assert len(count) == 2
    executed.run(lesson)
    assert len(count) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"key": 1}'])
def test_a_damaged_run_is_made_again(lesson, count, content):
    executed.file(lesson).parent.mkdir(parents=True)
    executed.file(lesson).write_text(content)
    assert executed.run(lesson).error is None
    assert count == [lesson]


def test_a_failed_run_is_not_kept(lesson, count, broken):
    broken.append(execution.Failure("seed", "KeyError", "loud"))
    assert "KeyError" in executed.run(lesson).error
    assert not executed.file(lesson).exists()
    broken.clear()
    assert executed.run(lesson).error is None
    assert count == [lesson, lesson]
