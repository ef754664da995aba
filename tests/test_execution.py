"""Every notebook of the course runs from top to bottom, as a learner runs it."""

import functools
import re
from pathlib import Path

import pytest

from securetrain import claims, executed, execution, notebooks
from securetrain.notebook_rules import is_check, source

ROOT = Path(__file__).resolve().parents[1]
COMPLETE = notebooks.find(ROOT / "course", ROOT / "solutions")
LABS = notebooks.find(ROOT / "labs")
LESSONS = notebooks.find(ROOT / "course")
LAB_CODE = [*LABS, *notebooks.find(ROOT / "solutions")]
PROGRESS = re.compile(r".*(\d%\||it/s|s/it).*|\s*")  # what tqdm writes


def name(path):
    return str(path.relative_to(ROOT).with_suffix(""))


def unit(path):
    """Return the id that the catalogue and claims.toml know a notebook by."""
    return f"{path.parent.name}/{path.stem}"


@pytest.fixture(scope="session")
def run_of(runs):
    """Return a function that runs each notebook once a session, for the report too.

    A lesson that the site's build has executed, unchanged since, is not run again.
    """

    @functools.cache
    def run(path):
        if path in LESSONS:
            done = executed.run(path)
        else:
            done = execution.run(path, keep_going=path in LABS)
        runs.append(done)
        return done

    return run


def outputs(run):
    """Return every output of a run with the id of its cell."""
    return [
        (cell["id"], shown)
        for cell in run.notebook["cells"]
        for shown in cell.get("outputs", [])
    ]


def without_alternative_text(run):
    """Return the cells that show an image that some readers cannot know of."""
    found = []
    for cell, shown in outputs(run):
        data, meta = shown.get("data", {}), shown.get("metadata", {})
        page = "".join(data.get("text/html", ""))
        images = re.findall(r"<img\b[^>]*>", page)
        if "image/png" in data and not meta.get("image/png", {}).get("alt"):
            found.append(cell)
        if any(not re.search(r'\balt="[^"]', image) for image in images):
            found.append(cell)
    return found


def complaints(run):
    """Return what cells wrote to stderr that is no progress bar."""
    return [
        (cell, line)
        for cell, shown in outputs(run)
        if shown.get("name") == "stderr"
        for line in re.split(r"[\r\n]", "".join(shown["text"]))
        if not PROGRESS.fullmatch(line)
    ]


def test_there_are_notebooks_of_each_kind():
    names = {path.relative_to(ROOT).parts[0] for path in [*COMPLETE, *LABS]}
    assert names == {"course", "solutions", "labs"}


@pytest.mark.parametrize("path", COMPLETE, ids=name)
def test_a_lesson_or_a_solution_runs(run_of, path):
    run = run_of(path)
    assert run.error is None
    assert run.peak_mb > 0 and run.cpu_seconds > 0


@pytest.mark.parametrize("path", COMPLETE, ids=name)
def test_its_claims_come_out_as_recorded(run_of, path):
    run = run_of(path)
    expected = {key for key, claim in claims.load().items() if claim.unit == unit(path)}
    assert {claim["id"] for claim in run.claims} == expected
    changed = [
        claim for claim in run.claims if claim["reproduced"] != claim["expected"]
    ]
    assert not changed


@pytest.mark.parametrize("path", COMPLETE, ids=name)
def test_its_figures_have_alternative_text_and_nothing_complains(run_of, path):
    run = run_of(path)
    assert not without_alternative_text(run)
    assert not complaints(run)


@pytest.mark.parametrize("path", LABS, ids=name)
def test_an_untouched_lab_misses_only_its_answers(run_of, path):
    """Every check fails, so that nothing is earned by doing nothing."""
    run = run_of(path)
    assert {failure.kind for failure in run.failures} == {"NotImplementedError"}
    checks = {c["id"] for c in notebooks.read(path)["cells"] if is_check(c)}
    assert checks <= {failure.cell for failure in run.failures}
    assert not complaints(run)


@pytest.mark.parametrize("path", notebooks.find(ROOT / "solutions"), ids=name)
def test_a_check_shows_nothing(run_of, path):
    """nbgrader gives no points for stderr, and reads a number as partial credit."""
    checks = {c["id"] for c in notebooks.read(path)["cells"] if is_check(c)}
    shown = [(cell, out) for cell, out in outputs(run_of(path)) if cell in checks]
    assert not [(cell, out) for cell, out in shown if out.get("name") == "stderr"]
    assert not [c for c, out in shown if out["output_type"] == "execute_result"]


@pytest.mark.parametrize("path", LAB_CODE, ids=name)
def test_a_lab_has_no_widget(path):
    """A graded notebook runs without a browser, where widgets and quizzes hang."""
    code = "\n".join(
        source(cell)
        for cell in notebooks.read(path)["cells"]
        if cell["cell_type"] == "code"
    )
    assert not re.search(r"ipywidgets|anywidget|quiz\.show|explore\.", code)


