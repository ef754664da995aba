"""Steal a model by asking it, and limit how much one client, or many, may ask.

The attacker can send images and read answers, under as many names as they pay for.
They want a copy of the model, to use without us or to look for images we misread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from securetrain.data import check_images
from securetrain.models import predict, small_resnet
from securetrain.training import BATCH, descend, make_optimisers, ramp, set_rates

STEPS = 120

# --- What is for sale ----------------------------------------------------------------


def round_answers(p: Tensor, decimals: int) -> Tensor:
    """Return probabilities (N, classes) with few decimals; rows sum to 1 no more."""
    return (p * 10**decimals).round() / 10**decimals


def labels_only(p: Tensor) -> Tensor:
    """Return 1 for the likeliest class of each row and 0 for the rest."""
    return F.one_hot(p.argmax(1), p.shape[1]).float()


# --- The thief -----------------------------------------------------------------------


def copy_model(
    x: Tensor, answers: Tensor, seed: int, *, steps: int = STEPS
) -> nn.Module:
    """Return a network trained on what a service answered.

    x: (N, C, H, W) in [0, 1], what was asked; answers: (N, classes), at least 0: the
    probabilities, rounded ones, or 1 for the label that came back
    Raises ValueError where answers and images do not fit.
    Source: Stealing Machine Learning Models, Tramèr et al. 2016, arXiv:1609.02943
    """
    check_images(x)
    if answers.shape[:1] != x.shape[:1] or answers.ndim != 2:
        raise ValueError(
            f"answers must be (N, classes), a row for each of {len(x)} images, "
            f"got {tuple(answers.shape)}"
        )
    if not ((answers >= 0) & answers.isfinite()).all():  # false for NaN as well
        raise ValueError("answers must be finite numbers from 0")
    targets = answers / answers.sum(1, keepdim=True).clamp_min(1e-6)
    model = small_resnet(seed, answers.shape[1], x.shape[1]).train()
    rng = torch.Generator().manual_seed(seed)
    optimisers = make_optimisers(model)
    for step in range(steps):
        batch = torch.randint(len(x), (BATCH,), generator=rng)
        loss = F.cross_entropy(model(_moved(x[batch], rng)), targets[batch])
        set_rates(optimisers, ramp(step / steps))
        descend(optimisers, loss)
    return model.eval()


def _moved(x: Tensor, rng: torch.Generator) -> Tensor:
    """Return images moved by at most one pixel, all in the same direction."""
    top, left = torch.randint(3, (2,), generator=rng).tolist()
    height, width = x.shape[2:]
    return F.pad(x, (1,) * 4)[:, :, top : top + height, left : left + width]


def fidelity(copy: nn.Module, victim: nn.Module, x: Tensor) -> float:
    """Return the share of images (N, C, H, W) that both read alike, right or wrong.

    Source: High Accuracy and High Fidelity Extraction, Jagielski et al. 2020,
    arXiv:1909.01838
    """
    return (predict(copy, x) == predict(victim, x)).float().mean().item()


# --- Limits, in virtual time ----------------------------------------------------------

MOST = 1_000_000  # images for one name, which no limit here comes near
Bucket = tuple[float, float]  # tokens left, and the hour they were counted


def served(
    take: Callable[[Bucket, float], tuple[bool, Bucket]],
    burst: float,
    hours: float,
    clients: int,
    every: float = 0.05,
) -> int:
    """Return how many images a thief is answered who asks whenever they can.

    take: bucket and hour -> whether one image is answered, and the bucket after it;
    burst: tokens in a new bucket; clients: names the thief holds, each with a bucket;
    every: hours between two tries
    No clock is read: the hours are virtual. Raises ValueError where nothing is refused.
    """
    answered, bucket = 0, (float(burst), 0.0)
    for number in range(round(hours / every) + 1):
        while True:
            passed, bucket = take(bucket, number * every)
            if not passed:
                break
            answered += 1
            if answered > MOST:
                raise ValueError(f"`take` has answered {MOST} images: refuse some")
    return answered * clients  # each name has a bucket of its own, and is used alike


def refused_share(
    take: Callable[[Bucket, float], tuple[bool, Bucket]],
    burst: float,
    hours: Sequence[float],
) -> float:
    """Return the share of one client's images that are refused.

    hours: when each is sent, in order
    """
    refused, bucket = 0, (float(burst), 0.0)
    for hour in hours:
        passed, bucket = take(bucket, hour)
        refused += not passed
    return refused / len(hours)
