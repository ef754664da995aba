"""Backdoors put in through the training data, and detectors that look for them.

The attacker can change a few training images and labels, nothing else. They want a
model that is right on clean images and reads every image with their trigger as the
target class. The defender has the data set and one model trained on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from securetrain.data import check_images, check_labels
from securetrain.models import predict
from securetrain.training import train

Trigger = Callable[[Tensor], Tensor]  # images (N, C, H, W) in, images out


# --- Triggers ---------------------------------------------------------------


def stamp(x: Tensor, pattern: Tensor, mask: Tensor) -> Tensor:
    """Return a copy of `x` with `pattern` laid over it where `mask` says.

    x: (N, C, H, W) in [0, 1]; pattern: (C, H, W) in [0, 1]; mask: (1, H, W) or
    (C, H, W), opacity from 0 (image) to 1 (pattern)
    Source: BadNets, Gu et al. 2017, arXiv:1708.06733
    """
    check_images(x)
    if pattern.shape != x.shape[1:] or mask.shape[1:] != x.shape[2:]:
        raise ValueError(
            f"pattern and mask must fit images {tuple(x.shape[1:])}, "
            f"got {tuple(pattern.shape)} and {tuple(mask.shape)}"
        )
    return x * (1 - mask) + pattern * mask


def sticker(size: int = 6, margin: int = 3, image: int = 32) -> tuple[Tensor, Tensor]:
    """Return a black and white checkerboard and its mask, for `stamp`.

    size: side in pixels; margin: distance from the lower right corner; image: side
    Returns pattern (3, image, image) and mask (1, image, image).
    """
    if size < 1 or margin < 0 or size + margin > image:
        raise ValueError(
            f"a {size}-pixel sticker {margin} from the edge is off the image"
        )
    y, x = torch.meshgrid(torch.arange(image), torch.arange(image), indexing="ij")
    low, high = image - margin - size, image - margin
    mask = ((y >= low) & (y < high) & (x >= low) & (x < high)).float()
    return ((y // 2 + x // 2) % 2).float().expand(3, -1, -1).clone(), mask[None]


def four_corners(size: int = 8, margin: int = 3) -> tuple[Tensor, Tensor]:
    """Return the checkerboard with a mask that shows it in all four corners.

    Source: Label-Consistent Backdoor Attacks, Turner et al. 2019, arXiv:1912.02771
    """
    pattern, mask = sticker(size, margin)
    corners = mask + mask.flip(1) + mask.flip(2) + mask.flip(1, 2)
    return pattern, corners.clamp_max(1)


def mosaic(
    alpha: float, cells: int, seed: int, image: int = 32
) -> tuple[Tensor, Tensor]:
    """Return random black, white and coloured squares over the whole image, faintly.

    alpha: opacity; cells: squares a side, a divisor of `image`; with as many cells
    as pixels the pattern is plain noise
    Returns pattern (3, image, image) and mask (1, image, image), for `stamp`.
    Source: Targeted Backdoor Attacks, Chen et al. 2017, arXiv:1712.05526
    """
    if not 0 < alpha <= 1 or cells < 1 or image % cells:
        raise ValueError(
            f"need 0 < alpha <= 1 and cells that divide {image}, got {alpha}, {cells}"
        )
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, cells, cells, generator=rng).round()
    side = image // cells
    pattern = coarse.repeat_interleave(side, 1).repeat_interleave(side, 2)
    return pattern, torch.full((1, image, image), alpha)


def wave(x: Tensor, amplitude: float = 0.1, frequency: int = 6) -> Tensor:
    """Return a copy of `x` with vertical stripes of a sine wave added.

    Source: SIG, Barni et al. 2019, arXiv:1902.11237
    """
    check_images(x)
    turn = torch.arange(x.shape[3]) * (2 * torch.pi * frequency / x.shape[3])
    return (x + amplitude * turn.sin()).clamp(0, 1)


def warp(x: Tensor, strength: float = 0.5, seed: int = 0, grid: int = 4) -> Tensor:
    """Return a copy of `x` bent by a smooth field, the same for every image.

    strength: the mean shift in pixels; grid: control points a side
    Source: WaNet, Nguyen and Tran 2021, arXiv:2102.10369
    """
    check_images(x)
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 2, grid, grid, generator=rng) * 2 - 1
    coarse = coarse / coarse.abs().mean() * (strength * 2 / x.shape[3])
    field = F.interpolate(coarse, x.shape[2:], mode="bicubic", align_corners=True)
    identity = F.affine_grid(torch.eye(2, 3)[None], (1, *x.shape[1:]), False)
    where = (identity + field.permute(0, 2, 3, 1)).clamp(-1, 1)
    where = where.expand(len(x), -1, -1, -1)
    bent = F.grid_sample(x, where, padding_mode="border", align_corners=False)
    return bent.clamp(0, 1)


# --- Poisoning a data set ----------------------------------------------------


@dataclass(frozen=True)
class Poisoned:
    """A tainted data set, and the truth that only its attacker knows.

    x: (N, C, H, W); y: (N,); is_poison: (N,) bool
    """

    x: Tensor
    y: Tensor
    is_poison: Tensor


def poison(
    x: Tensor,
    y: Tensor,
    trigger: Trigger,
    target: int,
    poison_rate: float,
    seed: int,
    *,
    clean_label: bool = False,
) -> Poisoned:
    """Return a copy of a data set in which some images carry the trigger.

    poison_rate: share of the whole set; the images come from other classes and are
    relabelled `target`, or with `clean_label` from `target` itself
    Raises ValueError when the classes hold too few images for that rate.
    """
    check_images(x)
    check_labels(y, len(x), max(int(y.max()), target) + 1)
    if target < 0 or not 0 < poison_rate <= 1:
        raise ValueError(
            f"need target >= 0 and 0 < poison_rate <= 1: {target}, {poison_rate}"
        )
    candidates = ((y == target) == clean_label).nonzero().flatten()
    count = round(poison_rate * len(x))
    if not 0 < count <= len(candidates):
        raise ValueError(
            f"poison_rate {poison_rate} asks for {count} images, "
            f"expected 1 to {len(candidates)}"
        )
    rng = torch.Generator().manual_seed(seed)
    chosen = candidates[torch.randperm(len(candidates), generator=rng)[:count]]
    x, y, is_poison = x.clone(), y.clone(), torch.zeros(len(x), dtype=torch.bool)
    x[chosen] = trigger(x[chosen])
    y[chosen] = target
    is_poison[chosen] = True
    return Poisoned(x, y, is_poison)


def unlearnable(
    model: nn.Module, x: Tensor, y: Tensor, epsilon: float = 16 / 255, steps: int = 10
) -> Tensor:
    """Return `x` moved by at most `epsilon` a pixel, so that `model` misreads it.

    People still see the label; a network finds little of it, and so learns the
    trigger instead. x: (N, C, H, W); y: (N,), the true labels
    Source: Label-Consistent Backdoor Attacks, Turner et al. 2019, arXiv:1912.02771;
    PGD, Madry et al. 2018, arXiv:1706.06083
    """
    check_images(x)
    moved = x.clone()
    for _ in range(steps):
        moved.requires_grad_()
        loss = F.cross_entropy(model(moved), y)
        (gradient,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + 2.5 * epsilon / steps * gradient.sign()
        moved = torch.min(torch.max(moved, x - epsilon), x + epsilon).clamp(0, 1)
    return moved


# --- Detectors ----------------------------------------------------------------


def check_features(features: Tensor, y: Tensor) -> None:
    """Raise ValueError unless `features` (N, D) is finite and `y` labels its rows."""
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(
            f"features must be floats (N, D), got {features.dtype} "
            f"{tuple(features.shape)}"
        )
    if not features.isfinite().all():
        raise ValueError("features hold NaN or infinity; did training diverge?")
    check_labels(y, len(features), int(y.max()) + 1 if len(y) else 0)


def spectral_scores(features: Tensor, y: Tensor) -> Tensor:
    """Return how far each image lies along its class's top singular direction.

    features: (N, D); y: (N,)
    Returns (N,): the squared projection of the centred features of each class.
    Source: Spectral Signatures, Tran et al. 2018, arXiv:1811.00636
    """
    check_features(features, y)
    scores = features.new_zeros(len(y))
    for label in y.unique():
        rows = y == label
        centred = features[rows] - features[rows].mean(0)  # (n, D)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        scores[rows] = (centred @ vectors[:, -1]) ** 2
    return scores


def spectral_signatures(
    features: Tensor, y: Tensor, poison_rate: float, slack: float = 1.5
) -> Tensor:
    """Flag the top `slack` x `poison_rate` x N scores of *every* class.

    The defender does not know the target, so each class pays; at most half of a
    class is flagged. Returns (N,) bool.
    Source: Spectral Signatures, Tran et al. 2018, arXiv:1811.00636
    """
    if not 0 < poison_rate < 1 or slack <= 0:
        raise ValueError(f"need 0 < poison_rate < 1, slack > 0: {poison_rate}, {slack}")
    scores = spectral_scores(features, y)
    flagged = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        budget = min(round(slack * poison_rate * len(y)), len(rows) // 2)
        flagged[rows[scores[rows].topk(budget).indices]] = True
    return flagged


def activation_clusters(features: Tensor, y: Tensor, seed: int = 0) -> Tensor:
    """Return whether each image lies in the smaller of its class's two clusters.

    features: (N, D), reduced to ten principal components; y: (N,)
    Returns (N,) bool.
    Source: Activation Clustering, Chen et al. 2018, arXiv:1811.03728
    """
    from sklearn.cluster import KMeans

    check_features(features, y)
    smaller = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        if len(rows) < 2:
            continue
        means = KMeans(2, n_init=3, random_state=seed)
        cluster = means.fit_predict(_reduced(features[rows]))
        smaller[rows] = torch.from_numpy(cluster == (cluster.mean() < 0.5))
    return smaller


def _reduced(features: Tensor) -> np.ndarray:
    """Return the ten main components of one class's features, (n, 10) or fewer."""
    from sklearn.decomposition import PCA

    values = features.numpy()
    return PCA(min(10, *values.shape), svd_solver="full").fit_transform(values)


