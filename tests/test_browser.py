"""The first half hour in a real browser: home page, lesson, slider and quiz.

What a learner does is done by keyboard. Screenshots go to build/screenshots/.
"""

from __future__ import annotations

import json
import re
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

from securetrain import catalogue, quiz

FIRST = catalogue.units()[0]
LESSON = catalogue.unit("13-poisoning/1-one-sticker")  # it has a slider and figures


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course, as JupyterLab saves what it runs."""
    return course_copy(tmp_path_factory.mktemp("browser").resolve())


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What the browser asked for and complained about."""
    return Seen()


@pytest.fixture(scope="module")
def page(course: Path, seen: Seen) -> Iterator[Page]:
    """The page that `securetrain lab` opens, ready and quiet."""
    scratch = course / "scratch"
    with served(course, scratch) as address, browser(scratch, seen) as opened:
        opened.goto(address)
        wait_idle(opened)
        shot(opened, "1-home")
        yield opened


@pytest.fixture(scope="module")
def tabs(page: Page) -> list[str]:
    """The open tabs of the first screen, before anything is done."""
    return page.locator(TAB).all_inner_texts()


@pytest.fixture(scope="module")
def home(page: Page, tabs: list[str]) -> Locator:
    """The home page's own part, after its cell was run with Ctrl+Enter."""
    page.locator(".jp-CodeCell .cm-content").click()
    page.keyboard.press("Control+Enter")
    drawn = page.locator(".st-home")
    expect(drawn).to_be_visible(timeout=60 * SECOND)
    shot(page, "2-home-run")
    return drawn


@pytest.fixture(scope="module")
def lesson(page: Page, home: Locator) -> Locator:
    """A lesson with everything in it, opened from the home page and run to its end."""
    home.get_by_role("link", name=LESSON.title, exact=True).focus()
    page.keyboard.press("Enter")
    panel = page.locator(SHOWN)
    expect(panel.locator("h1")).to_contain_text(LESSON.title, timeout=60 * SECOND)
    wait_idle(page)
    shot(page, "3-lesson")
    run_all(page)
    return panel


def test_the_first_screen_is_the_home_page_alone(page: Page, tabs: list[str]) -> None:
    assert tabs == ["index.ipynb"]
    expect(page.get_by_role("heading", name="Start here")).to_be_visible()
    assert page.locator(".jp-Launcher, .jp-Dialog, .jp-toast-button").count() == 0
    page.get_by_role("menuitem", name="View", exact=True).click()
    entries = page.locator(".lm-Menu").inner_text()
    page.keyboard.press("Escape")
    assert "File Browser" in entries
    for words in (entries, page.locator("#jp-menu-panel").inner_text()):
        for instructor in ("nbgrader", "Formgrader", "Create Assignment", "Course"):
            assert instructor.lower() not in words.lower()


def test_the_home_page_says_what_comes_next(page: Page, home: Locator) -> None:
    expect(home.get_by_role("heading", name=FIRST.title)).to_be_visible()
    expect(home.get_by_role("link", name="Start this lesson")).to_be_visible()
    expect(home.locator("[aria-current=step]")).to_contain_text(FIRST.title)
    expect(home).to_contain_text(f"0 of {len(catalogue.units())} units finished")
    assert page.locator(TAB).all_inner_texts()[0] == "index.ipynb"
    assert not faults(page, home, ".st-home")


def test_a_role_is_chosen_by_keyboard(page: Page, home: Locator) -> None:
    choice = home.get_by_label("Your role")
    choice.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(home).to_contain_text("Your path: ML engineer", timeout=30 * SECOND)
    expect(choice).to_be_focused()
    expect(home.get_by_role("heading", name="Week 4")).to_be_visible()
    folded = home.locator("details")
    home.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(folded.get_by_role("link").first).to_be_visible()
    assert not faults(page, home, ".st-home")
    shot(page, "2-home-role")
    choice.focus()
    page.keyboard.press("Home")
    total = len(catalogue.units())
    expect(home).to_contain_text(f"0 of {total} units finished", timeout=30 * SECOND)


