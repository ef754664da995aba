"""The site's parts: what it makes of notebooks and links, and what stops its build.

The whole site is built, and looked at in a browser, in test_site_pages.py.
"""

import base64
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "site"))

from coursesite import (  # noqa: E402
    Problem,
    cards,
    checks,
    front,
    ledger_page,
    lessons,
    library,
)
from coursesite.lessons import Pages  # noqa: E402
from coursesite.links import Links  # noqa: E402
from coursesite.sources import Sources, problems, unlinked  # noqa: E402

from securetrain import catalogue, checklist, claims, notebooks, quiz  # noqa: E402
from securetrain.execution import Failure, Run  # noqa: E402

UNIT = catalogue.unit("13-poisoning/1-one-sticker")
# One white pixel.
PNG = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAsVXJ/wAAAABJ"
        "RU5ErkJggg=="
    )
).decode()


def code(*outputs, id="draw"):
    """Return a code cell with these outputs."""
    return {
        "cell_type": "code", "id": id, "metadata": {}, "source": "draw()",
        "execution_count": 1, "outputs": list(outputs),
    }  # fmt: skip


def shown(data, **metadata):
    """Return an output of `display`."""
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def figure(alt):
    return shown({"image/png": PNG}, **{"image/png": {"alt": alt, "width": 1}})


def run(*cells, failures=(), widgets=None):
    """Return a run of a lesson with these cells after its title."""
    title = {
        "cell_type": "markdown",
        "id": "title",
        "metadata": {},
        "source": "# A\n\nB",
    }
    metadata = {"widgets": {lessons.STATE: {"state": widgets or {}}}}
    notebook = {"cells": [title, *cells], "metadata": metadata, "nbformat": 4}
    return Run(ROOT / UNIT.source, 1, 1, 1, (), tuple(failures), notebook)


@pytest.fixture
def links():
    """Return the links of a course with the pages of this one."""
    return Sources(ROOT, ROOT / "build" / "nowhere", run).links


@pytest.fixture
def pages(links, tmp_path):
    return Pages(links, tmp_path)


def says(problem, *words):
    """Say whether one line of a Problem holds all these words."""
    return any(all(word in line for word in words) for line in problem.value.lines)


# A lesson that cannot be shown


def test_a_failed_lesson_is_named_with_its_cell(pages):
    with pytest.raises(Problem) as caught:
        pages.lesson(UNIT, run(code(), failures=[Failure("draw", "KeyError", "x")]))
    assert says(caught, UNIT.source, "'draw'", "KeyError")


@pytest.mark.parametrize(
    "output",
    [
        shown({"image/png": PNG}),
        figure(""),
        shown({"text/html": '<img src="data:image/png;base64,AAAA">'}),
        shown({"text/html": '<img alt=" " src="a.png">'}),
    ],
)
def test_a_figure_without_alternative_text_is_named_with_its_cell(pages, output):
    with pytest.raises(Problem) as caught:
        pages.lesson(UNIT, run(code(figure("fine")), code(output, id="bare")))
    assert says(caught, UNIT.source, "'bare'", "alternative text")
    assert not says(caught, "'draw'")


def test_a_clip_that_is_missing_is_named(pages):
    text = "The clip 'canary' is not here. The lesson goes on without it.\n"
    output = {"output_type": "stream", "name": "stdout", "text": text}
    with pytest.raises(Problem) as caught:
        pages.lesson(UNIT, run(code(output)))
    assert says(caught, UNIT.source, "'draw'", "'canary'")


def test_a_widget_that_nobody_knows_is_named(pages):
    state = {"w": {"model_name": "AnyModel", "state": {"_anywidget_id": "a.Chart"}}}
    with pytest.raises(Problem) as caught:
        output = shown({lessons.VIEW: {"model_id": "w"}, "text/plain": "Chart()"})
        pages.lesson(UNIT, run(code(output), widgets=state))
    assert says(caught, UNIT.source, "draw", "Chart")


