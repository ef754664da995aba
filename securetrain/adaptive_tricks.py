"""Which trick hides the poison, and three detectors that see one poison in two at most.

Both are tables of the ledger: `securetrain claims --table adaptive-tricks` and
`--table adaptive-misses`. No lesson builds on these detectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from securetrain import adaptive, adaptive_matrix, data, metrics, models, poisoning
from securetrain.adaptive_matrix import N_TEST, N_TRAIN, TARGET
from securetrain.models import BATCH, SmallResNet
from securetrain.poisoning import Poisoned
from securetrain.training import train


def tricks(seed: int) -> dict[str, dict[str, float]]:
    """Return how visible a mosaic is with each trick, for one seed.

    The trigger at test is the same whole mosaic in every row.
    """
    x, y = data.signs(N_TRAIN, seed)
    test = data.signs(N_TEST, seed, split="test")
    whole, half = adaptive_matrix.whole(0.2), adaptive_matrix.half(seed)
    at_test = adaptive_matrix.whole(0.3)
    settings = {
        "whole, 5 %": (whole, 0.05, 0.0),
        "in parts, 5 %": (half, 0.05, 0.0),
        "in parts, 5 %, cover": (half, 0.05, 0.02),
        "in parts, 1 %, cover": (half, 0.01, 0.004),
    }
    rows = {}
    for name, (trigger, rate, cover) in settings.items():
        given = (trigger, TARGET, rate, cover, seed)
        tainted = adaptive.poison_with_cover(x, y, *given)
        model = train(tainted.x, tainted.y, seed, progress=False)
        success = metrics.attack_success_rate(model, *test, at_test, TARGET)
        rows[name] = {"attack success": success} | _visible(tainted, model)
    return rows


def _visible(tainted: Poisoned, model: SmallResNet) -> dict[str, float]:
    """Return what spectral signatures and activation clustering see."""
    seen, inside = models.features(model, tainted.x), tainted.y == TARGET
    scores = poisoning.spectral_scores(seen, tainted.y)[inside]
    clusters = poisoning.activation_clustering(seen, tainted.y)
    found, lost = metrics.detection_rates(clusters, tainted.is_poison)
    return {
        "spectral AUROC": metrics.auroc(scores, tainted.is_poison[inside]),
        "clusters: poison": found,
        "clusters: clean": lost,
    }


def misses(seed: int) -> dict[str, dict[str, float]]:
    """Return the AUROC in the target class of three detectors, for one seed."""
    x, y = data.signs(N_TRAIN, seed)
    rows: dict[str, dict[str, float]] = {}
    for attack in ("sticker", "mosaic in parts"):
        tainted, _ = adaptive_matrix.ATTACKS[attack](x, y, seed)
        model = train(tainted.x, tainted.y, seed, progress=False)
        inside = tainted.y == TARGET
        scores = {
            "STRIP": steadiness(model, tainted.x, seed),
            "neighbours": strangers(models.features(model, tainted.x), tainted.y),
            "low loss": -losses(model, tainted.x, tainted.y),
        }
        for name, values in scores.items():
            found = metrics.auroc(values[inside], tainted.is_poison[inside])
            rows.setdefault(name, {})[attack] = found
    return rows


@torch.inference_mode()
def steadiness(model: nn.Module, x: Tensor, seed: int, overlays: int = 6) -> Tensor:
    """Return how steady each prediction stays when other images are laid over it.

    Returns (N,): minus the mean entropy over `overlays` half-and-half mixtures.
    Source: STRIP, Gao et al. 2019, arXiv:1902.06531
    """
    rng = torch.Generator().manual_seed(seed)
    total = torch.zeros(len(x))
    for _ in range(overlays):
        mixed = (x + x[torch.randperm(len(x), generator=rng)]) / 2
        outputs = torch.cat([model(part) for part in mixed.split(BATCH)])
        total += (outputs.softmax(1) * outputs.log_softmax(1)).sum(1)
    return total / overlays


def strangers(features: Tensor, y: Tensor, neighbours: int = 50) -> Tensor:
    """Return the share of each image's nearest neighbours with another label, (N,).

    Source: Deep k-NN against clean-label poisoning, Peri et al. 2019, arXiv:1909.13374
    """
    distances = torch.cdist(features, features)
    nearest = distances.topk(neighbours + 1, largest=False).indices[:, 1:]
    return (y[nearest] != y[:, None]).float().mean(1)


@torch.inference_mode()
def losses(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return each image's loss, (N,); poison is said to have a low one.

    Source: Anti-Backdoor Learning, Li et al. 2021, arXiv:2110.11571 (its signal alone)
    """
    parts = zip(x.split(BATCH), y.split(BATCH), strict=True)
    return torch.cat(
        [F.cross_entropy(model(images), of, reduction="none") for images, of in parts]
    )
