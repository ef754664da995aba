"""People who label: honest votes, and how far several people agree.

The attacker is one of those who label, or several who agree to lie. The defender can
ask more than one person about an image, and decides who is asked about which.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from securetrain.data import check_labels

NOBODY = -1  # in votes and in trusted labels: nobody was asked
FEWEST = 5  # images of a class, below which a share of them says nothing


def ask(n: int, annotators: int, each: int, seed: int) -> Tensor:
    """Return who is asked about which image, at random, (n, annotators) bool.

    each: how many people see an image, 1 to `annotators`
    """
    if n < 1 or not 1 <= each <= annotators:
        raise ValueError(
            f"need n >= 1 and 1 <= each <= annotators, got {n}, {each}, {annotators}"
        )
    rng = torch.Generator().manual_seed(seed)
    lots = torch.rand(n, annotators, generator=rng).argsort(1)
    return lots < each


def annotate(
    y: Tensor, asked: Tensor, classes: int, error_rate: float, seed: int
) -> Tensor:
    """Return honest votes: the true label, or at times another class by mistake.

    y: (N,) the truth; asked: (N, A) bool; error_rate: chance of a mistake in [0, 1]
    Returns (N, A) int64, -1 where nobody was asked.
    """
    check_labels(y, len(y), classes)
    if asked.dtype != torch.bool or asked.ndim != 2 or len(asked) != len(y):
        raise ValueError(
            f"asked must be bool ({len(y)}, A), got {asked.dtype} {tuple(asked.shape)}"
        )
    if not 0 <= error_rate <= 1:
        raise ValueError(f"error_rate must lie in [0, 1], got {error_rate}")
    rng = torch.Generator().manual_seed(seed)
    slips = torch.rand(asked.shape, generator=rng) < error_rate
    steps = torch.randint(1, classes, asked.shape, generator=rng)
    votes = (y[:, None] + slips * steps) % classes
    return votes.masked_fill(~asked, NOBODY)


def lie(votes: Tensor, liars: Sequence[int], where: Tensor, said: int) -> Tensor:
    """Return votes in which these people call every image of `where` class `said`.

    votes: (N, A), -1 where nobody was asked, which it stays; where: (N,) bool
    """
    check_votes(votes)
    people = votes.shape[1]
    if where.shape != votes.shape[:1] or where.dtype != torch.bool:
        raise ValueError(
            f"where must be bool ({len(votes)},), got {where.dtype} "
            f"{tuple(where.shape)}"
        )
    if said < 0 or not all(0 <= person < people for person in liars):
        raise ValueError(
            f"need liars in 0..{people - 1} and said >= 0, got {list(liars)}, {said}"
        )
    told = votes.clone()
    theirs = votes[:, list(liars)]
    hit = where[:, None] & (theirs != NOBODY)
    told[:, list(liars)] = theirs.masked_fill(hit, said)
    return told


def check_votes(votes: Tensor) -> None:
    """Raise ValueError unless `votes` is (N, A) int64, from -1, with A >= 2."""
    of_people = isinstance(votes, Tensor) and votes.ndim == 2 and votes.shape[1] > 1
    if not of_people or not len(votes):
        shape = getattr(votes, "shape", type(votes).__name__)
        raise ValueError(f"votes must be a tensor (N, A) of 2 people or more: {shape}")
    if votes.dtype != torch.int64 or votes.min() < NOBODY or votes.max() < 0:
        raise ValueError(
            f"votes must be int64 classes, or {NOBODY} where nobody was asked; got "
            f"{votes.dtype} from {votes.min()} to {votes.max()}"
        )


def _tally(votes: Tensor) -> Tensor:
    """Return how many people voted for each class, (N, K)."""
    check_votes(votes)
    one_hot = F.one_hot(votes + 1, int(votes.max()) + 2)  # class 0: nobody was asked
    return one_hot.sum(1)[:, 1:]


def majority(votes: Tensor) -> Tensor:
    """Return the class with most votes, (N,); of equals the lowest.

    votes: (N, A). Raises ValueError for an image about which nobody was asked.
    """
    counts = _tally(votes)
    if (counts.sum(1) == 0).any():
        raise ValueError(f"{int((counts.sum(1) == 0).sum())} images have no vote")
    return counts.argmax(1)


def others(votes: Tensor) -> Tensor:
    """Return what most of the *other* people say, for each vote, (N, A).

    -1 where this person was not asked, or where the others are tied or absent
    """
    counts = _tally(votes)[:, None]  # (N, 1, K)
    own = F.one_hot(votes + 1, counts.shape[2] + 1)[..., 1:]  # (N, A, K)
    rest = counts - own
    best, said = rest.max(2)
    tied = (rest == best[..., None]).sum(2) > 1
    return said.masked_fill(tied | (best == 0) | (votes == NOBODY), NOBODY)


def kappas(votes: Tensor) -> Tensor:
    """Return each person's agreement with the majority of the others, (A,).

    Cohen's kappa: 1 is perfect, 0 is what chance gives; NaN without a shared image.
    Source: A coefficient of agreement for nominal scales, Cohen 1960
    """
    from sklearn.metrics import cohen_kappa_score

    reference = others(votes)
    found = []
    for own, rest in zip(votes.T, reference.T, strict=True):
        both = rest != NOBODY
        pair = own[both].numpy(), rest[both].numpy()
        found.append(cohen_kappa_score(*pair) if both.any() else float("nan"))
    return torch.tensor(found)


def disagreement(votes: Tensor, reference: Tensor, classes: int) -> Tensor:
    """Return how often each person contradicts a reference, class by class, (A, K).

    votes: (N, A); reference: (N, A), such as `others(votes)`, or (N,) trusted labels;
    -1 where there is none. NaN where fewer than five images can be compared.
    """
    check_votes(votes)
    if reference.shape == votes.shape[:1]:
        reference = reference[:, None].expand_as(votes)
    if reference.shape != votes.shape or reference.max() >= classes:
        raise ValueError(
            f"reference must fit votes {tuple(votes.shape)} with classes below "
            f"{classes}, got {tuple(reference.shape)}"
        )
    both = (votes != NOBODY) & (reference != NOBODY)
    of_class = F.one_hot(reference.clamp_min(0), classes).bool() & both[..., None]
    seen = of_class.sum(0)  # (A, K)
    wrong = (of_class & (votes != reference)[..., None]).sum(0)
    return torch.where(seen >= FEWEST, wrong / seen, torch.nan)


def contested(votes: Tensor) -> Tensor:
    """Return about which images people say different things, (N,) bool.

    votes: (N, A), -1 where nobody was asked
    """
    return (_tally(votes) > 0).sum(1) > 1


def outvoted(y: Tensor, votes: Tensor) -> Tensor:
    """Return which labels have fewer votes than another class has, (N,) bool.

    y: (N,) int64; votes: (N, A). Nobody's vote against it leaves a label in peace.
    """
    counts = _tally(votes)
    if y.shape != votes.shape[:1]:
        raise ValueError(f"votes need one row a label: {len(votes)} for {len(y)}")
    return (votes == y[:, None]).sum(1) < counts.max(1).values
