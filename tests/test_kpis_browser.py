"""The page of KPIs in a real browser: nothing asked for, readable by everyone.

Screenshots go to build/screenshots/.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from browser_lab import Seen, browser, course_copy, faults, shot
from playwright.sync_api import Page, expect

from securetrain import kpi_cohort, kpi_page, kpis
from securetrain.kpi_figures import Quarter

Q4 = Quarter(2026, 4)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, seen: Seen) -> Iterator[Page]:
    """The page of a synthetic cohort, some of whose evidence is missing."""
    scratch = tmp_path_factory.mktemp("kpis-browser").resolve()
    course_copy(scratch / "course")  # skips without Chromium
    drawn = kpi_cohort.draw(0, Q4)
    kpi_cohort.write(drawn, scratch / "cohort")
    (scratch / "cohort" / "gate.jsonl").write_text("{}\n")
    evidence = kpi_cohort.evidence(scratch / "cohort", kpi_cohort.grades(drawn))
    now = datetime(2027, 1, 2, tzinfo=UTC)
    whole = kpi_page.page(kpis.figures(evidence, Q4, now), evidence.inputs, Q4, now)
    path = scratch / "kpis.html"
    path.write_text(whole, "utf-8")
    with browser(scratch, seen) as opened:
        opened.goto(path.as_uri())
        yield opened


def test_the_page_asks_for_nothing_but_itself(page: Page, seen: Seen) -> None:
    page.wait_for_load_state("networkidle")
    assert [url.rpartition("/")[2] for url in seen.requests] == ["kpis.html"]
    assert not seen.errors


def test_its_policy_forbids_requests_too(page: Page, seen: Seen) -> None:
    page.evaluate("document.body.append(Object.assign(new Image, {src: '/x.png'}))")
    page.wait_for_timeout(200)
    assert any("Content Security Policy" in said for said in seen.errors)


def test_every_card_says_its_status_in_words(page: Page) -> None:
    cards = page.locator(".card")
    expect(cards).to_have_count(7)
    for card in cards.all():
        assert card.locator("h2").inner_text().startswith("Synthetic: ")
        said = card.locator(".chip").inner_text()
        assert any(said.endswith(w) for w in ("met", "not known", "no goal")), said
    expect(page.locator(".banner")).to_contain_text("It shows no people")
    expect(page.get_by_text("2 not known")).to_be_visible()


def test_every_drawing_has_words(page: Page) -> None:
    drawings = page.locator("svg").all()
    assert len(drawings) >= 5
    assert all(one.get_attribute("aria-label").strip() for one in drawings)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_is_readable_at_every_width_and_in_the_dark(
    page: Page, width: int, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    assert not faults(page, page.locator("main"), "main")
    overflow = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(overflow), "it scrolls sideways"
    shot(page, f"kpis-{width}-{scheme}")


def test_it_prints_black_on_white(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.emulate_media(media="screen", color_scheme="light")
