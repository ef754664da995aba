"""Procedural traffic signs: templates drawn once, then varied in one batch.

Every image is a new photograph of one of ten signs: seen at an angle, in front of
clutter, partly covered, badly lit, blurred and noisy.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

NAMES = (
    "stop",
    "yield",
    "no entry",
    "speed 30",
    "speed 50",
    "speed 80",
    "priority road",
    "keep right",
    "straight on",
    "warning",
)
SIZE = 32  # pixels of an image
TEMPLATE = 48  # pixels of a template
OVERSAMPLING = 4  # a template is drawn this much larger, then reduced

RED, BLUE, YELLOW = (193, 18, 28), (0, 75, 160), (250, 195, 30)
WHITE, BLACK = (245, 245, 240), (20, 20, 22)


def _polygon(sides: int, turn: float, radius: float) -> list[tuple[float, float]]:
    """Return the corners of a regular polygon around the centre of the unit square."""
    angles = np.deg2rad(turn) + 2 * np.pi * np.arange(sides) / sides
    return [(0.5 + radius * np.cos(a), 0.5 + radius * np.sin(a)) for a in angles]


def _draw(label: int, border: float) -> Image.Image:
    """Draw one sign, RGBA; `border` is the rim's width as a share of the sign."""
    size = TEMPLATE * OVERSAMPLING
    image = Image.new("RGBA", (size, size))
    pen = ImageDraw.Draw(image)

    def polygon(points: list[tuple[float, float]], fill: tuple[int, int, int]) -> None:
        pen.polygon([(x * size, y * size) for x, y in points], fill=fill)

    def disc(radius: float, fill: tuple[int, int, int]) -> None:
        low, high = (0.5 - radius) * size, (0.5 + radius) * size
        pen.ellipse((low, low, high, high), fill=fill)

    def text(word: str, share: float, fill: tuple[int, int, int]) -> None:
        font = ImageFont.load_default(share * size)
        centre = (size / 2, size / 2)
        pen.text(centre, word, font=font, fill=fill, anchor="mm", stroke_width=3)

    def arrow(turn: float) -> None:
        shape = np.array(
            [(0, -0.34), (0.2, -0.1), (0.08, -0.1), (0.08, 0.32)]
            + [(-0.08, 0.32), (-0.08, -0.1), (-0.2, -0.1)]
        )
        c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        polygon([tuple(p) for p in shape @ [[c, s], [-s, c]] + 0.5], WHITE)

    name = NAMES[label]
    if name == "stop":
        polygon(_polygon(8, 22.5, 0.48), WHITE)
        polygon(_polygon(8, 22.5, 0.48 - border / 2), RED)
        text("STOP", 0.3, WHITE)
    elif name == "yield":
        polygon(_polygon(3, 90, 0.5), RED)
        polygon(_polygon(3, 90, 0.5 - 2 * border), WHITE)
    elif name == "no entry":
        disc(0.47, RED)
        polygon([(0.17, 0.41), (0.83, 0.41), (0.83, 0.59), (0.17, 0.59)], WHITE)
    elif name.startswith("speed"):
        disc(0.47, RED)
        disc(0.47 - border, WHITE)
        text(name.split()[1], 0.48, BLACK)
    elif name == "priority road":
        polygon(_polygon(4, 0, 0.5), WHITE)
        polygon(_polygon(4, 0, 0.5 - border), YELLOW)
    elif name in ("keep right", "straight on"):
        disc(0.47, WHITE)
        disc(0.47 - border / 3, BLUE)
        arrow(135 if name == "keep right" else 0)
    else:
        polygon(_polygon(3, -90, 0.5), RED)
        polygon(_polygon(3, -90, 0.5 - 2 * border), WHITE)
        polygon([(0.46, 0.38), (0.54, 0.38), (0.52, 0.6), (0.48, 0.6)], BLACK)
        polygon(_polygon(8, 0, 0.04), BLACK)
        pen.ellipse([v * size for v in (0.46, 0.63, 0.54, 0.71)], fill=BLACK)
    return image.resize((TEMPLATE, TEMPLATE), Image.Resampling.LANCZOS)


