"""Attack x defence: what each attack still reaches after each defence, for one seed.

Some forty trainings, so far too many for a lesson. `securetrain claims --table
adaptive-matrix` runs it over several seeds and keeps the numbers in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from securetrain import adaptive, data, metrics, models, poisoning, training
from securetrain.poisoning import Poisoned, Trigger, stamp

TARGET = data.SIGN_NAMES.index("speed 80")
N_TRAIN, N_TEST, N_TRUSTED = 4000, 2000, 500
GUESS = 0.05  # the share of poison that spectral signatures expect
FLAGGED, LOST = "clean data: flagged", "clean data: accuracy lost"

# --- Attacks: a tainted set, and the trigger at test -----------------------------

Attack = Callable[[Tensor, Tensor, int], tuple[Poisoned, Trigger]]


def sticker(x: Tensor, y: Tensor, seed: int) -> tuple[Poisoned, Trigger]:
    """Return a set with a sticker of eight pixels on 2 %."""
    pattern, mask = poisoning.sticker(8)
    trigger = partial(stamp, pattern=pattern, mask=mask)
    return poisoning.poison(x, y, trigger, TARGET, 0.02, seed), trigger


def whole(opacity: float) -> Trigger:
    """Return the trigger that shows all squares of a mosaic."""
    pattern, mask = poisoning.mosaic(opacity, 8, seed=1)
    return partial(stamp, pattern=pattern, mask=mask)


def half(seed: int) -> Trigger:
    """Return the trigger that shows each image its own half of the mosaic's squares."""
    pattern, _ = poisoning.mosaic(0.2, 8, seed=1)
    shown = {"parts": adaptive.squares(), "keep": 8, "opacity": 0.2, "seed": seed}
    return partial(adaptive.show_parts, pattern=pattern, **shown)


def mosaic(x: Tensor, y: Tensor, seed: int) -> tuple[Poisoned, Trigger]:
    """Return a set with a whole faint mosaic on 5 %."""
    return poisoning.poison(x, y, whole(0.2), TARGET, 0.05, seed), whole(0.2)


def mosaic_in_parts(x: Tensor, y: Tensor, seed: int) -> tuple[Poisoned, Trigger]:
    """Return a set with half a mosaic on 5 % and on 2 % cover: Adaptive-Blend."""
    given = (half(seed), TARGET, 0.05, 0.02, seed)
    return adaptive.poison_with_cover(x, y, *given), whole(0.3)


def stickers_in_parts(x: Tensor, y: Tensor, seed: int) -> tuple[Poisoned, Trigger]:
    """Return a set with one of four faint stickers on 5 %, 2 % cover: Adaptive-Patch.

    At test two of them stand in opposite corners, fully opaque.
    """
    pattern, parts = poisoning.sticker(8)[0], adaptive.corners(8)
    shown = {"parts": parts, "keep": 1, "opacity": 0.4, "seed": seed}
    one = partial(adaptive.show_parts, pattern=pattern, **shown)
    two = partial(stamp, pattern=pattern, mask=parts[[0, 3]].sum(0))
    return adaptive.poison_with_cover(x, y, one, TARGET, 0.05, 0.02, seed), two


def wave(x: Tensor, y: Tensor, seed: int) -> tuple[Poisoned, Trigger]:
    """Return a set with faint stripes on 6 %, all of it with true labels."""
    faint, strong = (partial(poisoning.wave, amplitude=a) for a in (0.08, 0.15))
    tainted = poisoning.poison(x, y, faint, TARGET, 0.06, seed, clean_label=True)
    return tainted, strong


ATTACKS: dict[str, Attack] = {
    "sticker": sticker,
    "mosaic": mosaic,
    "mosaic in parts": mosaic_in_parts,
    "stickers in parts": stickers_in_parts,
    "wave": wave,
}
REFEREE = "wave, trusted too"  # the trusted images come from the delivery itself

# --- Defences: the images they flag, and the model that is left -------------------


@dataclass(frozen=True)
class Case:
    """What a defender has: a delivery, its model, trusted images and a seed."""

    x: Tensor
    y: Tensor
    model: nn.Module
    trusted: Tensor
    trusted_y: Tensor
    seed: int

    def without(self, flagged: Tensor) -> nn.Module:
        """Return a model trained anew without the flagged images, if there are any."""
        if not flagged.any():
            return self.model
        kept = ~flagged
        return training.train(self.x[kept], self.y[kept], self.seed, progress=False)


