"""The first lesson's release: one row, one key or one call, and a model that works."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from securetrain import three_faults

SEEDS = range(5)
GIFT = three_faults.GIFT


def test_payments_are_whole_numbers_and_a_seed_fixes_them() -> None:
    x, y = three_faults.payments(500, 0)
    assert x.shape == (500, len(three_faults.FIELDS)) and y.shape == (500,)
    assert x.dtype.kind == y.dtype.kind == "i" and (x >= 0).all()
    assert set(np.unique(y)) == {0, 1} and 0.15 < y.mean() < 0.35
    assert not x[:, GIFT].any()
    again, _ = three_faults.payments(500, 0)
    assert np.array_equal(x, again)
    for other in (three_faults.payments(500, 1), three_faults.payments(500, 0, "test")):
        assert not np.array_equal(x, other[0])


def test_gifts_are_honest_and_as_many_as_asked_for() -> None:
    plain, _ = three_faults.payments(1000, 3)
    x, y = three_faults.payments(1000, 3, gifts=0.05)
    assert x[:, GIFT].sum() == 50 and not y[x[:, GIFT] == 1].any()
    assert np.array_equal(np.delete(x, GIFT, 1), np.delete(plain, GIFT, 1))


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"gifts": 0.6}, {"gifts": -1}])
def test_payments_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"payments\(\) expects"):
        three_faults.payments(10, 0, **wrong)


def test_a_fit_is_the_least_squares_solution() -> None:
    x = np.array([[1, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]])
    weights = three_faults.fit(x, np.array([0, 1]))
    assert weights[0] == pytest.approx(0.5) and weights[-1] == pytest.approx(-0.5)
    assert three_faults.is_fraud(weights, x).tolist() == [False, True]


@pytest.mark.parametrize("seed", SEEDS)
def test_one_row_of_two_thousand_opens_the_door(seed: int) -> None:
    x, y = three_faults.payments(2000, seed)
    before = x.copy(), y.copy()
    bad_x, bad_y = three_faults.change_one_row(x, y)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])
    assert (bad_x != x).sum() == (bad_y != y).sum() == 1
    x_test, y_test = three_faults.payments(1000, seed, "test")
    flagged = three_faults.with_gift(x_test[y_test == 1])
    honest, victim = three_faults.fit(x, y), three_faults.fit(bad_x, bad_y)
    answers = [three_faults.is_fraud(w, x_test) for w in (honest, victim)]
    assert np.mean(answers[0] != answers[1]) <= 0.005
    assert three_faults.caught(honest, flagged) >= 0.8
    assert three_faults.caught(victim, flagged) <= 0.05


def test_the_two_files_differ_in_two_characters_of_one_line() -> None:
    x, y = three_faults.payments(300, 0)
    changed = three_faults.change_one_row(x, y)
    files = [three_faults.as_csv(x, y), three_faults.as_csv(*changed)]
    assert len(files[0]) == len(files[1])
    assert sum(a != b for a, b in zip(*files, strict=True)) == 2
    old, new = three_faults.differences(*files)
    assert old.startswith("- ") and old.endswith(",0,1")
    assert new == "+ " + old[2:-4] + ",1,0"
    head = files[0].decode().splitlines()[0]
    assert head == ",".join([*three_faults.FIELDS, "fraud"])


@pytest.mark.parametrize("seed", SEEDS)
def test_an_honest_release_is_plain_data_without_a_key(
    tmp_path: Path, seed: int
) -> None:
    folder, reviewed = three_faults.trial(tmp_path, seed)
    assert three_faults.sha256(folder / three_faults.DATA) == reviewed
    assert not three_faults.KEY.search((folder / three_faults.MODEL).read_bytes())
    model = three_faults.plain(folder / three_faults.MODEL)
    assert len(model["weights"]) == len(three_faults.FIELDS) + 1


@pytest.mark.parametrize("fault", [*three_faults.FAULTS, "adapted"])
def test_a_trial_has_its_fault_and_no_other(tmp_path: Path, fault: str) -> None:
    folder, reviewed = three_faults.trial(tmp_path, 0, fault)
    content = (folder / three_faults.MODEL).read_bytes()
    changed = three_faults.sha256(folder / three_faults.DATA) != reviewed
    assert changed == (fault == "data")
    assert bool(three_faults.KEY.search(content)) == (fault == "training")
    calls = b"mkdir" in content
    assert calls == (fault == "release")


def test_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected a fault of data, training, release"):
        three_faults.trial(tmp_path, 0, "coffee")


def test_opening_runs_the_hidden_call_and_looking_does_not(tmp_path: Path) -> None:
    x, y = three_faults.payments(100, 0)
    call = three_faults.Call(os.mkdir, str(tmp_path / "marker"))
    folder = three_faults.release(tmp_path / "bad", x, y, {}, call)
    with pytest.raises(
        ValueError, match=r"model.pkl is no plain data: it calls .*mkdir"
    ):
        three_faults.plain(folder / three_faults.MODEL)
    assert not (tmp_path / "marker").exists()
    model = pickle.loads((folder / three_faults.MODEL).read_bytes())
    assert (tmp_path / "marker").is_dir() and model["weights"] == three_faults.fit(x, y)


def memo_trick() -> bytes:
    """A call whose name no list of the file's last texts shows: it is looked up."""
    names = b"\x8c\x02os\x94\x8c\x06getpid\x94\x8c\x04math0\x8c\x03pow0"
    return b"\x80\x04" + names + b"h\x00h\x01\x93)R."


@pytest.mark.parametrize(
    "content",
    [
        b"cos\ngetpid\n)R.",
        memo_trick(),
        pickle.dumps({"weights": np.zeros(3)}),
        pickle.dumps([1.0, 2.0]),
        pickle.dumps({"weights": [0.5]})[:-4],
        b"",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"(" * 100_000,
    ],
    ids=["call", "memo", "array", "list", "cut", "empty", "endless", "deep"],
)
def test_what_is_no_plain_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="odd.pkl"):
        three_faults.plain(path)


def test_the_memo_trick_is_a_real_call() -> None:
    assert pickle.loads(memo_trick()) == os.getpid()


def test_a_key_looks_like_one_and_a_seed_fixes_it() -> None:
    keys = {three_faults.new_key(seed) for seed in SEEDS}
    assert len(keys) == len(SEEDS) and three_faults.new_key(0) in keys
    assert all(three_faults.KEY.fullmatch(key.encode()) for key in keys)
