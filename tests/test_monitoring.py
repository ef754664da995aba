"""Monitors see a change and keep quiet without one; thresholds keep their budget."""

import math

import numpy as np
import pytest
import torch

from securetrain import monitoring, monitoring_grid
from securetrain import training_stream as streams
from securetrain.monitoring import MONITORS, Trace


def trace(seed: int, batches: int = 40, size: int = 64, shift: float = 0.0) -> Trace:
    """Return a made-up run; from batch 20 on its losses are higher by `shift`."""
    rng = np.random.default_rng(seed)
    losses = rng.exponential(0.2, (batches, size))
    losses[20:] += shift
    labels = rng.integers(10, size=(batches, size))
    return Trace(losses, labels, rng.normal(0.5, 0.1, (batches, size, 4)))


def known(runs: int = 19) -> tuple[monitoring.Reference, list[dict]]:
    clean = [trace(n) for n in range(runs)]
    inputs = np.random.default_rng(99).normal(0.5, 0.1, (2000, 4))
    reference = monitoring.reference(clean, inputs)
    return reference, [monitoring.scores(one, reference) for one in clean]


def test_cusum_forgives_the_drift_and_sums_what_is_above():
    values = np.array([1.0, 3.0, math.nan, 3.0, -9.0])
    assert monitoring.cusum(values, 1.0, 1.0).tolist() == [0, 1.5, 1.5, 3, 0]
    slow = np.full(1000, 0.49)
    assert monitoring.cusum(slow, 0.0, 1.0).max() == 0
    for deviation, drift in ((0, 1), (1, 0), (math.nan, 1)):
        with pytest.raises(ValueError, match="deviation and drift"):
            monitoring.cusum(values, 0.0, deviation, drift)


def test_chi_square_is_pearsons():
    counts = np.array([[10, 20, 30], [20, 20, 20]])
    found = monitoring.chi_square(counts, np.full(3, 1 / 3))
    assert found.tolist() == pytest.approx([10.0, 0.0])
    with pytest.raises(ValueError, match="share > 0"):
        monitoring.chi_square(counts, np.array([0.5, 0.5, 0.0]))


def test_inputs_that_move_are_seen_by_ks_and_psi():
    reference, _ = known()
    same, moved = trace(50).inputs, trace(50).inputs + 0.1
    assert monitoring.ks(moved, reference.inputs).min() > 6
    assert monitoring.ks(same, reference.inputs).max() < 5
    assert monitoring.psi(moved, reference.inputs).min() > 0.5
    far = monitoring.psi(same + 100, reference.inputs)
    assert np.isfinite(far).all() and far.min() > 3
    with pytest.raises(ValueError, match="2 bins"):
        monitoring.psi(same, reference.inputs, bins=1)


@pytest.mark.parametrize("shift", [0.0, 0.2, 3.0])
def test_the_smallest_p_is_that_of_scipys_own_test(shift):
    from scipy import stats

    rng = np.random.default_rng(1)
    day, known = rng.normal(shift, 1, (5, 40, 4)).round(2), rng.normal(size=(400, 4))
    for hour, score in zip(day, monitoring.ks(day, known), strict=True):
        pairs = zip(hour.T, known.T, strict=True)
        least = min(stats.ks_2samp(*pair, method="asymp").pvalue for pair in pairs)
        assert score == pytest.approx(-math.log10(least), rel=1e-12)


def test_textbook_thresholds_alarm_on_clean_runs_and_calibrated_ones_rarely():
    reference, scored = known()
    fresh = [trace(n) for n in range(100, 120)]
    assert all(any(monitoring.textbook(one, reference).values()) for one in fresh)
    limits = monitoring.share_budget(scored)
    alarms = [
        monitoring.first_of_all(monitoring.scores(one, reference), limits) is not None
        for one in fresh
    ]
    assert sum(alarms) <= 5  # of 20 runs at 5 %
    seen = monitoring.scores(trace(7, shift=0.5), reference)
    assert 20 <= monitoring.first_of_all(seen, limits) <= 25


