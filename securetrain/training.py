"""One training loop, short enough to read aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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


def set_rates(optimisers: Iterable[torch.optim.Optimizer], share: float) -> None:
    """Set each learning rate to this share of its peak."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * share


def descend(optimisers: Iterable[torch.optim.Optimizer], loss: Tensor) -> None:
    """Take one step against the gradient of a loss."""
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()


def make_optimisers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """Return Muon for the convolution kernels and AdamW for the rest."""
    kernels = [p for p in model.parameters() if p.ndim == 4]
    others = [p for p in model.parameters() if p.ndim != 4]
    return [
        Muon([{"params": kernels, "peak_lr": 0.24}]),
        torch.optim.AdamW([{"params": others, "peak_lr": 5e-3}], weight_decay=1e-3),
    ]


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for kernels (out, in, h, w).

    `torch.optim.Muon` takes matrices only; here a kernel is a matrix of out rows,
    and its norm is held constant.
    Source: Muon, Jordan et al. 2024
    """

    def __init__(self, params, lr: float = 0.0, momentum: float = 0.6) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"].mul_(group["momentum"]).add_(p.grad)
                update = p.grad.add(m, alpha=group["momentum"]).flatten(1)
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
