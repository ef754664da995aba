"""The whole site, built as `make site` builds it, in a real Chromium, from files.

Screenshots of each kind of page go to build/screenshots/.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_lab import Seen, browser, course_copy, faults, shot
from playwright.sync_api import Page, expect

from securetrain import catalogue, claims, quiz, risk_map

ROOT = Path(__file__).resolve().parents[1]
LESSON = catalogue.unit("13-poisoning/1-one-sticker")  # it has figures and a slider
KINDS = {  # one page of each kind
    "home": "index.html",
    "lesson": f"course/{LESSON.id}.html",
    "map-lesson": f"course/{catalogue.units()[0].id}.html",
    "lab": "labs/13-poisoning/poisoning.html",
    "topic": f"course/{LESSON.topic}/index.html",
    "map": "map.html",
    "paths": "paths.html",
    "checklist": "checklist.html",
    "ledger": "docs/claims.html",
    "guide": "docs/hooks.html",
    "about": "about.html",
    "commands": "commands.html",
    "library": "library/index.html",
    "module": "library/poisoning.html",
    "search": "search.html?q=backdoor",
}
SHOTS = ("home", "lesson", "map", "ledger")
LOOKS = [(400, "dark"), (1280, "light")]  # these in both, the others in one
OPEN = "document.querySelectorAll('article details').forEach(box => box.open = true)"
# Axe takes minutes for hundreds of rows that all have the same form.
SHORTEN = """for (const [what, kept] of [["table.claims", 3], [".modules tr", 20]])
    [...document.querySelectorAll(what)].slice(kept).forEach(one => one.remove())"""


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built here; lessons that ran in another test are not run again."""
    done = subprocess.run(
        [sys.executable, "docs/site/build.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    print(done.stdout)
    return ROOT / "build" / "site"


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What the browser asked for and complained about."""
    return Seen()


@pytest.fixture(scope="module")
def page(site: Path, seen: Seen, tmp_path_factory) -> Iterator[Page]:
    scratch = course_copy(tmp_path_factory.mktemp("site").resolve())
    with browser(scratch, seen) as opened:
        yield opened


def show(page: Page, name: str, width: int = 1280, theme: str = "light") -> None:
    """Open a page of the site as a file."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)
    page.goto(f"file://{ROOT}/build/site/{name}")
    expect(page.locator("article h1, h1, h2").first).to_be_visible()


def test_every_unit_document_and_module_has_a_page(site: Path) -> None:
    home = (site / "index.html").read_text("utf-8")
    for unit in catalogue.units():
        folder = "course" if unit.kind == "lesson" else "labs"
        assert (site / folder / f"{unit.id}.html").is_file()
        assert f"course/{unit.topic}/index.html" in home
    for path in (ROOT / "docs").glob("*.md"):
        assert f"docs/{path.stem}.html" in home
    modules = {path.stem for path in (ROOT / "securetrain").glob("*.py")}
    assert {path.stem for path in (site / "library").glob("*.html")} >= (
        modules - {"__init__"}
    )


def test_lessons_are_executed_and_hold_no_error(site: Path) -> None:
    known = claims.load().values()
    for unit in catalogue.units():
        if unit.kind == "lesson":
            page = (site / "course" / f"{unit.id}.html").read_text("utf-8")
            assert "Traceback (most recent call last)" not in page
            made = page.count("<strong>Claim ")
            assert made == sum(claim.unit == unit.id for claim in known), unit.id
            assert ("What is right in question 1" in page) == bool(quiz.load(unit.id))


def test_every_threat_of_the_map_leads_to_its_units(site: Path) -> None:
    page = (site / "map.html").read_text("utf-8")
    for threat in risk_map.threats():
        assert f'id="{threat.id}"' in page
        for unit in threat.units:
            assert f"{unit.id}.html" in page


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(page: Page, kind: str) -> None:
    for width, theme in LOOKS if kind in SHOTS else [LOOKS[len(kind) % 2]]:
        show(page, KINDS[kind], width, theme)
        if kind == "search":
            expect(page.locator("#search-results li").first).to_be_visible()
        page.evaluate(OPEN)
        if kind in SHOTS:
            shot(page, f"site-{kind}-{width}-{theme}")
        page.evaluate(SHORTEN)
        found = faults(page, page.locator("body"), "body", preload=False)
        assert not found, f"{KINDS[kind]}, {width} pixels, {theme}"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_on_a_telephone(page: Page, kind: str) -> None:
    show(page, KINDS[kind], 400)
    wide = "document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(wide) <= 0
    hidden = """() => [...document.querySelectorAll("article :is(p, li, img, h1)")]
        .filter(e => !e.closest("pre, .table-wrapper"))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(hidden) == []


def test_the_dark_theme_is_chosen_and_kept(page: Page) -> None:
    show(page, KINDS["home"])
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    dim = "getComputedStyle(document.querySelector('article img')).filter"
    assert page.evaluate(dim) == "none"
    for _ in range(3):
        page.locator(".content-icon-container .theme-toggle").click()
        if page.evaluate("document.body.dataset.theme") == "dark":
            break
    assert page.evaluate(colour) != light
    show(page, KINDS["lesson"])
    assert page.evaluate("document.body.dataset.theme") == "dark"
    assert page.evaluate(dim) == "brightness(0.85)"
    page.evaluate("localStorage.clear()")


def test_the_search_finds_a_lesson_from_files(page: Page, seen: Seen) -> None:
    show(page, KINDS["home"])
    page.locator(".sidebar-search").fill("sticker")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li a")
    expect(results.first).to_have_text(LESSON.title, timeout=20_000)
    results.first.click()
    expect(page.locator("article h1")).to_contain_text(LESSON.title)


def test_a_reader_goes_from_stage_to_topic_to_unit_and_on(page: Page) -> None:
    show(page, KINDS["home"])
    sidebar = page.locator(".sidebar-tree")
    sidebar.get_by_role("link", name=catalogue.topics()[LESSON.topic]).click()
    page.locator("article").get_by_role("link", name=LESSON.title).first.click()
    expect(page.locator("article h1")).to_contain_text(LESSON.title)
    page.locator("a.next-page").click()
    order = [unit.id for unit in catalogue.units()]
    following = catalogue.units()[order.index(LESSON.id) + 1]
    assert page.url.endswith(f"{following.id}.html")


@pytest.mark.parametrize("kind", ["lesson", "guide", "module"])
def test_the_sidebar_opens_at_the_page_that_is_shown(page: Page, kind: str) -> None:
    show(page, KINDS[kind])
    place = page.locator(".sidebar-tree .current-page")
    expect(place).to_have_count(1)
    expect(place).to_be_in_viewport()


def test_what_scrolls_sideways_is_reached_by_keyboard(page: Page) -> None:
    show(page, KINDS["lesson"], 400)
    wide = "pre => pre.scrollWidth > pre.clientWidth + 1"
    boxes = [box for box in page.locator("article pre").all() if box.evaluate(wide)]
    assert boxes
    for box in boxes:
        assert box.get_attribute("tabindex") == "0"
        assert re.search("Wide", box.get_attribute("aria-label") or "")


def test_nothing_left_this_machine_and_nothing_failed(page: Page, seen: Seen) -> None:
    files = [address for address in seen.requests if address.startswith("file://")]
    assert len(files) > 50, "the browser asked for nothing: look again"
    others = {address for address in seen.requests if address not in files}
    assert not [a for a in others if not a.startswith(("data:", "blob:", "about:"))]
    assert seen.errors == []
