"""Evasion: small changes of an image that a model misreads, and training against them.

The attacker changes an image by at most `epsilon` a pixel when the model is in use.
With the model's gradient they look for the change; without, they try and keep what
helps. The defender trains on such changes, and measures with attacks stronger than
those that were trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from securetrain.data import check_images, check_labels
from securetrain.models import BATCH, predict
from securetrain.training import Attack

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (N, K) and labels (N,) -> number

# --- Attacks with the model's gradient -------------------------------------------


def project(moved: Tensor, x: Tensor, epsilon: float) -> Tensor:
    """Return `moved` with each pixel at most `epsilon` from `x`, and in [0, 1]."""
    return torch.min(torch.max(moved, x - epsilon), x + epsilon).clamp(0, 1)


def margins(logits: Tensor, y: Tensor) -> Tensor:
    """Return by how much the best wrong class leads the right one, (N,).

    logits: (N, K); y: (N,). Above 0 the image is misread.
    Source: Evaluating Robustness, Carlini and Wagner 2017, arXiv:1608.04644
    """
    right = F.one_hot(y, logits.shape[1]).bool()
    return logits.masked_fill(right, -torch.inf).amax(1) - logits[right]


def mean_margin(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean margin, as a loss for `pgd`."""
    return margins(logits, y).mean()


