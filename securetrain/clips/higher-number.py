"""Dependency confusion: the real pip chooses between two indexes on this machine."""

import tempfile
from pathlib import Path

from securetrain import installers, package_index

UNIT = "32-dependencies/1-a-familiar-name"
TITLE = "The higher number wins, until a hash decides"
ALT = (
    "An internal index offers label-tools 2.4.1, a public one 99.0.0 under the same "
    "name. pip takes the stranger's file; with a hash in the lock, the honest one."
)
OWN, VERSION, HIGHER = "label-tools", "2.4.1", "99.0.0"
MODULE = "label_tools/__init__.py"


def facts():
    honest = package_index.wheel(OWN, VERSION, {MODULE: "SIZE = 32\n"})
    stranger = package_index.wheel(OWN, HIGHER, {MODULE: "SIZE = 99\n"})
    rival = package_index.wheel(OWN, VERSION, {MODULE: "SIZE = 99\n"}, build="1")
    offers = {"internal": [honest], "public": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        package_index.serve(offers) as served,
        installers.warm(),
    ):
        lock = Path(folder, "requirements.lock")
        lock.write_text(f"{OWN}=={VERSION} --hash=sha256:{honest.sha256}\n")
        asked = ["--index-url", served.url("internal")]
        asked += ["--extra-index-url", served.url("public")]
        hashed = [*asked, "--require-hashes", "-r", str(lock)]
        before = installers.choose(*asked, OWN)
        served.indexes["public"].append(stranger)
        confused = installers.choose(*asked, OWN)
        locked = installers.choose(*hashed)
        served.indexes["public"].append(rival)
        pinned = installers.choose(*asked, f"{OWN}=={VERSION}")
        again = installers.choose(*hashed)
    files = {"honest": honest, "stranger": stranger, "rival": rival}
    names = {file.sha256: name for name, file in files.items()}
    outcomes = {"before": before, "confused": confused, "locked": locked}
    outcomes |= {"pinned": pinned, "again": again}
    took = {name: names.get(got.files.get(OWN)) for name, got in outcomes.items()}
    return took | {"hash": honest.sha256[:8], "rival": rival.sha256[:8]}


def holds(f):
    asked = ("before", "confused", "locked", "pinned", "again")
    wanted = ["honest", "stranger", "honest", "rival", "honest"]
    return [f[name] for name in asked] == wanted


def scenes(f):
    return [
        "A company keeps label-tools on its own index.",
        "pip asks there, and in the public index for everything else.",
        ("Nobody else has the name: pip takes the honest file.", 2.0),
        "A stranger uploads a higher number under the same name.",
        ("pip makes one pile of both, and takes the highest version.", 2.4),
        "So we pin the version. The stranger uploads that number, too.",
        ("Same version, other file: pip takes the stranger's again.", 2.4),
        "Now the lock names the hash of the one file that may come.",
        ("Every other file is passed over, whatever its number.", 2.4),
        "A hash says it is the same file. Not that the file is good.",
    ]


def draw(stage, f, at):
    for x, name in ((330, "internal index"), (950, "public index")):
        stage.text(x, 600, name, 30, at(0) if x < 500 else at(1), weight="bold")
        alpha = at(0) if x < 500 else at(1)
        if alpha > 0.02:
            stage.polygon([(x - 230, 405), (x + 230, 405), (x + 230, 575),
                           (x - 230, 575)], fill=False, ec="#7f7f7f", lw=3,
                          alpha=alpha)  # fmt: skip
    files = {"honest": (330, 490), "stranger": (950, 535), "rival": (950, 447)}
    names = {"honest": f"{OWN} {VERSION}", "stranger": f"{OWN} {HIGHER}"}
    names["rival"] = f"{OWN} {VERSION}-1"
    seen = {"honest": at(0), "stranger": at(3), "rival": at(5)}
    for name, place in files.items():
        role = "clean" if name == "honest" else "attacked"
        stage.box(*place, 400, 64, names[name], role, seen[name], 28)
    ask(stage, f, at)
    turns = (("before", 2, 3), ("confused", 4, 5), ("pinned", 6, 7), ("again", 8, 99))
    for name, scene, until in turns:
        alpha = at(scene) * (1 - (at(until) if until < 99 else 0))
        taken(stage, files[f[name]], f[name] == "honest", alpha, at(scene))
    if at(8) > 0.02:
        for name in ("stranger", "rival"):
            stage.verdict(files[name][0] + 185, files[name][1], False, at(8))
    stage.finding("Pin the file by its hash, not the name and not the number", at(9))


def ask(stage, f, at):
    """Write what pip is asked for."""
    texts = (f"pip install {OWN}", f"pip install {OWN}=={VERSION}")
    texts += (f"{OWN}=={VERSION}  --hash=sha256:{f['hash']}…",)
    shares = (at(1) * (1 - at(5)), at(5) * (1 - at(7)), at(7))
    for text, share in zip(texts, shares, strict=True):
        if share > 0.5:
            role = "defended" if "hash" in text else "plain"
            stage.box(640, 235, 880, 62, text, role, 2 * share - 1, 28, mono=True)


def taken(stage, place, good, alpha, come):
    """Let an arrow fall from a file to pip."""
    if alpha < 0.02:
        return
    start, end = (place[0], place[1] - 34), (640 + (place[0] - 640) * 0.45, 270)
    stage.arrow(start, end, come, "defended" if good else "attacked", alpha=alpha)
    who = "the honest file" if good else "the stranger's file"
    stage.text(640, 345, who, 28, alpha if come > 0.9 else 0, weight="bold")
