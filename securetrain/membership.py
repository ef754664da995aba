"""Who was in the training data: attacks that ask a model's answers.

The attacker has records and the model's answers to them, and trains shadow models of
their own on records from the same source. They want to know which records the model was
trained on. The strongest of them know how it was trained, defence included.

Everywhere S networks stand side by side: each is the victim in turn, and the rest are
its shadows. members: (S, N) bool, who was in the training data of which.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from securetrain.data import check_labels
from securetrain.shadows import CLASSES, check_members

FLOOR = 1e-3  # the least spread that LiRA allows; identical answers have none

# --- What the attacker sees ------------------------------------------------------


def losses(answers: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of each record under each network, (S, N).

    answers: log probabilities (S, N, 10); y: (N,)
    Raises ValueError for other shapes, or answers that are NaN.
    """
    _check_answers(answers, y)
    return -answers.gather(2, y.expand(len(answers), -1)[..., None])[..., 0]


def confidences(answers: Tensor, y: Tensor) -> Tensor:
    """Return log(p / (1 - p)) of each record's label, (S, N).

    Its spread over shadow models is close to a normal curve, unlike that of the loss.
    """
    right = F.one_hot(y, CLASSES).bool().expand_as(answers)
    others = answers.masked_fill(right, -torch.inf).logsumexp(2)
    return -losses(answers, y) - others


def lira(values: Tensor, members: Tensor, shadows: Tensor | None = None) -> Tensor:
    """Return how much likelier each record is a member, by the other networks, (S, N).

    values: (S, N), such as `confidences`; members: (S, N) bool. Each network is the
    victim in turn and the rest are its shadows: those that had the record and those
    that had not each give a normal curve, and the score is the log of their ratio.
    shadows: (S, N), the values of networks with the same members but another recipe,
    for an attacker who does not know the victim's; None for the same recipe
    Raises ValueError unless each record has two shadows of either kind for each victim.
    Source: Membership Inference From First Principles, Carlini et al. 2022,
    arXiv:2112.03570
    """
    known = (values if shadows is None else shadows).double()
    _check_values(values, members)
    _check_values(known, members)
    sides = []
    for side in (members, ~members):
        mean = _mean_of_others(known, side)
        squares = _mean_of_others(known.square(), side)
        spread = (squares - mean.square()).clamp_min(0).sqrt().clamp_min(FLOOR)
        sides.append(-0.5 * ((values - mean) / spread).square() - spread.log())
    return (sides[0] - sides[1]).float()


def label_only(answers: Tensor, y: Tensor, members: Tensor) -> Tensor:
    """Return LiRA's score for a model that tells no more than its first choice, (S, N).

    The shadows give the chance that a record's label is met by a model that had the
    record, and by one that had not; one imagined record of each outcome keeps both
    chances between 0 and 1. Shapes as in `lira`, answers (S, N, 10).
    """
    _check_answers(answers, y)
    right = (answers.argmax(2) == y).double()
    _check_values(right, members)
    sides = []
    for side in (members, ~members):
        count = side.sum(0) - side.long()
        chance = (_mean_of_others(right, side) * count + 1) / (count + 2)
        sides.append(right * chance.log() + (1 - right) * (1 - chance).log())
    return (sides[0] - sides[1]).float()


def _mean_of_others(values: Tensor, side: Tensor) -> Tensor:
    """Return for each victim the mean over the other networks of this side, (S, N)."""
    weight = side.double()
    count = weight.sum(0) - weight
    if count.min() < 2:
        raise ValueError(
            "each record needs two shadow models that had it and two that had not; "
            f"with {len(side)} models one has {int(count.min())}"
        )
    kept = values * weight
    return (kept.sum(0) - kept) / count


def _check_values(values: Tensor, members: Tensor) -> None:
    check_members(members, members.shape[-1])
    if values.shape != members.shape or not values.isfinite().all():
        raise ValueError(
            f"values must be finite, of shape {tuple(members.shape)}; got "
            f"{tuple(values.shape)}, {int((~values.isfinite()).sum())} not finite"
        )


def _check_answers(answers: Tensor, y: Tensor) -> None:
    if answers.ndim != 3 or answers.shape[2] != CLASSES:
        raise ValueError(
            f"answers must be (S, N, {CLASSES}), got {tuple(answers.shape)}"
        )
    check_labels(y, answers.shape[1], CLASSES)
    if answers.isnan().any():
        raise ValueError("answers hold NaN; did training diverge?")


# --- How well it works -----------------------------------------------------------


def true_positive_rate(
    scores: Tensor, members: Tensor, false_positive_rate: float = 0.01
) -> float:
    """Return the share of members found where so many non-members are accused.

    scores: any shape, higher for members; members: the same shape, bool
    Raises ValueError when one kind is missing, or the rate is outside 0 to 1.
    """
    if scores.shape != members.shape or members.dtype != torch.bool:
        raise ValueError(
            f"members must be bool {tuple(scores.shape)}, got {members.dtype} "
            f"{tuple(members.shape)}"
        )
    if not members.any() or members.all() or not 0 <= false_positive_rate <= 1:
        raise ValueError(
            "expected members and non-members, and a false_positive_rate in [0, 1]"
        )
    if scores.isnan().any():
        raise ValueError("scores hold NaN; did training diverge?")
    outside = scores[~members].sort(descending=True).values
    allowed = int(false_positive_rate * len(outside))
    if allowed == len(outside):
        return 1.0
    return (scores[members] > outside[allowed]).float().mean().item()


def roc(scores: Tensor, members: Tensor, least: float = 1e-3) -> list[list[float]]:
    """Return false positive rates from `least` to 1, and the share of members found.

    Thirty rates, evenly spaced on a logarithmic axis; shapes as above.
    """
    rates = torch.logspace(math.log10(least), 0, 30).tolist()
    return [rates, [true_positive_rate(scores, members, rate) for rate in rates]]