# The runner itself, on notebooks of a few cells.


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a notebook of code cells: make(first="1 / 0")."""

    def write(**cells):
        path = tmp_path.resolve() / "small.ipynb"
        notebook = {
            "cells": [
                {"cell_type": "code", "id": word, "metadata": {}, "source": text}
                for word, text in cells.items()
            ]
        }
        if "parameters" in cells:
            notebook["cells"][0]["metadata"]["tags"] = ["parameters"]
        notebooks.write(path, notebooks.tidy(notebook))
        return path

    return write


def shown(run, cell):
    """Return what a cell printed."""
    return "".join(
        "".join(out["text"])
        for word, out in outputs(run)
        if word == cell and out["output_type"] == "stream"
    )


def test_a_run_says_what_it_did_and_cost(make, tmp_path):
    path = make(
        parameters="SEED = 0",
        spend="import os\n\nblock = bytearray(200_000_000)\ndel block",
        say="print(SEED, os.getcwd(), os.environ['SECURETRAIN_WORK'], os.environ['X'])",
    )
    before = path.read_bytes()
    kept = tmp_path / "kept.ipynb"
    run = execution.run(path, parameters={"SEED": 7}, output=kept, env={"X": "here"})
    seed, folder, work, here = shown(run, "say").split()
    assert (seed, folder, here) == ("7", str(path.parent), "here")
    assert not Path(work).exists() and not Path(work).is_relative_to(ROOT)
    assert run.error is None and run.failures == ()
    assert 200 < run.peak_mb < 600
    assert run.cpu_seconds > 0 and run.seconds > 0
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.ipynb", "small.ipynb"]
    assert notebooks.read(kept) == run.notebook
    assert "small.ipynb" in execution.table([run])


def test_a_learners_folder_can_be_given(make, tmp_path):
    path = make(say="import os\n\nprint(os.environ['SECURETRAIN_WORK'])")
    run = execution.run(path, env={"SECURETRAIN_WORK": str(tmp_path / "mine")})
    assert shown(run, "say").strip() == str(tmp_path / "mine")


def test_claims_are_read_back_and_a_changed_verdict_is_seen(make):
    path = make(
        claim="from securetrain.claims import claim, load\n\n"
        "one = next(iter(load()))\n"
        "claim(one, 1.0 if '>=' in load()[one].bar else 0.0)\n"
        "claim(one, float('nan'))"
    )
    run = execution.run(path)
    assert run.error is None
    best, none = run.claims
    assert best["reproduced"] and not none["reproduced"]
    assert best["expected"] == none["expected"]


def test_a_failing_cell_stops_the_run_and_is_named(make):
    run = execution.run(make(good="1", bad="1 / 0", after="print('reached')"))
    assert run.error == "cell 'bad': ZeroDivisionError: division by zero"
    assert shown(run, "after") == ""


def test_a_run_can_go_on_after_a_failure(make):
    path = make(bad="1 / 0", worse="raise NotImplementedError", after="print('here')")
    run = execution.run(path, keep_going=True)
    assert [(f.cell, f.kind) for f in run.failures] == [
        ("bad", "ZeroDivisionError"),
        ("worse", "NotImplementedError"),
    ]
    assert shown(run, "after") == "here\n"


def test_a_kernel_that_dies_is_a_failure_of_its_cell(make):
    run = execution.run(make(good="1", dies="import os\n\nos._exit(1)", after="1"))
    assert run.error == "cell 'dies': DeadKernelError: Kernel died"


def test_an_endless_cell_is_stopped(make, monkeypatch):
    monkeypatch.setattr(execution, "CELL_TIMEOUT", 2)
    run = execution.run(make(ends="1", never="while True:\n    pass"))
    assert run.error.startswith("cell 'never': CellTimeoutError")


def test_a_missing_or_broken_notebook_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.ipynb"):
        execution.run(tmp_path / "none.ipynb")
    (tmp_path / "odd.ipynb").write_text("{")
    with pytest.raises(ValueError, match="odd.ipynb: line 1"):
        execution.run(tmp_path / "odd.ipynb")


def test_a_parameter_that_the_notebook_lacks_is_named(make):
    with pytest.raises(ValueError, match="no parameter SEEDS; .* sets: SEED, SIZE"):
        execution.run(make(parameters="SEED = 0\nSIZE = 9"), parameters={"SEEDS": 1})
    with pytest.raises(ValueError, match="sets: nothing"):
        execution.run(make(one="1"), parameters={"SEED": 1})


def test_what_leaves_the_budget_is_listed(make):
    run = execution.run(make(one="1"))
    assert execution.over_budget(run) == []
    slow = execution.Run(run.path, 61.0, 70.0, 1001.0, (), (), run.notebook)
    assert execution.over_budget(slow) == [
        "61 s, aim 60 s on two quiet cores",
        "1001 MB, aim 1000 MB",
    ]


def test_images_without_words_and_stderr_are_found(make):
    run = execution.run(
        make(
            start="from IPython.display import HTML, display\nimport sys",
            silent="display({'image/png': 'AAAA'}, raw=True)",
            spoken="display({'image/png': 'AAAA'}, "
            "metadata={'image/png': {'alt': 'A line.'}}, raw=True)",
            page="display(HTML('<img src=x> <img alt=\"\">'))",
            told="display(HTML('<img src=x alt=\"A line.\">'))",
            bar="from tqdm import tqdm\n\nfor _ in tqdm(range(3)):\n    pass",
            count="for _ in tqdm(iter(range(3))):\n    pass",
            warns="print('DeprecationWarning: old', file=sys.stderr)",
        )
    )
    assert run.error is None
    assert without_alternative_text(run) == ["silent", "page"]
    assert complaints(run) == [("warns", "DeprecationWarning: old")]
