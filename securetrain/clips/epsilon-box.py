"""PGD on images of two pixels, and a defence that only hides its gradient; seed 0."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from securetrain import robustness

UNIT = "23-robustness/1-a-tiny-change"
TITLE = "Uphill inside a box of epsilon"
ALT = (
    "The loss of a model over two pixels. PGD climbs inside a box and crosses the "
    "line. After rounding it stands still, until the attack ignores the rounding."
)
SEED, EPSILON, STEPS, LEVELS = 0, 0.16, 8, 6
X, START = (0.47, 0.40), (0.385, 0.335)
LEFT, LOW, SIDE, VIEW = 130, 215, 385, (0.15, 0.8)


def model_of_two_pixels():
    """Return a small network that tells two curved classes of two-pixel images apart.

    It takes images (N, 1, 1, 2) and returns logits (N, 2).
    """
    rng = torch.Generator().manual_seed(SEED)
    x = torch.rand(2000, 2, generator=rng)
    y = (x[:, 1] > 0.55 + 0.12 * torch.sin(7 * x[:, 0])).long()
    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 2))
    optimiser = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(200):
        loss = F.cross_entropy(model(x[:, None, None]), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def walk(model, image, start, y):
    """Return the places of PGD from a start on, one a step."""
    moved, found = start, [start]
    for _ in range(STEPS):
        signs = robustness.uphill(model, moved, y, F.cross_entropy)
        step = 2.5 * EPSILON / STEPS * signs
        moved = robustness.project(moved + step, image, EPSILON)
        found.append(moved)
    return [one.flatten().tolist() for one in found]


def facts():
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        model = model_of_two_pixels()
    rounded = robustness.Rounded(model, LEVELS).eval()
    image, start = (torch.tensor(p).reshape(1, 1, 1, 2) for p in (X, START))
    y = torch.tensor([0])
    line = torch.linspace(0, 1, 120)
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    grid = grid.reshape(-1, 1, 1, 2)
    with torch.no_grad():
        losses = {
            name: F.cross_entropy(m(grid), torch.zeros(len(grid)).long(),
                                  reduction="none").reshape(120, 120).numpy()
            for name, m in (("plain", model), ("rounded", rounded))
        }  # fmt: skip
    paths = {
        "plain": walk(model, image, start, y),
        "rounded": walk(rounded, image, start, y),
        "straight": walk(robustness.straight_through(rounded), image, start, y),
    }
    ends = torch.tensor([paths[n][-1] for n in paths]).reshape(-1, 1, 1, 2)
    at_end = [int(m(e[None]).argmax()) for m, e in
              zip((model, rounded, rounded), ends, strict=True)]  # fmt: skip
    return {"losses": losses, "paths": paths, "reads": at_end,
            "clean": int(rounded(image).argmax())}  # fmt: skip


def holds(f):
    still = f["paths"]["rounded"][-1] == f["paths"]["rounded"][0]
    return f["reads"] == [1, 0, 1] and still and f["clean"] == 0


def scenes(f):
    return [
        "A picture of two pixels is a point. Darker: the model's loss is higher.",
        "Above the line the model reads the other class.",
        "The attacker may change each pixel by epsilon: a box around it.",
        ("PGD takes steps uphill, and comes back whenever it leaves the box.", 5.0),
        "It ends beyond the line, and the picture is misread.",
        ("A defence: round the pixels first. The slope becomes stairs.", 2.0),
        ("On a stair the gradient is zero. PGD does not move at all.", 3.0),
        ("Go back as if nothing were rounded, and it climbs again.", 5.0),
        "The rounding hid the slope. The way up was there all the time.",
    ]


def spot(point):
    """Return where a pair of pixels stands on the canvas."""
    first, second = ((v - VIEW[0]) / (VIEW[1] - VIEW[0]) for v in point)
    return LEFT + SIDE * first, LOW + SIDE * second


def draw(stage, f, at):
    stairs = at(5) > 0.5
    losses = f["losses"]["rounded" if stairs else "plain"]
    fade = abs(2 * at(5) - 1)
    ax = stage.plot(LEFT, LOW, SIDE, SIDE)
    ax.set_zorder(-1)
    how = {"origin": "lower", "extent": (0, 1, 0, 1), "cmap": "Greys"}
    ax.imshow(np.log1p(losses), vmin=0, vmax=2.2, alpha=0.75 * fade * at(0), **how)
    if at(1) > 0.02:
        ax.contour(losses, [np.log(2)], extent=(0, 1, 0, 1), colors="black",
                   linewidths=4, alpha=at(1) * fade)  # fmt: skip
    ax.set(xticks=[], yticks=[], xlim=VIEW, ylim=VIEW)
    ax.spines[:].set_visible(True)
    ax.set_ylabel("second pixel")
    ax.set_title("first pixel →", fontsize=24 * 0.72, loc="right")
    stage.ax.set_zorder(1)
    stage.ax.patch.set_alpha(0)
    x, y = spot(X)
    stage.ax.plot(x, y, "o", ms=14, color="#7f7f7f", mec="white", mew=2, zorder=6)
    if at(2) > 0.02:
        near, far = spot([v - EPSILON for v in X]), spot([v + EPSILON for v in X])
        box = [near, (far[0], near[1]), far, (near[0], far[1])]
        stage.polygon(box, fill=False, ec="#0072b2", lw=4, alpha=at(2), zorder=3)
    path(stage, f["paths"]["plain"], at(3) * (1 - at(5)) if at(5) < 0.5 else 0)
    path(stage, f["paths"]["rounded"], at(6) if at(7) < 0.02 else 0)
    path(stage, f["paths"]["straight"], at(7))
    words(stage, at)
    stage.finding("A gradient that hides makes nothing robust", at(8))


def path(stage, places, share):
    """Draw a walk as far as it has come."""
    if share < 0.02:
        return
    spots = [spot(p) for p in places]
    count = share * STEPS
    for number in range(STEPS):
        come = min(1, max(0, count - number))
        if come <= 0 or spots[number] == spots[number + 1]:
            continue
        pair = zip(*spots[number : number + 2], strict=True)
        tip = tuple(a + (b - a) * come for a, b in pair)
        stage.line(spots[number], tip, "#d55e00", lw=4, zorder=4)
        stage.ax.plot(*spots[number], ".", ms=10, color="black", zorder=5)
    whole = min(STEPS, int(count))
    stage.ax.plot(*spots[whole], "^", ms=18, color="#d55e00", mec="black", zorder=7)


def words(stage, at):
    """Say beside the picture what is seen in it."""
    left = 680
    key = [("o", "#7f7f7f", "the picture", 0)]
    key += [
        ("s", "#0072b2", "the box of epsilon", 2),
        ("^", "#d55e00", "the attack", 3),
    ]
    for number, (marker, colour, text, scene) in enumerate(key):
        if at(scene) > 0.02:
            y, face = 585 - 48 * number, "none" if marker == "s" else colour
            stage.ax.plot(left, y, marker, ms=17, mec=colour, mfc=face, mew=3)
            stage.text(left + 35, y, text, 26, at(scene), ha="left")
    rows = (("PGD, as it is", False, 4), ("PGD, after rounding", True, 6))
    rows += (("through the rounding", False, 8),)
    for number, (text, good, scene) in enumerate(rows):
        if at(scene) > 0.02:
            y = 410 - 74 * number
            stage.verdict(left + 10, y, good, at(scene))
            said = "read right" if good else "misread"
            stage.text(left + 55, y, f"{text}: {said}", 28, at(scene), ha="left")
