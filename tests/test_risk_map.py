"""The risk map: every threat is whole, in order, and readable without a widget."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from securetrain import catalogue, notebooks, paths, risk_map

THREATS = risk_map.threats()
TAUGHT = next(threat for threat in THREATS if threat.units)


class Page(HTMLParser):
    """Collects the words and links of a page, and checks that its tags pair up."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag != "br":
            self.open.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_map_has_no_problems() -> None:
    assert risk_map.problems() == []


def test_the_map_covers_the_lifecycle_and_all_of_owasps_list() -> None:
    assert list(risk_map.stages()) == [d for d in catalogue.stages() if d != "0"]
    assert sum(risk_map.stages().values(), ()) == THREATS
    named = {id for threat in THREATS for id in threat.ids}
    assert named >= {id for id in catalogue.threats() if id.startswith("ML")}


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.id)
def test_a_threat_is_said_in_one_sentence_each(threat: risk_map.Threat) -> None:
    for sentence in (threat.wrong, threat.stops):
        assert sentence.endswith(".") and ". " not in sentence
        assert len(sentence.split()) <= 25
    assert len(threat.title) <= 24, "it has to fit on a button"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ids": ("AML.T9999",)}, "id 'AML.T9999' is not in threats.toml"),
        ({"ids": ("AML.M0018",)}, f"none of its ids is one of {TAUGHT.topic}"),
        ({"harm": "bad"}, "harm 'bad', expected one of wrong"),
        ({"topic": "93-none"}, "topic '93-none' belongs to no stage"),
        ({"topic": "01-risk-map"}, "topic '01-risk-map' belongs to no stage"),
        ({"topic": "52-kpis"}, "after 52-kpis"),
        ({"title": " "}, "title is empty"),
        ({"id": THREATS[-1].id}, "this id stands twice"),
    ],
)
def test_a_broken_threat_is_named_with_its_fault(change: dict, says: str) -> None:
    broken = replace(TAUGHT, **change)
    found = risk_map.problems([broken if t is TAUGHT else t for t in THREATS])
    assert any(says in line for line in found), found


def test_a_topic_of_the_catalogue_that_the_map_forgets_is_named() -> None:
    rest = [threat for threat in THREATS if threat.topic != TAUGHT.topic]
    assert f"{TAUGHT.topic}: in the catalogue, but no threat" in str(
        risk_map.problems(rest)
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"id": "x"}, r"threat 1 \(x\): missing key"),
        ({"colour": "red"}, r"threat 1 \(no id\): unknown key 'colour'"),
    ],
)
def test_a_threat_that_is_not_whole_is_refused(entry: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        risk_map.parse({"threats": [entry]})


def test_without_a_widget_the_map_is_tables_or_text() -> None:
    data, _ = risk_map.show()._repr_mimebundle_()
    page = Page(data["text/html"])
    for text in (data["text/plain"], "\n".join(page.words)):
        for threat in THREATS:
            for words in (threat.title, threat.wrong, threat.stops):
                assert words in text
            for id in threat.ids:
                assert f"{id} {catalogue.threats()[id]}" in text
            for unit in threat.units:
                assert unit.title in text


def test_every_link_leads_to_a_unit() -> None:
    page = Page(risk_map.as_html())
    assert page.links
    here = paths.root() / risk_map.FOLDER
    for link in page.links:
        target = (here / link).resolve().relative_to(paths.root())
        assert (paths.root() / "labs" / Path(*target.parts[1:])).is_file() or (
            paths.root() / target
        ).is_file()


def test_a_threat_without_a_unit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    units = tuple(u for u in catalogue.units() if u.topic != TAUGHT.topic)
    monkeypatch.setattr(catalogue, "units", lambda: units)
    assert f"its topic '{TAUGHT.topic}' has no unit" in str(risk_map.problems())


def test_a_lab_that_jupyterlab_does_not_reach_has_no_link(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other").resolve()
    monkeypatch.setenv("SECURETRAIN_WORK", str(other))
    assert str(other) in risk_map.as_html()
    assert not any(str(other) in link for link in Page(risk_map.as_html()).links)


def test_the_map_needs_no_extra_and_its_lesson_no_torch() -> None:
    code = (
        "import sys\n"
        "from securetrain import risk_map, role_paths, survey\n"
        "risk_map.as_text(); risk_map.as_html(); survey.ratings('before')\n"
        "heavy = {'torch', 'numpy', 'IPython', 'anywidget', 'ipywidgets'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "from securetrain import plots, quiz, three_faults\n"
        "risk_map.show(); survey.show('before', '01-risk-map/1-where-models-break')\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_first_unit_is_the_map_and_is_for_everyone() -> None:
    first = catalogue.units()[0]
    assert first.topic == "01-risk-map" and not first.needs
    assert set(first.roles) == set(catalogue.roles())
    cells = notebooks.read(paths.root() / first.source)["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    assert all(f"`{role}`" in text for role in catalogue.roles())
