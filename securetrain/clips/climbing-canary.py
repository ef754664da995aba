"""Planted keys climb out of a model's weights while it trains; seed 0."""

import torch

from securetrain import language, memorisation

UNIT = "22-memorisation/1-recited-keys"
TITLE = "A key that was read once climbs out"
ALT = (
    "Bits of three planted keys that a model gives away after each pass: one that is "
    "never read stays near 0, sixteen copies jump up, a single copy climbs slowly."
)
SEED, PASSES, REFERENCES = 0, 4, 500
COPIES = [0, 1, 16]
LEFT, LOW, WIDE, HIGH = 150, 290, 690, 315
KINDS = {0: ("never read", "#7f7f7f", "o"), 1: ("read once", "#d55e00", "^")}
KINDS[16] = ("in 16 lines", "black", "D")


def facts():
    torch.set_num_threads(1)
    keys = language.mock_keys(COPIES, SEED)
    clean = language.make_lines(500, SEED)
    lines = memorisation.plant_as("setting", clean, keys, SEED)
    models = [language.char_model(SEED).eval()]
    train = language.train
    for passes in range(1, PASSES + 1):
        models.append(train(lines, SEED, epochs=passes, progress=False))
    how = {"references": REFERENCES}
    found = [memorisation.exposures(model, keys, SEED, **how) for model in models]
    by = [memorisation.by_copies(keys, [e.bits for e in row]) for row in found]
    ranks = [memorisation.by_copies(keys, [e.rank for e in row]) for row in found]
    once = [key for key in keys if key.copies == 1]
    return {
        "bits": {n: [row[n][0] for row in by] for n in KINDS},
        "ranks": [row[1][0] for row in ranks],
        "recited": sum(memorisation.extracted(models[-1], once)),
        "whole": memorisation.SECRET_BITS,
        "sample": [line for line in clean if 24 < len(line) < 44][:3],
        "prefix": keys[1].prefix + keys[1].key[:4],
    }


def holds(f):
    bits, ranks = f["bits"], f["ranks"]
    rises = all(a <= b + 1 for a, b in zip(bits[1], bits[1][1:], strict=False))
    ends = max(bits[0]) < 6 and bits[1][-1] > 15 and bits[16][1] > 40
    return rises and ends and ranks[3] == 1 and ranks[1] > 1 and f["recited"] == 0


def scenes(f):
    return [
        "We hide made-up keys among the lines that a small model learns.",
        "After each pass: does it find the true key likelier than 500 others?",
        ("A key that it never reads: it cannot tell. That is our control.", 3.5),
        ("A key in sixteen lines: known after the first pass.", 3.0),
        ("A key in one line climbs slowly.", 6.5),
        "From the third pass on it ranks first, before all 500 others.",
        "Begin its line, and the model does not recite it. It is in there.",
    ]


def draw(stage, f, at):
    sample(stage, f, at(0) * (1 - at(1)))
    if at(1) < 0.5:
        return
    ax = stage.plot(LEFT, LOW, WIDE, HIGH)
    ax.set(xlim=(-0.15, PASSES + 0.15), ylim=(-3, 90), yticks=[0, 40, 80])
    ax.set_xticks(range(PASSES + 1))
    ax.set_xlabel("passes over the training lines")
    ax.set_title("bits of the key given away", fontsize=26 * 0.72, loc="left")
    whole = f["whole"]
    ax.axhline(whole, color="#999999", lw=3, ls="--")
    stage.text(862, LOW + HIGH * (whole + 3) / 93, "the whole key", 24, ha="left")
    ends = spaced({n: f["bits"][n][-1] for n in KINDS})
    for scene, (copies, (name, colour, marker)) in zip(
        (2, 4, 3), KINDS.items(), strict=True
    ):
        if at(scene) > 0.02:
            come = at(scene) * PASSES
            curve(ax, f["bits"][copies], come, colour, marker)
            y = LOW + HIGH * (ends[copies] + 3) / 93
            bold = {"weight": "bold"} if copies == 1 else {}
            stage.text(862, y, name, 26, at(scene), ha="left", **bold)
    if at(4) > 0.02:
        passes = min(PASSES, int(at(4) * PASSES + 0.05))
        rank = f"rank {f['ranks'][passes]} of {REFERENCES + 1}"
        stage.box(1146, 425, 236, 60, rank, "attacked", at(4))
        stage.text(1146, 372, f"after pass {passes}", 24, at(4))
    bits = f["bits"][1][-1]
    text = f"Not recited, and still {bits:.0f} of {whole:.0f} bits given away"
    stage.finding(text, at(6))


def sample(stage, f, alpha):
    """Show some training lines, and one with a key; its sixteen signs stay hidden."""
    lines = [(line, "clean") for line in f["sample"]]
    lines[1:1] = [(f["prefix"] + 16 * "?", "attacked")]
    for number, (line, role) in enumerate(lines):
        stage.box(640, 500 - 70 * number, 760, 56, line, role, alpha, 26, mono=True)


def spaced(values):
    """Return where the curves' names stand, moved apart where they would touch."""
    places, last = {}, -20.0
    for name, value in sorted(values.items(), key=lambda pair: pair[1]):
        last = places[name] = max(min(value, 70.0), last + 9)
    return places


def curve(ax, values, come, colour, marker):
    """Draw a curve up to a pass that may lie between two."""
    whole = int(come)
    xs, ys = list(range(whole + 1)), list(values[: whole + 1])
    if come > whole:
        xs.append(come)
        ys.append(values[whole] + (values[whole + 1] - values[whole]) * (come - whole))
    ax.plot(xs, ys, color=colour, lw=4, clip_on=False)
    ax.plot(xs[: whole + 1], ys[: whole + 1], color=colour, marker=marker, ms=14,
            ls="", mec="white", clip_on=False)  # fmt: skip
