"""Watch what clients ask: two detectors of theft, with the honest clients they accuse.

The thief needs many answers. One who has no images invents them or changes a few,
which shows in the questions; one who has images asks what honest clients ask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

KINDS = ("ordinary", "retries", "noisy scanner", "noise", "few, changed", "own images")
HONEST = KINDS[:3]


def spacing(x: Tensor, labels: Tensor) -> float:
    """Return Shapiro and Wilk's W of the distances between a client's questions.

    x: (N, C, H, W), in the order asked; labels: (N,), what was answered
    Each question's distance is to the nearest earlier one with the same answer;
    distances beyond three standard deviations are left out. A thief's are said to be
    less normal: W lower. Fewer than 20 distances give 1.0, distances all alike 0.0.
    Source: PRADA, Juuti et al. 2019, arXiv:1805.02628, with the threshold left to us
    """
    from scipy.stats import shapiro

    flat = x.flatten(1)
    gaps = torch.cdist(flat, flat)
    alike = (labels[:, None] == labels[None]).tril(-1)  # earlier, and answered alike
    nearest = gaps.masked_fill(~alike, torch.inf).amin(1)
    found = nearest[nearest.isfinite()].double().numpy()
    if len(found) < 20:
        return 1.0
    kept = found[np.abs(found - found.mean()) <= 3 * found.std()]
    return float(shapiro(kept).statistic) if np.ptp(kept) > 0 else 0.0


def strangeness(x: Tensor, known: Tensor) -> float:
    """Return how far a client's questions lie from images known to be ordinary.

    x: (N, C, H, W), one client's; known: (M, C, H, W), collected beforehand
    Returns the median over x of the distance to the nearest known image.
    """
    gaps = torch.cdist(x.flatten(1), known.flatten(1))
    return gaps.amin(1).median().item()


def band(values: Sequence[float], widths: float = 4.0) -> tuple[float, float]:
    """Return the range in which honest clients' values lie: mean and deviations.

    values: two honest clients' or more; widths: standard deviations to each side
    """
    if len(values) < 2:
        raise ValueError(f"need two honest clients or more, got {len(values)}")
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    return mean - widths * deviation, mean + widths * deviation


def client(kind: str, images: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Return the questions of one client, (n, C, H, W) in [0, 1].

    kind: "ordinary" (its own images), "retries" (each sent three times, as clients
        do that time out), "noisy scanner" (a scanner that adds a little noise to one
        image in four), "noise" (a thief without images), "few, changed" (a thief with
        25 images and noise) or "own images" (a thief who has as many as they ask)
    images: (N, C, H, W), at least n, to draw from
    Raises ValueError for another kind.
    """
    drawn = images[torch.randperm(len(images), generator=rng)[:n]]
    if kind in ("ordinary", "own images"):
        return drawn
    if kind == "retries":
        return drawn[: -(-n // 3)].repeat_interleave(3, 0)[:n]
    if kind == "noise":
        return torch.rand(drawn.shape, generator=rng)
    if kind == "noisy scanner":
        share = torch.rand(n, generator=rng) < 0.25
        noise = 0.05 * torch.randn(drawn.shape, generator=rng)
        return (drawn + noise * share[:, None, None, None]).clamp(0, 1)
    if kind == "few, changed":
        few = drawn[:25][torch.randint(25, (n,), generator=rng)]
        return (few + 0.15 * torch.randn(few.shape, generator=rng)).clamp(0, 1)
    raise ValueError(f"expected one of {', '.join(KINDS)}, got {kind!r}")
