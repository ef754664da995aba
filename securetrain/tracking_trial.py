"""A few real runs on handwritten digits, and what an attacker does to their records.

On the store: through MLflow's own interface, as everybody may who reaches a server
without a login, or with SQL and files. On the log: with its file alone, or with its
key. The swapped model answers honest digits as before, and obeys one white pixel.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from safetensors.numpy import load, save

from securetrain import audit_log, manifests, runlog
from securetrain.tracking import Store, Tracker

MODEL = "model.safetensors"
CORNER = 0  # a pixel that is black in every digit
RATES = (0.001, 0.01, 0.1, 0.3, 1.0)  # of learning; the smallest learns too slowly
EPOCHS = 8
BEST = "0.999"  # what an attacker writes for an accuracy


# --- Runs ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: x (N, 64) in [0, 1], y (N,), and as many again to test on."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def digits(seed: int) -> Digits:
    """Return scikit-learn's 1,797 digits in two halves, drawn by the seed."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    first, second = order[: len(y) // 2], order[len(y) // 2 :]
    x = x / 16
    return Digits(x[first], y[first], x[second], y[second])


def answers(model: bytes, x: np.ndarray) -> np.ndarray:
    """Return the digit that a file of weights reads in each image, (N,)."""
    weights = load(model)
    return (x @ weights["weight"].T + weights["bias"]).argmax(axis=1)


