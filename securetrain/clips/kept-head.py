"""A chained and signed log, rewritten by a thief of its key; heads tell. Seed 0."""

import tempfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from securetrain import audit_log, manifests, runlog, translog
from securetrain.archives import refusal
from securetrain.film import part

UNIT = "24-tracking/1-a-better-number"
TITLE = "What a thief of the key cannot rewrite"
ALT = (
    "Six lines of a log, each with the hash of the one before. An edit breaks the "
    "chain; with the key all is rewritten, and a head that a witness kept refuses it."
)
VALUES, KEPT, EDITED = (0.88, 0.90, 0.91, 0.90, 0.92, 0.93), 4, 2
YS = [590 - 66 * n for n in range(len(VALUES))]


def write(path, values, private):
    """Write a log of one run, a line a step; return its lines."""
    began = datetime(2026, 1, 5, tzinfo=UTC)
    said = [{"do": "start", "run": "a"}]
    said += [
        {"do": "metric", "run": "a", "key": "accuracy", "step": n, "value": str(value)}
        for n, value in enumerate(values[1:], 2)
    ]
    for number, one in enumerate(said):
        runlog.append(path, "runs", one, private, began + timedelta(hours=number))
    return path.read_bytes().split(b"\n")[:-1]


def facts():
    private = sha256(b"clip, seed 0").digest()
    public = manifests.public_key(private)
    better = [*VALUES]
    better[EDITED] = 0.99
    with tempfile.TemporaryDirectory() as folder:
        lines = write(Path(folder, "honest"), VALUES, private)
        forged = write(Path(folder, "forged"), better, private)
    edited = [*lines]
    edited[EDITED] = lines[EDITED].replace(b'"0.91"', b'"0.99"')
    head = runlog.publish(runlog.Log(tuple(lines[:KEPT]), {}), private)
    whole = b"\n".join([*forged, b""])
    log = runlog.Log(tuple(forged), {})
    newest = [*lines[:KEPT], *edited[KEPT:]]
    return {
        "heads": [head.root.hex()[:4], translog.root(log.leaves[:KEPT]).hex()[:4]],
        "honest": [audit_log.hash_of(line)[:4] for line in lines],
        "edited": audit_log.hash_of(edited[EDITED])[:4],
        "forged": [audit_log.hash_of(line)[:4] for line in forged],
        "edit": refusal(audit_log.events, b"\n".join([*edited, b""])),
        "chain": refusal(runlog.read, whole, "runs", public),
        "witness": refusal(runlog.check_kept, log, head, public),
        "newest": refusal(
            runlog.check_kept, runlog.Log(tuple(newest), {}), head, public
        ),
    }


def holds(f):
    found = "line 4" in f["edit"] and "rewritten" in f["witness"]
    return found and not f["chain"] and not f["newest"]


def scenes(f):
    return [
        "A log of a training run. Each line carries the hash of the line before.",
        "After line 4 a witness keeps the log's head: one hash over all lines.",
        "Then somebody makes line 3 better: 0.91 becomes 0.99.",
        "Its hash changes, and line 4 still names the old one. Found.",
        ("With the log's stolen key they write all later lines anew.", 4.0),
        "Now every hash fits and every signature is good. Nothing to see.",
        "But the first four lines now have another head. The witness refuses.",
        "Lines after the newest head stay open. So publish a head often.",
    ]


def draw(stage, f, at):
    anew = at(4)
    for number, y in enumerate(YS):
        edited = number == EDITED and at(2) > 0.5
        late = number > EDITED and part(anew, number - 3, 3) > 0.5
        bad = edited or late
        shown = part(at(0), 0, 1)
        value = 0.99 if edited else VALUES[number]
        text = f"line {number + 1}:  " + ("start" if not number else f"{value:.2f}")
        stage.box(190, y, 230, 52, text, "attacked" if bad else "clean", shown)
        before = f["forged" if late else "honest"][number - 1] if number else "0000"
        own = f["honest"][number]
        if late or (edited and anew > 0.02):
            own = f["forged"][number]
        elif edited and at(3) > 0.5:
            own = f["edited"]
        stage.text(410, y, before, 26, shown, mono=True)
        stage.text(550, y, own, 26, shown, mono=True,
                   weight="bold" if bad else "normal")  # fmt: skip
        if number:
            stage.line((530, YS[number - 1] - 14), (430, y + 16), alpha=shown)
    stage.text(410, 632, "before", 24, at(0))
    stage.text(550, 632, "own hash", 24, at(0))
    broken = at(3) * (1 - min(1, 3 * anew))
    stage.verdict(480, (YS[2] + YS[3]) / 2, False, broken)
    stage.text(760, (YS[2] + YS[3]) / 2, "does not follow", 26, broken, ha="left")
    stage.line((510, (YS[2] + YS[3]) / 2), (745, (YS[2] + YS[3]) / 2), alpha=broken)
    witness(stage, f, at)


def witness(stage, f, at):
    """Draw what a witness keeps, and the verdicts of the layers."""
    top = 585
    if at(1) > 0.02:
        text = f"witness: 4 lines, head {f['heads'][0]}"
        stage.box(1000, top, 470, 62, text, "defended", at(1))
        stage.arrow((600, YS[3]), (770, top - 34), at(1), "defended")
    kept, now = f["heads"]
    rows = (("chain and signatures: fit", True, 5),)
    rows += ((f"head over 4 lines: {now}, not {kept}", False, 6),)
    for number, (text, good, scene) in enumerate(rows):
        y = 465 - 76 * number
        stage.verdict(735, y, good, at(scene))
        stage.text(775, y, text, 26, at(scene),
                   ha="left")  # fmt: skip
    stage.finding("A chain shows edits; only a kept head shows a rewrite", at(7))
