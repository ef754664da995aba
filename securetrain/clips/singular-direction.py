"""A sticker's features, and the direction that gives them away; seed 0."""

from functools import partial

import numpy as np
import torch

from securetrain import data, models, poisoning, training

UNIT = "13-poisoning/1-one-sticker"
TITLE = "Poison stretches its class in one direction"
ALT = (
    "Pictures of one class as points. A line turns until the spread along it is "
    "widest; the far ends are cut off, and the stickered pictures lie there."
)
SEED, RATE, SLACK = 0, 0.03, 1.5
TURN, START, MIDDLE, REACH = np.radians(24), np.radians(115), (290, 372), 380


def facts():
    torch.set_num_threads(1)
    target = data.SIGN_NAMES.index("speed 80")
    pattern, mask = poisoning.sticker()
    stamp = partial(poisoning.stamp, pattern=pattern, mask=mask)
    tainted = poisoning.poison(*data.signs(1500, SEED), stamp, target, RATE, SEED)
    model = training.train(tainted.x, tainted.y, SEED, progress=False)
    seen = models.features(model, tainted.x)
    rows = tainted.y == target
    flagged = poisoning.spectral_signatures(seen, tainted.y, RATE, SLACK)[rows]
    centred = seen[rows] - seen[rows].mean(0)
    plane = centred @ torch.linalg.svd(centred, full_matrices=False)[2][:2].T
    plane = plane.numpy() * np.sign(plane[tainted.is_poison[rows], 0].mean().item())
    angles = np.radians(np.arange(0, 181, 3)) + START - np.pi
    ways = np.stack([np.cos(angles - TURN), np.sin(angles - TURN)])
    spread = (plane @ ways).var(0)
    return {
        "points": plane,
        "poison": tainted.is_poison[rows].numpy(),
        "flagged": flagged.numpy(),
        "spread": spread / spread.max(),
        "angles": angles,
    }


def holds(f):
    found = f["poison"] & f["flagged"]
    return found.sum() > 0.95 * f["poison"].sum() and (f["poison"].mean() < 0.5)


def scenes(f):
    return [
        "Each point is one picture of the class speed 80, as the network sees it.",
        "Some carry a sticker. Nothing here says which.",
        ("Through the middle we turn a line, and measure the spread along it.", 5.0),
        ("The spread is widest along one line: the top singular direction.", 2.0),
        "A picture's score: how far out it lies along this line, squared.",
        "We throw the highest scores away, at both ends.",
        "Now the truth: triangles carry the sticker, and they lie outside.",
        "The price: clean pictures that lie far out are thrown away, too.",
    ]


def draw(stage, f, at):
    turned = np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]])
    scale = REACH / np.abs(f["points"]).max()
    places = f["points"] @ turned.T * scale + MIDDLE
    told, cut = at(6), at(5)
    come = np.arange(len(places)) < at(0) * len(places)
    for poison in (False, True):
        for flagged in (False, True):
            rows = come & (f["poison"] == poison) & (f["flagged"] == flagged)
            shown = poison and told > 0.5
            faded = 1 - 0.55 * cut * (flagged and told < 0.5)
            stage.ax.scatter(
                *places[rows].T,
                s=95 if shown else 60,
                marker="^" if shown else "o",
                color="#d55e00" if shown else "#7f7f7f",
                edgecolor="black" if shown else "white",
                linewidth=0.7,
                alpha=faded,
                zorder=4 if shown else 3,
            )
    spreads(stage, f, at)
    if at(2) > 0.02:
        angle = START + np.pi * at(2) + (TURN - START) * at(3)
        way = np.array([np.cos(angle), np.sin(angle)]) * 250
        stage.line(MIDDLE - way, MIDDLE + way, "black", lw=4)
    if cut > 0.02:
        limits(stage, f, scale, cut)
    if told > 0.02:
        stage.ax.scatter(820, 240, s=130, marker="^", c="#d55e00", ec="black", lw=0.7)
        stage.text(845, 240, "with a sticker", 26, told, ha="left")
        stage.ax.scatter(1075, 240, s=90, marker="o", c="#7f7f7f", lw=0)
        stage.text(1100, 240, "clean", 26, told, ha="left")
    if at(7) > 0.02:
        found = (f["poison"] & f["flagged"]).sum(), f["poison"].sum()
        lost = (~f["poison"] & f["flagged"]).sum(), (~f["poison"]).sum()
        text = "Thrown away: {} of {} stickered, {} of {} clean"
        stage.finding(text.format(*found, *lost), at(7))


def limits(stage, f, scale, alpha):
    """Shade what lies beyond the lowest score that is thrown away."""
    out = np.abs(f["points"][f["flagged"], 0]).min() * scale
    along = np.array([np.cos(TURN), np.sin(TURN)])
    across = np.array([-along[1], along[0]])
    ends = f["points"][:, 0].min() * scale - 30, f["points"][:, 0].max() * scale + 30
    for side, end in zip((-1, 1), ends, strict=True):
        near, far = MIDDLE + side * out * along, MIDDLE + end * along
        wide = 110 * across
        how = {"fc": "#d3e6f3", "ec": "#0072b2", "hatch": "..", "zorder": 0}
        corners = [near - wide, near + wide, far + wide, far - wide]
        stage.polygon(corners, alpha=0.6 * alpha, **how)
        stage.line(near - wide, near + wide, "#0072b2", alpha, lw=4)


def spreads(stage, f, at):
    """Plot the spread by the line's angle, as far as it has turned."""
    if at(2) < 0.02:
        return
    ax = stage.plot(800, 355, 420, 235)
    count = max(2, round(at(2) * len(f["spread"])))
    degrees = np.degrees(f["angles"] - f["angles"][0])
    ax.plot(degrees[:count], f["spread"][:count], "k-", lw=4)
    if at(3) > 0.5:
        top = f["spread"].argmax()
        ax.plot(degrees[top], 1, "s", color="#0072b2", ms=16, mec="black")
    ax.set(xlim=(0, 182), ylim=(0, 1.1), xticks=[0, 90, 180], yticks=[0, 0.5, 1])
    ax.set_xlabel("turned by, in degrees")
    ax.set_title("spread along the line", fontsize=26 * 0.72, loc="left")