# What the site makes of outputs


def cells(text):
    import json

    return json.loads(text)["cells"]


def html(text, cell=1):
    outputs = cells(text)[cell]["outputs"]
    return "".join("".join(o.get("data", {}).get("text/html", "")) for o in outputs)


def test_a_figure_becomes_a_file_that_keeps_its_text(pages, tmp_path):
    page = html(pages.lesson(UNIT, run(code(figure('Two "bars", one < other')))))
    assert 'alt="Two &quot;bars&quot;, one &lt; other"' in page and "base64" not in page
    (file,) = tmp_path.rglob("*.png")
    assert file.read_bytes() == base64.b64decode(PNG)
    assert f"{lessons.FIGURES}/{file.relative_to(tmp_path).as_posix()}" in page


def test_a_film_becomes_a_file_and_its_captions_stay(pages, tmp_path):
    film, captions = (base64.b64encode(b"x" * n).decode() for n in (9000, 90))
    output = shown(
        {
            "text/html": f'<video aria-label="a"><source src="data:video/webm;base64,'
            f'{film}"><track src="data:text/vtt;base64,{captions}"></video>'
        }
    )
    page = html(pages.lesson(UNIT, run(code(output))))
    (file,) = tmp_path.rglob("*.webm")
    assert file.read_bytes() == b"x" * 9000
    assert f"{lessons.FIGURES}/{file.relative_to(tmp_path).as_posix()}" in page
    assert captions in page


def test_a_quiz_is_there_to_read_with_its_key_folded(pages):
    state = {"w": {"model_name": "AnyModel", "state": {"_anywidget_id": "s.Quiz"}}}
    output = shown({lessons.VIEW: {"model_id": "w"}, "text/plain": "Quiz"})
    page = html(pages.lesson(UNIT, run(code(output), widgets=state)))
    questions = quiz.load(UNIT.id)
    assert page.count("<details>") == len(questions)
    assert "run this cell in JupyterLab" in page
    outside = "".join(part.partition("</details>")[2] or part
                      for part in page.split("<details>"))  # fmt: skip
    for question in questions:
        for answer in question.answers:
            assert lessons.html.escape(answer.text) in outside
            assert lessons.html.escape(answer.feedback) not in outside
            assert lessons.html.escape(answer.feedback) in page


def test_a_slider_shows_where_it_stands_and_its_result(pages):
    state = {"_anywidget_id": "s.Slider", "label": "Stickers", "minimum": 0}
    state |= {"maximum": 9, "value": 3, "result": "<pre>caught: 4</pre>"}
    output = shown({lessons.VIEW: {"model_id": "w"}})
    page = html(pages.lesson(UNIT, run(code(output), widgets={"w": {"state": state}})))
    assert "Stickers" in page and "0 to 9" in page and "<pre>caught: 4</pre>" in page


def test_another_widget_of_ours_says_in_words_what_it_is(pages):
    state = {"_anywidget_id": "securetrain.widgets.Later"}
    said = "Two questions on A. Run this cell in JupyterLab to answer."
    output = shown({lessons.VIEW: {"model_id": "w"}, "text/plain": said})
    page = html(pages.lesson(UNIT, run(code(output), widgets={"w": {"state": state}})))
    assert said in page


def test_progress_bars_are_left_out_and_made_up_keys_are_cut(pages):
    bar = shown({lessons.VIEW: {"model_id": "b"}, "text/plain": "0%"})
    words = {"output_type": "stream", "name": "stderr", "text": "10% done"}
    key = "AKIA" + "B" * 16
    said = {"output_type": "stream", "name": "stdout", "text": f"key {key}\n"}
    states = {"b": {"model_name": "HBoxModel", "state": {}}}
    text = pages.lesson(UNIT, run(code(bar, words, said), widgets=states))
    assert key not in text and "AKIABBBB…" in text
    assert len(cells(text)[1]["outputs"]) == 1
    assert "widgets" not in text


