"""The home page says what there is, what is done and what comes next."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from securetrain import (
    catalogue,
    home,
    home_index,
    notebooks,
    progress,
    quiz,
    role_paths,
)
from securetrain.catalogue import Unit
from securetrain.progress import Summary
from securetrain.widgets import Home

ROOT = Path(__file__).parents[1]
UNITS = catalogue.units()
FIRST, SECOND = (unit.id for unit in UNITS[:2])
LAB = "13-poisoning/poisoning"
TOTAL = len(UNITS)


def record() -> dict[str, Summary]:
    """Return a record in which nothing was done."""
    return {unit.id: Summary() for unit in UNITS}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the course of the learner's own."""
    shutil.copytree(ROOT / "course", tmp_path / "course")
    monkeypatch.setenv("SECURETRAIN_ROOT", str(tmp_path))
    monkeypatch.delenv("SECURETRAIN_WORK", raising=False)
    return tmp_path / "work"


def test_the_committed_home_page_is_what_the_catalogue_says() -> None:
    before = (ROOT / home.HOME).read_bytes()
    assert home_index.write_index() is False, "run `make labs` and commit the home page"
    assert (ROOT / home.HOME).read_bytes() == before


def test_writing_the_home_page_changes_the_list_and_nothing_else(work: Path) -> None:
    path = work.parent / home.HOME
    whole = path.read_bytes()
    notebook = notebooks.read(path)
    for cell in notebook["cells"]:
        if cell["id"] in ("start", "units"):
            cell["source"] = ["old"]
    notebooks.write(path, notebook)
    assert home_index.write_index() is True
    assert path.read_bytes() == whole


@pytest.mark.parametrize("id", ["start", "units"])
def test_a_home_page_without_its_list_is_refused(work: Path, id: str) -> None:
    path = work.parent / home.HOME
    notebook = notebooks.read(path)
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] != id]
    notebooks.write(path, notebook)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"expected one cell '{id}', found 0"):
        home_index.write_index()
    assert path.read_bytes() == before


def test_the_page_is_useful_before_anything_is_run() -> None:
    text = home_index.first_step() + home_index.listing()
    assert UNITS[0].title in home_index.first_step()
    for unit in UNITS:
        assert f"**[{unit.title}]" in text and unit.goal in text
        assert f"{unit.kind}, {unit.minutes} minutes" in text
    for address in re.findall(r"\]\(([^)]+)\)", text):
        target = (ROOT / "course" / address).resolve().relative_to(ROOT)
        released = Path("labs", *target.parts[1:])
        assert (ROOT / (released if target.parts[0] == "work" else target)).is_file()


def test_the_list_numbers_the_units_of_each_stage() -> None:
    for digit, name in catalogue.stages().items():
        members = [unit for unit in UNITS if unit.stage == digit]
        _, found, rest = home_index.listing().partition(f"\n### {name}\n")
        assert bool(found) == bool(members)
        part = rest.partition("\n### ")[0]
        titles = re.findall(r"(?m)^(\d+)\. \*\*\[([^]]+)\]", part)
        assert titles == [(str(n), u.title) for n, u in enumerate(members, start=1)]


def test_the_next_unit_is_the_first_whose_prerequisites_are_done() -> None:
    units = record()
    done = Summary(started="t", finished="t")
    assert home.next_unit(units).id == FIRST
    units[FIRST] = done
    assert home.next_unit(units).id == SECOND
    units[FIRST] = Summary(started="t")
    assert home.next_unit(units).id == FIRST
    lab = catalogue.unit(LAB)
    only = [lab, catalogue.unit(lab.needs[0])]
    assert home.next_unit(units, only).id == lab.needs[0]
    units[lab.needs[0]] = done
    assert home.next_unit(units, only).id == LAB
    assert home.next_unit(dict.fromkeys(units, done)) is None


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


def address(unit: Unit) -> str:
    """Return how the home page links to a unit."""
    if unit.kind == "lab":
        return f"../work/{unit.id}.ipynb"
    return f"{unit.id}.ipynb"


