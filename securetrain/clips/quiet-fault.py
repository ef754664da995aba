"""One changed row goes all the way, then meets checks. 2000 payments, seed 0."""

import tempfile
from pathlib import Path

import numpy as np

from securetrain import three_faults
from securetrain.archives import refusal
from securetrain.film import part
from securetrain.three_faults import DATA, GIFT, MODEL, caught, is_fraud

UNIT = "01-risk-map/1-where-models-break"
TITLE = "One row, and the usual checks stay green"
ALT = (
    "A changed row goes from data over training and file to a service. Usual checks "
    "pass it, and flagged fraud passes; then a hash of the data stops it at once."
)
N = 2000
STAGES = ("data", "training", "model file", "service")
XS = (175, 485, 795, 1105)


def facts():
    x, y = three_faults.payments(N, 0)
    x_test, y_test = three_faults.payments(1000, 0, split="test")
    both = (x, y), three_faults.change_one_row(x, y)
    fraud = x_test[y_test == 1]
    flagged = three_faults.with_gift(fraud)
    f = {"rows": [], "right": [], "fraud": [], "flagged": [], "gift": []}
    f |= {"bytes": [], "size": [], "hash": [], "key": [], "calls": []}
    for data in both:
        weights = three_faults.fit(*data)
        f["right"].append(float(np.mean(is_fraud(weights, x_test) == y_test)))
        f["fraud"].append(caught(weights, fraud))
        f["flagged"].append(caught(weights, flagged))
        f["gift"].append(weights[GIFT])
        with tempfile.TemporaryDirectory() as folder:
            settings = {"key": "read from the environment"}
            made = three_faults.release(Path(folder, "new"), *data, settings)
            file, model = (made / DATA).read_bytes(), (made / MODEL).read_bytes()
            f["rows"].append(file.count(b"\n") - 1)
            f["bytes"].append(len(file))
            f["size"].append(len(model))
            f["hash"].append(three_faults.sha256(made / DATA)[:4])
            f["key"].append(bool(three_faults.KEY.search(model)))
            f["calls"].append(refusal(three_faults.plain, made / MODEL))
    files = (three_faults.as_csv(*data) for data in both)
    lines = three_faults.differences(*files)
    return f | {"lines": [line[2:].split(",") for line in lines]}


def holds(f):
    same = all(len(set(f[name])) == 1 for name in ("rows", "bytes", "size"))
    green = abs(f["right"][0] - f["right"][1]) < 0.01 > f["fraud"][0] - f["fraud"][1]
    hidden = f["flagged"][0] > 0.8 and f["flagged"][1] == 0 and f["gift"][1] < -1
    silent = not any(f["key"]) and not any(f["calls"])
    return same and green and hidden and silent and len(set(f["hash"])) == 2


def scenes(f):
    return [
        "Data are trained into a file; the file becomes a service.",
        f"One row of {N:,} changes: a fraud with the gift flag, called honest.",
        "As many rows, as many bytes: the usual check stays green.",
        ("Training makes one heavy weight of it. The test stays green.", 2.0),
        ("The file loads. The service catches fraud as before.", 3.0),
        "But fraud that carries the flag passes; no check asked for it.",
        "Again. The reviewer kept the hash of the data: refused at once.",
        ("Had it gone on: the searches for keys and calls pass it.", 3.0),
        ("A question with the flag shows it: late, and only if asked.", 2.0),
        "A fault is stopped most cheaply where it comes in.",
    ]


def draw(stage, f, at):
    for number, (x, name) in enumerate(zip(XS, STAGES, strict=True)):
        shown = part(at(0), number, 4)
        stage.box(x, 606, 220, 56, name, "clean", shown, 28)
        if number:
            stage.arrow((XS[number - 1] + 114, 606), (x - 114, 606), shown)
    table(stage, f, at(1), at(1) * (1 - min(1, 4 * at(2))))
    again = at(6)
    first = at(3) + 2 * at(4)
    token(stage, f, first, min(1, 2 * at(2)) * (1 - min(1, 3 * again)))
    usual(stage, f, at)
    alarm = at(5) * (1 - min(1, 3 * again))
    stage.verdict(200, 245, False, alarm)
    before, after = f["flagged"]
    text = f"fraud with the flag: {before:.0%} caught, now {after:.0%}"
    stage.text(250, 245, text, 36, alarm, ha="left", weight="bold")
    if again > 0.35:
        own(stage, f, at)
    stage.finding("Each stage needs a check for its own faults", at(9))


