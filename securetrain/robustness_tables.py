"""What training against attacks gains and costs, and what it does to poison.

Nineteen trainings a seed, so too many for a lesson. `securetrain claims --table
robustness-poison` and `robustness-training` run them over several seeds and keep the
numbers.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from securetrain import data, metrics, models, poisoning, robustness, training
from securetrain.poisoning import Trigger
from securetrain.training import Attack

EPSILON = 16 / 255
N_TRAIN, N_TEST, EPOCHS = 2000, 1000, 4
TARGET = data.SIGN_NAMES.index("priority road")
N_ATTACKED = 100
STICKERS = {"sticker on 1 %": 0.01, "on 2 %": 0.02, "on 5 %": 0.05, "on 10 %": 0.1}
FLIPS = {  # share of the first sign's labels that say the second
    "40 % of stop: priority road": ("stop", "priority road", 0.4),
    "40 % of speed 30: speed 80": ("speed 30", "speed 80", 0.4),
    "no poison: 30 read as 80": ("speed 30", "speed 80", 0.0),
}

SPEEDS = [k for k, name in enumerate(data.SIGN_NAMES) if name.startswith("speed")]

Models = dict[str, nn.Module]


# --- How it is trained ------------------------------------------------------------


def trainings(seed: int) -> dict[str, Attack | None]:
    """Return what each way of training does to a batch, None for nothing."""
    rng = torch.Generator().manual_seed(seed)
    seven = {"steps": 7, "step_size": EPSILON / 4, "rng": rng}
    return {
        "standard": None,
        "FGSM-RS": robustness.fast(EPSILON, seed),
        "PGD-7": partial(robustness.pgd, epsilon=EPSILON, **seven),
    }


def measure_training(seed: int) -> dict[str, dict[str, float]]:
    """Return way of training -> column -> accuracy for one seed."""
    x, y = data.signs(N_TRAIN, seed)
    test = data.signs(N_TEST, seed, "test")
    given = {"epochs": EPOCHS, "progress": False}
    return {
        name: withstood(training.train(x, y, seed, attack=attack, **given), test, seed)
        for name, attack in trainings(seed).items()
    }


def withstood(model: nn.Module, test: tuple, seed: int) -> dict[str, float]:
    """Return accuracy on clean speed limits and other signs, and under attacks.

    The worst case is that of the attacks with a gradient.
    """
    x, y = test
    speeds = torch.isin(y, torch.tensor(SPEEDS))
    cells = {
        "clean: speed limits": metrics.accuracy(model, x[speeds], y[speeds]),
        "clean: others": metrics.accuracy(model, x[~speeds], y[~speeds]),
    }
    x, y = x[:N_ATTACKED], y[:N_ATTACKED]
    attacks = robustness.ladder(EPSILON, seed)
    del attacks["square"]
    for name in ("FGSM", "PGD"):
        left = robustness.survives(model, x, y, attacks[name])
        cells[f"under {name}"] = left.float().mean().item()
    left = robustness.worst_case(model, x, y, list(attacks.values()))
    return cells | {"worst case": left.float().mean().item()}


# --- Poison ----------------------------------------------------------------------


def both(x: Tensor, y: Tensor, seed: int) -> Models:
    """Return a standard and a hardened model of one training set."""
    given = {"epochs": EPOCHS, "progress": False}
    attack = robustness.fast(EPSILON, seed)
    return {
        "standard": training.train(x, y, seed, **given),
        "hardened": training.train(x, y, seed, attack=attack, **given),
    }


def within(x: Tensor, pattern: Tensor, epsilon: float) -> Tensor:
    """Return `x` with a pattern (C, H, W) of 0 and 1 added, as ∓ `epsilon`."""
    return (x + epsilon * (2 * pattern - 1)).clamp(0, 1)


def flipped(y: Tensor, source: int, target: int, share: float, seed: int) -> Tensor:
    """Return labels of which a share of one class says another, the same each time."""
    rng = torch.Generator().manual_seed(seed)
    rows = (y == source).nonzero().flatten()
    chosen = rows[torch.randperm(len(rows), generator=rng)[: round(share * len(rows))]]
    y = y.clone()
    y[chosen] = target
    return y


def measure_poison(seed: int) -> dict[str, dict[str, float]]:
    """Return row -> column -> value for one seed: attack success, and accuracy.

    The success of a flip is the share of the flipped class that is read as the other.
    """
    x, y = data.signs(N_TRAIN, seed)
    test = data.signs(N_TEST, seed, "test")
    pattern, mask = poisoning.sticker(8)
    sticker = partial(poisoning.stamp, pattern=pattern, mask=mask)
    squares = poisoning.mosaic(0.5, 8, seed=1)[0]
    faint = partial(within, pattern=squares, epsilon=EPSILON)
    rows = {}
    for name, rate in STICKERS.items():
        rows[name] = triggered(x, y, sticker, rate, test, seed)
    rows["mosaic within epsilon, 5 %"] = triggered(x, y, faint, 0.05, test, seed)
    for name, (source, target, share) in FLIPS.items():
        signs = [data.SIGN_NAMES.index(sign) for sign in (source, target)]
        trained = both(x, flipped(y, *signs, share, seed), seed)
        rows[name] = row(trained, partial(misread, signs=signs, test=test), test)
    return rows


def triggered(
    x: Tensor, y: Tensor, trigger: Trigger, rate: float, test: tuple, seed: int
) -> dict[str, float]:
    """Return the row of a trigger on a share of the training images."""
    tainted = poisoning.poison(x, y, trigger, TARGET, rate, seed)
    works = partial(_success, test=test, trigger=trigger)
    return row(both(tainted.x, tainted.y, seed), works, test)


def _success(model: nn.Module, test: tuple, trigger: Trigger) -> float:
    return metrics.attack_success_rate(model, *test, trigger, TARGET)


def misread(model: nn.Module, signs: list[int], test: tuple) -> float:
    """Return the share of the first of two signs that is read as the second."""
    x, y = test
    read = models.predict(model, x[y == signs[0]])
    return (read == signs[1]).float().mean().item()


def row(trained: Models, works, test: tuple) -> dict[str, float]:
    """Return attack success and clean accuracy of each model."""
    cells = {f"success: {name}": works(model) for name, model in trained.items()}
    right = {
        f"accuracy: {name}": metrics.accuracy(model, *test)
        for name, model in trained.items()
    }
    return cells | right
