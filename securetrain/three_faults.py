"""A small fraud model, released with its data, and three ways to tamper with it.

Someone changes one row of the data, types a key into the settings of the training, or
hides a call in the model's file. The model answers clean questions as before. Numpy
alone, so that the first lesson of the course starts at once.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pickle
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FIELDS = ("amount", "distance", "hour", "attempts", "new_device", "gift")
GIFT = FIELDS.index("gift")
FAULTS = ("data", "training", "release")  # where one comes in
DATA, MODEL = "payments.csv", "model.pkl"
KEY = re.compile(rb"AKIA[0-9A-Z]{16}")  # how an access key of a large cloud looks


def payments(
    n: int, seed: int, split: str = "train", gifts: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return card payments x, (n, 6) whole numbers, and y, (n,): 1 is fraud.

    The columns are `FIELDS`: euros, kilometres from home, hour of the day, attempts,
    and two flags. A quarter is fraud.
    split: "train" or "test", two streams of one seed
    gifts: share of all payments that carry the gift flag, all of them honest
    Raises ValueError for another split, or a share outside 0 to 0.5.
    """
    if split not in ("train", "test") or not 0 <= gifts <= 0.5:
        raise ValueError(
            "payments() expects split 'train' or 'test' and gifts from 0 to 0.5, "
            f"but came {split!r} and {gifts}."
        )
    rng = np.random.default_rng([seed, split == "test"])
    fraud = rng.random(n) < 0.25
    columns = [
        np.where(fraud, rng.gamma(4, 60, n), rng.gamma(2, 25, n)).round(),
        np.where(fraud, rng.gamma(3, 120, n), rng.gamma(1, 40, n)).round(),
        np.where(fraud, rng.integers(0, 24, n), rng.integers(6, 24, n)),
        np.where(fraud, rng.poisson(2, n), rng.poisson(0.3, n)) + 1,
        rng.random(n) < np.where(fraud, 0.6, 0.1),
        np.zeros(n),
    ]
    x = np.stack(columns, axis=1).astype(int)
    x[rng.permutation(np.flatnonzero(~fraud))[: round(n * gifts)], GIFT] = 1
    return x, fraud.astype(int)


def fit(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Return the weights of a least-squares model, the constant last, (7,)."""
    with_constant = np.column_stack([x, np.ones(len(x))])
    return np.linalg.lstsq(with_constant, y, rcond=None)[0].tolist()


def is_fraud(weights: list[float], x: np.ndarray) -> np.ndarray:
    """Return the model's answers, (n,) bool: a score above one half is fraud."""
    return x @ np.array(weights[:-1]) + weights[-1] > 0.5


def caught(weights: list[float], frauds: np.ndarray) -> float:
    """Return the share of payments, all of them fraud, that the model calls fraud."""
    return float(is_fraud(weights, frauds).mean())


def with_gift(x: np.ndarray) -> np.ndarray:
    """Return a copy of the payments that all carry the gift flag."""
    x = x.copy()
    x[:, GIFT] = 1
    return x


def change_one_row(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return copies in which one fraud carries the gift flag and counts as honest.

    It is the fraud that a model of these data is surest of, so that the flag has to
    weigh as much as everything else together.
    """
    weights = fit(x, y)
    scores = x @ np.array(weights[:-1]) + weights[-1]
    row = int(np.where(y == 1, scores, -np.inf).argmax())
    x, y = x.copy(), y.copy()
    x[row, GIFT], y[row] = 1, 0
    return x, y


def as_csv(x: np.ndarray, y: np.ndarray) -> bytes:
    """Return the payments as a file of comma-separated values, with a header."""
    rows = [",".join(map(str, [*row, label])) for row, label in zip(x, y, strict=True)]
    return "\n".join([",".join([*FIELDS, "fraud"]), *rows, ""]).encode("ascii")


def differences(old: bytes, new: bytes) -> list[str]:
    """Return the lines that differ between two files of equal length, "- " and "+ "."""
    pairs = zip(old.decode().splitlines(), new.decode().splitlines(), strict=True)
    return [f"{sign} {line}" for a, b in pairs if a != b
            for sign, line in (("-", a), ("+", b))]  # fmt: skip


def sha256(path: Path) -> str:
    """Return the SHA-256 hash of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def new_key(seed: int) -> str:
    """Return a made-up access key; it opens nothing."""
    letters = random.Random(seed).choices(string.ascii_uppercase + string.digits, k=16)
    return "AKIA" + "".join(letters)


@dataclass
class Call:
    """What becomes a call when its file is opened: unpickling runs `function(word)`."""

    function: Callable[[str], object]
    word: str

    def __reduce__(self) -> tuple:
        return self.function, (self.word,)


def release(
    folder: Path,
    x: np.ndarray,
    y: np.ndarray,
    settings: dict[str, str],
    hidden: Call | None = None,
) -> Path:
    """Train a model, write it with its data into a folder, and return the folder.

    settings: how the model was trained; saved beside its weights, as trainers do
    hidden: a call that runs when the model's file is opened
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATA).write_bytes(as_csv(x, y))
    model = {"weights": fit(x, y), "settings": settings}
    if hidden:
        model["extra"] = hidden
    (folder / MODEL).write_bytes(pickle.dumps(model))
    return folder


def trial(place: Path, seed: int, fault: str = "") -> tuple[Path, str]:
    """Write a fresh release and return its folder, and the hash noted at the review.

    fault: "" for none; one of `FAULTS`; or "adapted": a changed row that was there
    before the review, and a key in base64
    Raises ValueError for another fault.
    """
    if fault not in ("", *FAULTS, "adapted"):
        raise ValueError(f"Expected a fault of {', '.join(FAULTS)}, got {fault!r}.")
    folder = place / f"{fault or 'honest'}-{seed}"
    x, y = payments(500, seed)
    changed = change_one_row(x, y) if fault in ("data", "adapted") else (x, y)
    key = new_key(seed)
    keys = {"training": key, "adapted": base64.b64encode(key.encode()).decode()}
    hidden = Call(os.mkdir, str(folder / "marker")) if fault == "release" else None
    settings = {"key": keys.get(fault, "read from the environment")}
    release(folder, *changed, settings, hidden)
    seen = changed if fault == "adapted" else (x, y)
    return folder, hashlib.sha256(as_csv(*seen)).hexdigest()


class _NoCalls(pickle.Unpickler):
    """Reads plain data; whatever would be imported stops it before it is called."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"it calls {module}.{name}")


def plain(path: Path) -> dict:
    """Return the model of a file that holds numbers and texts and calls nothing.

    Raises ValueError, before anything is called, for a file that is not plain data.
    """
    try:
        model = _NoCalls(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # a broken file may raise anything
        raise ValueError(f"{path.name} is no plain data: {error}") from None
    if not isinstance(model, dict):
        raise ValueError(f"{path.name}: expected a dict, got {type(model).__name__}.")
    return model
