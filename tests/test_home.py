"""The home page says what there is, what is done and what comes next."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from securetrain import catalogue, home, notebooks, progress, quiz
from securetrain.progress import Summary

ROOT = Path(__file__).parents[1]
FIRST, SECOND, LAB = (unit.id for unit in catalogue.units()[:3])


def record() -> dict[str, Summary]:
    """Return a record in which nothing was done."""
    return {unit.id: Summary() for unit in catalogue.units()}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the course of the learner's own."""
    shutil.copytree(ROOT / "course", tmp_path / "course")
    monkeypatch.setenv("SECURETRAIN_ROOT", str(tmp_path))
    monkeypatch.delenv("SECURETRAIN_WORK", raising=False)
    return tmp_path / "work"


def test_the_committed_home_page_is_what_the_catalogue_says() -> None:
    before = (ROOT / home.HOME).read_bytes()
    assert home.write_index() is False, "run `make labs` and commit the home page"
    assert (ROOT / home.HOME).read_bytes() == before


def test_writing_the_home_page_changes_the_list_and_nothing_else(work: Path) -> None:
    path = work.parent / home.HOME
    whole = path.read_bytes()
    notebook = notebooks.read(path)
    next(c for c in notebook["cells"] if c["id"] == "units")["source"] = ["old"]
    notebooks.write(path, notebook)
    assert home.write_index() is True
    assert path.read_bytes() == whole


def test_a_home_page_without_its_list_is_refused(work: Path) -> None:
    path = work.parent / home.HOME
    notebook = notebooks.read(path)
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] != "units"]
    notebooks.write(path, notebook)
    with pytest.raises(ValueError, match="expected one cell 'units', found 0"):
        home.write_index()


def test_the_list_is_useful_before_anything_is_run() -> None:
    text = home.listing()
    assert text.index("Start here") < text.index("All units")
    for unit in catalogue.units():
        assert f"**[{unit.title}]" in text and unit.goal in text
        assert f"{unit.kind}, {unit.minutes} minutes" in text
    for address in re.findall(r"\]\(([^)]+)\)", text):
        target = (ROOT / "course" / address).resolve().relative_to(ROOT)
        released = Path("labs", *target.parts[1:])
        assert (ROOT / (released if target.parts[0] == "work" else target)).is_file()


def test_the_next_unit_is_the_first_whose_prerequisites_are_done() -> None:
    units = record()
    assert home.next_unit(units).id == FIRST
    units[FIRST] = Summary(started="t", finished="t")
    assert home.next_unit(units).id == SECOND
    units[SECOND] = Summary(started="t", finished="t")
    assert home.next_unit(units).id == LAB
    units[FIRST] = Summary(started="t")
    assert home.next_unit(units).id == FIRST
    assert home.next_unit(dict.fromkeys(units, Summary(finished="t"))) is None


class Links(HTMLParser):
    """Collects the addresses of a page, and checks that its tags pair up."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.open.append(tag)
        self.found += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_at_the_start() -> None:
    page = home.page(record())
    assert "Start this lesson" in page and "0 of 3 units finished" in page
    assert page.count("Not started") == 3
    assert Links(page).found == [
        "13-poisoning/1-one-sticker.ipynb",
        "13-poisoning/1-one-sticker.ipynb",
        "13-poisoning/2-quieter-triggers.ipynb",
        "../work/13-poisoning/poisoning.ipynb",
    ]


def test_a_page_in_the_middle() -> None:
    units = record()
    units[FIRST] = Summary("t", "t", answered=4, first=2, right=3)
    units[SECOND] = Summary("t")
    units[LAB] = Summary("t", checks=(("stamp", True), ("scan", False)))
    page = home.page(units)
    assert "Continue this lesson" in page and "1 of 3 units finished" in page
    total = len(quiz.load(FIRST))
    assert f"quiz: 3 of {total} right, 2 at the first try" in page
    assert "checks: 1 of 2 pass" in page
    assert page.count(">Started<") == 2 and page.count(">Finished<") == 1


def test_a_page_at_the_end() -> None:
    page = home.page(dict.fromkeys(record(), Summary("t", "t")))
    assert "Every unit is finished" in page and "3 of 3 units finished" in page
    Links(page)


def test_a_work_folder_that_jupyterlab_does_not_reach_is_named(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other").resolve()
    monkeypatch.setenv("SECURETRAIN_WORK", str(other))
    page = home.page(record())
    assert f"Find the poison ({other}/{LAB}.ipynb)" in page
    assert len(Links(page).found) == 3


def test_showing_the_page_makes_the_learners_copies(
    work: Path, capsys: pytest.CaptureFixture
) -> None:
    released = work.parent / "labs" / f"{LAB}.ipynb"
    released.parent.mkdir(parents=True)
    released.write_text("a lab")
    progress.finish(FIRST)
    home.show()
    assert (work / f"{LAB}.ipynb").read_text() == "a lab"
