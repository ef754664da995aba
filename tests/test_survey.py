"""The survey: stable items, answers in the learner's record, nothing invented."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from securetrain import catalogue, progress, survey

UNIT = "01-risk-map/1-where-models-break"
LATER_UNIT = "13-poisoning/1-one-sticker"
ITEMS = survey.items()
FIRST, SECOND = ITEMS[0].id, ITEMS[1].id
# An answer given before the course is paired with one given weeks later, by these ids.
# Never change or reuse one: add a new item instead, and a new id here.
IDS = [
    "reviewed-data",
    "poisoned-data",
    "leaked-key",
    "private-data",
    "chosen-packages",
    "hostile-job",
    "foreign-model",
    "first-hour",
    "audit-evidence",
    "largest-risk",
]
pytestmark = pytest.mark.usefixtures("work")


def test_the_items_are_whole_and_their_ids_are_the_published_ones() -> None:
    assert list(survey.problems()) == []
    assert [item.id for item in ITEMS] == IDS
    stages = [item.stage for item in ITEMS]
    assert sorted(set(stages)) == [d for d in catalogue.stages() if d != "0"]
    assert all(stages.count(stage) == 2 for stage in stages)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": FIRST}, "stands twice"),
        ({"id": "a/b"}, "an id without a slash"),
        ({"text": " "}, "expected a text"),
        ({"stage": "9"}, "stage '9' is unknown or out of order"),
        ({"stage": "0"}, "stage '0' is unknown or out of order"),
    ],
)
def test_a_broken_item_is_named(change: dict, says: str) -> None:
    broken = (ITEMS[0], replace(ITEMS[1], **change), *ITEMS[2:])
    assert any(says in line for line in survey.problems(broken))


def test_an_answer_is_one_private_statement(work: Path) -> None:
    survey.rate("before", FIRST, 4, UNIT)
    text = (work / "progress.jsonl").read_text("utf-8")
    assert text.count("\n") == 1
    event = json.loads(text)
    assert event["actor"]["account"]["name"] == "anonymous"
    assert event["verb"]["display"]["en"] == "rated"
    assert event["object"]["id"] == f"urn:securetrain:{UNIT}#confidence/before/{FIRST}"
    assert event["result"] == {"score": {"raw": 4, "min": 1, "max": 5}}
    assert stat.S_IMODE((work / "progress.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("when", "item", "value", "says"),
    [
        ("during", FIRST, 3, "before, after, but came 'during'"),
        ("before", "height", 3, "No item 'height'"),
        ("before", FIRST, 0, "from 1 to 5, but came 0"),
        ("before", FIRST, 6, "from 1 to 5, but came 6"),
        ("before", FIRST, "4", "from 1 to 5, but came '4'"),
        ("before", FIRST, True, "from 1 to 5, but came True"),
        ("before", FIRST, 3.0, "from 1 to 5, but came 3.0"),
    ],
)
def test_what_is_no_answer_is_refused(
    work: Path, when: str, item: str, value: object, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        survey.rate(when, item, value, UNIT)
    assert not work.exists()


def test_the_last_answer_counts_and_the_record_keeps_all(work: Path) -> None:
    for value in (2, 5, 3):
        survey.rate("before", FIRST, value, UNIT)
    assert survey.ratings("before") == {FIRST: 3}
    assert len((work / "progress.jsonl").read_text("utf-8").splitlines()) == 3


def test_answers_before_and_after_pair_by_item_across_units() -> None:
    survey.rate("before", SECOND, 1, UNIT)
    survey.rate("before", FIRST, 2, UNIT)
    survey.rate("after", FIRST, 5, LATER_UNIT)
    survey.rate("after", ITEMS[2].id, 4, LATER_UNIT)
    assert survey.pairs() == [survey.Pair(FIRST, 2, 5)]
    assert survey.ratings("before") == {FIRST: 2, SECOND: 1}, "in the items' order"


def test_the_survey_is_no_quiz_and_starts_no_unit() -> None:
    survey.rate("before", FIRST, 2, UNIT)
    assert progress.summary()[UNIT] == progress.Summary()


def _event(part: str, result: object) -> str:
    target = {"id": f"urn:securetrain:{UNIT}#{part}"}
    verb = {"display": {"en": "rated"}}
    event = {"timestamp": "2026-01-01", "verb": verb, "object": target}
    return json.dumps(event | {"result": result})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (_event("confidence/before/height", {"score": {"raw": 3}}), "no longer asked"),
        (
            _event(f"confidence/before/{FIRST}", {"score": {"raw": 9}}),
            "9 is not 1 to 5",
        ),
        (_event(f"confidence/before/{FIRST}", {"score": 3}), "None is not 1 to 5"),
        (_event(f"confidence/before/{FIRST}", {}), "None is not 1 to 5"),
        (_event(f"confidence/before/{FIRST}", 7), "not a whole event"),
        ('{"timestamp": "2026', "not a whole event"),
    ],
)
def test_old_or_damaged_entries_are_left_out_with_a_reason(
    work: Path, line: str, says: str
) -> None:
    survey.rate("before", FIRST, 2, UNIT)
    with (work / "progress.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    survey.rate("before", SECOND, 4, UNIT)
    with pytest.warns(UserWarning, match=says):
        assert survey.ratings("before") == {FIRST: 2, SECOND: 4}


def test_entries_of_another_survey_are_none_of_ours(work: Path) -> None:
    survey.rate("before", FIRST, 2, UNIT)
    with (work / "progress.jsonl").open("a", encoding="utf-8") as file:
        file.write(_event(f"taste/before/{FIRST}", {"score": {"raw": 1}}) + "\n")
        file.write(_event("confidence", {"score": {"raw": 1}}) + "\n")
    assert survey.ratings("before") == {FIRST: 2}


def test_the_report_says_what_is_stored_and_where(
    work: Path, capsys: pytest.CaptureFixture
) -> None:
    survey.report()
    assert "No answers stored yet" in capsys.readouterr().out
    for item, value in ((ITEMS[0], 2), (ITEMS[1], 5), (ITEMS[2], 3)):
        survey.rate("before", item.id, value, UNIT)
    survey.report()
    printed = capsys.readouterr().out
    assert "Data       3.5 before\n" in printed
    assert "Training   3.0 before\n" in printed
    assert "You are least sure of: Training." in printed
    assert "3 of 10 answers (before the course)" in printed
    assert str(work / "progress.jsonl") in printed and "sent nowhere" in printed
    survey.rate("after", ITEMS[2].id, 5, UNIT)
    survey.report()
    printed = capsys.readouterr().out
    assert "Training   3.0 before, 5.0 after" in printed
    assert "1 of 10 answers (after the course)" in printed


def test_no_answer_means_no_stage_to_be_unsure_of() -> None:
    assert survey.least_sure({}) == ""


def test_the_widget_stores_what_comes_back_and_shows_what_the_record_holds() -> None:
    widget = survey.show("before", UNIT)
    answer = widget._msg_callbacks.callbacks[0]
    answer(widget, {FIRST: 2, SECOND: 4}, [])
    assert widget.stored == survey.ratings("before") == {FIRST: 2, SECOND: 4}
    assert "2 of 10 answers" in widget.status and "sent nowhere" in widget.status
    saves = widget.saves
    answer(widget, {FIRST: 2, SECOND: 5}, [])
    assert widget.saves == saves + 1 and widget.stored[SECOND] == 5
    assert len(progress.events()) == 3, "an unchanged answer is not written again"
    again = survey.show("before", UNIT)
    assert again.stored == widget.stored, "answers are there on the next visit"
    assert survey.show("after", UNIT).stored == {}


def test_an_answer_that_could_not_be_written_is_not_called_stored(work: Path) -> None:
    widget = survey.show("before", UNIT)
    work.write_text("a file stands where the folder belongs")
    widget._msg_callbacks.callbacks[0](widget, {FIRST: 2}, [])
    assert widget.stored == {} and "0 of 10 answers" in widget.status
    assert "Your progress was not recorded" in widget.status


def test_without_a_widget_manager_the_survey_is_text_and_stores_nothing(
    work: Path,
) -> None:
    data, _ = survey.show("before", UNIT)._repr_mimebundle_()
    for item in ITEMS:
        assert item.text in data["text/plain"]
    assert "0 of 10 answers" in data["text/plain"] and not work.exists()


def test_an_unknown_unit_or_time_is_refused() -> None:
    with pytest.raises(ValueError, match="No unit '13-x/1'"):
        survey.show("before", "13-x/1")
    with pytest.raises(ValueError, match="before, after, but came 'then'"):
        survey.show("then", UNIT)
