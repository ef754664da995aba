"""Many small networks of the same shape, trained side by side on halves of one pool.

An attack on membership needs shadow models: like the victim, but trained on records
that the attacker chose. Side by side, sixty-four of them are a few large products of
matrices instead of many small ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from securetrain import data
from securetrain.data import check_labels

HIDDEN, CLASSES = 128, 10
BATCH, RATE = 50, 5e-3
CHUNK = 8  # networks asked at once
PRIVATE_RATE = 2e-2  # of steps that take all members, with noise

# --- Data ------------------------------------------------------------------------


@dataclass(frozen=True)
class Records:
    """A pool of records, half of which each model is trained on, and a test set.

    x: (N, 64) and y: (N,), the labels as recorded; strange: (N,) bool, whose label was
    drawn at random; x_test: (M, 64) and y_test: (M,)
    """

    x: Tensor
    y: Tensor
    strange: Tensor
    x_test: Tensor
    y_test: Tensor


def records(seed: int, pool: int = 800, strange_rate: float = 0.15) -> Records:
    """Return real digits, `pool` of them to train on, some with a random label.

    pool: 2 to 1,700; strange_rate: 0 to 1
    Raises ValueError for anything else.
    """
    if not 2 <= pool <= 1700 or not 0 <= strange_rate <= 1:
        raise ValueError(
            "expected a pool of 2 to 1700 and a strange_rate in [0, 1], "
            f"got {pool} and {strange_rate}"
        )
    x, y = data.digits()
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=rng)
    x, y = x.flatten(1)[order], y[order]
    strange = torch.zeros(pool, dtype=torch.bool)
    strange[: round(strange_rate * pool)] = True
    labels = y[:pool].clone()
    count = int(strange.sum())
    labels[strange] = torch.randint(CLASSES, (count,), generator=rng)
    return Records(x[:pool], labels, strange, x[pool:], y[pool:])


def draw_members(models: int, n: int, seed: int) -> Tensor:
    """Return who each model is trained on: (models, n) bool, half of the records each.

    Raises ValueError for no models or fewer than two records.
    """
    if models < 1 or n < 2:
        raise ValueError(f"expected models >= 1 and n >= 2, got {models} and {n}")
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(models, n, generator=rng).argsort(1) < n // 2


# --- Many small networks at once -------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, known to its owner and to the attacker.

    epochs: passes over the members; label_smoothing: 0 to below 1
    noise: multiplier of DP-SGD, 0 for none; with noise every step takes all members,
    each record's gradient clipped to a norm of 1, so that a step is an epoch
    """

    epochs: int = 60
    label_smoothing: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        smooth, noisy = 0 <= self.label_smoothing < 1, 0 <= self.noise < math.inf
        if self.epochs < 1 or not smooth or not noisy:
            raise ValueError(
                "expected epochs >= 1, 0 <= label_smoothing < 1 and a finite noise "
                f">= 0, got {self}"
            )


@dataclass(frozen=True)
class Networks:
    """S networks of two layers with the same shape, side by side.

    w1: (S, D, 128); b1: (S, 1, 128); w2: (S, 128, 10); b2: (S, 1, 10)
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    @property
    def weights(self) -> list[Tensor]:
        """The four tensors, first layer first."""
        return [self.w1, self.b1, self.w2, self.b2]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden units (S, N, 128) and logits (S, N, 10) of x (S, N, D)."""
        h = torch.baddbmm(self.b1, x, self.w1).relu()
        return h, torch.baddbmm(self.b2, h, self.w2)


def networks(count: int, inputs: int, seed: int) -> Networks:
    """Return `count` fresh networks, each with weights of its own."""
    rng = torch.Generator().manual_seed(seed)
    w1 = torch.randn(count, inputs, HIDDEN, generator=rng) * (2 / inputs) ** 0.5
    w2 = torch.randn(count, HIDDEN, CLASSES, generator=rng) * HIDDEN**-0.5
    b1, b2 = torch.zeros(count, 1, HIDDEN), torch.zeros(count, 1, CLASSES)
    return Networks(w1, b1, w2, b2)


