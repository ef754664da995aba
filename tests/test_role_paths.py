"""Each role's path: from the catalogue, in order, week by week, in time."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from securetrain import catalogue, progress, role_paths
from securetrain.role_paths import TOURIST

LESSON = catalogue.unit("13-poisoning/1-one-sticker")
LAB = "13-poisoning/poisoning"
PLANS = catalogue.plans()


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the learner's own."""
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


def test_every_path_fits() -> None:
    assert role_paths.problems() == []
    assert list(PLANS) == list(catalogue.roles())


@pytest.mark.parametrize("role", catalogue.roles())
def test_a_path_is_what_the_course_promises(role: str) -> None:
    """The same as `problems`, in other words: a check of the check."""
    minutes = [sum(unit.minutes for unit in week) for week in role_paths.weeks(role)]
    if role == "leader":
        assert minutes == [90]
    else:
        assert len(minutes) == 4 and max(minutes) <= 120 and min(minutes) > 0
    seen: set[str] = set()
    for unit in role_paths.path(role):
        assert role in unit.roles and unit.id not in seen
        assert seen.issuperset(unit.needs), f"{unit.id} comes before what it needs"
        seen.add(unit.id)


@pytest.mark.parametrize("role", catalogue.roles())
def test_what_goes_further_is_all_the_rest(role: str) -> None:
    path, further = role_paths.path(role), role_paths.further(role)
    both = {unit.id for unit in (*path, *further)}
    assert len(both) == len(path) + len(further)
    assert both >= {unit.id for unit in catalogue.units() if role in unit.roles}
    assert all(both.issuperset(unit.needs) for unit in further)
    assert [u for u in catalogue.units() if u in further] == list(further)


def changed(role: str, week: int, units: list[str]) -> dict[str, list[list[str]]]:
    """Return the paths with other units in one week of a role."""
    plans = copy.deepcopy(PLANS)
    plans[role][week] = units
    return plans


@pytest.mark.parametrize(
    ("role", "week", "units", "says"),
    [
        ("ml-engineer", 3, ["01-x/1"], "'01-x/1' is no unit"),
        ("ml-engineer", 3, [LESSON.id], "stands twice on its path"),
        (
            "ml-engineer",
            0,
            [LAB, LESSON.id],
            f"needs '{LESSON.id}', which",
        ),
        ("ml-engineer", 3, [], "week 4 takes 0 minutes"),
        ("ml-engineer", 3, ["21-secrets/secrets"] * 3, "week 4 takes 180 minutes"),
        ("platform-engineer", 3, [LESSON.id], "is not for this role"),
        ("leader", 0, [LESSON.id], "its tour takes 30 minutes, expected 90"),
    ],
)
def test_a_path_that_does_not_fit_is_said(
    role: str, week: int, units: list[str], says: str
) -> None:
    found = role_paths.problems(changed(role, week, units))
    assert [line for line in found if line.startswith(f"{role}: ") and says in line]


def test_too_few_weeks_and_unknown_and_missing_roles_are_said() -> None:
    short = {**PLANS, "ml-engineer": PLANS["ml-engineer"][:3], "wizard": []}
    found = role_paths.problems({k: v for k, v in short.items() if k != "leader"})
    assert found == [
        "leader: it has no path.",
        "ml-engineer: its path has 3 weeks, expected 4.",
        "wizard: it is no role.",
    ]


def test_a_plan_that_is_neither_weeks_nor_tour_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = {"leader": {"tour": [], "weeks": []}}
    monkeypatch.setattr(catalogue, "_read", lambda _: {"paths": paths})
    with pytest.raises(ValueError, match="leader.*either 'weeks' or 'tour'"):
        catalogue.plans()


def test_an_unknown_role_names_those_that_there_are() -> None:
    for call in (role_paths.path, role_paths.show, role_paths.choose):
        with pytest.raises(ValueError, match="No role 'wizard'.*There are: junior"):
            call("wizard")
    assert progress.events() == []


def test_the_last_choice_of_a_role_counts() -> None:
    assert role_paths.chosen() == ""
    for role in ("leader", "ml-engineer", "ml-engineer"):
        role_paths.choose(role)
    assert role_paths.chosen() == "ml-engineer"
    assert len(progress.events()) == 2, "the same choice is not written again"
    progress.record("chose", role_paths.ASKED, part="role", response="wizard")
    progress.record("chose", LESSON.id, part="change", response="leader")
    assert role_paths.chosen() == "ml-engineer"
    role_paths.choose("")
    assert role_paths.chosen() == ""
    assert progress.summary()[LESSON.id] == progress.Summary()


@pytest.mark.parametrize(
    ("minutes", "says"), [(0, "0 min"), (30, "30 min"), (60, "1 h"), (90, "1 h 30 min")]
)
def test_hours_in_words(minutes: int, says: str) -> None:
    units = [replace(LESSON, minutes=minutes)] if minutes else []
    assert role_paths.hours(units).replace("\u00a0", " ") == says


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What was displayed."""
    found: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: found.append(data))
    return found


@pytest.mark.parametrize("role", catalogue.roles())
def test_a_path_is_shown_week_by_week_as_table_and_text(
    shown: list[dict], role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECURETRAIN_WORK")  # where JupyterLab reaches the labs
    role_paths.show(role)
    (data,) = shown
    every = (*role_paths.path(role), *role_paths.further(role))
    for text in (shown.replace("\u00a0", " ") for shown in data.values()):
        assert catalogue.roles()[role] in text
        assert ("Week 4" in text) == (role != TOURIST) and "Week 5" not in text
        assert ("The tour" in text) == (role == TOURIST)
        assert ("Go further" in text) == bool(role_paths.further(role))
        assert all(unit.title in text for unit in every)
    assert data["text/html"].count("<a ") == len(every)


def test_the_overview_has_every_role(shown: list[dict]) -> None:
    role_paths.overview()
    (data,) = shown
    for role, title in catalogue.roles().items():
        path = role_paths.path(role)
        words = [title, str(len(path)), role_paths.hours(path)]
        assert " · ".join(words) in data["text/plain"]
        assert f'<th scope="row">{title}</th>' in data["text/html"]
