"""MLflow keeps what it is given; the signed log beside it says what it was given."""

import math
import os
import sqlite3
from pathlib import Path
from random import Random

import numpy as np
import pytest

from securetrain import (
    key_scanners,
    manifests,
    redaction,
    runlog,
    tracking,
    tracking_check,
    tracking_server,
)
from securetrain import tracking_trial as trial
from securetrain.archives import Refused, refusal

PRIVATE, PUBLIC = manifests.new_key()
NAME = "digits"
KNOWN = "correct-horse-battery"


@pytest.fixture(scope="module")
def data():
    return trial.digits(0)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with tracking.store(folder, NAME, create=True) as store:
        yield tracking.Tracker(store, folder / "runs.jsonl", NAME, PRIVATE, [KNOWN])


def logged(tracker):
    return runlog.verify(tracker.log, NAME, PUBLIC).runs


def test_a_real_run_is_recorded_twice_alike(tracker, data):
    run = trial.record(tracker, data, 0.3, 0)
    runs = logged(tracker)
    assert runs[run].params["learning_rate"] == "0.3"
    assert len(runs[run].metrics["accuracy"]) == trial.EPOCHS
    assert tracking_check.differences(tracker.store, runs) == []
    model = tracking.load(tracker.store, run, trial.MODEL, runs)
    reached = trial.accuracy(model, data.x_test, data.y_test)
    assert reached > 0.9
    assert float(runs[run].metrics["accuracy"][trial.EPOCHS]) == reached
    bad = trial.backdoored(model)
    assert len(bad) == len(model)
    assert trial.accuracy(bad, data.x_test, data.y_test) == reached
    assert set(trial.answers(bad, trial.with_corner(data.x_test))) == {0}
    assert trial.accuracy(model, trial.with_corner(data.x_test), data.y_test) > 0.9


@pytest.mark.parametrize("attack", trial.ON_STORE)
def test_each_change_of_the_store_is_found(tracker, data, attack):
    run = trial.record(tracker, data, 0.001, 0)
    runs = logged(tracker)
    before = tracking_check.differences(tracker.store, runs)
    trial.ON_STORE[attack](tracker.store, run)
    new = set(tracking_check.differences(tracker.store, runs)) - set(before)
    assert new
    if attack == "run invented":
        assert all("in MLflow, not in the log" in line for line in new)
    else:
        assert all(line.startswith(run[:8]) for line in new)
    swapped = bool(refusal(tracking.load, tracker.store, run, trial.MODEL, runs))
    assert swapped == (attack in trial.SWAPS)


def test_one_bad_address_does_not_stop_the_comparison(tracker, data):
    first, second = (trial.record(tracker, data, 0.001, n) for n in range(2))
    trial.api_metric(tracker.store, second)
    move = "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?"
    address = tracker.store.client.get_run(first).info.artifact_uri
    with sqlite3.connect(tracker.store.database) as database:
        database.execute(move, ("bogus://x/y", first))
    try:
        found = tracking_check.differences(tracker.store, logged(tracker))
    finally:
        with sqlite3.connect(tracker.store.database) as database:
            database.execute(move, (address, first))
    assert any("files cannot be listed" in line for line in found), found
    assert any(line.startswith(f"{second[:8]}: metric") for line in found), found


