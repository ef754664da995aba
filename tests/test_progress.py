"""The learner's record survives crashes, crowds and folders it cannot write."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import uuid
import warnings
from datetime import datetime
from pathlib import Path

import pytest

from securetrain import catalogue, progress

LESSON = "13-poisoning/1-one-sticker"
LAB = "13-poisoning/poisoning"
pytestmark = pytest.mark.usefixtures("work")


def test_no_record_yet() -> None:
    assert progress.events() == []
    assert progress.summary()[LESSON] == progress.Summary()


def test_start_says_what_the_unit_is(capsys: pytest.CaptureFixture) -> None:
    progress.start(LESSON)
    printed = capsys.readouterr().out
    assert "One sticker · lesson · 30 minutes" in printed
    assert "For: Junior developer, ML engineer" in printed
    assert "Goal: Plant a backdoor" in printed
    assert progress.summary()[LESSON].started


def test_finish_says_what_comes_next(capsys: pytest.CaptureFixture) -> None:
    progress.finish(LESSON)
    assert "Next: Quieter triggers" in capsys.readouterr().out
    progress.finish(catalogue.units()[-1].id)
    assert "Next" not in capsys.readouterr().out
    assert progress.summary()[LESSON].finished


def test_an_event_is_one_private_line_shaped_like_a_statement(work: Path) -> None:
    progress.record("answered", LESSON, part="q", success=False, response="é")
    text = (work / "progress.jsonl").read_text(encoding="utf-8")
    assert text.count("\n") == 1 and text.endswith("\n")
    event = json.loads(text)
    assert uuid.UUID(event["id"]).version == 4
    assert event["actor"]["objectType"] == "Agent"
    assert event["actor"]["account"]["homePage"] == "https://securetrain.invalid"
    assert all(":" in iri for iri in progress.VERBS.values())
    assert event["actor"]["account"]["name"] == "anonymous"
    assert event["verb"]["id"].startswith("http://adlnet.gov/expapi/verbs/")
    assert event["object"]["id"] == f"urn:securetrain:{LESSON}#q"
    assert event["result"] == {"success": False, "response": "é"}
    assert datetime.fromisoformat(event["timestamp"]).utcoffset().total_seconds() == 0
    if os.name == "posix":
        assert stat.S_IMODE((work / "progress.jsonl").stat().st_mode) == 0o600


def test_unknown_verbs_and_units_are_refused(work: Path) -> None:
    with pytest.raises(ValueError, match="Unknown verb 'ate'"):
        progress.record("ate", LESSON)
    with pytest.raises(ValueError, match="No unit '13-x/1'"):
        progress.start("13-x/1")
    assert not work.exists()


def test_summary_counts_first_and_later_answers_and_last_checks() -> None:
    for part, success in (("a", False), ("a", True), ("b", True), ("b", False)):
        progress.record("answered", LESSON, part=part, success=success)
    for part, success in (("stamp", True), ("scan", True), ("scan", False)):
        progress.record("checked", LAB, part=part, success=success)
    lesson = progress.summary()[LESSON]
    assert (lesson.answered, lesson.first, lesson.right) == (2, 1, 2)
    assert progress.summary()[LAB].checks == (("stamp", True), ("scan", False))
    assert progress.summary()[LAB].answered == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verb", {"display": {"en": ["started"]}}),
        ("timestamp", 12),
        ("object", {"id": ["x"]}),
        ("result", {"score": {"raw": []}, "success": {}}),
    ],
)
def test_a_line_of_other_types_costs_only_itself(work: Path, key, value) -> None:
    progress.record("finished", LESSON)
    event = json.loads((work / "progress.jsonl").read_text(encoding="utf-8"))
    with (work / "progress.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(event | {key: value}) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert progress.summary()[LESSON].finished == event["timestamp"]
        assert progress.lines()[1] == (key != "result")


def test_half_a_character_is_recorded(work: Path) -> None:
    progress.record("answered", LESSON, part="q", success=True, response="\ud800")
    assert progress.events()[0]["result"]["response"] == "\ud800"


@pytest.mark.parametrize("damage", ['{"timestamp": "2026', "[]", '{"object": 3}', "\0"])
def test_a_damaged_line_costs_only_itself(work: Path, damage: str) -> None:
    """A crash cuts a line short; the next event starts on a line of its own."""
    progress.record("started", LESSON)
    with (work / "progress.jsonl").open("a", encoding="utf-8") as file:
        file.write(damage)
    with pytest.warns(UserWarning, match="line 2 is not a whole event"):
        assert len(progress.events()) == 1
    progress.record("finished", LESSON)
    with pytest.warns(UserWarning, match="line 2 is not a whole event"):
        assert progress.summary()[LESSON].finished


def test_many_notebooks_at_once_lose_nothing(work: Path) -> None:
    code = (
        "from securetrain import progress\n"
        "for _ in range(50):\n"
        f"    progress.record('answered', {LESSON!r}, part='q', response='x' * 3000)\n"
    )
    crowd = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(60) for process in crowd] == [0] * 4
    assert len(progress.events()) == 200


def test_a_killed_notebook_costs_at_most_its_last_line(work: Path) -> None:
    """A kernel that dies while it writes, without a word, beside one that goes on."""
    code = (
        "import sys\n"
        "from securetrain import progress\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        f"    progress.record('answered', {LESSON!r}, part='q', response='x' * 90000)\n"
    )
    command = [sys.executable, "-c", code]
    dying = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert dying.stdout.readline() == b"ready\n"
    for _ in range(20):
        progress.record("answered", LESSON, part="mine", success=True)
    dying.kill()
    dying.wait()
    dying.stdout.close()
    progress.record("finished", LESSON)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        events, damaged = progress.lines()
    assert damaged == len(caught) <= 1
    mine = [event for event in events if event["object"]["id"].endswith("#mine")]
    assert len(mine) == 20 and progress.summary(events)[LESSON].finished


def test_a_full_disk_in_a_real_process_costs_only_what_did_not_fit(work: Path) -> None:
    code = (
        "import resource, signal, warnings\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from securetrain import progress\n"
        "for _ in range(9):\n"
        f"    progress.record('answered', {LESSON!r}, part='q', response='x')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0 and "Your progress was not recorded" in ran.stderr
    progress.record("finished", LESSON)
    with pytest.warns(UserWarning, match="is not a whole event"):
        events, damaged = progress.lines()
    assert damaged == 1 and len(events) >= 2
    assert progress.summary(events)[LESSON].finished


def test_a_folder_that_cannot_be_written_warns_and_goes_on(
    work: Path, capsys: pytest.CaptureFixture
) -> None:
    work.write_text("a file stands where the folder belongs")
    with pytest.warns(UserWarning, match="Your progress was not recorded"):
        progress.start(LESSON)
    assert "One sticker" in capsys.readouterr().out


def test_a_record_that_cannot_be_read_warns_and_counts_as_empty(work: Path) -> None:
    work.write_text("a file stands where the folder belongs")
    with pytest.warns(UserWarning, match="Your record could not be read"):
        assert progress.events() == []
    with pytest.warns(UserWarning, match="Your record could not be read"):
        assert progress.summary()[LESSON] == progress.Summary()


def test_a_full_disk_warns_and_the_torn_line_hurts_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:20]))
    with pytest.warns(UserWarning, match="the disk is full"):
        progress.record("started", LESSON)
    monkeypatch.setattr(os, "write", write)
    progress.record("finished", LESSON)
    with pytest.warns(UserWarning, match="line 1"):
        assert progress.summary()[LESSON].finished
