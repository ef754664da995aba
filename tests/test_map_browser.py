"""The first lesson in a real browser: risk map and survey, by keyboard.

Home page, quiz and slider are looked at in test_browser.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_lab import (
    SECOND,
    SHOWN,
    TAB,
    Seen,
    browser,
    course_copy,
    faults,
    go_dark,
    run_all,
    served,
    shot,
    wait_idle,
)
from playwright.sync_api import Locator, Page, expect

from securetrain import catalogue, risk_map, survey

UNIT = catalogue.unit("01-risk-map/1-where-models-break")
TAUGHT = next(threat for threat in risk_map.threats() if threat.units)
PARTS = (".st-map", ".st-survey")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course, as JupyterLab saves what it runs."""
    return course_copy(tmp_path_factory.mktemp("map").resolve())


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What the browser asked for and complained about."""
    return Seen()


@pytest.fixture(scope="module")
def page(course: Path, seen: Seen) -> Iterator[Page]:
    """The first lesson, run to its end."""
    scratch = course / "scratch"
    with served(course, scratch) as address, browser(scratch, seen) as opened:
        opened.goto(
            address.replace("/lab/tree/course/index.ipynb", "/lab/tree/" + UNIT.path)
        )
        wait_idle(opened)
        run_all(opened)
        yield opened


@pytest.fixture
def shown(page: Page) -> Locator:
    """The lesson's panel, in front."""
    page.locator(TAB, has_text=Path(UNIT.path).name).click()
    return page.locator(SHOWN)


def pressed(panel: Locator) -> Locator:
    return panel.locator(".st-threat[aria-pressed=true]")


def test_the_map_shows_every_threat_under_its_stage(shown: Locator) -> None:
    for digit, members in risk_map.stages().items():
        stage = shown.get_by_role("region", name=catalogue.stages()[digit], exact=True)
        buttons = stage.locator(".st-threat > span:nth-child(2)")
        assert buttons.all_text_contents() == [threat.title for threat in members]
    assert not faults(shown.page, shown.locator(".st-map"), ".st-map")
    shot(shown.page, "map-1")


def test_a_threat_is_found_and_read_by_keyboard(page: Page, shown: Locator) -> None:
    shown.locator(".st-threat").first.focus()
    visited = []
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        visited.append(page.evaluate("document.activeElement.textContent"))
    stages = [[t.title for t in members] for members in risk_map.stages().values()]
    expected = [stages[1][0], stages[1][1], stages[1][0], stages[0][0], stages[0][0]]
    assert all(text.startswith(t) for text, t in zip(visited, expected, strict=True))
    page.keyboard.press("ArrowRight")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    chosen = risk_map.stages()["2"][0]
    expect(pressed(shown)).to_have_count(1)
    panel = shown.get_by_role("region", name="The chosen threat")
    for words in (chosen.title, chosen.wrong, chosen.stops, *chosen.ids):
        expect(panel).to_contain_text(words)
    spoken = shown.locator(".st-map > [aria-live=polite]")
    expect(spoken).to_contain_text(chosen.stops)
    shot(page, "map-2-chosen")


def test_the_choice_shows_only_what_fits(page: Page, shown: Locator) -> None:
    chooser = shown.get_by_label("Show", exact=True)
    harm, words = next(iter(risk_map.harms().items()))
    chooser.select_option(label=words)
    left = [t for t in risk_map.threats() if t.harm == harm]
    total = len(risk_map.threats())
    expect(shown.locator(".st-map")).to_contain_text(f"{len(left)} of {total} threats")
    expect(shown.locator(".st-threat:visible")).to_have_count(len(left))
    shot(page, "map-3-filter")
    for role, title in catalogue.roles().items():
        chooser.select_option(label=title)
        fits = [t for t in risk_map.threats() if any(role in u.roles for u in t.units)]
        expect(shown.locator(".st-threat:visible")).to_have_count(len(fits))
        panel = shown.get_by_role("region", name="The chosen threat")
        expect(panel).to_have_count(1 if fits else 0)
    assert not faults(page, shown.locator(".st-map"), ".st-map")
    chooser.select_option(label="every threat")
    expect(shown.locator(".st-threat:visible")).to_have_count(total)


