"""What a model gets right, what an attack gets through, what a detector finds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from securetrain.models import predict


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of images (N, C, H, W) read as their label (N,)."""
    return (predict(model, x) == y).float().mean().item()


def attack_success_rate(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    trigger: Callable[[Tensor], Tensor],
    target: int,
) -> float:
    """Return the share of other classes' images read as `target` once triggered.

    x: (N, C, H, W); y: (N,); trigger: images in, images out; images of `target`
    itself do not count.
    Raises ValueError when every image is of the target class.
    Source: BadNets, Gu et al. 2017, arXiv:1708.06733
    """
    others = x[y != target]
    if not len(others):
        raise ValueError(f"need images of classes other than the target {target}")
    return (predict(model, trigger(others)) == target).float().mean().item()


def detection_rates(flagged: Tensor, is_poison: Tensor) -> tuple[float, float]:
    """Return the share of poison that is flagged, and of clean images that is.

    flagged, is_poison: (N,) bool. A share of nothing is reported as NaN.
    """
    for name, mask in (("flagged", flagged), ("is_poison", is_poison)):
        if mask.dtype != torch.bool or mask.shape != is_poison.shape:
            raise ValueError(
                f"{name} must be bool {tuple(is_poison.shape)}, "
                f"got {mask.dtype} {tuple(mask.shape)}"
            )
    found = flagged[is_poison].float().mean().item()
    return found, flagged[~is_poison].float().mean().item()


def auroc(scores: Tensor, is_poison: Tensor) -> float:
    """Return the chance that a poison scores above a clean image; 0.5 is guessing.

    scores: (N,) float; is_poison: (N,) bool, with both kinds present
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_poison.numpy(), scores.numpy()))
