"""The report names the units to adjust, with numbers, and nobody's alone."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from securetrain import cli, feedback, feedback_command, progress, quiz, records

LESSON, OTHER = "13-poisoning/1-one-sticker", "11-provenance/1-swapped-data"
LAB = "13-poisoning/poisoning"
QUESTION = quiz.load(LESSON)[0]
START = datetime(2026, 12, 1, tzinfo=UTC)


def event(number: int, verb: str, target: str, **result: object) -> dict:
    """Return a statement of a minute after the first."""
    return {
        "timestamp": (START + timedelta(minutes=number)).isoformat(),
        "actor": progress.ACTOR,
        "verb": {"id": progress.VERBS[verb], "display": {"en": verb}},
        "object": {"id": progress.URN + target},
        "result": result,
    }


def person(
    folder: Path,
    name: str,
    *,
    useful: int = 5,
    change: str = "nothing",
    right: bool = True,
    passed: bool = True,
    done: bool = True,
    synthetic: bool = False,
) -> Path:
    """Write one learner's record of a lesson and a lab."""
    score = {"raw": useful, "min": 1, "max": 5}
    events = [
        event(0, "started", LESSON),
        event(1, "answered", f"{LESSON}#{QUESTION.id}", success=right),
        event(2, "answered", f"{LESSON}#{QUESTION.id}", success=True),
        event(3, "rated", f"{LESSON}#{progress.USEFUL}", score=score),
        event(4, "chose", f"{LESSON}#{feedback.CHANGE_PART}", response=change),
        event(5, "started", LAB),
        event(6, "checked", f"{LAB}#stamp", success=passed),
        event(7, "checked", f"{LAB}#stamp", success=False),
        event(9, "finished", LAB),
    ]
    events += [event(8, "finished", LESSON)] * done
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    records.write(path, records.make(events, name, synthetic=synthetic))
    return path


def said(folder: Path, capsys: pytest.CaptureFixture) -> str:
    """Return what the command prints."""
    assert cli.main(["feedback", str(folder)]) == 0
    return capsys.readouterr().out


def cohort(folder: Path, bad: int, good: int, **how: object) -> Path:
    """Write records, some of which have something to say."""
    for number in range(bad):
        person(folder, f"bad-{number}", **how)
    for number in range(good):
        person(folder, f"good-{number}")
    return folder


@pytest.mark.parametrize(
    ("how", "bad", "good", "says"),
    [
        ({"useful": 2}, 4, 1, "useful: 2.6 of 5, 5 people"),
        ({"useful": 3}, 6, 0, "useful: 3.0 of 5, 6 people"),
        ({"change": "shorter"}, 2, 3, "wish: make it shorter, 2 of 5 people"),
        ({"done": False}, 3, 2, "not finished: 3 of 5 people who started"),
        ({"right": False}, 3, 2, f"question {QUESTION.id}: 3 of 5 wrong"),
        ({"passed": False}, 2, 3, "check stamp: 2 of 5 never passed it"),
    ],
)
def test_a_unit_to_adjust_is_named_with_its_numbers(
    tmp_path: Path,
    how: dict,
    bad: int,
    good: int,
    says: str,
    capsys: pytest.CaptureFixture,
) -> None:
    text = said(cohort(tmp_path / "in", bad, good, **how), capsys)
    unit = LAB if "passed" in how else LESSON
    named = text.partition(f"\n{unit} (")[2].partition("\n\n")[0]
    assert says in named
    assert len(named.strip().splitlines()) == 2, "one reason, and no other"
    assert feedback_command.RULES in text


@pytest.mark.parametrize(
    ("how", "bad", "good"),
    [
        ({"useful": 2}, 2, 4),
        ({"change": "shorter"}, 2, 4),
        ({"done": False}, 2, 4),
        ({"right": False}, 3, 3),
        ({"passed": False}, 2, 4),
    ],
)
def test_a_few_are_not_many(
    tmp_path: Path, how: dict, bad: int, good: int, capsys: pytest.CaptureFixture
) -> None:
    text = said(cohort(tmp_path / "in", bad, good, **how), capsys)
    assert f"Nothing to adjust: {LESSON}, {LAB}" in text


def test_four_people_are_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    how = {"useful": 1, "change": "broken", "done": False, "right": False}
    text = said(cohort(tmp_path / "in", 4, 0, **how), capsys)
    assert "Nothing to adjust: no unit" in text and LESSON in text.splitlines()[-1]
    assert " of 4" not in text and "4 people" not in text and "4 learners" not in text