def test_a_page_says_what_its_unit_is(pages):
    title = cells(pages.lesson(UNIT, run()))[0]["source"]
    head, *rest = "".join(title).splitlines()
    assert head == "# A" and rest[-1] == "B"
    facts = "\n".join(rest)
    assert f"{UNIT.minutes} minutes" in facts and f"<code>{UNIT.path}</code>" in facts
    assert all(catalogue.roles()[role] in facts for role in UNIT.roles)
    assert "make lab" in facts


def test_a_lab_stands_as_it_is_released(pages):
    unit = next(unit for unit in catalogue.units() if unit.kind == "lab")
    released = notebooks.read(ROOT / "labs" / f"{unit.id}.ipynb")["cells"]
    here = cells(pages.lab(unit))
    assert [c["id"] for c in here] == [c["id"] for c in released]
    assert not any(cell.get("outputs") for cell in here)
    assert "HIDDEN TESTS" not in str(here) and "BEGIN SOLUTION" not in str(here)


def test_a_lab_outside_the_course_is_linked_and_its_place_is_not_told(pages):
    unit = next(unit for unit in catalogue.units() if unit.kind == "lab")
    told = f"<td>The lab (lab, 60 min) (/tmp/x/work/{unit.id}.ipynb)</td>"
    page = html(pages.lesson(UNIT, run(code(shown({"text/html": told})))))
    assert f'<a href="../../labs/{unit.id}.html">The lab (lab, 60 min)</a>' in page
    assert "/tmp" not in page


# Links


@pytest.mark.parametrize(
    ("link", "new"),
    [
        ("2-quieter-triggers.ipynb", "2-quieter-triggers.html"),
        ("../../work/13-poisoning/poisoning.ipynb",
         "../../labs/13-poisoning/poisoning.html"),
        ("../index.ipynb", "../../index.html"),
        ("../../docs/claims.md#one-sticker", "../../docs/claims.html#one-sticker"),
        ("../../README.md", "../../about.html"),
        ("../../securetrain/service.yaml", "../../files/securetrain/service.yaml.html"),
        ("https://example.org/a.md", "https://example.org/a.md"),
        ("#below", "#below"),
    ],
)  # fmt: skip
def test_links_lead_to_pages(links, link, new):
    text = f'See [it]({link}), `[not]({link})` and <a href="{link}">this</a>.'
    said = links.markdown(text, UNIT.source)
    assert f"[it]({new})" in said and f'<a href="{new}">' in said
    assert f"`[not]({link})`" in said, "code was changed"


@pytest.mark.parametrize(
    "link",
    ["nowhere.md", "../../../outside.md", "../../docs/none.md", "../13-poisoning"],
)
def test_a_link_that_leads_nowhere_is_named_with_its_page(links, link):
    with pytest.raises(Problem) as caught:
        links.markdown(f"[here]({link})", UNIT.source)
    assert says(caught, UNIT.source, link)


def test_pictures_and_films_go_to_the_site_as_they_are(tmp_path):
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "clip.webm").write_bytes(b"\xff\xfe\x00")
    links = Links(tmp_path, {})
    film = '<video src="../clip.webm" poster="https://example.org/p.png"></video>'
    assert links.html(film, "course/01-a/1-b.ipynb").startswith(
        '<video src="../clip.webm"'
    )
    assert links.media == {"course/clip.webm"}


# The catalogue and the documents


@pytest.fixture
def small(tmp_path):
    """Return a folder with the notebooks of one lesson and one lab, and documents."""
    units = [UNIT, catalogue.unit("13-poisoning/poisoning")]
    for unit, folder in zip(units, ("course", "labs"), strict=True):
        place = tmp_path / folder / f"{unit.id}.ipynb"
        place.parent.mkdir(parents=True)
        shutil.copy(ROOT / folder / f"{unit.id}.ipynb", place)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "grading.md").write_text("# Grading\n")
    return tmp_path, units