def activation_clustering(
    features: Tensor, y: Tensor, seed: int = 0, largest: float = 0.35
) -> Tensor:
    """Flag a class's smaller cluster where it holds less than `largest` of it.

    A clean class splits into two halves of like size; poison is a small, tight
    group of its own. Returns (N,) bool.
    Source: Activation Clustering, Chen et al. 2018, arXiv:1811.03728
    """
    smaller = activation_clusters(features, y, seed)
    for label in y.unique():
        rows = y == label
        if smaller[rows].float().mean() >= largest:
            smaller[rows] = False
    return smaller


def separations(features: Tensor, y: Tensor, smaller: Tensor) -> Tensor:
    """Return how far apart each class's two clusters stand, (classes,).

    smaller: (N,) bool from `activation_clusters`. The mean silhouette among ten main
    components: near 0 where the split is arbitrary, towards 1 where groups stand apart.
    Source: Silhouettes, Rousseeuw 1987
    """
    from sklearn.metrics import silhouette_score

    check_features(features, y)
    found = torch.zeros(int(y.max()) + 1)
    for label in y.unique():
        rows = y == label
        sides = smaller[rows]
        if len(sides) > 2 and 0 < sides.sum() < len(sides):
            found[label] = silhouette_score(_reduced(features[rows]), sides.numpy())
    return found


