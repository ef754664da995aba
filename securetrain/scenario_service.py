"""Evidence of a drill that is measured: three cameras, and what was seen of each image.

The attacker, or the weather, changes what one camera sends. The defender has four
statistics of each image, and those of images that people have checked.
"""

from __future__ import annotations

import csv
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from securetrain import data, monitoring
from securetrain.monitoring import STATISTICS
from securetrain.scenarios import Plan
from securetrain.training_stream import statistics

CAMERAS = ("north", "east", "harbour")
HOURS, BATCH, KNOWN = 24, 40, 400  # hours of a day, images an hour, checked images
DAYS, LATE = 10, 6  # days on which a threshold is tried; hours in which it must stop
HARD = 0.4  # of `data.signs`, as the training set has it


@lru_cache(maxsize=3)
def pool(seed: int) -> tuple[Tensor, np.ndarray]:
    """Return images that cameras see, (1200, 3, 32, 32), and their statistics."""
    x, _ = data.signs(1200, seed, "test", hard=HARD)
    return x, statistics(x)


def changed(x: Tensor, vector: str, strength: float, rng: torch.Generator) -> Tensor:
    """Return what a camera sends once something has happened to it.

    x: (N, 3, H, W) in [0, 1]; strength: 0 (nothing) to 1
    """
    if vector == "fog":
        return x.lerp(torch.full_like(x, 0.75), 0.6 * strength)
    if vector == "night":
        return x * (1 - 0.6 * strength)
    if vector == "colour cast":
        cast = torch.tensor([1.0, 1 - 0.5 * strength, 1 - 0.7 * strength])
        return x * cast[:, None, None]
    noise = torch.rand(x.shape, generator=rng)  # questions that no camera asks
    mine = torch.rand(len(x), generator=rng) < 0.5 * strength
    return torch.where(mine[:, None, None, None], noise, x)


def day(
    images: Tensor, known: np.ndarray, seed: int, vector: str = "", start: int = HOURS
) -> np.ndarray:
    """Return one camera's day: (24, 40, 4), the statistics of each image.

    images, known: from `pool`; vector: what happens from hour `start` on; fog and night
    come within eight hours, the others at once
    """
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(images), (HOURS, BATCH), generator=rng)
    found = known[rows.numpy()]
    if vector:
        for hour in range(start, HOURS):
            slow = (
                min(1.0, (hour - start + 1) / 8) if vector in ("fog", "night") else 1.0
            )
            found[hour] = statistics(changed(images[rows[hour]], vector, slow, rng))
    return found


def streams(plan: Plan, folder: Path) -> dict[str, Any]:
    """Write a day of each camera and the checked statistics; return the truth."""
    fault = plan.fault("drifting-service")
    images, values = pool(plan.seed.number("pool"))
    bad = plan.seed.rng("camera").choice(CAMERAS) if fault else ""
    folder.mkdir(parents=True)
    _write(folder / "checked.csv", pool(plan.seed.number("checked"))[1][None, :KNOWN])
    busy = plan.seed.rng("busy").choice(
        CAMERAS
    )  # perhaps the bad one: size tells nothing
    for name in CAMERAS:
        happens = {"vector": fault.vector, "start": fault.hour} if name == bad else {}
        found = day(images, values, plan.seed.number(name), **happens)
        if name == busy:  # twice the visitors, the same kind of images
            more = day(images, values, plan.seed.number(f"{name} again"), **happens)
            found = np.concatenate([found, more], axis=1)
        _write(folder / f"{name}.csv", found)
    return {"item": bad, "start": fault.hour} if fault else {}


def _write(path: Path, values: np.ndarray) -> None:
    """Write (hours, images, 4) as a table with one row an image."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(("hour", *STATISTICS))
    for hour, rows in enumerate(values):
        out.writerows((hour, *(f"{v:.4f}" for v in row)) for row in rows)
    path.write_text(text.getvalue(), "ascii")


def read(path: Path) -> np.ndarray:
    """Return a table as (hours, images, 4). Raises ValueError for another form."""
    rows = list(csv.reader(path.read_text("ascii").splitlines()))
    if not rows or rows[0] != ["hour", *STATISTICS]:
        raise ValueError(f"{path}: expected the columns hour, {', '.join(STATISTICS)}")
    values = np.array(rows[1:], float)
    return values[:, 1:].reshape(int(values[-1, 0]) + 1, -1, len(STATISTICS))


def judged(limit: float, vector: str, start: int, seed: int) -> tuple[float, float]:
    """Return how often a threshold stops ten calm days, and ten days with this drift.

    limit: of `monitoring.ks`, -log10 p; a day with drift counts where it is stopped
    within six hours of its beginning, and not before
    """
    images, values = pool(seed)
    known = pool(seed + 1)[1][:KNOWN]

    def alarms(number: int, **happens: Any) -> int | None:
        scores = monitoring.ks(day(images, values, seed + number, **happens), known)
        return monitoring.first_alarm(scores, limit)

    calm = [alarms(n) for n in range(DAYS)]
    if calm.count(None) < DAYS / 2:  # it stops anything: the rest is not asked
        return 1 - calm.count(None) / DAYS, 1.0
    bad = [alarms(100 + n, vector=vector, start=start) for n in range(DAYS)]
    stopped = [hour for hour in bad if hour is not None and 0 <= hour - start < LATE]
    return sum(hour is not None for hour in calm) / DAYS, len(stopped) / DAYS


def stop_at(hours: int, alpha: float = 0.001) -> float:
    """Return Bonferroni's threshold for one camera and so many hours, as -log10 p."""
    return float(-np.log10(alpha / (hours * len(STATISTICS))))
