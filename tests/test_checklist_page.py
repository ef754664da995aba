"""The printed checklist: one sheet, whole in itself, and readable by everybody."""

import os
import re
from html.parser import HTMLParser

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_lab import CHROMIUM, Seen, browser

from securetrain import checklist, checklist_page, cli

PAGE = checklist_page.page()
EMPTY = {"meta", "br"}


class Words(HTMLParser):
    """Collects the rows of a page, and checks that its tags pair up."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[str] = []
        self.names: list[str] = []
        self.feed(PAGE)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names += [name for name, _ in attrs]
        if tag not in EMPTY:
            self.open.append(tag)
        if tag == "li":
            self.rows.append("by-hand " if ("class", "by-hand") in attrs else "")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "li" in self.open:
            self.rows[-1] += data


def test_every_part_is_a_row_that_says_who_enforces_it():
    rows, left = Words().rows, list(checklist.parts())
    assert len(rows) == len(left)
    for area in checklist.areas():
        for part in (p for topic in area.topics for p in checklist.of(topic)):
            row = rows.pop(0)
            assert row.startswith("by-hand ") is (not part.checks), row
            assert part.says[1:] in row
            for name in (*part.hooks, *part.commands):
                assert name in row


def test_the_page_fetches_nothing_and_has_room_for_names(tmp_path, capsys):
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img", PAGE)
    assert not {"src", "href"} & set(Words().names)
    for field in checklist_page.FIELDS:
        assert f"<span>{field}:</span>" in PAGE
    file = tmp_path / "list.html"
    assert cli.main(["policy", "print", "--html", str(file)]) == 0
    assert file.read_text("utf-8") == PAGE


@pytest.fixture
def shown(tmp_path):
    if CHROMIUM is None:
        message = "NOT TESTED in a browser: there is no Chromium (apt install chromium)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    file = tmp_path / "list.html"
    file.write_text(PAGE, "utf-8")
    with browser(tmp_path, Seen()) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        yield page, asked


def test_it_prints_on_one_sheet_and_every_reader_finds_their_way(shown):
    page, asked = shown
    assert len(asked) == 1, f"something was fetched: {asked}"
    found = Axe().run(page).response["violations"]
    assert not found, [fault["id"] for fault in found]
    for paper in ("A4", "Letter"):
        pages = re.findall(rb"/Count (\d+)", page.pdf(format=paper))
        assert pages == [b"1"], f"{paper}: {pages} sheets"
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