def uphill(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """Return for each pixel whether the loss rises with it: 1, -1, or 0 where flat."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(model(x), y), x)
    return gradient.sign()


def fgsm(
    model: nn.Module, x: Tensor, y: Tensor, epsilon: float, loss: Loss = F.cross_entropy
) -> Tensor:
    """Return `x` after one whole step of `epsilon` uphill.

    x: (N, C, H, W) in [0, 1]; y: (N,), the true labels; epsilon: from 0
    Source: FGSM, Goodfellow et al. 2015, arXiv:1412.6572
    """
    _check(x, y, epsilon)
    return project(x + epsilon * uphill(model, x, y, loss), x, epsilon)


def noise(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, seed: int) -> Tensor:
    """Return `x` with each pixel up or down by epsilon, as a coin says.

    It asks neither model nor labels: what an attack does beyond this is due to its aim.
    """
    _check(x, y, epsilon)
    rng = torch.Generator().manual_seed(seed)
    coin = torch.randint(2, x.shape, generator=rng) * 2 - 1
    return (x + epsilon * coin.to(x.device)).clamp(0, 1)


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    *,
    rng: torch.Generator,
    steps: int = 20,
    step_size: float | None = None,
    loss: Loss = F.cross_entropy,
) -> Tensor:
    """Return `x` after `steps` small steps uphill from a random start.

    x: (N, C, H, W) in [0, 1]; y: (N,); epsilon: from 0; step_size: by default 2.5 x
    epsilon / steps; rng: moves on with every call, so that another call is a restart
    Source: PGD, Madry et al. 2018, arXiv:1706.06083
    """
    _check(x, y, epsilon)
    if steps < 1:
        raise ValueError(f"need at least 1 step, got {steps}")
    size = 2.5 * epsilon / steps if step_size is None else step_size
    start = (2 * torch.rand(x.shape, generator=rng) - 1) * epsilon
    moved = project(x + start.to(x.device), x, epsilon)
    for _ in range(steps):
        moved = project(moved + size * uphill(model, moved, y, loss), x, epsilon)
    return moved


def fast(epsilon: float, seed: int) -> Attack:
    """Return FGSM-RS for `training.train`: a random start, then one step.

    Source: Fast Is Better Than Free, Wong et al. 2020, arXiv:2001.03994
    """
    rng = torch.Generator().manual_seed(seed)
    given = {"steps": 1, "step_size": 1.25 * epsilon}
    return partial(pgd, epsilon=epsilon, rng=rng, **given)


# --- An attack without a gradient ------------------------------------------------


def square(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    *,
    rng: torch.Generator,
    queries: int = 200,
) -> Tensor:
    """Return `x` with random squares of ±`epsilon`, kept where they raise the margin.

    Asks the model for its outputs only, `queries` times an image. A short form of the
    attack: squares shrink from half the side to a pixel.
    Source: Square Attack, Andriushchenko et al. 2020, arXiv:1912.00049
    """
    _check(x, y, epsilon)
    if queries < 1:
        raise ValueError(f"need at least 1 query, got {queries}")
    n, channels, height, width = x.shape

    def signs(*shape: int) -> Tensor:
        return torch.randint(2, shape, generator=rng).to(x) * 2 - 1

    best = project(x + epsilon * signs(n, channels, 1, width), x, epsilon)
    with torch.no_grad():
        lead = margins(model(best), y)
        for query in range(1, queries):
            side = max(1, round(height / 2 * (1 - query / queries) ** 2))
            inside = _squares(n, height, width, side, rng).to(x.device)
            change = epsilon * signs(n, channels, 1, 1)
            tried = torch.where(inside, project(x + change, x, epsilon), best)
            found = margins(model(tried), y)
            better = found > lead
            best[better], lead[better] = tried[better], found[better]
    return best


def _squares(
    n: int, height: int, width: int, side: int, rng: torch.Generator
) -> Tensor:
    """Return a mask (n, 1, height, width) with one random square an image."""
    top = torch.randint(height - side + 1, (n, 1), generator=rng)
    left = torch.randint(width - side + 1, (n, 1), generator=rng)
    rows, columns = torch.arange(height), torch.arange(width)
    inside = ((rows >= top) & (rows < top + side))[:, None, :, None]
    return inside & ((columns >= left) & (columns < left + side))[:, None, None, :]


# --- Measuring -------------------------------------------------------------------


def survives(model: nn.Module, x: Tensor, y: Tensor, attack: Attack) -> Tensor:
    """Return whether each image is read right, before and after the attack, (N,) bool.

    The attack sees only images that are read right without it.
    """
    right = predict(model, x) == y
    rows_right = right.nonzero().flatten()
    for rows in rows_right.split(BATCH) if len(rows_right) else ():
        right[rows] = predict(model, attack(model, x[rows], y[rows])) == y[rows]
    return right


def worst_case(
    model: nn.Module, x: Tensor, y: Tensor, attacks: Sequence[Attack]
) -> Tensor:
    """Return whether each image survives all of the attacks, (N,) bool.

    Each attack sees what those before it left standing.
    Source: AutoAttack's ensemble, Croce and Hein 2020, arXiv:2003.01690
    """
    right = predict(model, x) == y
    for attack in attacks:
        left = right.nonzero().flatten()
        if len(left):
            right[left] = survives(model, x[left], y[left], attack)
    return right


def ladder(epsilon: float, seed: int) -> dict[str, Attack]:
    """Return attacks by name, each to be added to those before it.

    One step, many steps, another loss from another start, and none of the gradient.
    """
    rng = torch.Generator().manual_seed(seed)
    given = {"epsilon": epsilon, "rng": rng}
    return {
        "FGSM": partial(fgsm, epsilon=epsilon),
        "PGD": partial(pgd, **given),
        "margin": partial(pgd, loss=mean_margin, **given),
        "restart": partial(pgd, loss=mean_margin, **given),
        "square": partial(square, **given),
    }


def masking_signs(
    one_step: float,
    many_steps: float,
    black_box: float,
    unbounded: float,
    slack: float = 0.02,
) -> list[str]:
    """Return what speaks for a hidden gradient instead of a robust model.

    Each argument is the accuracy that is left under an attack; `unbounded` is one
    with an epsilon of 1. slack: how much better a weaker attack may be by chance
    Source: Obfuscated Gradients, Athalye et al. 2018, arXiv:1802.00420
    """
    signs = {
        "one step does more harm than many": one_step < many_steps - slack,
        "an attack without the gradient does more harm": black_box < many_steps - slack,
        "unbounded changes leave right answers": unbounded > slack,
    }
    return [says for says, seen in signs.items() if seen]


# --- A defence that hides the gradient, and the attack that finds it ----------------


class Rounded(nn.Module):
    """A model behind rounding, which leaves each channel of a pixel few values.

    levels: from 2. Its gradient is 0 almost everywhere; with `straight` the way back
    acts as if nothing were rounded.
    Source: BPDA, Athalye et al. 2018, arXiv:1802.00420
    """

    def __init__(self, model: nn.Module, levels: int, straight: bool = False) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"need at least 2 levels, got {levels}")
        self.model, self.top, self.straight = model, levels - 1, straight

    def forward(self, x: Tensor) -> Tensor:
        rounded = (x * self.top).round() / self.top
        if self.straight:
            rounded = x + (rounded - x).detach()
        return self.model(rounded)


def straight_through(model: Rounded) -> Rounded:
    """Return the same model with a way back that ignores the rounding."""
    return Rounded(model.model, model.top + 1, straight=True).eval()


def _check(x: Tensor, y: Tensor, epsilon: float) -> None:
    """Raise ValueError unless images, labels and `epsilon` are as attacks need them."""
    check_images(x)
    check_labels(y, len(x), int(y.max()) + 1 if len(y) else 0)
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must lie in 0..1, got {epsilon}")