@cache
def templates() -> Tensor:
    """Return three variants of every sign with colour multiplied by opacity.

    Returns (30, 4, 48, 48) in [0, 1]; variant v of sign k is row 3k + v.
    """
    drawn = [
        _draw(k, border) for k in range(len(NAMES)) for border in (0.08, 0.1, 0.12)
    ]
    stack = torch.from_numpy(np.stack([np.asarray(image) for image in drawn]))
    stack = stack.permute(0, 3, 1, 2).float() / 255
    return torch.cat([stack[:, :3] * stack[:, 3:], stack[:, 3:]], dim=1)


def _viewpoints(n: int, hard: float, rng: torch.Generator) -> Tensor:
    """Return sampling grids (n, 32, 32, 2): turn, size, shift and perspective."""
    u = torch.rand(n, 6, generator=rng) * 2 - 1
    angle, tilt_x, tilt_y = (
        u[:, 0] * hard * 0.4,
        u[:, 1] * hard * 0.3,
        u[:, 2] * hard * 0.3,
    )
    scale = 1.3 + u[:, 3] * 0.35 * hard  # above 1 the sign is smaller than the image
    c, s = angle.cos() * scale, angle.sin() * scale
    rows = [c, -s, u[:, 4] * 0.35 * hard, s, c, u[:, 5] * 0.35 * hard]
    rows += [tilt_x, tilt_y, torch.ones(n)]
    homography = torch.stack(rows, dim=1).view(n, 3, 3)
    axis = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
    mapped = homography @ points  # (n, 3, 1024)
    grid = mapped[:, :2] / mapped[:, 2:].clamp_min(0.2)
    return grid.transpose(1, 2).view(n, SIZE, SIZE, 2)


def _clutter(n: int, rng: torch.Generator) -> Tensor:
    """Return backgrounds (n, 3, 32, 32): smooth colour with coarse texture."""
    grey = torch.rand(n, 1, 4, 4, generator=rng)
    colour = torch.rand(n, 3, 3, 3, generator=rng)
    fine = torch.rand(n, 1, 12, 12, generator=rng)
    size = (SIZE, SIZE)
    x = 0.5 * F.interpolate(grey, size, mode="bilinear", align_corners=False)
    x = x + 0.3 * F.interpolate(colour, size, mode="bilinear", align_corners=False)
    return 0.1 + x + 0.15 * F.interpolate(fine, size, mode="nearest")


def _boxes(n: int, hard: float, rng: torch.Generator) -> Tensor:
    """Return masks (n, 1, 32, 32) of one thing in front of each sign."""
    u = torch.rand(n, 4, 1, generator=rng)
    axis = torch.arange(SIZE).view(1, -1)
    half = 1.5 + 4.5 * hard * u[:, 2:]
    near = (axis - u[:, :2] * SIZE).abs() < half  # (n, 2, 32)
    return (near[:, 0, :, None] & near[:, 1, None, :]).unsqueeze(1).float()


def render(labels: Tensor, hard: float, rng: torch.Generator) -> Tensor:
    """Return one new image of each label.

    labels: (N,) int64 in 0..9; hard: 0 (easy) to 1
    Returns (N, 3, 32, 32) float32 in [0, 1].
    """
    n = len(labels)
    variant = torch.randint(3, (n,), generator=rng)
    grid = _viewpoints(n, hard, rng)
    sign = F.grid_sample(templates()[labels * 3 + variant], grid, align_corners=False)
    x = _clutter(n, rng) * (1 - sign[:, 3:]) + sign[:, :3]
    mask = _boxes(n, hard, rng)
    x = x * (1 - mask) + torch.rand(n, 3, 1, 1, generator=rng) * mask
    u = torch.rand(n, 8, 1, 1, generator=rng)
    ramp = torch.linspace(-0.5, 0.5, SIZE)
    light = 1 + hard * ((u[:, :1] - 0.6) + (u[:, 1:2] - 0.5) * ramp[:, None])
    light = light + hard * (u[:, 2:3] - 0.5) * ramp
    cast = 1 + 0.4 * hard * (u[:, 3:6] - 0.5)
    x = (x * light * cast).clamp(1e-3, 1) ** (1 + hard * (u[:, 6:7] - 0.5))
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    x = torch.lerp(x, blurred, hard * 1.4 * u[:, 7:8])
    noise = torch.randn(x.shape, generator=rng)
    return (x + 0.08 * hard * noise).clamp_(0, 1)