def gradients(
    nets: Networks, x: Tensor, y: Tensor, smoothing: float = 0.0, clip: float = math.inf
) -> list[Tensor]:
    """Return each network's sum over records of gradients no longer than `clip`.

    x: (S, N, D); y: (S, N). A record's gradient in a layer is its input times its
    error, so that its length needs no gradient of its own.
    Returns one tensor for each of `nets.weights`.
    Source: DP-SGD, Abadi et al. 2016, arXiv:1607.00133; lengths after Goodfellow 2015,
    arXiv:1510.01799
    """
    h, logits = nets.forward(x)
    wanted = F.one_hot(y, CLASSES) * (1 - smoothing) + smoothing / CLASSES
    error2 = logits.softmax(2) - wanted  # (S, N, 10)
    error1 = error2 @ nets.w2.transpose(1, 2) * (h > 0)  # (S, N, 128)
    if clip < math.inf:
        squares = (x.square().sum(2) + 1) * error1.square().sum(2)
        squares = squares + (h.square().sum(2) + 1) * error2.square().sum(2)
        factor = (clip / squares.sqrt().clamp_min(1e-12)).clamp_max(1)[..., None]
        error1, error2 = error1 * factor, error2 * factor
    found = []
    for inputs, error in ((x, error1), (h, error2)):
        found += [inputs.transpose(1, 2) @ error, error.sum(1, keepdim=True)]
    return found


def train_many(
    x: Tensor, y: Tensor, members: Tensor, seed: int, recipe: Recipe
) -> Networks:
    """Return one network for each row of `members`, trained on the records it names.

    x: (N, D) finite; y: (N,) in 0..9; members: (S, N) bool, as many True in each row
    Adam, batches of 50 members; with noise all members at once.
    Raises ValueError for other shapes, NaN, or rows of different size.
    """
    _check(x, y, members)
    count, n = len(members), int(members[0].sum())
    index = members.nonzero()[:, 1].view(count, n)  # (S, n)
    nets, rng = networks(count, x.shape[1], seed), torch.Generator().manual_seed(seed)
    size, clip, rate = BATCH, math.inf, RATE
    if recipe.noise:
        size, clip, rate = n, 1.0, PRIVATE_RATE
    optimiser = torch.optim.Adam(nets.weights, rate)
    for _ in range(recipe.epochs):
        order = index.gather(1, torch.rand(count, n, generator=rng).argsort(1))
        for batch in order.split(size, 1):
            found = [torch.zeros_like(weight) for weight in nets.weights]
            for part in batch.split(BATCH, 1):  # as many as fit in the cache
                new = gradients(nets, x[part], y[part], recipe.label_smoothing, clip)
                for total, gradient in zip(found, new, strict=True):
                    total += gradient
            for weight, total in zip(nets.weights, found, strict=True):
                if recipe.noise:
                    drawn = torch.randn(total.shape, generator=rng)
                    total += recipe.noise * clip * drawn
                weight.grad = total / batch.shape[1]
            optimiser.step()
    return nets


def _check(x: Tensor, y: Tensor, members: Tensor) -> None:
    if x.ndim != 2 or not x.is_floating_point() or not len(x):
        raise ValueError(f"x must be floats (N, D), got {x.dtype} {tuple(x.shape)}")
    if not x.isfinite().all():
        raise ValueError("x holds NaN or infinity; take those records out")
    check_labels(y, len(x), CLASSES)
    check_members(members, len(x))
    sizes = members.sum(1)
    if not (sizes == sizes[0]).all() or not sizes[0]:
        raise ValueError(
            f"every model needs equally many members, got {sizes.unique().tolist()}"
        )


def check_members(members: Tensor, n: int) -> None:
    """Raise ValueError unless `members` is bool (S, n)."""
    if not len(members):
        raise ValueError("members must have at least one row, one a model")
    if members.dtype != torch.bool or members.ndim != 2 or members.shape[1] != n:
        raise ValueError(
            f"members must be bool (S, {n}), got {members.dtype} {tuple(members.shape)}"
        )


def log_probabilities(nets: Networks, x: Tensor) -> Tensor:
    """Return each network's log probability of each class, (S, N, 10)."""
    parts = [
        Networks(*weights).forward(x.expand(len(weights[0]), -1, -1))[1].log_softmax(2)
        for weights in zip(*(w.split(CHUNK) for w in nets.weights), strict=True)
    ]
    return torch.cat(parts)


def accuracy(nets: Networks, x: Tensor, y: Tensor) -> float:
    """Return the mean over the networks of the share of x (N, D) read as y (N,)."""
    return (log_probabilities(nets, x).argmax(2) == y).float().mean().item()