def test_a_unit_without_a_notebook_is_named(small):
    folder, units = small
    assert problems(folder, units) == []
    (folder / "labs" / f"{units[1].id}.ipynb").unlink()
    assert problems(folder, units) == [
        "13-poisoning/poisoning: in the catalogue, but there is no "
        "labs/13-poisoning/poisoning.ipynb"
    ]


def test_a_notebook_without_a_unit_is_named(small):
    folder, units = small
    (line,) = problems(folder, units[1:])
    assert line.startswith(UNIT.source) and "no unit" in line


def test_a_document_that_nobody_links_is_named(small):
    folder, _ = small
    links = Links(folder, {"docs/grading.md": "docs/grading", "README.md": "about"})
    links.markdown("[itself](grading.md)", "docs/grading.md")
    (line,) = unlinked(folder, links)
    assert line.startswith("docs/grading.md: no page links to it")
    links.markdown("[grading](docs/grading.md)", "README.md")
    assert unlinked(folder, links) == []


def test_the_build_names_every_fault_not_only_the_first(tmp_path, monkeypatch):
    def fails(path):
        return run(code(), failures=[Failure("draw", "KeyError", path.stem)])

    with pytest.raises(Problem) as caught:
        Sources(ROOT, tmp_path / "source", fails).write()
    lesson = [unit for unit in catalogue.units() if unit.kind == "lesson"]
    assert all(says(caught, unit.source) for unit in lesson)


def test_a_line_of_the_checklist_names_all_that_enforce_its_parts():
    _, *cards_ = front.checklist().split('<div class="card check">')
    assert len(cards_) == len(checklist.lines())
    for topic, line in checklist.lines().items():
        (card,) = (card for card in cards_ if cards.text(line) in card)
        for part in checklist.of(topic):
            for name in (*part.hooks, *part.commands):
                assert f"{name}</code>" in card, topic
            assert cards.text(part.hand.replace("`", "")) in card, topic


def test_the_landing_page_says_where_the_course_is_where_ci_knows_it(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    alone = front._run_it().splitlines()
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://forge.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", "house/course")
    fence, *lines = front._run_it().splitlines()
    assert lines[:2] == ["git clone https://forge.example/house/course", "cd course"]
    assert [fence, *lines[2:]] == alone


def test_the_landing_page_shows_the_first_figure_of_the_first_lesson(tmp_path):
    first = catalogue.units()[0]
    links = Sources(ROOT, tmp_path, run).links
    loud = figure("the second")
    made = run(code(id="none"), code(figure("the first"), id="z"), code(loud, id="a"))
    page = tmp_path / cards.file_of(first)
    page.parent.mkdir(parents=True)
    made = Pages(links, tmp_path / lessons.FIGURES).lesson(first, made)
    page.write_text(made, encoding="utf-8")
    (image,) = lessons.IMAGE.findall(front.landing(tmp_path))
    place = f"{lessons.FIGURES}/{first.id}/z-0.png"
    assert f'src="{place}"' in image and 'alt="the first"' in image
    assert (tmp_path / place).is_file()


def test_the_builds_help_builds_nothing():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "site" / "build.py", "--help"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "usage: " in done.stdout and "build/executed/" in done.stdout


# The pages that were made


@pytest.fixture
def site(tmp_path):
    """Return a site of two pages without a fault."""
    (tmp_path / "a.html").write_text(
        '<h1 id="top-of-a">A</h1><a href="b/c.html#here">c</a>'
        '<a href="https://example.org/">out</a><img src="p.png" alt="a point">'
    )
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.html").write_text('<p id="here"><a href="../a.html">a</a></p>')
    (tmp_path / "p.png").write_bytes(b"")
    (tmp_path / "s.css").write_text("p { background: url(p.png) }")
    return tmp_path


def faults(site):
    return checks.problems(site, checks.pages(site), ("/home/someone",))


def test_a_whole_site_has_no_fault_and_lists_what_leaves_it(site):
    assert faults(site) == []
    assert checks.outside_links(site, checks.pages(site)) == {
        "https://example.org/": ["a.html"]
    }


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('<a href="d.html">d</a>', "the link d.html leads nowhere"),
        ('<a href="b/c.html#gone">c</a>', "b/c.html#gone leads to no such place"),
        ('<a href="#gone">c</a>', "the link #gone leads to no such place"),
        ('<a href="../outside.html">c</a>', "leads nowhere"),
        ('<a href="/etc/hostname">c</a>', "leads nowhere"),
        ('<img src="q.png" alt="q">', "the link q.png leads nowhere"),
        ('<img src="p.png">', "an image without alternative text: p.png"),
        ('<img src="p.png" alt=" ">', "an image without alternative text"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example"),
        ('<script src="//example.org/x.js"></script>', "loads //example.org"),
        ('<link rel="stylesheet" href="https://example.org/x.css">', "from outside"),
        ('<video poster="https://example.org/x.png"></video>', "from outside"),
        ("<pre>/home/someone/x.py</pre>", "names /home/someone"),
    ],
)
def test_what_is_wrong_with_a_page_is_named(site, more, says):
    with (site / "a.html").open("a") as page:
        page.write(more)
    found = faults(site)
    assert found and all(line.startswith("a.html: ") for line in found)
    assert any(says in line for line in found), found


