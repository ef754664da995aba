"""Differentially private training: a bound on what one record can do to the model.

Each record's gradient is clipped, noise is added to their sum, and an accountant says
how far the model may differ from one trained without any single record. The attacker
may know everything but that record. Training and accounting are Opacus's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from securetrain.language import CharModel, char_model, encode

if TYPE_CHECKING:
    from opacus.accountants import IAccountant
    from opacus.optimizers import DPOptimizer
    from torch.utils.data import DataLoader

CLIP_NORM = 1.0
BATCH, PART, RATE = 512, 128, 2e-2
IGNORED = -100  # a target that does not count: after a line's end


@dataclass(frozen=True)
class Private:
    """A model, and the promise under which it was trained.

    epsilon, delta: per record; noise_multiplier: noise over `CLIP_NORM`
    """

    model: CharModel
    epsilon: float
    delta: float
    noise_multiplier: float


def noise_for(epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """Return the noise multiplier that spends at most `epsilon` in so many steps.

    sample_rate: the chance of a record to be in a step's batch, above 0, at most 1
    Raises ValueError for arguments outside their range.
    Source: Rényi accounting, Mironov 2017, arXiv:1702.07476, as in Opacus
    """
    from opacus.accountants.utils import get_noise_multiplier

    if not (0 < epsilon < math.inf and 0 < delta < 1 and 0 < sample_rate <= 1):
        raise ValueError(
            "expected a finite epsilon > 0, 0 < delta < 1 and 0 < sample_rate <= 1, "
            f"got {epsilon}, {delta} and {sample_rate}"
        )
    if steps < 1:
        raise ValueError(f"expected at least one step, got {steps}")
    with _known_warnings():
        return get_noise_multiplier(
            target_epsilon=epsilon,
            target_delta=delta,
            sample_rate=sample_rate,
            steps=steps,
            accountant="rdp",
        )


def spent(noise: float, delta: float, sample_rate: float, steps: int) -> float:
    """Return the epsilon that so many steps have spent, by Opacus's RDP accountant."""
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise, sample_rate, steps)]
    with _known_warnings():
        return accountant.get_epsilon(delta)


def group(epsilon: float, delta: float, copies: int) -> tuple[float, float]:
    """Return the promise for `copies` records together, epsilon and delta.

    A delta of 1 promises nothing. Raises ValueError for fewer than one copy.
    Source: The Algorithmic Foundations of Differential Privacy, Dwork and Roth 2014
    """
    if copies < 1 or epsilon < 0 or not 0 <= delta <= 1:
        raise ValueError(
            "expected copies >= 1, epsilon >= 0 and delta in [0, 1], "
            f"got {copies}, {epsilon} and {delta}"
        )
    if delta == 0:
        return copies * epsilon, 0.0
    power = math.log(copies) + (copies - 1) * epsilon + math.log(delta)
    return copies * epsilon, math.exp(min(power, 0.0))


def by_record(lines: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return contexts (N, T, 16) and targets (N, T), one row a line, T the longest.

    Targets after a line's end are `IGNORED`.
    """
    contexts, targets, owners = encode(lines)
    first = torch.searchsorted(owners, torch.arange(len(lines)))
    place = torch.arange(len(owners)) - first[owners]
    longest = int(place.max()) + 1
    rows = torch.zeros(len(lines), longest, contexts.shape[1], dtype=torch.int64)
    wanted = torch.full((len(lines), longest), IGNORED)
    rows[owners, place], wanted[owners, place] = contexts, targets
    return rows, wanted


def record_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over records of each record's mean loss a character.

    logits: (N, T, C); targets: (N, T), `IGNORED` where nothing is wanted
    """
    each = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none"
    ).view_as(targets)
    return (each.sum(1) / (targets != IGNORED).sum(1)).mean()


def train_private(
    lines: Sequence[str],
    seed: int,
    *,
    epsilon: float = 8.0,
    epochs: int = 6,
    hidden: int = 64,
    progress: bool = True,
) -> Private:
    """Return a model of the lines by DP-SGD, a line a record; delta is 1 / (2 N).

    Adam with a rate that climbs, then falls. The noise is repeatable here, for a
    lesson; where it counts, use Opacus's secure mode. An infinite epsilon clips and
    adds no noise: a control that promises nothing.
    Raises ValueError for no lines, an epsilon not above 0, or less than one epoch.
    Source: Abadi et al. 2016, arXiv:1607.00133; Opacus, Yousefpour et al. 2021,
    arXiv:2109.12298
    """
    from opacus import PrivacyEngine
    from torch.utils.data import DataLoader, TensorDataset

    contexts, targets = by_record(lines)
    records = TensorDataset(contexts.byte(), targets)  # an eighth of the memory
    batch, delta = min(BATCH, len(records)), 1 / (2 * len(records))
    rng = torch.Generator().manual_seed(seed)
    loader = DataLoader(records, batch, shuffle=True, generator=rng)
    steps = epochs * len(loader)
    promised = epsilon < math.inf
    noise = noise_for(epsilon, delta, 1 / len(loader), steps) if promised else 0.0
    model = char_model(seed, hidden).train()
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    with _known_warnings():
        engine = PrivacyEngine(accountant="rdp")
        wrapped, optimiser, loader = engine.make_private(
            module=model,
            optimizer=optimiser,
            data_loader=loader,
            noise_multiplier=noise,
            max_grad_norm=CLIP_NORM,
            noise_generator=rng,
        )
        _run(wrapped, optimiser, loader, epochs, engine.accountant, progress)
        found = engine.get_epsilon(delta) if promised else math.inf
    wrapped.remove_hooks()
    return Private(model.eval(), found, delta, noise)


def _run(
    model: nn.Module,
    optimiser: DPOptimizer,
    loader: DataLoader,
    epochs: int,
    accountant: IAccountant,
    progress: bool,
) -> None:
    """Train; the rate rises over a tenth of the steps and falls after half of them.

    A batch is worked through in parts of `PART` records, so that memory stays small;
    Opacus adds their clipped gradients up and takes one step for all.
    """
    from opacus.utils.batch_memory_manager import BatchMemoryManager

    steps = epochs * len(loader)
    for _ in tqdm(range(epochs), "training", disable=not progress, leave=False):
        parts = BatchMemoryManager(
            data_loader=loader, max_physical_batch_size=PART, optimizer=optimiser
        )
        with parts as batches:
            for contexts, targets in batches:
                share = sum(n for *_, n in accountant.history) / steps
                rate = RATE * min(1.0, share * 10 + 10 / steps, (1 - share) * 2)
                for settings in optimiser.param_groups:
                    settings["lr"] = rate
                optimiser.zero_grad()
                record_loss(model(contexts.long()), targets).backward()
                optimiser.step()


@contextmanager
def _known_warnings() -> Iterator[None]:
    """Silence what Opacus and torch say about the course's own choices."""
    with warnings.catch_warnings():
        for text in (
            "Secure RNG turned off",  # the lesson's noise is repeatable
            "Full backward hook is firing",  # inputs are numbers, without gradient
            "Optimal order is the (largest|smallest) alpha",  # a looser epsilon
        ):
            warnings.filterwarnings("ignore", message=text)
        yield
