"""How every clip is drawn: one canvas, the course's three roles, motion by scenes.

A clip's source is `clips/NAME.py`. It says

    UNIT, TITLE, ALT    the lesson it belongs to, its one idea, its alternative text
    facts()             what is shown, computed by the library, in seconds
    holds(facts)        whether what the clip says is so
    scenes(facts)       its captions in order; (text, seconds) where motion needs longer
    draw(stage, facts, at)    one picture; at(k) is how far scene k has come, 0 to 1

Everything that is shown stands above `BAND`: there the browser writes the captions.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from matplotlib.text import Text

from securetrain.plots import ATTACKED, CLEAN, COLOURS, DEFENDED, HATCHES

WIDTH, HEIGHT, FPS = 1280, 720, 15
BAND = 118  # pixels at the bottom that stay empty, for two lines of captions
SMALLEST = 24  # pixels of a letter's line
LINE, LINES, SPEED = 42, 2, 17  # signs a line, lines, signs a second at most
EDGES = COLOURS | {"plain": "black"}
TINTS = {"clean": "#ededed", "attacked": "#fae0cf", "defended": "#d3e6f3"}
TINTS["plain"] = "white"

At = Callable[[int], float]
Said = str | tuple[str, float]


def points(pixels: float) -> float:
    """Return a size in points, as matplotlib wants it."""
    return pixels * 72 / 100


@dataclass(frozen=True)
class Scene:
    """A caption, from when to when it is read, and how long its picture moves."""

    says: str
    start: float
    end: float
    motion: float


def timed(said: Sequence[Said]) -> list[Scene]:
    """Return scenes long enough to read, and to see what moves.

    Raises ValueError for a caption that needs more than two lines.
    """
    scenes, start = [], 0.0
    for number, one in enumerate(said):
        text, motion = (one, 1.2) if isinstance(one, str) else one
        if len(textwrap.wrap(text, LINE)) > LINES:
            raise ValueError(f"more than {LINES} lines of {LINE} signs: {text!r}")
        seconds = max(3.0, 0.8 + len(text) / 15, motion + 1.0)
        seconds += 1.5 if number == len(said) - 1 else 0
        end = round((start + seconds) * FPS) / FPS
        scenes.append(Scene(text, start, end, motion))
        start = end
    return scenes


def captions(scenes: Sequence[Scene]) -> str:
    """Return the captions as WebVTT."""
    parts = ["WEBVTT\n"]
    for one in scenes:
        lines = "\n".join(textwrap.wrap(one.says, LINE))
        parts.append(f"{_clock(one.start)} --> {_clock(one.end - 0.05)}\n{lines}\n")
    return "\n".join(parts)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(seconds, 60)
    return f"00:{int(minutes):02}:{seconds:06.3f}"


def progress(scenes: Sequence[Scene], time: float) -> tuple[float, ...]:
    """Return how far each scene has come at a time, 0 to 1, soft at both ends."""
    shares = (min(1, max(0, (time - s.start) / s.motion)) for s in scenes)
    return tuple(share * share * (3 - 2 * share) for share in shares)


def frames(clip, facts) -> Iterator[np.ndarray]:
    """Yield each picture of a clip, (720, 1280, 3) uint8; a still one is drawn once."""
    scenes, stage, last, pixels = timed(clip.scenes(facts)), Stage(), None, None
    for number in range(round(scenes[-1].end * FPS)):
        now = progress(scenes, number / FPS)
        if now != last:
            pixels, last = picture(stage, clip, facts, now), now
        yield pixels


def picture(stage: Stage, clip, facts, now: Sequence[float]) -> np.ndarray:
    """Draw one picture of a clip and return its pixels, (720, 1280, 3) uint8."""
    stage.begin(clip.TITLE)
    clip.draw(stage, facts, now.__getitem__)
    return stage.pixels()


def part(share: float, number: int, count: int) -> float:
    """Return how far the step `number` of `count` has come, one after the other."""
    return min(1, max(0, share * count - number))


class Stage:
    """A canvas of 1280 x 720 pixels, its origin at the lower left."""

    def __init__(self) -> None:
        self.figure = Figure((WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        self.begin("")

    def begin(self, title: str) -> None:
        """Wipe the canvas and write the title."""
        self.figure.clear()
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        self.ax.set_axis_off()
        self.text(50, 672, title, 40, ha="left", weight="bold")

    def pixels(self) -> np.ndarray:
        """Return what is drawn, (720, 1280, 3) uint8."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 26,
        alpha: float = 1,
        *,
        colour: str = "black",
        mono: bool = False,
        **how,
    ) -> None:
        """Write text around (x, y); size in pixels, at least `SMALLEST`."""
        if alpha < 0.02:
            return
        family = "DejaVu Sans Mono" if mono else "DejaVu Sans"
        how = {"ha": "center", "va": "center", "zorder": 5} | how
        given = {"size": points(size), "color": colour, "family": family}
        self.ax.text(x, y, text, alpha=alpha, **given, **how)

    def width(self, text: str, size: float) -> float:
        """Return how many pixels a text of one width a sign takes."""
        font = FontProperties(family="DejaVu Sans Mono", size=points(size))
        renderer = self.canvas.get_renderer()
        wide = renderer.get_text_width_height_descent("m" * 40, font, False)[0]
        return wide / 40 * len(text)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        text: str = "",
        role: str = "plain",
        alpha: float = 1,
        size: float = 26,
        **how,
    ) -> None:
        """Draw a box around (x, y), with its role's colour and hatching at its left."""
        if alpha < 0.02:
            return
        corner = x - width / 2, y - height / 2
        edge = {"alpha": alpha, "zorder": 3}
        style = "round,pad=0,rounding_size=3"
        self.ax.add_patch(
            FancyBboxPatch(corner, width, height, style, fc=TINTS[role],
                           ec=EDGES[role], lw=2.5, **edge)
        )  # fmt: skip
        strip = 0
        if HATCHES.get(role):
            strip = min(16, width / 3)
            self.ax.add_patch(
                Rectangle(corner, strip, height, fc=EDGES[role], ec="white", lw=0,
                          hatch=HATCHES[role] * 2, **edge)
            )  # fmt: skip
        self.text(x + strip / 2, y, text, size, alpha, **how)

    def arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        share: float = 1,
        role: str = "plain",
        **how,
    ) -> None:
        """Draw an arrow that has grown by a share of its way."""
        if share < 0.02:
            return
        tip = tuple(a + (b - a) * share for a, b in zip(start, end, strict=True))
        dashes = {"attacked": (0, (5, 2)), "clean": (0, (1, 1))}.get(role, "-")
        arrow = {"arrowstyle": "-|>,head_width=0.5,head_length=0.8", "lw": 3.5}
        arrow |= {"color": EDGES[role], "shrinkA": 0, "shrinkB": 0, "ls": dashes}
        self.ax.annotate("", tip, start, arrowprops=arrow | how, zorder=2)

    def line(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: str = "#999999",
        alpha: float = 1,
        **how,
    ) -> None:
        """Draw a line."""
        how = {"lw": 3, "zorder": 1, "alpha": alpha, "color": colour} | how
        self.ax.plot(*zip(start, end, strict=True), **how)

    def verdict(self, x: float, y: float, good: bool, alpha: float = 1) -> None:
        """Draw a tick on blue, or a cross on vermillion."""
        if alpha < 0.02:
            return
        look = {"color": "white", "size": points(34), "weight": "bold"}
        style = {"fc": DEFENDED if good else ATTACKED, "ec": "white", "alpha": alpha}
        style["boxstyle"] = "square,pad=0.25" if good else "circle,pad=0.25"
        self.ax.text(x, y, "✓" if good else "✗", ha="center", va="center",
                     bbox=style, alpha=alpha, zorder=6, **look)  # fmt: skip

    def finding(self, text: str, alpha: float, y: float = 158) -> None:
        """Write what the clip found in a frame above the captions."""
        self.box(WIDTH / 2, y, WIDTH - 100, 62, "", "plain", alpha)
        self.text(WIDTH / 2, y, text, 30, alpha, weight="bold")

    def plot(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return axes whose inside has its lower left corner at (x, y)."""
        size = x / WIDTH, y / HEIGHT, width / WIDTH, height / HEIGHT
        ax = self.figure.add_axes(size)
        ax.tick_params(labelsize=points(24), width=2, length=6)
        ax.patch.set_alpha(0)
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.label.set_size(points(26))
        ax.yaxis.label.set_size(points(26))
        return ax

    def polygon(self, corners: Sequence[tuple[float, float]], **how) -> None:
        """Fill a polygon."""
        self.ax.add_patch(Polygon(corners, closed=True, **how))

    def faults(self) -> list[str]:
        """Return which texts are too small, cut, in the captions' band, or overlap."""
        found, boxes = [], []
        drawn = self.canvas.get_renderer()
        for one in self.figure.findobj(Text):
            words = one.get_text().strip()
            if not words or not one.get_visible() or (one.get_alpha() or 1) < 0.5:
                continue
            box = one.get_window_extent(drawn)
            if one.get_size() < points(SMALLEST) - 0.01:
                found.append(f"{words!r} is smaller than {SMALLEST} pixels")
            inside = box.x0 >= 10 and box.x1 <= WIDTH - 10 and box.y1 <= HEIGHT
            if not inside or box.y0 < BAND:
                found.append(f"{words!r} leaves the picture or enters the band")
            boxes.append((words, box.shrunk(0.9, 0.8)))
        for number, (words, box) in enumerate(boxes):
            for other, beside in boxes[:number]:
                if box.overlaps(beside):
                    found.append(f"{words!r} lies over {other!r}")
        return found


__all__ = ["ATTACKED", "CLEAN", "DEFENDED", "Stage", "frames", "part", "timed"]
