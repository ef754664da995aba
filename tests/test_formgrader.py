"""Formgrader in a real browser: its button grades in the jail, its pages are harmless.

A screenshot goes to build/screenshots/.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from browser_lab import CHROMIUM, Seen, browser, served
from nbgrader.api import Gradebook
from playwright.sync_api import expect
from test_grading_chain import DROPS, LAB, SOURCE, answer

from securetrain import notebooks
from securetrain.cli import main

ROOT = Path(__file__).resolve().parents[1]
SHOTS = ROOT / "build" / "screenshots"
MINUTE = 60_000  # milliseconds
SCRIPT = "<script>window.attacked = 1</script><img src=x onerror='window.attacked = 1'>"
# Would run, in a page that believes it.
LOUD = f"""
from IPython.display import HTML, Javascript, display
display(HTML({SCRIPT!r}), Javascript("window.attacked = 1"))
print({SCRIPT!r})
"""


def added(code: str) -> dict:
    """Return a free cell."""
    extra = {"cell_type": "code", "id": "mine", "metadata": {}, "source": code}
    return extra | {"outputs": [], "execution_count": None}


@pytest.fixture
def handed_in(course):
    """Return the small course with two hand-ins: eve's attacks whoever reads it."""
    if CHROMIUM is None:
        message = "NOT TESTED in a browser: there is no Chromium (apt install chromium)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    shutil.copy(ROOT / "graders" / "nbgrader_config.py", course / "graders")
    assert main(["release"]) == 0
    for student, wrong in (("bob", {"clip": DROPS}), ("eve", {"clip": DROPS})):
        path = course / "graders/workspace/submitted" / student / "01-clip/clip.ipynb"
        answer(course / SOURCE, course / LAB, path, wrong)
    notebook = notebooks.read(path)
    notebook["cells"].insert(-1, added(LOUD))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = f"[a](javascript:window.attacked=1) {SCRIPT}"
    notebooks.write(path, notebook)
    return course


def test_the_button_grades_in_the_jail_and_the_pages_run_nothing(handed_in, tmp_path):
    seen, scratch = Seen(), tmp_path / "scratch"
    url = f"sqlite:///{handed_in}/graders/workspace/gradebook.db"
    with (
        served(handed_in, scratch, "formgrader") as address,
        browser(scratch, seen) as page,
    ):
        page.goto(address)
        base = address.partition("?")[0]
        page.goto(f"{base}/manage_submissions/01-clip")
        for student in ("bob", "eve"):
            row = page.locator("tr", has_text=student)
            row.locator("td.autograde a").click()
            dialog = page.locator(".modal-dialog", has_text="Successfully autograded")
            expect(dialog).to_be_visible(timeout=2 * MINUTE)
            expect(dialog).to_contain_text(student)
            dialog.get_by_role("button", name="OK").click()
            expect(page.locator(".modal-dialog")).to_have_count(0)

        for number in (1, 2):
            page.goto(f"{base}/gradebook/01-clip/clip")
            page.get_by_role("link", name=f"Submission #{number}", exact=True).click()
            expect(page.get_by_text("a value was dropped").last).to_be_visible()
            page.wait_for_load_state("load")
            assert page.evaluate("window.attacked") is None
            assert page.locator("img[src=x]").count() == 0
            assert page.locator("a[href^=javascript]").count() == 0
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / "formgrader.png", full_page=True)

    with Gradebook(url, "secure-ai-training") as book:
        for student in ("bob", "eve"):
            grades = book.find_submission_notebook("clip", "01-clip", student).grades
            assert {g.name: g.auto_score for g in grades} == {
                "check-clip": 0,
                "check-flag": 3,
                "limits": None,
            }


def test_a_students_own_page_runs_nothing(handed_in, instructor, tmp_path):
    instructor("autograde", "01-clip")
    instructor("generate_feedback", "01-clip")
    page_of = handed_in / "graders/workspace/feedback/eve/01-clip/clip.html"
    with browser(tmp_path / "scratch", Seen()) as page:
        page.goto(page_of.as_uri())
        expect(page.get_by_text("a value was dropped").last).to_be_visible()
        assert page.evaluate("window.attacked") is None
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert "window.attacked" in page.content(), "what was written is still shown"
