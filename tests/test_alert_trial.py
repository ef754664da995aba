"""A score above its threshold reaches a receiver, through the real programs."""

import queue
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from securetrain import alert_rules, alert_trial, exporter, monitoring
from securetrain import training_stream as streams
from securetrain.monitoring import Trace

RULES = Path(alert_rules.__file__).with_name("training_alerts.yaml").read_text("utf-8")
TRACE = Trace(np.ones((1, 8)), np.zeros((1, 8), int), np.zeros((1, 8, 4)))
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
    for top in (9, 1):  # that it was above is not forgotten
        own.observe(TRACE, 0, {"top five losses": top, "label counts": 1})
    with exporter.serving(own), alert_trial.watching(own.port, RULES) as heard:
        (alert,) = heard.get(timeout=60)["alerts"]
    assert alert["status"] == "firing"
    assert alert["labels"]["alertname"] == "TrainingLooksWrong"
    assert alert["labels"]["monitor"] == "top five losses"
    assert alert["labels"]["team"] == "training"


@pytest.fixture(scope="module")
def runs():
    """Return the exporters of a clean run and of an attacked one, each at its end."""
    start = streams.source(0, progress=False)
    clean = [streams.run(start, 1000 + n).trace for n in range(3)]
    known = monitoring.reference(clean, start.trusted)
    scored = [monitoring.scores(trace, known) for trace in clean]
    limits = monitoring.calibrate(scored, 0.25)  # three runs buy no less
    victim = streams.run(start, 5000, streams.backdoor(0.05)).trace
    both = {"clean": (clean[0], scored[0])}
    both["attacked"] = victim, monitoring.scores(victim, known)
    found = {}
    for name, (trace, scores) in both.items():
        found[name] = exporter.Exporter()
        found[name].thresholds(limits)
        for t in range(streams.BATCHES):
            found[name].observe(trace, t, {m: v[t] for m, v in scores.items()})
    return found


@real
def test_an_attacked_run_is_heard_though_its_newest_batch_is_quiet(runs):
    own = runs["attacked"]
    for monitor in monitoring.MONITORS:
        own.score.labels(monitor).set(0)
    with exporter.serving(own), alert_trial.watching(own.port, RULES) as heard:
        (alert,) = heard.get(timeout=60)["alerts"]
    assert alert["labels"]["alertname"] == "TrainingLooksWrong"


@real
def test_a_clean_run_that_is_watched_to_its_end_is_silent(runs):
    last = """      - alert: LastOfAll
        expr: training_batches_total >= 60
"""
    own = runs["clean"]
    with exporter.serving(own), alert_trial.watching(own.port, RULES + last) as heard:
        (alert,) = heard.get(timeout=60)["alerts"]
        assert alert["labels"]["alertname"] == "LastOfAll"
        with pytest.raises(queue.Empty):
            heard.get(timeout=3)