def test_the_survey_is_answered_by_keyboard_and_stored(
    page: Page, shown: Locator, course: Path
) -> None:
    form = shown.get_by_role("form", name="Survey")
    status = form.locator("[aria-live=polite]")
    form.get_by_role("button", name="Save my answers").focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("Choose an answer first")
    groups = form.get_by_role("radiogroup")
    expect(groups).to_have_count(len(survey.items()))
    groups.nth(0).get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    form.get_by_role("button", name="Save my answers").focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("2 of 10 answers", timeout=30 * SECOND)
    expect(status).to_contain_text("work/progress.jsonl on this machine")
    assert stored(course) == [("reviewed-data", 4), ("poisoned-data", 1)]
    assert not faults(page, form, ".st-survey")
    shot(page, "survey-1")


def stored(course: Path) -> list[tuple[str, int]]:
    """Return the ratings in the learner's record, oldest first."""
    lines = (course / "work" / "progress.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [
        (e["object"]["id"].split("/")[-1], e["result"]["score"]["raw"])
        for e in events
        if e["verb"]["display"]["en"] == "rated"
    ]


def test_an_answer_can_be_changed(page: Page, shown: Locator, course: Path) -> None:
    form = shown.get_by_role("form", name="Survey")
    form.get_by_role("radiogroup").nth(1).get_by_role("radio").nth(2).check()
    form.get_by_role("button", name="Save my answers").click()
    status = form.locator("[aria-live=polite]")
    expect(status).to_contain_text("2 of 10 answers", timeout=30 * SECOND)
    assert stored(course)[2:] == [("poisoned-data", 3)], "only what changed is added"


def test_the_dark_theme_is_readable_too(page: Page, shown: Locator) -> None:
    go_dark(page)
    for selector in PARTS:
        assert not faults(page, shown.locator(selector), selector)
        shot(page, f"map-4-dark{selector.removeprefix('.st')}")


def test_a_narrow_window_shows_everything(page: Page, shown: Locator) -> None:
    page.keyboard.press("Control+B")  # folds the file browser away
    page.set_viewport_size({"width": 480, "height": 900})
    for selector in PARTS:
        part = shown.locator(selector)
        part.scroll_into_view_if_needed()
        assert part.evaluate("part => part.scrollWidth <= part.clientWidth"), selector
        assert not faults(page, part, selector)
        shot(page, f"map-5-narrow{selector.removeprefix('.st')}")
    button = shown.locator(".st-threat", has_text=TAUGHT.title)
    button.click()
    below = shown.get_by_role("region", name="The chosen threat").bounding_box()["y"]
    last = shown.locator(".st-stage").last.bounding_box()["y"]
    assert button.bounding_box()["y"] < below < last, "the panel is far from its button"
    shot(page, "map-6-narrow-chosen")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.keyboard.press("Control+B")


def test_a_units_link_opens_it_beside_the_lesson(page: Page, shown: Locator) -> None:
    shown.locator(".st-threat", has_text=TAUGHT.title).click()
    unit = TAUGHT.units[0]
    panel = shown.get_by_role("region", name="The chosen threat")
    panel.get_by_role("link", name=unit.title, exact=True).focus()
    page.keyboard.press("Enter")
    current = page.locator(".lm-DockPanel-tabBar .lm-mod-current")
    expect(current).to_contain_text(Path(unit.path).name, timeout=30 * SECOND)
    expect(page.locator(TAB)).to_have_count(2)
    wait_idle(page)


def test_nothing_left_this_machine_and_nothing_failed(page: Page, seen: Seen) -> None:
    assert len(seen.requests) > 50, "the browser asked for nothing: look again"
    assert seen.outside() == []
    assert seen.errors == []
