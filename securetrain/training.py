"""One training loop, short enough to read aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from securetrain.data import check_images, check_labels
from securetrain.models import small_resnet

BATCH = 64
SHIFT = 1  # pixels by which each batch is moved, at most

# model, images (N, C, H, W) and labels (N,) in; images out
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


def train(
    x: Tensor,
    y: Tensor,
    seed: int,
    *,
    epochs: int = 3,
    classes: int = 10,
    progress: bool = True,
    attack: Attack | None = None,
) -> nn.Module:
    """Return a small residual network trained on images `x` with labels `y`.

    x: (N, C, H, W) in [0, 1]; y: (N,) in 0..classes-1; at least one batch of 64
    attack: moves each batch against the model as it is, in training mode, before the
        model learns it
    Raises ValueError for wrong shapes, types, ranges or labels.
    Source: Muon for the kernels, Jordan et al. 2024; settings after airbench,
    Jordan 2024, arXiv:2404.00498.
    """
    check_images(x)
    check_labels(y, len(x), classes)
    if len(x) < BATCH or epochs < 1:
        raise ValueError(f"need {BATCH} images and 1 epoch, got {len(x)} and {epochs}")
    model = small_resnet(seed, classes, x.shape[1]).train()
    rng = torch.Generator().manual_seed(seed)
    optimisers = make_optimisers(model)
    per_epoch = len(x) // BATCH
    steps = epochs * per_epoch
    with tqdm(total=steps, desc="training", disable=not progress, leave=False) as bar:
        for step in range(steps):
            if step % per_epoch == 0:
                order = torch.randperm(len(x), generator=rng).split(BATCH)
            batch = order[step % per_epoch]
            top, left = torch.randint(2 * SHIFT + 1, (2,), generator=rng).tolist()
            image = F.pad(x[batch], (SHIFT,) * 4, mode="replicate")
            image = image[:, :, top : top + x.shape[2], left : left + x.shape[3]]
            image = image.contiguous(memory_format=torch.channels_last)
            if attack:
                image = attack(model, image, y[batch])
            loss = F.cross_entropy(model(image), y[batch], label_smoothing=0.1)
            set_rates(optimisers, ramp(step / steps))
            descend(optimisers, loss)
            bar.update()
    return model.eval()


def ramp(share: float) -> float:
    """Return the learning rate's factor: up over the first fifth, then down to 0."""
    return min(share / 0.2, (1 - share) / 0.8)


def set_rates(optimisers: Iterable[Optimiser], share: float) -> None:
    """Set each learning rate to this share of its peak."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * share


def descend(optimisers: Iterable[Optimiser], loss: Tensor) -> None:
    """Take one step against the gradient of a loss."""
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()


def make_optimisers(model: nn.Module) -> list[Optimiser]:
    """Return Muon for the convolution kernels and AdamW for the rest."""
    kernels = [p for p in model.parameters() if p.ndim == 4]
    others = [p for p in model.parameters() if p.ndim != 4]
    return [
        Muon([{"params": kernels, "peak_lr": 0.24}]),
        AdamW([{"params": others, "peak_lr": 5e-3}], weight_decay=1e-3),
    ]


class Optimiser:
    """As much of `torch.optim.Optimizer` as we need.

    That one loads torch's compiler, which nothing here uses: 140 MB, and seconds.
    params: weights, or groups of them, dicts that may have settings of their own
    """

    def __init__(self, params: Iterable[Any], **settings: float) -> None:
        given = list(params)
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        self.param_groups = [
            settings | group | {"params": list(group["params"])} for group in groups
        ]
        self.states = [[{} for _ in group["params"]] for group in self.param_groups]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move each weight that has a gradient."""
        for group, states in zip(self.param_groups, self.states, strict=True):
            for p, state in zip(group["params"], states, strict=True):
                if p.grad is not None:
                    self.move(p, p.grad, state, group)

    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        """Move one weight in place; `state` is empty at first."""
        raise NotImplementedError


class AdamW(Optimiser):
    """Adam with decoupled weight decay, bit for bit as `torch.optim.AdamW`.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 1e-2
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)

    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(p)}
            state["square"] = torch.zeros_like(p)
        state["step"] += 1
        p.mul_(1 - group["lr"] * group["weight_decay"])
        mean = state["mean"].lerp_(grad, 1 - 0.9)
        square = state["square"].mul_(0.999).addcmul_(grad, grad, value=1 - 0.999)
        spread = (square.sqrt() / (1 - 0.999 ** state["step"]) ** 0.5).add_(1e-8)
        p.addcdiv_(mean, spread, value=-group["lr"] / (1 - 0.9 ** state["step"]))


class Muon(Optimiser):
    """Momentum whose update is made orthogonal, for kernels (out, in, h, w).

    `torch.optim.Muon` takes matrices only; here a kernel is a matrix of out rows,
    and its norm is held constant.
    Source: Muon, Jordan et al. 2024
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 0.0, momentum: float = 0.6
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum)

    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(p)
        m = state["momentum"].mul_(group["momentum"]).add_(grad)
        update = grad.add(m, alpha=group["momentum"]).flatten(1)
        p.mul_(len(p) ** 0.5 / p.norm())
        p.sub_(group["lr"] * orthogonalise(update).view_as(p))


def orthogonalise(matrix: Tensor, steps: int = 3) -> Tensor:
    """Return roughly U Vᵀ of the singular value decomposition of (rows, columns)."""
    tall = len(matrix) > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x