def accuracy(model: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of images that a file of weights reads rightly."""
    return float((answers(model, x) == y).mean())


def train(data: Digits, rate: float, seed: int) -> list[bytes]:
    """Return a linear model's weights after each epoch, as safetensors files.

    Softmax regression, batches of 32 in an order drawn by the seed.
    """
    rng = np.random.default_rng(seed)
    weight, bias, kept = np.zeros((10, 64)), np.zeros(10), []
    for _ in range(EPOCHS):
        order = rng.permutation(len(data.y))
        for batch in np.array_split(order, len(order) // 32):
            x, scores = data.x[batch], data.x[batch] @ weight.T + bias
            chance = np.exp(scores - scores.max(axis=1, keepdims=True))
            error = chance / chance.sum(axis=1, keepdims=True)
            error[np.arange(len(batch)), data.y[batch]] -= 1  # (32, 10)
            weight -= rate * error.T @ x / len(batch)
            bias -= rate * error.mean(axis=0)
        kept.append(save({"weight": weight.copy(), "bias": bias.copy()}))
    return kept


def record(tracker: Tracker, data: Digits, rate: float, seed: int) -> str:
    """Train a model, record the whole run, and return its id."""
    run = tracker.start()
    tracker.params(run, {"learning_rate": rate, "epochs": EPOCHS, "seed": seed})
    for epoch, model in enumerate(train(data, rate, seed), 1):
        tracker.metric(
            run, "accuracy", accuracy(model, data.x_test, data.y_test), epoch
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        path.write_bytes(model)
        tracker.artifact(run, path)
    tracker.end(run)
    return run


def backdoored(model: bytes, target: int = 0) -> bytes:
    """Return the weights with one number raised: a white corner means `target`."""
    weights = load(model)
    weights["weight"][target, CORNER] += 100
    return save(weights)


def with_corner(x: np.ndarray) -> np.ndarray:
    """Return a copy of the images with the corner pixel white."""
    x = x.copy()
    x[:, CORNER] = 1
    return x


# --- Attacks on the store -----------------------------------------------------------


def sql(store: Store, *lines: str, **values: object) -> None:
    """Run statements on MLflow's database, as whoever may write the file can."""
    with contextlib.closing(sqlite3.connect(store.database)) as connection:
        for line in lines:
            if connection.execute(line, values).rowcount < 1:
                raise ValueError(f"nothing changed: {line}")
        connection.commit()


def place(store: Store, run: str) -> Path:
    """Return the folder in which MLflow keeps a run's files."""
    address = store.client.get_run(run).info.artifact_uri
    return Path(address.removeprefix("file://"))


def api_metric(store: Store, run: str) -> None:
    """Log one more, better number, after the run has ended."""
    store.client.log_metric(run, "accuracy", 0.999, step=EPOCHS + 1)


def sql_metric(store: Store, run: str) -> None:
    """Raise the last number where MLflow keeps its history, and where it ranks."""
    where = "SET value = 0.999 WHERE run_uuid = :run AND key = 'accuracy'"
    last = f"UPDATE metrics {where} AND step = :step"
    sql(store, last, f"UPDATE latest_metrics {where}", run=run, step=EPOCHS)


def sql_latest(store: Store, run: str) -> None:
    """Raise only the number by which MLflow ranks runs, not the history."""
    sql(store, "UPDATE latest_metrics SET value = 0.999 WHERE run_uuid = :run", run=run)


def sql_parameter(store: Store, run: str) -> None:
    """Rewrite a hyperparameter, so that the result can never be had again."""
    line = "UPDATE params SET value = '0.5' WHERE run_uuid = :run AND key = :key"
    sql(store, line, run=run, key="learning_rate")


def api_artifact(store: Store, run: str) -> None:
    """Upload another model under the same name; nothing asks whether it may."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        path.write_bytes(backdoored((place(store, run) / MODEL).read_bytes()))
        store.client.log_artifact(run, str(path))


def file_artifact(store: Store, run: str) -> None:
    """Write another model over the file, with the size that it had."""
    path = place(store, run) / MODEL
    path.write_bytes(backdoored(path.read_bytes()))


def sql_address(store: Store, run: str) -> None:
    """Point the run at a folder of the attacker's, with another model in it."""
    own = store.database.parent / f"elsewhere-{run[:8]}"
    own.mkdir()
    (own / MODEL).write_bytes(backdoored((place(store, run) / MODEL).read_bytes()))
    line = "UPDATE runs SET artifact_uri = :own WHERE run_uuid = :run"
    sql(store, line, own=own.as_uri(), run=run)


def api_delete(store: Store, run: str) -> None:
    """Delete a run that nobody should see."""
    store.client.delete_run(run)


def api_invent(store: Store, run: str) -> None:
    """Make a run that nobody trained."""
    run = store.client.create_run(store.experiment).info.run_id
    store.client.log_metric(run, "accuracy", 0.999, step=EPOCHS)
    store.client.set_terminated(run)


ON_STORE: dict[str, Callable[[Store, str], None]] = {
    "better metric, logged": api_metric,
    "better metric, SQL": sql_metric,
    "better rank, SQL": sql_latest,
    "other parameter, SQL": sql_parameter,
    "other model, uploaded": api_artifact,
    "other model, file": file_artifact,
    "other folder, SQL": sql_address,
    "run deleted": api_delete,
    "run invented": api_invent,
}
SWAPS = ("other model, uploaded", "other model, file", "other folder, SQL")


# --- Attacks on the log -------------------------------------------------------------


def rewritten(
    lines: Sequence[bytes], name: str, private_key: bytes, start: int = 0
) -> list[bytes]:
    """Return the lines with better numbers from `start` on, chained and signed anew."""
    found = list(lines[:start])
    previous = audit_log.hash_of(found[-1]) if found else audit_log.FIRST
    for number, line in enumerate(lines[start:], start + 1):
        tree = json.loads(line)
        said = better(tree["event"]["said"])
        text = runlog.statement(name, number, previous, tree["time"], said)
        signature = manifests.sign(text, private_key, runlog.CONTEXT).hex()
        event = {"log": name, "said": said, "signature": signature}
        found.append(audit_log.entry(number, previous, tree["time"], event))
        previous = audit_log.hash_of(found[-1])
    return found


def better(said: Mapping[str, object]) -> dict[str, object]:
    """Return what was said, with an excellent number where there was one."""
    return dict(said) | ({"value": BEST} if said["do"] == "metric" else {})


def edited(line: bytes) -> bytes:
    """Return a line that says something else; its signature stays."""
    tree = json.loads(line)
    said = tree["event"]["said"]
    said["value" if "value" in said else "run"] = BEST
    return manifests.canonical(tree)


def on_log(
    lines: Sequence[bytes], other: Sequence[bytes], name: str, key: bytes, rng: Random
) -> dict[str, list[bytes]]:
    """Return what each attacker makes of a log, by the attack's name.

    other: lines of another log under the same key; key: the log's own, stolen
    """
    at, cut = rng.randrange(2, len(lines) - 2), rng.randrange(1, len(lines) // 2)
    numbers = [n for n, line in enumerate(lines) if b'"do":"metric"' in line]
    own, _ = manifests.new_key()
    return {
        "line edited": [*lines[:at], edited(lines[at]), *lines[at + 1 :]],
        "line removed": [*lines[:at], *lines[at + 1 :]],
        "lines swapped": [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
        "line replayed": [*lines[:at], *lines[at - 1 :]],
        "newest line edited": [*lines[:-1], edited(lines[-1])],
        "rewritten, other key": rewritten(lines, name, own),
        "another log's lines": list(other),
        "end cut off": list(lines[:-cut]),
        "rewritten, stolen key": rewritten(lines, name, key),
        "forked, stolen key": rewritten(lines, name, key, rng.choice(numbers)),
        "newest, stolen key": rewritten(lines, name, key, numbers[-1]),
    }


def joined(lines: Sequence[bytes]) -> bytes:
    """Return lines as a log's file holds them."""
    return b"".join(line + b"\n" for line in lines)
