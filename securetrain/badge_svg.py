"""The picture of a badge: an octagon with a glyph of its stage, in words for everyone.

It is plain SVG of shapes and text: no script, no style sheet, no address, no font.
Colour says nothing that a word does not.
"""

from __future__ import annotations

import math
import textwrap
from datetime import datetime

from securetrain.pages import text

INK, PAPER = "#1a1a1a", "#ffffff"
# Okabe and Ito's colours that stand out from paper; a path has its own.
COLOURS = {"1": "#0072b2", "2": "#009e73", "3": "#d55e00", "4": "#cc79a7"}
PATH = "#e69f00"
# Shapes 80 wide around the origin: stacked discs, a net, boxes, a parcel, a shield.
GLYPHS = {
    "1": (
        "M-36-20a36 12 0 1 0 72 0a36 12 0 1 0-72 0v20a36 12 0 0 0 72 0v-20"
        "M-36 0v20a36 12 0 0 0 72 0v-20"
    ),
    "2": "M-32-20L0-28L32-20L32 20L0 28L-32 20ZM-32-20L0 28L32-20M-32 20L0-28L32 20",
    "3": "M-36-28h30v24h-30ZM6-28h30v24h-30ZM-36 4h30v24h-30ZM6 4h30v24h-30Z",
    "4": "M-34-14L0-30L34-14V18L0 32L-34 18ZM-34-14L0 2L34-14M0 2V32",
    "5": "M0-32L32-20V2C32 18 18 28 0 34C-18 28-32 18-32 2V-20Z",
    "": "M-38 28h18v-14h18v-14h18v-14h22M16-28h22v16",
}


def draw(
    title: str, kind: str, stage: str, since: datetime, course: str, holder: str = ""
) -> tuple[bytes, str]:
    """Return a badge as SVG, and the same in words.

    title: up to about 40 characters; kind: what was done, a short line; stage: the
    catalogue's digit, "" for a path; holder: a name in the clear, or ""
    """
    day = f"{since.day} {since:%B %Y}"
    words = f"Badge of {course}: {title}. {kind}, {day}"
    words += f", {holder}." if holder else "."
    colour = COLOURS.get(stage, INK) if stage else PATH
    glyph = GLYPHS.get(stage, GLYPHS[""])
    lines, size = fit(title)
    top = 246 - (len(lines) - 1) * size * 0.55 + size * 0.2
    shapes = [
        _octagon(250, INK),
        _octagon(242, colour),
        _octagon(216, PAPER),
        f'<path transform="translate(256 142) scale(0.95)" d="{glyph}" '
        f'fill="none" stroke="{INK}" stroke-width="6" stroke-linejoin="round"/>',
        _line(course.upper(), 92, 15, "600"),
        *(_line(t, top + n * size * 1.1, size, "700") for n, t in enumerate(lines)),
        f'<path d="M176 318h160" stroke="{colour}" stroke-width="6"/>',
        _line(kind, 348, 20),
        _line(day, 374, 20),
        *(_line(t, 400 + 18 * n, 16, "600") for n, t in enumerate(wrap(holder, 22))),
    ]
    label = f"<title>{text(title)}</title><desc>{text(words)}</desc>"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512" role="img" '
        f'aria-label="{text(words)}">{label}'
        f'<g font-family="system-ui, sans-serif" text-anchor="middle" fill="{INK}">'
        f"{''.join(shapes)}</g></svg>\n"
    ).encode(), words


def fit(title: str) -> tuple[list[str], int]:
    """Return a title's lines and the size at which they fit into the octagon."""
    for width, size, most in ((12, 46, 2), (16, 36, 3)):
        if len(lines := wrap(title, width)) <= most:
            return lines, size
    return wrap(title, 22), 26


def wrap(words: str, width: int) -> list[str]:
    """Return words in lines; a word that is longer than a line is divided."""
    return textwrap.wrap(words, width)


def _octagon(radius: float, fill: str) -> str:
    turns = [math.pi / 8 + math.pi / 4 * n for n in range(8)]
    points = [(256 + radius * math.cos(t), 256 + radius * math.sin(t)) for t in turns]
    joined = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return f'<polygon points="{joined}" fill="{fill}"/>'


def _line(words: str, y: float, size: float, weight: str = "400") -> str:
    return (
        f'<text x="256" y="{y:.0f}" font-size="{size:g}" font-weight="{weight}">'
        f"{text(words)}</text>"
    )