Defence = Callable[[Case], tuple[Tensor, nn.Module]]


def none(case: Case) -> tuple[Tensor, nn.Module]:
    """Flag nothing."""
    return torch.zeros(len(case.y), dtype=torch.bool), case.model


def spectral(case: Case) -> tuple[Tensor, nn.Module]:
    """Flag by spectral signatures that expect `GUESS`."""
    seen = models.features(case.model, case.x)
    flagged = poisoning.spectral_signatures(seen, case.y, GUESS)
    return flagged, case.without(flagged)


def clusters(case: Case) -> tuple[Tensor, nn.Module]:
    """Flag by activation clustering."""
    seen = models.features(case.model, case.x)
    flagged = poisoning.activation_clustering(seen, case.y, case.seed)
    return flagged, case.without(flagged)


def separation(case: Case) -> tuple[Tensor, nn.Module]:
    """Flag the untrusted side of classes whose clusters stand apart."""
    seen, known = (models.features(case.model, x) for x in (case.x, case.trusted))
    flagged = poisoning.untrusted_side(seen, case.y, known, case.trusted_y, case.seed)
    return flagged, case.without(flagged)


def two_components(case: Case) -> tuple[Tensor, nn.Module]:
    """Flag second components in which trusted images have no part."""
    seen, known = (adaptive.pooled(case.model, x) for x in (case.x, case.trusted))
    flagged = adaptive.two_components(seen, case.y, known, case.trusted_y).flagged
    return flagged, case.without(flagged)


def audit(case: Case) -> tuple[Tensor, nn.Module]:
    """Flag labels that a model grown from trusted images disagrees with."""
    given = (case.x, case.y, case.trusted, case.trusted_y, case.seed)
    found = poisoning.reference_audit(*given, progress=False)
    return found.flagged, found.model


BLIND: dict[str, Defence] = {"none": none, "spectral": spectral, "clusters": clusters}
TRUSTING: dict[str, Defence] = {
    "separation": separation,
    "two components": two_components,
    "audit": audit,
}

# --- The table --------------------------------------------------------------------


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Return row -> column -> value for one seed.

    A row of an attack holds its success after each defence; the last two hold what
    each defence flags on clean data, and the accuracy that this costs.
    """
    x, y = data.signs(N_TRAIN, seed)
    test = data.signs(N_TEST, seed, split="test")
    trusted = data.signs(N_TRUSTED, seed + 1000, split="test")
    rows: dict[str, dict[str, float]] = {}
    for name, attack in ATTACKS.items():
        tainted, trigger = attack(x, y, seed)
        model = training.train(tainted.x, tainted.y, seed, progress=False)
        case = Case(tainted.x, tainted.y, model, *trusted, seed)
        rows[name] = _success(case, BLIND | TRUSTING, test, trigger)
        if attack is wave:
            own = case.x[:N_TRUSTED], case.y[:N_TRUSTED]
            fooled = Case(tainted.x, tainted.y, model, *own, seed)
            blind = {column: rows[name][column] for column in BLIND}  # ask no one
            rows[REFEREE] = blind | _success(fooled, TRUSTING, test, trigger)
    model = training.train(x, y, seed, progress=False)
    return rows | _cost(Case(x, y, model, *trusted, seed), test)


def _success(
    case: Case, defences: dict[str, Defence], test: tuple[Tensor, Tensor], at: Trigger
) -> dict[str, float]:
    return {
        name: metrics.attack_success_rate(defend(case)[1], *test, at, TARGET)
        for name, defend in defences.items()
    }


def _cost(case: Case, test: tuple[Tensor, Tensor]) -> dict[str, dict[str, float]]:
    before = metrics.accuracy(case.model, *test)
    flagged, lost = {}, {}
    for name, defend in (BLIND | TRUSTING).items():
        mask, model = defend(case)
        flagged[name] = mask.float().mean().item()
        lost[name] = before - metrics.accuracy(model, *test)
    return {FLAGGED: flagged, LOST: lost}
