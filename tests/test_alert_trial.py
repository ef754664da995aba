"""A score above its threshold reaches a receiver, through the real programs."""

import urllib.request
from pathlib import Path

import pytest

from securetrain import alert_rules, alert_trial, exporter

RULES = Path(alert_rules.__file__).with_name("training_alerts.yaml").read_text("utf-8")
absent = alert_trial.missing()
real = pytest.mark.skipif(bool(absent), reason=f"SKIPPED: not installed: {absent}")


def test_a_receiver_hears_what_is_posted():
    with alert_trial.receiver() as (port, heard):
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/", b'{"alerts": []}')
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 200
        assert heard.get(timeout=10) == {"alerts": []}


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setattr(alert_trial, "PROGRAMS", {"prometheus": ("no-such-program",)})
    with (
        pytest.raises(FileNotFoundError, match="not installed: prometheus"),
        alert_trial.watching(1, RULES),
    ):
        pass


@real
def test_an_alert_reaches_the_team_and_only_for_what_is_above():
    own = exporter.Exporter()
    own.thresholds({"top five losses": 5.0, "label counts": 5.0})
    own.batches.inc()
    own.score.labels("top five losses").set(9)
    own.score.labels("label counts").set(1)
    with exporter.serving(own), alert_trial.watching(own.port, RULES) as heard:
        (alert,) = heard.get(timeout=60)["alerts"]
    assert alert["status"] == "firing"
    assert alert["labels"]["alertname"] == "TrainingLooksWrong"
    assert alert["labels"]["monitor"] == "top five losses"
    assert alert["labels"]["team"] == "training"
