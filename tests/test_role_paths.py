"""Each role's path: from the catalogue, whole, in order, week by week."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securetrain import catalogue, role_paths

LESSON = catalogue.unit("13-poisoning/1-one-sticker")


def made(*units: tuple) -> tuple[catalogue.Unit, ...]:
    """Return units from (name, minutes, roles, needs)."""
    return tuple(
        replace(LESSON, id=f"13-poisoning/{name}", title=name, minutes=minutes,
                roles=roles, needs=tuple(f"13-poisoning/{n}" for n in needs))
        for name, minutes, roles, needs in units
    )  # fmt: skip


@pytest.mark.parametrize("role", catalogue.roles())
def test_a_path_holds_the_roles_units_and_what_they_need(role: str) -> None:
    path = role_paths.path(role)
    assert [u for u in catalogue.units() if role in u.roles or u in path] == list(path)
    seen: set[str] = set()
    for unit in path:
        assert seen.issuperset(unit.needs), f"{unit.id} comes before what it needs"
        seen.add(unit.id)


def test_a_need_of_a_need_is_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    units = made(
        ("a", 30, ("leader",), ()),
        ("b", 30, ("leader",), ("a",)),
        ("other", 30, ("leader",), ()),
        ("c", 30, ("ml-engineer",), ("b",)),
    )
    monkeypatch.setattr(catalogue, "units", lambda: units)
    assert [u.title for u in role_paths.path("ml-engineer")] == ["a", "b", "c"]


def test_an_unknown_role_names_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="No role 'wizard'.*There are: junior"):
        role_paths.path("wizard")


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ([], []),
        ([120], [[120]]),
        ([30, 30, 60, 30], [[30, 30, 60], [30]]),
        ([90, 60, 60, 30], [[90], [60, 60], [30]]),
        ([180, 30], [[180], [30]]),
    ],
)
def test_weeks_hold_two_hours_and_split_no_unit(
    minutes: list[int], expected: list[list[int]]
) -> None:
    units = [replace(LESSON, minutes=number) for number in minutes]
    found = role_paths.weeks(units)
    assert [[unit.minutes for unit in week] for week in found] == expected


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
    shown: list[dict], role: str
) -> None:
    role_paths.show(role)
    (data,) = shown
    weeks = role_paths.weeks(role_paths.path(role))
    for text in (shown.replace("\u00a0", " ") for shown in data.values()):
        assert catalogue.roles()[role] in text
        assert f"Week {len(weeks)}" in text and f"Week {len(weeks) + 1}" not in text
        assert all(unit.title in text for week in weeks for unit in week)
    assert data["text/html"].count("<a ") == sum(map(len, weeks))


def test_the_overview_has_every_role(shown: list[dict]) -> None:
    role_paths.overview()
    (data,) = shown
    for role, title in catalogue.roles().items():
        path = role_paths.path(role)
        words = [title, str(len(path)), role_paths.hours(path)]
        assert " · ".join(words) in data["text/plain"]
        assert f'<th scope="row">{title}</th>' in data["text/html"]
