"""Debriefs: what is written is read again, and anything else is refused by name."""

from __future__ import annotations

import errno
import json
import os

import pytest

from securetrain import debriefs
from securetrain.debriefs import Debrief, Finding

FOUND = Finding("poison-1", "poisoned-data", True, 60, 120.5, None)
MISSED = Finding("secret-1", "leaked-secret", False, None, None, None)
DRILL = Debrief(
    "2026-12", "red", False, False, "2026-12-03T09:00:00+00:00",
    "2026-12-03T10:00:00+00:00", (FOUND, MISSED), 2,
)  # fmt: skip


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "debrief.json"
    debriefs.write(DRILL, path)
    assert debriefs.read(path) == DRILL
    assert json.loads(path.read_text())["schema"] == "securetrain.debrief/1"


def test_a_debrief_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        debriefs.write(DRILL, tmp_path / "debrief.json")
    assert list(tmp_path.iterdir()) == []


def test_a_debrief_is_never_overwritten(tmp_path):
    path = tmp_path / "debrief.json"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        debriefs.write(DRILL, path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": "securetrain.debrief/2"}, "expected 'securetrain.debrief/1'"),
        ({"month": "2026-13"}, "month from 01 to 12"),
        ({"month": 202612}, "month from 01 to 12"),
        ({"team": "../red"}, "letters, digits"),
        ({"hard": 0}, "expected bool"),
        ({"false_alarms": -1}, "expected 0 or more"),
        ({"false_alarms": True}, "expected 0 or more"),
        ({"started": "2026-12-03T09:00:00"}, "with its time zone"),
        ({"ended": "2026-12-03T08:00:00+00:00"}, "ended before it started"),
        ({"findings": []}, "expected findings"),
        ({"extra": 1}, "exactly the keys"),
    ],
)
def test_a_broken_debrief_is_refused_with_its_fault(tmp_path, change, says):
    path = tmp_path / "debrief.json"
    path.write_text(json.dumps(debriefs.tree_of(DRILL) | change))
    with pytest.raises(ValueError, match=says) as error:
        debriefs.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "theft"}, "expected one of poisoned-data"),
        ({"detected_after_s": -1}, "seconds from 0, or null"),
        ({"detected_after_s": True}, "seconds from 0, or null"),
        ({"detected_after_s": None}, "disagree"),
        ({"found": False}, "disagree"),
    ],
)
def test_a_broken_finding_is_refused(change, says):
    tree = debriefs.tree_of(DRILL)
    tree["findings"][0] |= change
    with pytest.raises(ValueError, match=says):
        debriefs.parse(tree)


def test_two_findings_of_one_id_and_text_that_is_no_json(tmp_path):
    tree = debriefs.tree_of(DRILL)
    tree["findings"] *= 2
    with pytest.raises(ValueError, match="id of its own"):
        debriefs.parse(tree)
    path = tmp_path / "debrief.json"
    path.write_text(json.dumps(tree).replace("120.5", "NaN"))
    with pytest.raises(ValueError, match="NaN"):
        debriefs.read(path)
