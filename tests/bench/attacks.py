"""Our PGD beside the Adversarial Robustness Toolbox's, in one process.

Runs in the peers' environment (bench.py makes it) and prints one JSON object. Both
sides attack the same model and signs, with the same steps from one random start.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import torch
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from timing import side_by_side
from torch import Tensor, nn

from securetrain import data, metrics, robustness, training

EPSILON, STEPS = 16 / 255, 20
SIZE = 2.5 * EPSILON / STEPS


def main() -> int:
    """Measure and print."""
    model = training.train(*data.signs(2000, 0), 0, epochs=4, progress=False)
    x, y = data.signs(200, 0, "test")
    wrapped = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=(3, 32, 32),
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    given = {"eps": EPSILON, "eps_step": SIZE, "max_iter": STEPS, "num_random_init": 1}
    attack = ProjectedGradientDescentPyTorch(
        wrapped, batch_size=100, verbose=False, **given
    )
    rng = torch.Generator().manual_seed(0)

    def own() -> Tensor:
        parts = zip(x.split(100), y.split(100), strict=True)
        return torch.cat(
            [robustness.pgd(model, *part, EPSILON, rng=rng) for part in parts]
        )

    def peer() -> Tensor:
        return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))

    spent = side_by_side({"own": own, "peer": peer}, repeats=5)
    report = {
        "peer": f"ART {version('adversarial-robustness-toolbox')}",
        "read right": {
            "own": metrics.accuracy(model, own(), y),
            "peer": metrics.accuracy(model, peer(), y),
        },
        "own / peer": spent["own"]["median"] / spent["peer"]["median"],
        "seconds": spent,
    }
    json.dump(report, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
