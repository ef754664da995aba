"""Evidence of a drill that is a training set: signs, some poisoned or relabelled.

The attacker works on images before the set is signed, or on its labels afterwards. The
defender has the set, images that people have checked, and a list of relabellings.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from securetrain import (
    adaptive,
    data,
    gate_attacks,
    metrics,
    models,
    poisoning,
    training,
)
from securetrain.poisoning import Poisoned, Trigger
from securetrain.scenario_records import Truth
from securetrain.scenario_service import HARD
from securetrain.scenarios import ROWS, Plan

CHECKED, TESTED = 300, 300  # images
EPOCHS = 6
RATE, COVER = 0.04, 0.02
RELABELLED = 0.065  # two thirds of a class
HONEST, NIGHT = 24, round(RELABELLED * ROWS)  # labels put right, by one and another


def trigger(vector: str, seed: int, train: bool = True) -> Trigger:
    """Return what puts a vector's trigger on images; train: as in the training set.

    Adaptive poison ("cover") shows a part in training and all of it in use.
    """
    if vector == "sticker":
        pattern, mask = poisoning.sticker()
        return lambda x: poisoning.stamp(x, pattern, mask)
    if vector == "wave":
        return lambda x: poisoning.wave(x, 0.12)
    if vector == "mosaic":
        pattern, mask = poisoning.mosaic(0.2, 8, seed)
        return lambda x: poisoning.stamp(x, pattern, mask)
    pattern, mask = poisoning.mosaic(0.3, 8, seed)
    if train:
        parts = adaptive.squares()
        return lambda x: adaptive.show_parts(x, pattern, parts, 9, 0.3, seed)
    return lambda x: poisoning.stamp(x, pattern, mask)


def labels(plan: Plan) -> tuple[int, int]:
    """Return the label that the attacker wants, and the one that they relabel."""
    target, victim = plan.seed.rng("labels").sample(range(len(data.SIGN_NAMES)), 2)
    return target, victim


def poisoned(plan: Plan, x: Tensor, y: Tensor) -> Poisoned:
    """Return the set as the attacker of this month leaves it."""
    fault, seed = plan.fault("poisoned-data"), plan.seed.number("poison")
    if fault is None:
        return Poisoned(x, y, torch.zeros(len(x), dtype=torch.bool))
    target, victim = labels(plan)
    if fault.vector == "relabelled":
        rows = (y == victim).nonzero().flatten().tolist()
        rows = plan.seed.rng("night").sample(rows, min(NIGHT, len(rows)))
        hit = torch.zeros(len(x), dtype=torch.bool)
        hit[rows] = True
        return Poisoned(x, torch.where(hit, target, y), hit)
    mark = trigger(fault.vector, seed)
    if fault.vector == "cover":
        rates = RATE, COVER
        return adaptive.poison_with_cover(x, y, mark, target, *rates, seed)
    return poisoning.poison(x, y, mark, target, RATE, seed)


def training_set(plan: Plan, folder: Path) -> Truth:
    """Write the set, its release, the checked images and the relabellings."""
    fault, seed = plan.fault("poisoned-data"), plan.seed.number
    x, y = data.signs(ROWS, seed("signs"), hard=HARD)
    tainted = poisoned(plan, x, y)
    files = data.to_files(tainted.x, tainted.y)
    by_night = fault is not None and fault.vector == "relabelled"
    signed = data.to_files(x, y) if by_night else files
    release = gate_attacks.sign(signed, 1, plan.seed.bytes("publisher"))
    checked = data.signs(CHECKED, seed("checked signs"), hard=HARD)
    named = {f"set/{name}": content for name, content in files.items()}
    shown = data.to_files(*checked, shards=1)
    named |= {f"checked/{name}": content for name, content in shown.items()}
    named |= {"release/manifest.json": release.manifest}
    named |= {"release/manifest.sig": release.signature}
    named["relabelled.csv"] = _changes(plan, y, tainted)
    for name, content in named.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if fault is None:
        return {}
    target, victim = labels(plan)
    rows = tainted.is_poison.nonzero().flatten().tolist()
    where = {"poison": rows, "seed": seed("poison"), "target": target}
    return {"item": data.SIGN_NAMES[target], "victim": victim} | where


def _changes(plan: Plan, y: Tensor, tainted: Poisoned) -> bytes:
    """Return the list of labels that accounts have changed: index, from, to, who."""
    rng, rows = plan.seed.rng("relabelled"), []
    poison, honest = (
        mask.nonzero().flatten().tolist()
        for mask in (tainted.is_poison, ~tainted.is_poison)
    )
    fault = plan.fault("poisoned-data")
    if fault and fault.vector == "relabelled":
        target, victim = labels(plan)
        rows = [(index, victim, target, "night shift") for index in poison]
    for index in rng.sample(honest, HONEST + NIGHT - len(rows)):  # as many every day
        label, who = int(y[index]), "night shift" if len(rows) < NIGHT else "quality"
        rows.append((index, (label + rng.randrange(1, 10)) % 10, label, who))
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(("image", "was", "is", "account"))
    out.writerows(sorted(rows))
    return text.getvalue().encode("ascii")


# --- Reading it again --------------------------------------------------------------


@dataclass(frozen=True)
class Set:
    """A set under suspicion: x (N, 3, 32, 32), y (N,), and checked images and labels.

    changes: (image, label before, label now, account)
    """

    x: Tensor
    y: Tensor
    checked: Tensor
    checked_y: Tensor
    changes: Sequence[tuple[int, int, int, str]]


def load(folder: Path) -> Set:
    """Return what `training_set` wrote. Raises ValueError for anything else."""
    parts = [data.from_files(_files(folder / name)) for name in ("set", "checked")]
    text = (folder / "relabelled.csv").read_text("ascii")
    rows = list(csv.reader(text.splitlines()))[1:]
    changes = [(int(i), int(a), int(b), who) for i, a, b, who in rows]
    return Set(*parts[0], *parts[1], changes)


def _files(folder: Path) -> Mapping[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.npy"))
    }


# --- What a repair is worth --------------------------------------------------------


def measured(
    truth: Mapping[str, Any], found: Set, kept: Sequence[int], seed: int
) -> dict[str, float]:
    """Return attack success and accuracy of a model of the kept images.

    truth: of the poison; kept: rows of the set. Attack success: how many fresh images
    with the trigger are read as the target; for relabelling, of the relabelled sign.
    """
    rows = torch.tensor(sorted(kept))
    fit = found.x[rows], found.y[rows]
    model = training.train(*fit, seed, epochs=EPOCHS, progress=False)
    x, y = data.signs(TESTED, seed, "test", hard=HARD)
    target = truth["target"]
    if truth["vector"] == "relabelled":
        asked = x[y == truth["victim"]]
    else:
        asked = trigger(truth["vector"], truth["seed"], train=False)(x[y != target])
    read = models.predict(model, asked) == target
    accuracy = metrics.accuracy(model, x, y)
    return {"attack success": read.float().mean().item(), "accuracy": accuracy}