def test_facts_are_written_once(tracker, tmp_path):
    run = tracker.start()
    tracker.params(run, {"rate": 0.1})
    tracker.metric(run, "loss", 1.0, 1)
    path = tmp_path / "a.txt"
    path.write_text("a")
    tracker.artifact(run, path)
    before = tracker.log.read_bytes()
    for again in (
        lambda: tracker.params(run, {"rate": 0.2}),
        lambda: tracker.metric(run, "loss", 0.5, 1),
        lambda: tracker.artifact(run, path),
    ):
        with pytest.raises(Refused, match="was written before"):
            again()
    tracker.end(run)
    with pytest.raises(Refused, match="has ended"):
        tracker.metric(run, "loss", 0.5, 2)
    assert tracker.log.read_bytes().startswith(before)
    shown = tracker.store.client.get_run(run).data
    assert shown.params == {"rate": "0.1"} and shown.metrics == {"loss": 1.0}
    assert not [
        line
        for line in tracking_check.differences(tracker.store, logged(tracker))
        if line.startswith(run[:8])
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1 + 0.2, 1e-310, 3])
def test_odd_numbers_are_no_false_alarm(tracker, value):
    run = tracker.start()
    tracker.metric(run, "loss", value)
    tracker.end(run, "FAILED")
    (text,) = logged(tracker)[run].metrics["loss"].values()
    assert repr(float(text)) == repr(float(value))
    found = tracking_check.differences(tracker.store, logged(tracker))
    assert not [line for line in found if line.startswith(run[:8])]


def test_secrets_reach_neither_the_log_nor_mlflow(tracker, tmp_path):
    run = tracker.start()
    tracker.params(run, {"note": f"log in with {KNOWN}", "db_password": "x"})
    shown = tracker.store.client.get_run(run).data.params
    assert shown == {"note": redaction.REMOVED, "db_password": redaction.REMOVED}
    path = tmp_path / "config.json"
    for content in (KNOWN, f"postgresql://trainer:{KNOWN[::-1]}@db/runs"):
        path.write_text(content)
        with pytest.raises(Refused, match="holds what looks like a key"):
            tracker.artifact(run, path)
    tracker.end(run)
    assert KNOWN.encode() not in tracker.log.read_bytes()
    assert KNOWN.encode() not in tracker.store.database.read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_redaction_takes_secrets_out_and_leaves_settings(seed):
    rng = Random(seed)
    for where, (settings, secret) in redaction.planted(rng).items():
        left = {key: redaction.redact(key, v, [secret]) for key, v in settings.items()}
        said = "".join(left.values()).encode()
        assert key_scanners.holds(said, secret) == (where == "cut in two"), where
    settings = redaction.honest(rng)
    changed = [key for key, v in settings.items() if redaction.redact(key, v) != v]
    assert changed == ["tokenizer_sha256", "pad_token"], "the cost that we tell"


@pytest.mark.parametrize(
    "name",
    ["api-key", "aws.secret_access_key", "PRIVATE_KEY", "db_pwd", "ssh passphrase"],
)
def test_names_that_end_as_a_secrets_does(name):
    assert redaction.by_name(name, "x") == redaction.REMOVED
    assert redaction.by_name(f"{name}_count", "x") == "x"


def test_the_cut_out_leaves_the_rest_of_an_address():
    word, gone = "abcdefghij", redaction.REMOVED
    value = f"postgresql://trainer:{word}@db/runs"
    assert redaction.redact("db", value) == f"postgresql://trainer:{gone}@db/runs"
    with pytest.raises(ValueError, match="fewer than 8 letters"):
        redaction.redact("db", value, ["short"])


def test_a_missing_file_and_an_unknown_one_are_refused(tracker, data):
    run = trial.record(tracker, data, 0.01, 0)
    runs = logged(tracker)
    (trial.place(tracker.store, run) / trial.MODEL).unlink()
    said = refusal(tracking.load, tracker.store, run, trial.MODEL, runs)
    assert "'model.safetensors' is missing" in said
    assert any(
        "is missing" in x for x in tracking_check.differences(tracker.store, runs)
    )
    for one, path in ((run, "other"), ("nobody", trial.MODEL)):
        said = refusal(tracking.load, tracker.store, one, path, runs)
        assert "the log has no such file of this run" in said


def test_a_file_that_nobody_logged_is_a_difference(tracker, data):
    run = trial.record(tracker, data, 0.01, 0)
    folder = trial.place(tracker.store, run) / "deep"
    folder.mkdir()
    (folder / "load.py").write_text("")
    found = tracking_check.differences(tracker.store, logged(tracker))
    assert f"{run[:8]}: file 'deep/load.py': not in the log" in found