def test_a_page_at_the_start() -> None:
    page = home.page(record())
    assert "Start this lesson" in page and f"0 of {TOTAL} units finished" in page
    assert page.count(">Not started<") == TOTAL - 1 and page.count(">Next<") == 1
    assert Links(page).found == [address(UNITS[0]), *map(address, UNITS)]


def test_a_page_in_the_middle() -> None:
    lesson = "13-poisoning/1-one-sticker"
    units = dict.fromkeys(record(), Summary("t", "t"))
    units[lesson] = Summary("t", "t", answered=4, first=2, right=3)
    units["13-poisoning/2-quieter-triggers"] = Summary("t")
    units[LAB] = Summary("t", checks=(("stamp", True), ("scan", False)))
    page = home.page(units)
    assert "Continue this lesson" in page
    assert f"{TOTAL - 2} of {TOTAL} units finished" in page
    total = len(quiz.load(lesson))
    said = f"quiz: 3 of {total} right, 2 at the first try, {total - 4} not answered"
    assert said in page
    assert "checks: 1 of 2 pass" in page
    assert page.count(">Started<") == 2 and page.count(">Finished<") == TOTAL - 2


def test_a_page_at_the_end() -> None:
    page = home.page(dict.fromkeys(record(), Summary("t", "t")))
    assert "Every unit is finished" in page
    assert f"{TOTAL} of {TOTAL} units finished" in page
    assert "to go</span>" not in page and 'aria-current="step">' not in page
    Links(page)


def stages(page: str) -> dict[str, str]:
    """Return a page's stages: name -> the HTML below its heading."""
    parts = re.split(r'<h3 id="st-stage-\d">([^<]+)</h3>', page)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_stage_is_a_path_from_start_to_end() -> None:
    found = stages(home.page(record()))
    names = [catalogue.stages()[unit.stage] for unit in UNITS]
    assert list(found) == list(dict.fromkeys(names))
    for digit, name in catalogue.stages().items():
        members = [unit for unit in UNITS if unit.stage == digit]
        part = found.get(name, "")
        steps = re.findall(r'<li class="st-step[^>]*>.*?</li>', part)
        assert all(u.title in step for u, step in zip(members, steps, strict=True))
        titles = [catalogue.topics()[u.topic] for u in members]
        heads = re.findall(r"<h4>([^<]+)</h4>", part)
        assert heads == list(dict.fromkeys(titles)), "each topic is named once"


def test_a_stage_says_how_far_it_is() -> None:
    units = record()
    members = [unit for unit in UNITS if unit.stage == "1"]
    for unit in members[:2]:
        units[unit.id] = Summary("t", "t")
    part = stages(home.page(units))[catalogue.stages()["1"]]
    left = role_paths.hours(members[2:])
    assert f"2 of {len(members)} finished, {left} to go" in part
    assert f'<progress max="{len(members)}" value="2" aria-label="Data">' in part


def test_the_next_step_is_marked_on_the_path() -> None:
    page = home.page(record() | {FIRST: Summary("t", "t")})
    marked = re.findall(r'<li[^>]*aria-current="step">.*?</li>', page)
    assert len(marked) == 1 and catalogue.unit(SECOND).title in marked[0]


def test_one_roles_path() -> None:
    role = "leader"
    page = home.page(record(), role)
    path = role_paths.path(role)
    assert f"Your path: {catalogue.roles()[role]}" in page
    assert f"0 of {len(path)} units finished" in page
    steps = [*path, *role_paths.further(role)]
    assert Links(page).found == [address(path[0]), *map(address, steps)]
    with pytest.raises(ValueError, match="No role 'wizard'.*leader"):
        home.page(record(), "wizard")