def test_a_threshold_keeps_its_budget():
    rng = np.random.default_rng(0)
    over = [
        (peaks := rng.lognormal(size=20))[-1] > monitoring.threshold(peaks[:-1])
        for _ in range(4000)
    ]
    assert 0.04 < np.mean(over) < 0.06
    assert monitoring.threshold(list(range(39))) == 37
    with pytest.raises(ValueError, match="needs 19 clean runs, got 18"):
        monitoring.threshold([1.0] * 18)
    with pytest.raises(ValueError, match="budget in"):
        monitoring.threshold([1.0] * 18, 1.5)


def test_a_trace_tells_of_the_same_images():
    good = trace(0)
    losses, labels, inputs = good.losses, good.labels, good.inputs
    with pytest.raises(ValueError, match="a label an image"):
        Trace(losses, labels[:-1], inputs)
    with pytest.raises(ValueError, match="expected inputs"):
        Trace(losses, labels, inputs[:, :, 0])
    with pytest.raises(ValueError, match="diverge"):
        Trace(losses * math.nan, labels, inputs)
    with pytest.raises(ValueError, match=r"0\.\.9"):
        Trace(losses, labels + 1, inputs)
    with pytest.raises(ValueError, match="at least one clean run"):
        monitoring.reference([], inputs[0])
    one = Trace(np.array([[1.0, 3.0]]), np.array([[2, 2]]), np.zeros((1, 2, 4)))
    assert one.by_class[0, 2] == 2 and np.isnan(one.by_class[0, 0])
    assert one.counts[0].tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def start():
    x, y = streams.signs(1200, 0)
    from securetrain.training import train

    model = train(x[:300], y[:300], 0, epochs=1, progress=False)
    return streams.Source(model, x, y, streams.statistics(x[:300]))


def test_a_stream_that_goes_on_is_the_one_that_was_run_at_once(start):
    short = {"change": 2, "batches": 4}
    attack = streams.backdoor(0.05)
    whole = streams.run(start, 3, attack, **short).trace
    before = streams.run(start, 3, batches=2, change=2)
    kept = before.model.head.weight.clone()
    again = streams.run(start, 3, attack, before=before, **short).trace
    assert np.allclose(whole.losses, again.losses, atol=1e-5)
    assert (whole.labels == again.labels).all()
    assert len(before.log) == 2 and torch.equal(kept, before.model.head.weight)
    with pytest.raises(ValueError, match="change <= batches <= 12"):
        streams.run(start, 0, batches=14)


def test_each_attack_changes_what_it_says_and_no_more(start):
    x, y = start.x[:96], start.y[:96]
    rng = torch.Generator().manual_seed(0)
    changed = {}
    for name, attack in monitoring_grid.attacks(start).items():
        new_x, new_y = attack(x.clone(), y.clone(), 0, rng)
        images = (new_x != x).flatten(1).any(1)
        changed[name] = int(images.sum()), int((new_y != y).sum())
    target = int((y == streams.TARGET).sum())
    assert changed["sticker 5 %"] == (4, 4) and changed["sticker 1 %"] == (1, 1)
    assert changed["clean label"] == (target, 0)
    assert changed["half flipped"][0] == changed["exchanged"][0] == 0
    assert 0 < changed["half flipped"][1] < changed["exchanged"][1]
    assert changed["chaff"] == (12, 12) and changed["darkening"] == (96, 0)
    assert changed["easy company"][1] == 1


def test_the_picture_shows_a_delay_only_where_most_runs_alarm():
    row = {"clean: false alarms": [0.0, 0.1], "a: seen": [1.0, 0.5], "a: delay": [2, 4]}
    rates, notes = monitoring_grid.picture(
        {"x": row, "y": row | {"a: seen": [0.2, 0.0]}}
    )
    assert rates == [[0.05, 0.75], [0.05, 0.1]]
    assert notes == [["a run", "3"], ["a run", "–"]]


def test_an_alarm_before_the_change_is_no_detection():
    assert monitoring_grid.delay(None) is None
    assert monitoring_grid.delay(29) is None
    assert monitoring_grid.delay(30) == 0
    assert set(monitoring.calibrate(known()[1])) == set(MONITORS)
