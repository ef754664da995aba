"""Our detectors beside the Adversarial Robustness Toolbox, in one process.

Runs in the peers' environment (bench.py makes it) and prints one JSON object. Both
sides get the same poisoned signs, the same model and the same 64 features.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense
from art.estimators.classification import PyTorchClassifier
from timing import side_by_side
from torch import Tensor, nn

from securetrain import data, metrics, models, poisoning, training

RATE, TARGET = 0.02, 8
REPEATS = 7


class Features(nn.Module):
    """What `models.features` computes, as the only layer of a model for the peer."""

    def __init__(self, model: models.SmallResNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.maps(x).amax((2, 3))


def classifier(model: models.SmallResNet) -> PyTorchClassifier:
    """Return the model as the peer wants it."""
    return PyTorchClassifier(
        nn.Sequential(Features(model)),
        loss=nn.CrossEntropyLoss(),
        input_shape=(3, 32, 32),
        nb_classes=10,
        device_type="cpu",
    )


def peer_flags(detector) -> Tensor:
    """Return what a detector of the peer flags, (N,) bool."""
    _, is_clean = detector.detect_poison()
    return torch.tensor(is_clean) == 0


def spectral_peer(wrapped, x: np.ndarray, y: np.ndarray) -> Tensor:
    # The peer's rate is a share of each class, ours of the whole set.
    detector = SpectralSignatureDefense(wrapped, x, y, expected_pp_poison=10 * RATE)
    return peer_flags(detector)


def clustering_peer(wrapped, x: np.ndarray, y: np.ndarray) -> Tensor:
    return peer_flags(ActivationDefence(wrapped, x, y))


def top_scores(scores: Tensor, y: Tensor, flagged: Tensor) -> Tensor:
    """Flag as many of each class's top scores as `flagged` has there."""
    flags = torch.zeros_like(flagged)
    for label in y.unique():
        rows = (y == label).nonzero().flatten()
        flags[rows[scores[rows].topk(int(flagged[rows].sum())).indices]] = True
    return flags


def uncentred_scores(features: Tensor, y: Tensor) -> Tensor:
    """Return the peer's score from our terms: uncentred features, centred vector."""
    scores = torch.zeros(len(y))
    for label in y.unique():
        rows = features[y == label]
        centred = rows - rows.mean(0)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        scores[y == label] = (rows @ vectors[:, -1]).abs()
    return scores


def agreements(features: Tensor, y: Tensor, peer: dict[str, Tensor]) -> dict:
    """Return the share of images on which our flags and the peer's agree."""
    flags = peer["spectral"]
    ours = {
        "spectral, as each defines it": poisoning.spectral_scores(features, y),
        "spectral, ours un-centred as the peer's": uncentred_scores(features, y),
    }
    shares = {
        name: (top_scores(scores, y, flags) == flags).float().mean().item()
        for name, scores in ours.items()
    }
    smaller = poisoning.activation_clusters(features, y)
    same = (smaller == peer["clustering"])[y == TARGET]
    shares["clustering, in the poisoned class"] = same.float().mean().item()
    return shares


def main() -> int:
    """Measure and print."""
    pattern, mask = poisoning.sticker()
    trigger = partial(poisoning.stamp, pattern=pattern, mask=mask)
    tainted = poisoning.poison(*data.signs(4000, 0), trigger, TARGET, RATE, 0)
    x, y = tainted.x, tainted.y
    model = training.train(x, y, 0, progress=False)
    found = models.features(model, x)
    whole, given = classifier(model), classifier(model)
    given.get_activations = lambda *_, **__: found.numpy()
    own = {
        "spectral": lambda f: poisoning.spectral_signatures(f, y, RATE),
        "clustering": lambda f: poisoning.activation_clustering(f, y),
    }
    peer = {
        name: partial(flag, x=x.numpy(), y=y.numpy())
        for name, flag in (("spectral", spectral_peer), ("clustering", clustering_peer))
    }
    report = {
        "peer": f"ART {version('adversarial-robustness-toolbox')}",
        "attack success rate": metrics.attack_success_rate(
            model, *data.signs(1000, 0, "test"), trigger, TARGET
        ),
        "given features": compare(own, peer, lambda: found, given),
        "end to end": compare(own, peer, lambda: models.features(model, x), whole),
    }
    flags = {name: detect(whole) for name, detect in peer.items()}
    report["found, false alarms"] = {
        f"{name}, {who}": metrics.detection_rates(flag, tainted.is_poison)
        for name in own
        for who, flag in (("own", own[name](found)), ("peer", flags[name]))
    }
    report["agreement"] = agreements(found, y, flags)
    json.dump(report, sys.stdout)
    return 0


def compare(own: dict, peer: dict, features: Callable, wrapped) -> dict:
    """Time each of our detectors beside the peer's; add own / peer."""
    times = {}
    for name in own:
        functions = {
            "own": lambda name=name: own[name](features()),
            "peer": lambda name=name: peer[name](wrapped),
        }
        times[name] = side_by_side(functions, REPEATS)
        times[name]["own / peer"] = {
            key: times[name]["own"][key] / times[name]["peer"][key]
            for key in ("min", "median", "cpu")
        }
    return times


if __name__ == "__main__":
    sys.exit(main())