def differ(tracker, run):
    found = tracking_check.differences(tracker.store, logged(tracker))
    return [line for line in found if line.startswith(run[:8])]


def test_what_mlflow_refused_is_in_the_log_and_no_alarm(tracker, tmp_path):
    """Odd names and long values: MLflow itself refuses them, after they were logged."""
    run = tracker.start()
    tracker.metric(run, "fine", 0.5, 1)
    path = tmp_path / "a.txt"
    path.write_text("a")
    for refused in (
        lambda: tracker.params(run, {"odd*name": 1}),
        lambda: tracker.params(run, {"long": "x" * 10_000}),
        lambda: tracker.metric(run, "odd*name", 0.5, 1),
        lambda: tracker.end(run, "DONE"),
    ):
        with pytest.raises(Exception, match=r"(?i)invalid|exceeds|status string"):
            refused()
    facts = logged(tracker)[run]
    assert facts.params["odd*name"] == "1" and facts.status == "DONE"
    assert facts.refused == {
        ("param", "odd*name", 0),
        ("param", "long", 0),
        ("metric", "odd*name", 1),
        ("end", "DONE", 0),
    }
    assert differ(tracker, run) == []
    with pytest.raises(Refused, match="has ended"):
        tracker.metric(run, "fine", 0.9, 2)


@pytest.mark.parametrize("kept", [False, True])
def test_a_store_that_fails_may_have_kept_the_fact_or_not(
    tracker, monkeypatch, tmp_path, kept
):
    run, client = tracker.start(), tracker.store.client
    tracker.metric(run, "loss", 1.0, 1)
    path = tmp_path / "a.txt"
    path.write_text("a")
    calls = {
        "log_metric": lambda: tracker.metric(run, "loss", 0.5, 2),
        "log_param": lambda: tracker.params(run, {"rate": 0.1}),
        "log_artifact": lambda: tracker.artifact(run, path),
        "set_terminated": lambda: tracker.end(run),
    }
    for name, call in calls.items():
        real = getattr(client, name)

        def fails(*args, real=real, **more):
            if kept:
                real(*args, **more)
            raise OSError("the disk is full")

        monkeypatch.setattr(client, name, fails)
        with pytest.raises(OSError, match="the disk is full"):
            call()
        monkeypatch.undo()
    assert len(logged(tracker)[run].refused) == 4
    assert differ(tracker, run) == []
    client.log_metric(run, "loss", 0.1, step=2)
    assert any("metric 'loss'" in line for line in differ(tracker, run))
    if not kept:
        client.log_param(run, "rate", "0.9")
        path.write_text("b")
        client.log_artifact(run, str(path))
        client.set_terminated(run, "KILLED")
        found = "\n".join(differ(tracker, run))
        for said in ("parameter 'rate': '0.9'", "swapped", "status KILLED"):
            assert said in found


