"""Poison that is made to be missed, and detectors that ask trusted images.

The attacker knows every detector that looks for a group in a model's features. They
show a part of the trigger in training and all of it at test, and add cover samples:
triggered images with true labels. The defender has images that people have checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from securetrain import poisoning
from securetrain.data import check_images
from securetrain.models import BATCH, SmallResNet
from securetrain.poisoning import Poisoned, Trigger, check_features

SUSPECT = math.e**2  # the index above which a class is suspect, as SCAn has it
ODD = 2.0  # trusted spreads along the line to a second component; beyond is flagged

# --- Attacks ------------------------------------------------------------------


def squares(side: int = 4, image: int = 32) -> Tensor:
    """Return the masks of `side` x `side` squares that tile an image.

    side: a divisor of `image`
    Returns (side², 1, image, image), 0 or 1; their sum is 1 everywhere.
    """
    if side < 1 or image % side:
        raise ValueError(f"need a side that divides {image}, got {side}")
    cells = torch.eye(side**2).view(-1, 1, side, side)
    width = image // side
    return cells.repeat_interleave(width, 2).repeat_interleave(width, 3)


def corners(size: int = 8, margin: int = 3, image: int = 32) -> Tensor:
    """Return the masks of one sticker in each of the four corners.

    size, margin, image: as for `poisoning.sticker`, in pixels
    Returns (4, 1, image, image), 0 or 1.
    """
    _, mask = poisoning.sticker(size, margin, image)
    return torch.stack([mask, mask.flip(1), mask.flip(2), mask.flip(1, 2)])


def show_parts(
    x: Tensor, pattern: Tensor, parts: Tensor, keep: int, opacity: float, seed: int
) -> Tensor:
    """Return a copy of `x` in which each image shows its own `keep` parts of a trigger.

    x: (N, C, H, W) in [0, 1]; pattern: (C, H, W); parts: (P, 1, H, W) masks, 0 or 1;
    keep: parts an image, 1 to P; opacity: 0 (image) to 1 (pattern)
    Source: Revisiting the Assumption of Latent Separability, Qi et al. 2023 (ICLR)
    """
    check_images(x)
    if not 1 <= keep <= len(parts) or not 0 < opacity <= 1:
        raise ValueError(
            f"need 1 <= keep <= {len(parts)} and 0 < opacity <= 1: {keep}, {opacity}"
        )
    if pattern.shape != x.shape[1:] or parts.shape[2:] != x.shape[2:]:
        raise ValueError(
            f"pattern and parts must fit images {tuple(x.shape[1:])}, "
            f"got {tuple(pattern.shape)} and {tuple(parts.shape)}"
        )
    rng = torch.Generator().manual_seed(seed)
    chosen = torch.rand(len(x), len(parts), generator=rng).argsort(1) < keep
    mask = torch.einsum("np,pchw->nchw", chosen.float(), parts).clamp_max(1) * opacity
    return x * (1 - mask) + pattern * mask


@dataclass(frozen=True)
class Covered(Poisoned):
    """A tainted data set with cover: is_cover (N,) bool, triggered with true labels."""

    is_cover: Tensor


def poison_with_cover(
    x: Tensor,
    y: Tensor,
    trigger: Trigger,
    target: int,
    poison_rate: float,
    cover_rate: float,
    seed: int,
) -> Covered:
    """Return a poisoned copy in which other triggered images keep their labels.

    poison_rate, cover_rate: shares of the whole set; cover comes from classes other
    than `target` and weakens what a part of the trigger does
    Raises ValueError when these classes hold too few images for both.
    Source: Revisiting the Assumption of Latent Separability, Qi et al. 2023 (ICLR)
    """
    tainted = poisoning.poison(x, y, lambda some: some, target, poison_rate, seed)
    free = (~tainted.is_poison & (y != target)).nonzero().flatten()
    count = round(cover_rate * len(x))
    if not 0 <= count <= len(free):
        raise ValueError(
            f"cover_rate {cover_rate} asks for {count} images, "
            f"expected 0 to {len(free)}"
        )
    rng = torch.Generator().manual_seed(seed)
    is_cover = torch.zeros(len(x), dtype=torch.bool)
    is_cover[free[torch.randperm(len(free), generator=rng)[:count]]] = True
    hit = tainted.is_poison | is_cover
    covered = x.clone()
    covered[hit] = trigger(x[hit])  # in one call, so that each shows parts of its own
    return Covered(covered, tainted.y, tainted.is_poison, is_cover)


# --- Defences -----------------------------------------------------------------


@torch.inference_mode()
def pooled(model: SmallResNet, x: Tensor) -> Tensor:
    """Return the maximum and the mean of each last feature map, (N, 128).

    The maxima show what fires somewhere, the means what fires everywhere.
    """
    model.eval()
    maps = [model.maps(part) for part in x.split(BATCH)]
    return torch.cat([torch.cat([m.amax((2, 3)), m.mean((2, 3))], 1) for m in maps])


def trusted_metric(trusted: Tensor, trusted_y: Tensor, shrink: float = 0.1) -> Tensor:
    """Return W (D, D): in `trusted @ W` every direction varies alike within a class.

    trusted: (M, D); trusted_y: (M,); shrink: the weight of the variances alone, as M
    images are too few for all covariances
    """
    check_features(trusted, trusted_y)
    if not 0 < shrink <= 1:
        raise ValueError(f"need 0 < shrink <= 1, got {shrink}")
    centred = torch.cat(
        [
            trusted[trusted_y == k] - trusted[trusted_y == k].mean(0)
            for k in trusted_y.unique()
        ]
    )
    covariance = centred.T @ centred / len(centred)
    variances = covariance.diagonal()
    floor = 1e-3 * variances.mean()  # a feature that is always 0 would count for ever
    covariance = (1 - shrink) * covariance + shrink * variances.diag()
    covariance = covariance + floor * torch.eye(len(variances))
    return torch.linalg.cholesky(torch.linalg.inv(covariance))


@dataclass(frozen=True)
class Components:
    """What a two-component test finds.

    index: (classes,) how far each class's gain from a second component exceeds the
    other classes'; chance: (classes,) how likely so few trusted images are in that
    component if it is honest; flagged: (N,) bool, that component and its fringe
    """

    index: Tensor
    chance: Tensor
    flagged: Tensor


def two_components(
    features: Tensor,
    y: Tensor,
    trusted: Tensor,
    trusted_y: Tensor,
    threshold: float = SUSPECT,
    significance: float = 0.001,
) -> Components:
    """Flag second components in which trusted images have no part, and their fringe.

    The fringe lies further towards the component than `ODD` spreads of the trusted.
    features: (N, D) and y: (N,) of the data set; trusted: (M, D) and trusted_y: (M,)
    of images that people have checked, some of every class. A class is suspect when
    its index exceeds `threshold` and its chance is below `significance`.
    Source: after SCAn, Tang et al. 2021 (USENIX Security), arXiv:1908.00686
    """
    check_features(features, y)
    metric = trusted_metric(trusted, trusted_y)
    seen, known = features @ metric, trusted @ metric
    gain, chance = torch.zeros(2, int(y.max()) + 1)
    odd = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        rows, here = y == label, known[trusted_y == label]
        if not len(here) or rows.sum() < 2:
            raise ValueError(f"class {label.item()} needs 2 images and 1 trusted one")
        odd[rows], gain[label], chance[label] = _second(seen[rows], here)
    above = gain - gain.median()
    index = above / (1.4826 * above.abs().median()).clamp_min(1e-9)
    suspect = (index > threshold) & (chance < significance)
    return Components(index, chance, odd & suspect[y])


def _second(seen: Tensor, known: Tensor) -> tuple[Tensor, float, float]:
    """Split one class in two, from its trusted images and from its far quarter.

    seen: (n, D); known: (m, D), trusted
    Returns which images are in the second component or further towards it than `ODD`
    spreads of the trusted, (n,) bool; the spread between both components for each
    image; and the chance that so few trusted images are nearest to the second.
    """
    from scipy.stats import binom
    from sklearn.cluster import KMeans

    first = known.mean(0)
    far = ((seen - first) @ (seen.mean(0) - first)).topk(max(1, len(seen) // 4))
    start = torch.stack([first, seen[far.indices].mean(0)])
    means = KMeans(2, init=start.numpy(), n_init=1).fit(seen.numpy())
    centres = torch.from_numpy(means.cluster_centers_)
    second = torch.from_numpy(means.labels_ == 1)
    share = second.float().mean().item()
    gain = share * (1 - share) * (centres[0] - centres[1]).square().sum().item()
    votes = int(torch.cdist(known, centres).argmin(1).sum())
    towards = centres[1] - centres[0]
    line, honest = seen @ towards, known @ towards
    odd = second | (line > honest.mean() + ODD * honest.std(correction=0))
    return odd, gain, float(binom.cdf(votes, len(known), share))
