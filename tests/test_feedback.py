"""Two questions a unit: asked where somebody reads, kept in the learner's record."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from securetrain import feedback, notebooks, progress, records
from securetrain.widgets import Feedback

LESSON = "01-risk-map/1-where-models-break"
ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("work")


def test_the_last_answer_counts_and_the_same_is_not_written_again() -> None:
    assert feedback.given(LESSON) == {"useful": 0, "change": ""}
    feedback.give(LESSON, 2, "clearer")
    feedback.give(LESSON, 4)
    feedback.give(LESSON, 4, "clearer")
    assert feedback.given(LESSON) == {"useful": 4, "change": "clearer"}
    assert progress.summary()[LESSON].useful == 4
    facts = [records.fact(event) for event in progress.events()]
    assert [(f.verb, f.rating, f.response) for f in facts] == [
        ("rated", 2, ""),
        ("chose", None, "clearer"),
        ("rated", 4, ""),
    ]


@pytest.mark.parametrize(
    ("useful", "change", "says"),
    [
        (0, "", "from 1 to 5, but came 0"),
        (True, "", "but came True"),
        (6, "", "but came 6"),
        (3, "prettier", "No change 'prettier'. There are: nothing, clearer"),
    ],
)
def test_what_is_no_answer_is_refused(useful: int, change: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        feedback.give(LESSON, useful, change)
    assert progress.events() == []


def test_strange_events_are_no_answers() -> None:
    for score in (7, "4"):
        score = {"raw": score, "min": 1, "max": 5}
        progress.record("rated", LESSON, part=progress.USEFUL, score=score)
    progress.record("chose", LESSON, part=feedback.CHANGE_PART, response="x")
    assert feedback.given(LESSON) == {"useful": 0, "change": ""}


def test_the_widget_keeps_what_it_says_it_keeps(work: Path) -> None:
    widget = feedback.show(LESSON)
    widget._handle_custom_msg({"useful": 5, "change": "broken"}, [])
    assert widget.stored == feedback.given(LESSON) == {"useful": 5, "change": "broken"}
    assert "2 of 2 answers are kept" in widget.status and widget.saves == 2
    shutil.rmtree(work)
    work.write_text("a file stands where the folder belongs")
    widget._handle_custom_msg({"useful": 1, "change": ""}, [])
    assert "not recorded" in widget.status and "0 of 2" in widget.status


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """A live IPython shell without history or start-up files."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    config = Config()
    config.HistoryManager.enabled = False
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Feedback]:
    """What was displayed."""
    found: list[Feedback] = []
    monkeypatch.setattr("IPython.display.display", found.append)
    return found


def ran() -> list[tuple[int, int]]:
    """Return the recorded runs: cells that ran, of how many."""
    scores = [
        event["result"]["score"]
        for event in progress.events()
        if event["verb"]["display"]["en"] == "ran"
    ]
    return [(score["raw"], score["max"]) for score in scores]


def test_a_page_that_names_its_cells_is_asked_and_counted(
    shell: InteractiveShell, shown: list[Feedback], capsys: pytest.CaptureFixture
) -> None:
    cells = notebooks.read(ROOT / f"course/{LESSON}.ipynb")["cells"]
    code = [cell["id"] for cell in cells if cell["cell_type"] == "code"]
    start = f"from securetrain import progress; progress.start({LESSON!r})"
    shell.run_cell(start, cell_id=code[0])
    shell.run_cell("1", cell_id=code[1])
    shell.run_cell("1 / 0", cell_id=code[2])
    shell.run_cell("1", cell_id="a-cell-of-my-own")
    shell.run_cell(f"progress.finish({LESSON!r})", cell_id=code[-1])
    assert ran() == [(3, len(code))], "start, one more and finish ran without an error"
    assert [widget.title for widget in shown] == ["Where models break"]


def test_another_unit_in_the_same_kernel_begins_at_nothing(
    shell: InteractiveShell, shown: list[Feedback], capsys: pytest.CaptureFixture
) -> None:
    other = "13-poisoning/1-one-sticker"
    for unit in (other, LESSON):
        start = f"from securetrain import progress; progress.start({unit!r})"
        shell.run_cell(start, cell_id="start")
        shell.run_cell(f"progress.finish({unit!r})", cell_id="finish")
    assert [raw for raw, _ in ran()] == [2, 2]
    shell.run_cell(f"progress.finish({other!r})", cell_id="finish")
    assert len(ran()) == 2, "another unit was started since"


def test_a_headless_run_is_not_asked(
    shell: InteractiveShell, shown: list[Feedback], capsys: pytest.CaptureFixture
) -> None:
    for call in ("start", "finish"):
        shell.run_cell(f"from securetrain import progress; progress.{call}({LESSON!r})")
    assert shown == [] and ran() == []


def test_finish_in_a_script_needs_no_jupyter(work: Path) -> None:
    code = (
        "import sys\n"
        "from securetrain import progress\n"
        f"progress.finish({LESSON!r})\n"
        "assert not {'IPython', 'anywidget', 'numpy'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    (line,) = (work / "progress.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["verb"]["display"]["en"] == "finished"
