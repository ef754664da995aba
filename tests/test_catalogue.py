"""The catalogue: every unit is whole, and what is wrong with one is said."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from securetrain import catalogue, paths

LESSON = "13-poisoning/1-one-sticker"
LAB = "13-poisoning/poisoning"


def test_the_catalogue_has_no_problems() -> None:
    assert catalogue.problems() == []


def test_paths_of_a_lesson_and_a_lab() -> None:
    lesson, lab = catalogue.unit(LESSON), catalogue.unit(LAB)
    assert (lesson.topic, lesson.stage) == ("13-poisoning", "1")
    assert lesson.path == lesson.source == "course/13-poisoning/1-one-sticker.ipynb"
    assert lab.path == "work/13-poisoning/poisoning.ipynb"
    assert lab.source == "solutions/13-poisoning/poisoning.ipynb"


def test_an_unknown_unit_names_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=f"No unit '99-x/y'.*{LESSON}"):
        catalogue.unit("99-x/y")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"atlas": ("AML.T9999",)}, "threat 'AML.T9999' is not in threats.toml"),
        ({"owasp": ("ML11",)}, "threat 'ML11' is not in threats.toml"),
        ({"atlas": ()}, "at least one ATLAS id"),
        ({"minutes": 5}, "5 minutes, expected 10 to 90"),
        ({"roles": ("wizard",)}, "role 'wizard' is not under"),
        ({"roles": ()}, "it is for no role"),
        ({"kind": "video"}, "kind is 'video'"),
        (
            {"needs": ("13-poisoning/0-none",)},
            "'13-poisoning/0-none', which is no unit",
        ),
        ({"needs": (LAB,)}, f"'{LAB}', which comes after it"),
        ({"needs": (LESSON,)}, f"'{LESSON}', which comes after it"),
        ({"id": "13-poisoning/9-none"}, "course/13-poisoning/9-none.ipynb is missing"),
        ({"id": "93-none/1-none"}, "stage '9'"),
        ({"id": LAB}, "stands twice"),
    ],
)
def test_a_broken_unit_is_named_with_its_fault(change: dict, says: str) -> None:
    broken = replace(catalogue.unit(LESSON), **change)
    found = catalogue.problems([broken, *catalogue.units()[1:]])
    assert any(broken.id in line and says in line for line in found), found


def test_a_lesson_outside_stages_1_to_4_needs_no_atlas_id() -> None:
    lesson = replace(catalogue.unit(LESSON), id="01-risk-map/1-map", atlas=())
    assert not any("ATLAS" in line for line in catalogue.problems([lesson]))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"id": "13-x/1"}, r"unit 1 \(13-x/1\): missing key"),
        ({"title": "x"}, r"unit 1 \(no id\): missing key"),
    ],
)
def test_a_unit_that_is_not_whole_is_refused(entry: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        catalogue.parse({"units": [entry], "topics": {}})


def test_a_unit_without_its_topic_is_refused() -> None:
    keys = ("kind", "title", "goal", "minutes", "roles", "needs", "atlas", "owasp")
    entry = {"id": "99-none/1"} | dict.fromkeys(keys, "x")
    with pytest.raises(ValueError, match="its topic is not under"):
        catalogue.parse({"units": [entry], "topics": {}})


def test_the_catalogue_and_the_record_need_no_extra() -> None:
    """The base install is light: no torch, no Jupyter, no numpy."""
    code = (
        "import sys\n"
        "from securetrain import catalogue, progress, quiz\n"
        f"catalogue.units(); quiz.load({LESSON!r})\n"
        "heavy = {'torch', 'numpy', 'IPython', 'anywidget', 'ipywidgets'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_readme_names_every_unit_in_the_catalogues_order() -> None:
    text = (paths.root() / "README.md").read_text("utf-8")
    row = r"(?m)^\| (.+) \((lesson|graded lab)\) \| (\d+) min \| .+ \|$"
    kinds = {"lesson": "lesson", "lab": "graded lab"}
    wanted = [(u.title, kinds[u.kind], str(u.minutes)) for u in catalogue.units()]
    assert re.findall(row, text) == wanted