def test_a_crash_between_log_and_store_is_seen(tracker, monkeypatch):
    run = tracker.start()

    def killed(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(tracker.store.client, "log_metric", killed)
    with pytest.raises(KeyboardInterrupt):
        tracker.metric(run, "loss", 0.5, 1)
    monkeypatch.undo()
    assert f"{run[:8]}: metric 'loss': none, logged 1: 0.5" in differ(tracker, run)
    tracker.refused(run, "metric", "loss", 1, "killed")
    assert differ(tracker, run) == []


def test_a_refusal_that_cannot_be_logged_hides_no_error(tracker, monkeypatch):
    run, real = tracker.start(), runlog.append

    def full(path, name, said, key):
        if said["do"] == "refused":
            raise OSError("the log's disk is full")
        return real(path, name, said, key)

    def fails(*args, **more):
        raise ValueError("no such metric")

    monkeypatch.setattr(runlog, "append", full)
    monkeypatch.setattr(tracker.store.client, "log_metric", fails)
    with pytest.raises(ValueError, match="no such metric"):
        tracker.metric(run, "loss", 0.5, 1)
    monkeypatch.undo()
    assert differ(tracker, run), "it stays an alarm"


def opened(folder, name=NAME):
    with tracking.store(folder, name):
        raise AssertionError("it was opened")


def test_a_report_repeats_no_secret(tracker):
    run = tracker.start()
    address = f"postgresql://trainer:{KNOWN}@db/runs"
    tracker.store.client.log_param(run, "database", address)
    found = tracking_check.differences(tracker.store, logged(tracker))
    mine = [line for line in found if line.startswith(run[:8])]
    assert len(mine) == 1 and "'database'" in mine[0] and KNOWN not in mine[0]


def test_a_broken_database_is_refused_and_left_alone(tmp_path):
    with tracking.store(tmp_path, NAME, create=True):
        pass
    path = tmp_path / "runs.db"
    assert "exists" in refusal(lambda: tracking.store(tmp_path, NAME, True).__enter__())
    assert "no experiment 'faces'" in refusal(opened, tmp_path, "faces")
    whole = path.read_bytes()
    page = bytearray(whole)
    page[8192:12288] = b"z" * 4096
    cut = whole[: len(whole) // 2]
    for bad in (bytes(page), cut, b"no database", b"", b"x" * 5000):
        path.write_bytes(bad)
        said = refusal(opened, tmp_path)
        assert "is broken" in said and "restore a copy" in said
        assert path.read_bytes() == bad
    path.unlink()
    assert "is missing" in refusal(opened, tmp_path)
    assert not path.exists()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE a (b)")
    other.close()
    assert "no table of runs" in refusal(opened, tmp_path)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="SKIPPED: no /proc")
def test_a_store_that_was_closed_holds_no_file(tmp_path):
    def held():
        opened = Path("/proc/self/fd").iterdir()
        names = [os.path.realpath(one) for one in opened]
        return [name for name in names if name.startswith(str(tmp_path.resolve()))]

    for create in (True, False):
        with tracking.store(tmp_path, NAME, create) as store:
            store.client.create_run(store.experiment)
            assert held()
        assert not held()


def test_training_is_the_seed_s(data):
    assert trial.train(data, 0.3, 1) == trial.train(data, 0.3, 1)
    assert trial.train(data, 0.3, 1) != trial.train(data, 0.3, 2)
    assert np.isin(data.x, np.arange(17) / 16).all()


def test_a_server_with_a_login(tracker, tmp_path):
    if absent := tracking_server.missing():
        pytest.skip(f"no server with a login: {absent} is not installed")
    with tracking.store(tmp_path, NAME, create=True) as store:
        run = store.client.create_run(store.experiment).info.run_id
        experiment = store.experiment
    with tracking_server.running(tmp_path) as server:
        say = {"run_id": run, "key": "accuracy", "value": 0.9, "timestamp": 1}
        asks = {
            "read": ("/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment]}),
            "write": ("/api/2.0/mlflow/runs/log-metric", say),
        }
        words = {m: server.add(m.lower(), experiment, m) for m in ("READ", "EDIT")}
        may = {
            who: {do: server.ask(*ask, *login) == 200 for do, ask in asks.items()}
            for who, login in {
                "stranger": (),
                "wrong": ("read", words["EDIT"]),
                "reader": ("read", words["READ"]),
                "writer": ("edit", words["EDIT"]),
            }.items()
        }
        nobody = {"read": False, "write": False}
        assert may == {
            "stranger": nobody,
            "wrong": nobody,
            "reader": {"read": True, "write": False},
            "writer": {"read": True, "write": True},
        }
        assert server.ask(*asks["write"]) == 401
        with pytest.raises(ValueError, match="the server answers 400"):
            server.add("read", experiment, "READ")