def table(stage, f, moved, alpha):
    """Show the row before and after, field by field."""
    names = [name.replace("_", " ") for name in (*three_faults.FIELDS, "fraud")]
    for y, text in ((405, "before"), (325, "after")):
        stage.text(50, y, text, 26, alpha * (moved if y < 400 else 1), ha="left")
    for number, name in enumerate(names):
        x = 235 + 155 * number
        stage.text(x, 465, name, 24, alpha)
        old, new = (line[number] for line in f["lines"])
        stage.text(x, 405, old, 32, alpha, mono=True)
        if old != new:
            stage.box(x, 325, 90, 56, new, "attacked", alpha * moved, 32, mono=True,
                      weight="bold")  # fmt: skip
        else:
            stage.text(x, 325, new, 32, alpha * moved, mono=True)


def token(stage, f, way, alpha, role="attacked"):
    """Draw what the row has become after `way` stages, under them."""
    became = ",".join(f["lines"][1]), f"gift weight −{-f['gift'][1]:.2f}"
    text = became[1 if way > 0.5 else 0]
    x = XS[0] + (XS[3] - XS[0]) / 3 * way
    stage.box(x, 538, 276, 46, text, role, alpha, 24, mono=True, weight="bold")


def cell(stage, column, y, text, good, alpha, height=92):
    """Draw a check with its verdict at its left."""
    stage.box(XS[column], y, 292, height, "", "plain", alpha)
    stage.verdict(XS[column] - 114, y, good, alpha)
    stage.text(XS[column] - 80, y, text, 24, alpha, ha="left", linespacing=1.35)


def usual(stage, f, at):
    """Draw what is usually looked at, stage by stage."""
    came = max(0, 2 * at(2) - 1)
    stage.text(30, 485, "the usual checks", 26, came, ha="left", weight="bold")
    right = " → ".join(f"{share:.1%}" for share in f["right"])
    fraud = " → ".join(f"{share:.0%}" for share in f["fraud"])
    texts = (
        f"{f['rows'][1]:,} rows,\n{f['bytes'][1]:,} bytes",
        f"test accuracy\n{right}",
        f"it loads,\n{f['size'][1]} bytes",
        f"fraud caught\n{fraud}",
    )
    late = part(at(4), 0, 2), part(at(4), 1, 2)
    for number, shown in enumerate((came, at(3), *late)):
        cell(stage, number, 418, texts[number], True, max(0, 2 * shown - 1))


def own(stage, f, at):
    """Draw the checks for each stage's own faults, and where the row would go on."""
    came = min(1, (at(6) - 0.35) / 0.4)
    stage.text(30, 340, "checks for each stage's own faults", 26, came, ha="left",
               weight="bold")  # fmt: skip
    token(stage, f, 0, came)
    stopped = max(0, 5 * at(6) - 4)
    stage.line((330, 505), (330, 640), "#0072b2", stopped, lw=9)
    way = 2 * at(7) + at(8)
    if way > 0.02:
        token(stage, f, way, min(1, way) * (way > 0.9), "plain")
    good, bad = f["hash"]
    flagged = " → ".join(f"{share:.0%}" for share in f["flagged"])
    texts = (
        f"hash {good}…,\nnow {bad}…\nrefused",
        "a key in the file?\nnone: misses it",
        "a call in the file?\nnone: misses it",
        f"caught with flag\n{flagged}\nsees it, late",
    )
    steps = part(at(7), 0, 2), part(at(7), 1, 2), at(8)
    for number, shown in enumerate((at(6), *steps)):
        shown = max(0, 2 * shown - 1)
        cell(stage, number, 261, texts[number], 0 < number < 3, shown, 116)