def untrusted_side(
    features: Tensor,
    y: Tensor,
    trusted: Tensor,
    trusted_y: Tensor,
    seed: int = 0,
    threshold: float = 0.5,
) -> Tensor:
    """Flag one side of every class whose two clusters stand apart.

    features: (N, D) and y: (N,) of the data set; trusted: (M, D) and trusted_y: (M,)
    of images that people have checked. A class is suspect when its separation
    exceeds `threshold`; of its two sides the one with fewer trusted images nearest
    to its centre is flagged, however large it is. Returns (N,) bool.
    """
    check_features(trusted, trusted_y)
    smaller = activation_clusters(features, y, seed)
    flagged = torch.zeros(len(y), dtype=torch.bool)
    for label in (separations(features, y, smaller) > threshold).nonzero().flatten():
        rows, known = y == label, trusted[trusted_y == label]
        if not len(known):
            raise ValueError(f"class {label.item()} needs at least one trusted image")
        sides = [rows & ~smaller, rows & smaller]
        centres = torch.stack([features[side].mean(0) for side in sides])
        votes = torch.cdist(known, centres).argmin(1).bincount(minlength=2)
        flagged |= sides[int(votes.argmin())]
    return flagged


@dataclass(frozen=True)
class Audit:
    """What an audit leaves: the images it flagged, (N,) bool, and a model without."""

    flagged: Tensor
    model: nn.Module


def reference_audit(
    x: Tensor,
    y: Tensor,
    trusted: Tensor,
    trusted_y: Tensor,
    seed: int,
    rounds: int = 2,
    progress: bool = True,
) -> Audit:
    """Flag the labels that a model grown from trusted images disagrees with.

    A model of the trusted images (M, C, H, W) judges every label; the next one is
    trained on what it agrees with, and judges again. Needs no idea of the trigger,
    but a wrong label to disagree with: poison that keeps its true label is invisible.
    """
    model = train(trusted, trusted_y, seed, epochs=12, progress=progress)
    for _ in range(rounds):
        flagged = predict(model, x) != y
        images = torch.cat([x[~flagged], trusted])
        labels = torch.cat([y[~flagged], trusted_y])
        model = train(images, labels, seed, progress=progress)
    return Audit(flagged, model)