def test_a_work_folder_that_jupyterlab_does_not_reach_is_named(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other").resolve()
    monkeypatch.setenv("SECURETRAIN_WORK", str(other))
    page = home.page(record())
    assert f"Find the poison ({other}/{LAB}.ipynb)" in page
    labs = sum(unit.kind == "lab" for unit in UNITS)
    assert len(Links(page).found) == 1 + TOTAL - labs


def test_showing_the_page_makes_the_learners_copies(
    work: Path, capsys: pytest.CaptureFixture
) -> None:
    released = work.parent / "labs" / f"{LAB}.ipynb"
    released.parent.mkdir(parents=True)
    released.write_text("a lab")
    progress.finish(FIRST)
    home.show()
    assert (work / f"{LAB}.ipynb").read_text() == "a lab"


@pytest.fixture
def widget(monkeypatch: pytest.MonkeyPatch, work: Path) -> Callable[..., Home]:
    """A function that shows the page, and returns the widget that was shown."""
    shown: list[Home] = []
    monkeypatch.setattr("IPython.display.display", shown.append)

    def show(role: str = "") -> Home:
        home.show(role)
        return shown[-1]

    return show


def test_a_role_is_chosen_once_and_remembered(widget: Callable[..., Home]) -> None:
    first = widget()
    assert first.role == "" and f"of {TOTAL} units finished" in first.html
    first._handle_custom_msg({"role": "ml-engineer"}, [])
    assert "Your path: ML engineer" in first.html
    assert widget().role == "ml-engineer"
    assert widget("leader").role == "leader" == role_paths.chosen()
    first._handle_custom_msg({}, [])
    assert "Your path: Leader" in first.html, "chosen in another notebook"
    with pytest.raises(ValueError, match="No role 'wizard'"):
        widget("wizard")


def test_the_page_reads_the_record_again_when_it_is_asked(
    widget: Callable[..., Home],
) -> None:
    page = widget("leader")
    before = page.draws
    code = f"from securetrain import progress; progress.finish({FIRST!r})"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert "0 of 3 units finished" in page.html
    page._handle_custom_msg({}, [])
    assert "1 of 3 units finished" in page.html and page.draws == before + 1


def test_without_widgets_the_page_is_html(widget: Callable[..., Home]) -> None:
    data = widget("leader")._repr_mimebundle_()[0]
    assert "Your path: Leader" in data["text/html"] and "<style>" in data["text/html"]
    assert "securetrain progress" in data["text/plain"]


def test_a_record_that_cannot_be_written_still_shows_the_path(
    widget: Callable[..., Home], work: Path
) -> None:
    work.write_text("a file stands where the folder belongs")
    with pytest.warns(UserWarning, match="record"):
        page = widget("ml-engineer")
        page._handle_custom_msg({}, [])
    assert "Your path: ML engineer" in page.html


def test_a_path_is_shown_by_weeks_and_the_rest_folded_away() -> None:
    role = "ml-engineer"
    path, further = role_paths.path(role), role_paths.further(role)
    page = home.page(record(), role)
    heads = re.findall(r'<h3 id="st-week-\d">([^<]+)</h3>', page)
    assert heads == [f"Week\u00a0{number}" for number in range(1, 5)]
    first = role_paths.hours(role_paths.weeks(role)[0])
    assert f"0 of 3 finished, {first} to go" in page
    folded = page.partition("<details")[2].partition("</details>")[0]
    assert Links(page).found == [address(path[0]), *map(address, (*path, *further))]
    assert all(f">{unit.title}</a>" in folded for unit in further)
    assert f"{len(further)} units, {role_paths.hours(further)}, 0 finished" in folded


def test_after_the_path_comes_what_goes_further() -> None:
    role = "ml-engineer"
    done = {unit.id: Summary("t", "t") for unit in role_paths.path(role)}
    page = home.page(record() | done, role)
    assert "Your path is finished. To go further" in page
    after = home.next_unit(record() | done, role_paths.further(role))
    assert f'<h2 id="st-next">{after.title}</h2>' in page


def test_the_last_unit_that_was_not_rated_is_named() -> None:
    units = record() | {FIRST: Summary("t", "1"), SECOND: Summary("t", "2")}
    asked = "Two questions at the end of "
    assert asked not in home.page(record())
    title = catalogue.unit(SECOND).title
    assert title in home.page(units).partition(asked)[2].partition("</p>")[0]
    rated = Summary("t", "2", useful=4)
    title = catalogue.unit(FIRST).title
    page = home.page(units | {SECOND: rated})
    assert title in page.partition(asked)[2].partition("</p>")[0]