@pytest.mark.parametrize(
    "rule", ["@import 'https://example.org/x.css';", "p { src: url(//example.org/f) }"]
)
def test_a_style_sheet_that_loads_from_outside_is_named(site, rule):
    (site / "s.css").write_text(rule)
    (line,) = faults(site)
    assert line.startswith("s.css: loads ") and "example.org" in line


# The ledger and the library


def test_every_claim_is_on_the_ledger_page_once():
    page = ledger_page.page((ROOT / "docs" / "claims.md").read_text("utf-8"))
    for id, claim in claims.load().items():
        assert page.count(f'<span id="{id}">') == 1
        assert lessons.html.escape(claim.says) in page
    assert page.count('<td data-head="Verdict">') == len(claims.load())


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("# Claims\n\n## A unit\n", "no table of claims"),
        (f"## A unit\n\n{ledger_page.HEAD}\n|---|\n| one | two |\n", "not 8 cells"),
    ],
)
def test_a_ledger_in_another_form_is_named(page, words):
    with pytest.raises(Problem) as caught:
        ledger_page.page(page)
    assert says(caught, "docs/claims.md", words)


def test_every_module_stands_in_one_group_of_the_library():
    known = library.modules(ROOT / library.PACKAGE)
    groups = library.groups(known, ROOT)
    names = [module.name for members in groups.values() for module in members]
    assert sorted(names) == sorted(known)
    of = {module.name: key for key, members in groups.items() for module in members}
    assert of["poisoning"] == "1" and of["plots"] == library.SEVERAL


def test_a_docstring_is_read_as_it_was_meant():
    said = library.prose(
        "Return a copy of `x_0` with *stars* and <tags>.\n\n"
        "x: (N, C), values in [0, 1]\n    and more of it\n"
        "size: pixels\nRaises ValueError when it is empty.\nSource: BadNets, 2017\n"
    )
    assert said.splitlines() == [
        r"Return a copy of `x_0` with \*stars\* and \<tags\>.", "",
        r"- `x`: (N, C), values in \[0, 1\]", "  and more of it",
        "- `size`: pixels", "", "Raises ValueError when it is empty.", "",
        "Source: BadNets, 2017",
    ]  # fmt: skip


def test_a_type_leads_to_the_module_that_defines_it():
    known = library.modules(ROOT / library.PACKAGE)
    page = library.page(known["executed"])
    assert "-> securetrain.execution.Run" in page and "{py:function} run(" in page