def test_the_lesson_runs_without_an_error(lesson: Locator, course: Path) -> None:
    errors = lesson.locator('[data-mime-type="application/vnd.jupyter.error"]')
    assert errors.all_inner_texts() == []
    record = (course / "work" / "progress.jsonl").read_text(encoding="utf-8")
    done = [json.loads(line)["verb"]["display"]["en"] for line in record.splitlines()]
    done = [verb for verb in done if verb != "chose"]
    assert done[:3] == ["started", "finished", "ran"]
    score = json.loads(record.splitlines()[-1])["result"]["score"]
    assert score["raw"] == score["max"] > 10, "every cell of the lesson ran"


def test_every_figure_says_what_it_shows(page: Page, lesson: Locator) -> None:
    figures = lesson.locator(".jp-OutputArea-output img").all()
    assert len(figures) >= 3
    assert all(figure.get_attribute("alt") for figure in figures)
    assert not faults(page, lesson.locator("img"), ".jp-OutputArea-output img")
    lesson.locator(".jp-OutputArea-output img").first.scroll_into_view_if_needed()
    shot(page, "4-lesson-figure")


def test_the_slider_moves_by_keyboard(page: Page, lesson: Locator) -> None:
    slider = lesson.get_by_role("slider")
    name = lesson.locator(".st-row label").inner_text()
    assert slider.evaluate("input => input.labels[0].textContent") == name
    before = slider.input_value()
    drawn = lesson.locator(".st-result").inner_html()
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).not_to_have_value(before)
    expect(lesson.locator(".st-row output")).to_have_text(slider.input_value())
    page.wait_for_function(
        "before => document.querySelector('.st-result').innerHTML !== before",
        arg=drawn,
        timeout=30 * SECOND,
    )
    expect(slider).to_be_focused()
    assert not faults(page, slider, ".st-slider")
    shot(page, "5-slider")


def test_the_quiz_is_answered_by_keyboard(
    page: Page, lesson: Locator, course: Path
) -> None:
    question = quiz.load(LESSON.id)[0]
    wrong = next(i for i, a in enumerate(question.answers) if not a.correct)
    right = next(i for i, a in enumerate(question.answers) if a.correct)
    form = lesson.locator(".st-question").first
    feedback = form.locator("[aria-live=polite]")
    form.get_by_role("button", name="Check answer").focus()
    page.keyboard.press("Enter")
    expect(feedback).to_have_text("Choose an answer first.")
    form.get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    for answer, opening in ((wrong, "Not quite."), (right, "Right.")):
        chosen = form.get_by_role("radio").nth(answer)
        for _ in question.answers:
            if not chosen.is_checked():
                page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        said = f"{opening} {question.answers[answer].feedback}"
        expect(feedback).to_have_text(said, timeout=30 * SECOND)
        shot(page, "6-quiz-right" if answer == right else "6-quiz-wrong")
        chosen.focus()
    expect(lesson.locator(".st-score")).to_contain_text("1 of ")
    assert not faults(page, form, ".st-quiz")
    record = (course / "work" / "progress.jsonl").read_text(encoding="utf-8")
    tries = [json.loads(line) for line in record.splitlines()]
    answered = [t for t in tries if t["verb"]["display"]["en"] == "answered"]
    assert [t["result"]["success"] for t in answered] == [False, True]


