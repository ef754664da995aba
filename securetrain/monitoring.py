"""Detectors that watch a training run, and thresholds that clean runs have set.

The attacker changes what a running training gets: images, labels, or how many of
each. They want a model that is wrong, and that no monitor has said a word. The
defender sees what any training logs, and some runs of which they know nothing bad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

DRIFT = 0.5  # standard deviations a batch that a CUSUM forgives
TOP = 5  # the highest losses of a batch
BINS = 10  # of the population stability index
STATISTICS = ("brightness", "contrast", "edges", "colour")
TINY = 1e-300  # a p-value is never 0 here

LOSS, TOP_LOSS, CLASS_LOSS = "mean loss", "top five losses", "loss by class"
LABELS, INPUTS, STABILITY = "label counts", "inputs (KS)", "inputs (PSI)"
MONITORS = (LOSS, TOP_LOSS, CLASS_LOSS, LABELS, INPUTS, STABILITY)


@dataclass(frozen=True)
class Trace:
    """What a training run logged, one row a batch.

    losses: (T, B) of each image before the step; labels: (T, B) in 0..classes-1;
    inputs: (T, B, S), one value an image for each of STATISTICS
    """

    losses: np.ndarray
    labels: np.ndarray
    inputs: np.ndarray
    classes: int = 10

    def __post_init__(self) -> None:
        """Raise ValueError unless the three tell of the same images."""
        shape = self.losses.shape
        if self.losses.ndim != 2 or 0 in shape or self.labels.shape != shape:
            raise ValueError(
                "expected losses and labels (T, B), a loss and a label an image; "
                f"got {shape} and {self.labels.shape}"
            )
        if self.inputs.shape[:2] != shape or self.inputs.ndim != 3:
            raise ValueError(f"expected inputs {(*shape, 'S')}: {self.inputs.shape}")
        if not (np.isfinite(self.losses).all() and np.isfinite(self.inputs).all()):
            raise ValueError("a loss or an input is NaN or infinite; did it diverge?")
        if self.labels.min() < 0 or self.labels.max() >= self.classes:
            raise ValueError(f"expected labels in 0..{self.classes - 1}")

    @property
    def counts(self) -> np.ndarray:
        """How often each label came, (T, classes)."""
        return (self.labels[:, :, None] == np.arange(self.classes)).sum(1)

    @property
    def top(self) -> np.ndarray:
        """The mean of each batch's five highest losses, (T,)."""
        return np.sort(self.losses, axis=1)[:, -TOP:].mean(1)

    @property
    def by_class(self) -> np.ndarray:
        """The mean loss of each label, (T, classes); NaN where there was none."""
        ours = self.labels[:, :, None] == np.arange(self.classes)  # (T, B, classes)
        count = ours.sum(1)
        total = (self.losses[:, :, None] * ours).sum(1)
        return np.where(count, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Reference:
    """What clean runs look like: (mean, deviation) of each value, labels, inputs.

    loss, top: (2,); by_class: (2, classes); shares: (classes,); inputs: (N, S)
    """

    loss: np.ndarray
    top: np.ndarray
    by_class: np.ndarray
    shares: np.ndarray
    inputs: np.ndarray


def reference(clean: Sequence[Trace], inputs: np.ndarray) -> Reference:
    """Return what clean runs look like.

    inputs: (N, S) of images that people have checked. Raises ValueError without runs.
    """
    if not clean:
        raise ValueError("expected at least one clean run, got none")
    if inputs.ndim != 2 or inputs.shape[1] != clean[0].inputs.shape[2]:
        raise ValueError(f"expected inputs (N, S) as in the runs, got {inputs.shape}")
    counts = np.concatenate([trace.counts for trace in clean]).sum(0)

    def moments(name: str) -> np.ndarray:
        values = np.concatenate([getattr(trace, name) for trace in clean])
        return np.stack([np.nanmean(values, 0), np.nanstd(values, 0)])

    loss = np.concatenate([trace.losses.mean(1) for trace in clean])
    moment = np.stack([loss.mean(), loss.std()])
    shares = counts / counts.sum()
    return Reference(moment, moments("top"), moments("by_class"), shares, inputs)


# --- Detectors: one score a batch ---------------------------------------------------


def cusum(
    values: np.ndarray, mean: float, deviation: float, drift: float = DRIFT
) -> np.ndarray:
    """Return how much values have stayed above their mean, summed up, (T,).

    values: (T,), NaN where nothing came; drift: what is forgiven at each step, in
    deviations. Raises ValueError for a deviation or a drift that is not above 0.
    Source: Continuous Inspection Schemes, Page 1954
    """
    if not deviation > 0 or not drift > 0:
        raise ValueError(f"need deviation and drift > 0, got {deviation} and {drift}")
    total, found = 0.0, []
    for value in values:
        if not math.isnan(value):
            total = max(0.0, total + (value - mean) / deviation - drift)
        found.append(total)
    return np.array(found)


def chi_square(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return how far label counts are from what was expected, (T,).

    counts: (T, classes); shares: (classes,), each above 0. Raises ValueError else.
    Source: On the criterion, Pearson 1900
    """
    if not (shares > 0).all() or counts.shape[1:] != shares.shape:
        raise ValueError(f"expected a share > 0 a class, got {shares.round(3)}")
    expected = counts.sum(1, keepdims=True) * shares
    return ((counts - expected) ** 2 / expected).sum(1)


def ks(inputs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the smallest p-value of all statistics as -log10 p, (T,).

    inputs: (T, B, S); known: (N, S) of the reference
    Source: Kolmogorov 1933, Smirnov 1939; scipy.stats.ks_2samp, "asymp"
    """
    count, batch = len(known), inputs.shape[1]
    farthest = np.zeros(len(inputs))  # the smallest p is that of the largest distance
    for s, reference in enumerate(np.sort(known, axis=0).T):
        for t, values in enumerate(np.sort(inputs[:, :, s], axis=1)):
            both = np.concatenate([values, reference])
            gaps = np.searchsorted(values, both, "right") / batch
            gaps -= np.searchsorted(reference, both, "right") / count
            farthest[t] = max(farthest[t], np.abs(gaps).max())
    size = round(batch * count / (batch + count))
    return np.array([-math.log10(max(_tail(far, size), TINY)) for far in farthest])


@cache
def _tail(distance: float, size: int) -> float:
    """Return how often a distance of Kolmogorov's is larger by chance."""
    return float(stats.kstwo.sf(distance, size))


def psi(inputs: np.ndarray, known: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the highest population stability index of all statistics, (T,).

    The bins hold equal shares of the reference; half an image is added to each.
    inputs: (T, B, S); known: (N, S)
    Source: Intelligent Credit Scoring, Siddiqi 2006; its distribution on clean data:
    Yurdakul and Naranjo 2020
    """
    if bins < 2:
        raise ValueError(f"expected at least 2 bins, got {bins}")
    cuts = np.quantile(known, np.arange(1, bins) / bins, axis=0)  # (bins - 1, S)
    found = np.zeros(len(inputs))
    for s in range(known.shape[1]):
        was = _shares(known[None, :, s], cuts[:, s])
        now = _shares(inputs[:, :, s], cuts[:, s])
        found = np.maximum(found, ((now - was) * np.log(now / was)).sum(1))
    return found


def _shares(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Return each row's share of values in each bin, (T, bins), none of them 0."""
    bins = len(cuts) + 1
    into = np.searchsorted(cuts, values)  # (T, B)
    count = (into[:, :, None] == np.arange(bins)).sum(1) + 0.5
    return count / count.sum(1, keepdims=True)


def scores(trace: Trace, known: Reference) -> dict[str, np.ndarray]:
    """Return the score of every monitor for every batch: name -> (T,)."""
    classes = range(trace.classes)
    by_class = [cusum(trace.by_class[:, k], *known.by_class[:, k]) for k in classes]
    free = trace.classes - 1  # mean and half the variance of chi-square
    labels = chi_square(trace.counts, known.shares)
    return {
        LOSS: cusum(trace.losses.mean(1), *known.loss),
        TOP_LOSS: cusum(trace.top, *known.top),
        CLASS_LOSS: np.max(by_class, axis=0),
        LABELS: cusum(labels, free, math.sqrt(2 * free)),
        INPUTS: ks(trace.inputs, known.inputs),
        STABILITY: psi(trace.inputs, known.inputs),
    }


# --- Thresholds ---------------------------------------------------------------------


def textbook(trace: Trace, known: Reference) -> dict[str, bool]:
    """Return which monitors alarm at the thresholds that textbooks print.

    CUSUM at 4 deviations, p < 0.05 a batch, PSI > 0.2, as if one look were taken.
    """
    found, labels = scores(trace, known), chi_square(trace.counts, known.shares)
    limit = stats.chi2.ppf(0.95, trace.classes - 1)
    return {
        **{name: bool(found[name].max() > 4) for name in MONITORS[:3]},
        LABELS: bool(labels.max() > limit),
        INPUTS: bool(found[INPUTS].max() > -math.log10(0.05)),
        STABILITY: bool(found[STABILITY].max() > 0.2),
    }


def bonferroni(trace: Trace, alpha: float = 0.05) -> float:
    """Return the threshold of `ks` when alpha is shared by all tests of a run."""
    batches, _, statistics = trace.inputs.shape
    return -math.log10(alpha / (batches * statistics))


def threshold(peaks: Sequence[float], budget: float = 0.05) -> float:
    """Return what at most a share `budget` of further clean runs exceeds.

    peaks: the highest score of each clean run. Of n + 1 runs that are alike each is
    as likely as any other to have the highest peak, whatever its distribution.
    Raises ValueError when the runs are too few for the budget: 0.05 needs 19.
    Source: conformal prediction, Vovk et al. 2005
    """
    if not 0 < budget < 1:
        raise ValueError(f"expected a budget in (0, 1), got {budget}")
    allowed = math.floor(budget * (len(peaks) + 1) + 1e-9)
    if allowed < 1:
        need = math.ceil(1 / budget - 1e-9) - 1
        raise ValueError(
            f"a budget of {budget:g} needs {need} clean runs, got {len(peaks)}"
        )
    return float(sorted(peaks)[-allowed])


def calibrate(
    clean: Sequence[Mapping[str, np.ndarray]], budget: float = 0.05
) -> dict[str, float]:
    """Return a threshold for each monitor, each with the whole budget to itself.

    clean: the `scores` of each clean run
    """
    return {
        name: threshold([float(run[name].max()) for run in clean], budget)
        for name in MONITORS
    }


def share_budget(
    clean: Sequence[Mapping[str, np.ndarray]], budget: float = 0.05
) -> dict[str, float]:
    """Return thresholds of monitors that keep one budget together.

    Each peak is measured in medians of its monitor; the worst of each run counts.
    """
    peaks = np.array([[run[name].max() for name in MONITORS] for run in clean])
    middle = np.median(peaks, axis=0)  # (monitors,)
    factor = threshold((peaks / middle).max(1).tolist(), budget)
    return dict(zip(MONITORS, (factor * middle).tolist(), strict=True))


def first_alarm(values: np.ndarray, limit: float) -> int | None:
    """Return the first batch whose score is above the limit, or None."""
    above = np.flatnonzero(values > limit)
    return int(above[0]) if len(above) else None


def first_of_all(
    found: Mapping[str, np.ndarray], limits: Mapping[str, float]
) -> int | None:
    """Return the first batch at which any monitor alarms, or None."""
    firsts = [first_alarm(found[name], limit) for name, limit in limits.items()]
    return min((first for first in firsts if first is not None), default=None)
