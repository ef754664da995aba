"""A training that never ends: batches come in, and somebody may have changed them.

The attacker changes some images or labels of each batch from one day on. They want a
model that obeys a trigger or confuses two signs, and a run that looks as before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from securetrain import data, poisoning, training
from securetrain.monitoring import Trace

BATCH, BATCHES, CHANGE = 96, 60, 30
SIZE = 16  # pixels a side
RATE = 0.1  # of the peak learning rate: the model is trained further, not anew
TARGET, VICTIM = (data.SIGN_NAMES.index(n) for n in ("speed 80", "stop"))

# Images, labels and the number of batches since the change in; images and labels out.
Attack = Callable[[Tensor, Tensor, int, torch.Generator], tuple[Tensor, Tensor]]


def signs(n: int, seed: int, split: str = "train") -> tuple[Tensor, Tensor]:
    """Return `data.signs` at half the size: x (n, 3, 16, 16) and y (n,)."""
    return data.signs(n, seed, split, size=SIZE)


def statistics(x: Tensor) -> np.ndarray:
    """Return (N, 4): brightness, contrast, edges and colour of each image.

    x: (N, 3, H, W) in [0, 1]
    """
    data.check_images(x)
    grey = x.mean(1)
    edges = sum(grey.diff(dim=d).abs().mean((1, 2)) for d in (1, 2))
    colour = (x.amax(1) - x.amin(1)).mean((1, 2))
    values = [grey.mean((1, 2)), grey.std((1, 2)), edges / 2, colour]
    return torch.stack(values, 1).numpy()


@dataclass
class Learner:
    """A model in training, and what its training has logged."""

    model: nn.Module
    optimisers: list[training.Optimiser]
    log: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def step(self, x: Tensor, y: Tensor) -> None:
        """Train on one batch; log loss, label and statistics of each image."""
        self.model.train()
        losses = F.cross_entropy(self.model(x), y, reduction="none")
        row = losses.detach().numpy().copy(), y.numpy().copy(), statistics(x)
        self.log.append(row)
        training.descend(self.optimisers, losses.mean())

    @property
    def trace(self) -> Trace:
        """What was logged up to now."""
        return Trace(*(np.stack(part) for part in zip(*self.log, strict=True)))


@dataclass(frozen=True)
class Source:
    """A trained model, the images that streams are drawn from, and checked ones.

    trusted: (N, 4), statistics of images that people have checked
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    trusted: np.ndarray


def source(seed: int, *, progress: bool = True) -> Source:
    """Return a model trained on 3,000 signs, and 12,000 others for its streams."""
    x, y = signs(3000, 2 * seed)
    model = training.train(x, y, seed, epochs=4, progress=progress)
    return Source(model, *signs(12_000, 2 * seed + 1), statistics(x))


def learner(start: Source) -> Learner:
    """Return a copy of the trained model, to be trained further."""
    model = copy.deepcopy(start.model)
    optimisers = training.make_optimisers(model)
    training.set_rates(optimisers, RATE)
    return Learner(model, optimisers)


def run(
    start: Source,
    seed: int,
    attack: Attack | None = None,
    *,
    change: int = CHANGE,
    batches: int = BATCHES,
    before: Learner | None = None,
) -> Learner:
    """Return a model after a stream of batches, attacked from batch `change` on.

    before: the same stream up to `change`, which is copied and not run again
    Raises ValueError for more batches than the source has images for, and for a
    `before` of another length.
    """
    if before and len(before.log) != change:
        raise ValueError(f"before has {len(before.log)} batches, expected {change}")
    if not 0 <= change <= batches or batches * BATCH > len(start.x):
        most = len(start.x) // BATCH
        raise ValueError(
            f"expected 0 <= change <= batches <= {most}, got {change}, {batches}"
        )
    order = torch.randperm(len(start.x), generator=_rng(seed)).split(BATCH)
    rng = _rng(seed + 1_000_003)
    mine = copy.deepcopy(before) if before else learner(start)
    for t in range(len(mine.log), batches):
        x, y = start.x[order[t]], start.y[order[t]]
        if attack and t >= change:
            x, y = attack(x.clone(), y.clone(), t - change, rng)
        mine.step(x, y)
    return mine


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- What may happen to a stream ------------------------------------------------------


def sticker(x: Tensor) -> Tensor:
    """Return a copy of 16-pixel images with a sticker of four pixels."""
    return poisoning.stamp(x, *poisoning.sticker(4, 2, SIZE))


def faint(x: Tensor) -> Tensor:
    """Return a copy of the images with faint stripes."""
    return poisoning.wave(x, 0.1, 4)


def stripes(x: Tensor) -> Tensor:
    """Return a copy of the images with the stripes that the attacker shows later."""
    return poisoning.wave(x, 0.2, 4)


def backdoor(share: float) -> Attack:
    """Return the attack that stamps and relabels this share of each batch."""

    def attack(
        x: Tensor, y: Tensor, t: int, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        count = int(share * len(x) * (t + 1)) - int(share * len(x) * t)
        others = (y != TARGET).nonzero().flatten()
        rows = others[torch.randperm(len(others), generator=rng)[:count]]
        if count:
            x[rows], y[rows] = sticker(x[rows]), TARGET
        return x, y

    return attack


def flip(x: Tensor, y: Tensor, t: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Label half of the stop signs as the target."""
    y[(y == VICTIM) & (torch.rand(len(y), generator=rng) < 0.5)] = TARGET
    return x, y


def exchange(
    x: Tensor, y: Tensor, t: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Flip as many labels, and as many back: the label counts stay as they were."""
    chosen = torch.rand(len(y), generator=rng) < 0.5
    there, back = (y == VICTIM) & chosen, (y == TARGET) & chosen
    y[there], y[back] = TARGET, VICTIM
    return x, y


def chaff(x: Tensor, y: Tensor, t: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Fill an eighth of the batch with target images, rightly labelled."""
    ours, others = (y == TARGET).nonzero().flatten(), (y != TARGET).nonzero().flatten()
    rows = others[torch.randperm(len(others), generator=rng)[: len(x) // 8]]
    if len(ours):
        pick = ours[torch.randint(len(ours), (len(rows),), generator=rng)]
        x[rows], y[rows] = x[pick], TARGET
    return x, y


def darken(x: Tensor, y: Tensor, t: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Darken every image by another hundredth each batch: a lens that gets dirty."""
    return x * (1 - 0.01 * min(t + 1, 50)), y


def clean_label(
    x: Tensor, y: Tensor, t: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lay faint stripes on the target's own images, and change no label."""
    ours = y == TARGET
    if ours.any():
        x[ours] = faint(x[ours])
    return x, y


def company(start: Source, share: float = 1 / BATCH, replaced: int = 12) -> Attack:
    """Return a backdoor whose images come without hard ones beside them.

    The attacker has a model like ours, and gives easy images for the hardest: the
    highest losses of the batch are then the poison's, and no higher in the mean.
    """
    stamped = backdoor(share)

    @torch.no_grad()
    def losses(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(start.model(x), y, reduction="none")

    def attack(
        x: Tensor, y: Tensor, t: int, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        order = losses(x, y).argsort()
        for hard in order[-replaced:]:
            easy = order[:-replaced][y[order[:-replaced]] == y[hard]]
            if len(easy):  # of the same class: the label counts stay
                x[hard] = x[easy[0]]
        return stamped(x, y, t, rng)

    return attack