def test_two_questions_are_answered_by_keyboard(
    page: Page, lesson: Locator, home: Locator, course: Path
) -> None:
    form = lesson.get_by_role("form", name="Two questions on")
    form.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(form).to_contain_text("Answer one of them first")
    form.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(form.get_by_label("What should change first?")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(form).to_contain_text("2 of 2 answers are kept", timeout=30 * SECOND)
    assert not faults(page, form, ".st-feedback-form")
    record = (course / "work" / "progress.jsonl").read_text(encoding="utf-8")
    last = [json.loads(line)["result"] for line in record.splitlines()[-2:]]
    assert last == [
        {"score": {"raw": 2, "min": 1, "max": 5}},
        {"response": "clearer"},
    ]
    shot(page, "6-feedback")


def test_the_home_page_sees_what_was_done_elsewhere(
    page: Page, lesson: Locator, home: Locator
) -> None:
    page.locator(TAB).first.click()
    expect(home.locator(".st-finished")).to_contain_text(
        LESSON.title, timeout=30 * SECOND
    )
    page.locator(TAB).nth(1).click()


def test_the_browser_never_gets_the_key(lesson: Locator, seen: Seen) -> None:
    first, *others = quiz.load(LESSON.id)
    everything = "\n".join(seen.frames)
    assert first.question in everything, "no question went over the wire: look again"
    for question in others:
        for answer in question.answers:
            assert answer.feedback not in everything


def test_the_dark_theme_is_readable_too(page: Page, lesson: Locator) -> None:
    go_dark(page)
    for selector in (".st-quiz", ".st-slider", ".st-feedback-form"):
        assert not faults(page, lesson.locator(selector), selector)
        shot(page, f"7-dark{selector.removeprefix('.st')}")
    page.locator(TAB).first.click()
    assert not faults(page, page.locator(".st-home"), ".st-home")
    shot(page, "7-dark-home")


def test_a_narrow_window_shows_everything(page: Page, lesson: Locator) -> None:
    page.keyboard.press("Control+B")  # folds the file browser away
    page.set_viewport_size({"width": 480, "height": 900})
    parts = (".st-quiz", ".st-slider", ".st-feedback-form")
    for tab, selector in ((0, ".st-home"), *((1, part) for part in parts)):
        page.locator(TAB).nth(tab).click()
        part = page.locator(selector)
        part.scroll_into_view_if_needed()
        assert part.evaluate("part => part.scrollWidth <= part.clientWidth"), selector
        shot(page, f"8-narrow{selector.removeprefix('.st')}")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.keyboard.press("Control+B")


def test_a_second_visit_finds_home_page_and_lesson(page: Page, lesson: Locator) -> None:
    page.wait_for_timeout(2 * SECOND)  # JupyterLab saves its tabs after a while
    page.goto(page.url.split("/lab")[0] + "/lab/tree/course/index.ipynb")
    wait_idle(page)
    expect(page.locator(TAB)).to_have_count(2, timeout=30 * SECOND)
    assert page.locator(TAB).all_inner_texts() == ["index.ipynb", "1-one-sticker.ipynb"]
    expect(page.get_by_role("heading", name="Start here")).to_be_visible()
    # The lesson's panel is there too, hidden, and may stand before this one.
    page.locator(f"{SHOWN} .jp-CodeCell .cm-content").click()
    page.keyboard.press("Control+Enter")
    home = page.locator(".st-home")
    total = len(catalogue.units())
    expect(home).to_contain_text(f"1 of {total} units finished", timeout=60 * SECOND)
    expect(home.get_by_role("heading").first).to_have_text(FIRST.title)
    finished = home.locator(".st-finished")
    expect(finished).to_have_count(1)
    expect(finished).to_contain_text(LESSON.title)
    shot(page, "9-second-visit")


def test_a_lab_opens_as_the_learners_own_copy(page: Page, lesson: Locator) -> None:
    lab = next(unit for unit in catalogue.units() if unit.kind == "lab")
    page.get_by_role("link", name=lab.title).first.focus()
    page.keyboard.press("Enter")
    tab = page.locator(".lm-DockPanel-tabBar .lm-mod-current")
    expect(tab).to_have_attribute("title", re.compile(f"Path: {lab.path}"))
    wait_idle(page)
    shot(page, "9-lab")


def test_nothing_left_this_machine_and_nothing_failed(
    lesson: Locator, seen: Seen
) -> None:
    assert len(seen.requests) > 50, "the browser asked for nothing: look again"
    assert seen.outside() == []
    assert seen.errors == []