def test_four_answers_of_five_people_are_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = cohort(tmp_path / "in", 4, 0, useful=1, right=False)
    data = records.make([event(0, "started", LESSON)], "quiet")
    records.write(folder / "quiet.json", data)
    text = said(folder, capsys)
    assert "useful:" not in text and f"question {QUESTION.id}" not in text


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "Not enough said to tell"),
        ([("rated", progress.USEFUL)], "Nothing to adjust"),
        ([("chose", feedback.CHANGE_PART)], "Nothing to adjust"),
        ([("answered", QUESTION.id)], "Nothing to adjust"),
        ([("checked", "exercise")], "Nothing to adjust"),
    ],
)
@pytest.mark.parametrize("enough", [True, False])
def test_a_unit_of_which_nobody_said_enough_is_not_called_fine(
    tmp_path: Path, events: list, says: str, enough: bool, capsys: pytest.CaptureFixture
) -> None:
    """Six people opened and finished it; five, or four, said something of it."""
    results = {"rated": {"score": {"raw": 5, "min": 1, "max": 5}}}
    results["chose"] = {"response": "nothing"}
    for number in range(6):
        told = [event(0, "started", LESSON), event(9, "finished", LESSON)]
        told += [
            event(1, verb, f"{LESSON}#{part}", **results.get(verb, {"success": True}))
            for verb, part in events
            if number < (5 if enough else 4)
        ]
        data = records.make(told, f"person-{number}")
        records.write(tmp_path / f"{number}.json", data)
    lines = dict(line.split(": ", 1) for line in said(tmp_path, capsys).splitlines()
                 if line.startswith(("Nothing to adjust", "Not enough")))  # fmt: skip
    heard = says if enough else "Not enough said to tell"
    assert lines.pop(heard) == LESSON and list(lines.values()) == ["no unit"]


def test_no_share_is_of_fewer_than_five(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """What the rules say of numbers: a mean's people, and what a share is of."""
    how = {"useful": 2, "change": "shorter", "done": False, "right": False}
    text = said(cohort(tmp_path / "in", 3, 2, **how, passed=False), capsys)
    found = re.findall(r"(?:of |, )(\d+)(?: people| wrong| never)", text)
    assert len(found) == 5 and set(found) == {"5"}
    assert "Of fewer than 5 people, no mean and no share is shown" in text


def test_damaged_records_are_named_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = cohort(tmp_path / "in", 5, 0, useful=1)
    (folder / "torn.json").write_bytes((folder / "bad-0.json").read_bytes()[:-9])
    newer = json.loads((folder / "bad-0.json").read_bytes())
    newer["schema"] = "securetrain.record/2"
    (folder / "newer.json").write_text(json.dumps(newer))
    text = said(folder, capsys)
    assert "torn.json: not JSON in UTF-8" in text
    assert "newer.json: a newer release wrote it" in text
    assert "useful: 1.0 of 5, 5 people" in text


def test_a_learner_counts_once_with_the_newest_record(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = cohort(tmp_path / "in", 5, 0, useful=1)
    old = json.loads((folder / "bad-0.json").read_bytes())
    old["exported"] = "2020-01-01T00:00:00+00:00"
    old["statements"] = []
    (folder / "zz-old.json").write_text(json.dumps(old))
    text = said(folder, capsys)
    assert "zz-old.json: one more record of the same learner" in text
    assert "5 learners." in text and "useful: 1.0 of 5, 5 people" in text


def test_synthetic_records_are_marked_and_never_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = cohort(tmp_path / "in", 5, 0, synthetic=True)
    assert said(folder, capsys).startswith("SYNTHETIC: ")
    person(folder, "real")
    assert cli.main(["feedback", str(folder)]) == 2
    assert "do not mix" in capsys.readouterr().err


def test_a_folder_without_a_record_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["feedback", str(tmp_path / "none")]) == 2
    assert "expected a folder" in capsys.readouterr().err
    (tmp_path / "a.json").write_text("{}")
    assert cli.main(["feedback", str(tmp_path)]) == 2
    assert "a.json: no exported record" in capsys.readouterr().err


def test_a_unit_that_is_gone_is_still_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for number in range(5):
        gone = [event(0, "started", "99-gone/1-unit")]
        data = records.make(gone, f"person-{number}")
        records.write(tmp_path / f"{number}.json", data)
    text = said(tmp_path, capsys)
    assert "99-gone/1-unit (not in this release)" in text
    assert "not finished: 5 of 5" in text
