"""Wrong labels: how they get in, and how models find them.

The attacker can change labels, never images: a vandal flips any of them, a supplier
those of one class, and one who knows the defence those that a model doubts anyway.
The defender has the data and models that never saw the label they judge; people who
label are in annotators.py, the gate in label_gate.py.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from securetrain.data import check_labels
from securetrain.models import probabilities as model_probabilities
from securetrain.training import train

# Learns from images and labels, then gives the probabilities (M, K) of other images.
Judge = Callable[[Tensor, Tensor, Tensor], Tensor]


# --- Flips ------------------------------------------------------------------


def flip_random(y: Tensor, rate: float, classes: int, seed: int) -> Tensor:
    """Return a copy of `y` with a share of its labels changed to any other class.

    y: (N,) int64 in 0..classes-1; rate: share of all labels, in (0, 1]
    """
    check_labels(y, len(y), classes)
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(y), generator=rng)[: _count(len(y), rate)]
    steps = torch.randint(1, classes, (len(chosen),), generator=rng)
    flipped = y.clone()
    flipped[chosen] = (y[chosen] + steps) % classes
    return flipped


def flip_targeted(
    y: Tensor, source: int, target: int, share: float, seed: int
) -> Tensor:
    """Return a copy of `y` in which a share of class `source` is called `target`.

    y: (N,) int64; share: of the class, in (0, 1]
    """
    _check_not_empty(y)
    if source == target or min(source, target) < 0:
        raise ValueError(f"need two different classes >= 0, got {source} and {target}")
    rows = (y == source).nonzero().flatten()
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=rng)
    flipped = y.clone()
    flipped[rows[order[: _count(len(rows), share)]]] = target
    return flipped


def flip_borderline(y: Tensor, probabilities: Tensor, rate: float) -> Tensor:
    """Return a copy of `y` with the labels changed that a model doubts most anyway.

    y: (N,) int64; probabilities: (N, K), from a model that the attacker trained;
    rate: share of all labels, in (0, 1]. Each gets its most likely other class.
    """
    check_probabilities(probabilities, y)
    given = F.one_hot(y, probabilities.shape[1]).bool()
    likely, other = probabilities.masked_fill(given, -1).max(1)
    doubt = likely - probabilities[given]
    chosen = doubt.topk(_count(len(y), rate)).indices
    flipped = y.clone()
    flipped[chosen] = other[chosen]
    return flipped


def _count(n: int, share: float) -> int:
    """Return how many of `n` labels a share is; a ValueError when it is none."""
    count = round(share * n) if 0 < share <= 1 else 0  # NaN gives none as well
    if not count:
        raise ValueError(
            f"need a share in (0, 1] that flips at least one of {n} labels, got {share}"
        )
    return count


def _check_not_empty(y: Tensor) -> None:
    """Raise ValueError unless `y` holds labels from 0 up, at least one."""
    if not isinstance(y, Tensor) or y.ndim != 1 or not len(y):
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"y must be a tensor (N,) of one label or more, got {shape}")
    check_labels(y, len(y), int(y.max()) + 1)


# --- Models that never saw the label -----------------------------------------


def check_probabilities(probabilities: Tensor, y: Tensor) -> None:
    """Raise ValueError unless `probabilities` (N, K) are such and fit labels `y`.

    Every one of the K classes needs an image that carries its label.
    """
    _check_rows(probabilities)
    check_labels(y, *probabilities.shape)
    absent = (y.bincount(minlength=probabilities.shape[1]) == 0).nonzero().flatten()
    if len(absent):
        raise ValueError(
            f"no image is labelled {absent.tolist()}, of "
            f"{probabilities.shape[1]} classes: nothing can be learned about it"
        )


def _check_rows(probabilities: Tensor, name: str = "probabilities") -> None:
    """Raise ValueError unless each row of a tensor (N, K) is a distribution."""
    if not isinstance(probabilities, Tensor) or probabilities.ndim != 2:
        shape = getattr(probabilities, "shape", type(probabilities).__name__)
        raise ValueError(f"{name} must be a tensor (N, K), got {shape}")
    if not len(probabilities) or not probabilities.is_floating_point():
        raise ValueError(
            f"{name} must hold floats, one row an image, got {probabilities.dtype} "
            f"{tuple(probabilities.shape)}"
        )
    if not probabilities.isfinite().all():
        raise ValueError(f"{name} hold NaN or infinity; did training diverge?")
    sums = probabilities.sum(1)
    if probabilities.min() < 0 or (sums - 1).abs().max() > 1e-3:
        raise ValueError(
            f"{name} must be >= 0 with rows that sum to 1, got a minimum of "
            f"{probabilities.min():.3g} and sums from {sums.min():.3g} to "
            f"{sums.max():.3g}; logits need softmax first"
        )


def out_of_fold(
    x: Tensor, y: Tensor, judge: Judge, seed: int, folds: int = 2
) -> Tensor:
    """Return each image's probabilities from a model that did not learn from it.

    x: (N, …); y: (N,) int64; judge: called once a fold, judge(x, y, x_held) -> (M, K)
    folds: at least 2, and no more than the rarest class has images
    Returns (N, K) float32.
    """
    from sklearn.model_selection import StratifiedKFold

    _check_not_empty(y)
    if len(x) != len(y):
        raise ValueError(f"need one label an image, got {len(x)} and {len(y)}")
    counts = y.bincount()
    if folds < 2 or counts.min() < folds:
        raise ValueError(
            f"need from 2 folds up to as many as the rarest class has images "
            f"(class {int(counts.argmin())}: {int(counts.min())}), got {folds}"
        )
    found = torch.zeros(len(y), len(counts))
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for learned, held in split.split(y, y):
        judged = judge(x[learned], y[learned], x[held])
        _check_rows(judged, "the judge's probabilities")
        if judged.shape != (len(held), len(counts)):
            raise ValueError(
                f"the judge must give {(len(held), len(counts))} probabilities, "
                f"got {tuple(judged.shape)}"
            )
        found[held] = judged.float()
    return found


def network(seed: int, epochs: int, progress: bool = True) -> Judge:
    """Return a judge of images (N, C, H, W): the course's small residual network."""

    def judge(x: Tensor, y: Tensor, x_held: Tensor) -> Tensor:
        classes = int(y.max()) + 1
        wish = {"epochs": epochs, "classes": classes, "progress": progress}
        return model_probabilities(train(x, y, seed, **wish), x_held)

    return judge


def logistic(n: int) -> Judge:
    """Return a judge of rows (N, D): logistic regression on the first `n` labels."""

    def judge(x: Tensor, y: Tensor, x_held: Tensor) -> Tensor:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(max_iter=500).fit(x[:n].numpy(), y[:n].numpy())
        return torch.from_numpy(model.predict_proba(x_held.numpy()))

    return judge


def suggest(y: Tensor, probabilities: Tensor) -> Tensor:
    """Return the label that each image seems to deserve, by confident learning.

    A class's threshold is the mean probability that its own images get for it. Of the
    classes whose threshold an image reaches, the likeliest counts; an image that
    reaches none keeps its label. y: (N,); probabilities: (N, K), out of fold
    Returns (N,) int64; a label is flagged where this differs from it.
    Source: Confident Learning, Northcutt et al. 2021, arXiv:1911.00068
    """
    check_probabilities(probabilities, y)
    carried = F.one_hot(y, probabilities.shape[1]).to(probabilities.dtype)  # (N, K)
    thresholds = (probabilities * carried).sum(0) / carried.sum(0)
    reached = probabilities >= thresholds - 1e-6
    likeliest = probabilities.masked_fill(~reached, -1).argmax(1)
    return torch.where(reached.any(1), likeliest, y)
