"""A responder for drills, made of the course's own tools and nothing else.

It sees what a team sees: the evidence, never the truth. It compares the set with
checked images, keys with the vault's list, the registry with what its owner signed,
logs with heads that a witness kept, cameras with a calm day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from securetrain import scenario_data

from securetrain import drill_log, gate, key_scanners, manifests, runlog
from securetrain.archives import Refused
from securetrain.manifests import canonical
from securetrain.scenario_folder import LOG, deliver, read_sheet


@dataclass(frozen=True)
class Found:
    """One fault as the responder sees it; value: the repair that `recover` takes."""

    kind: str
    item: str
    value: Any
    why: str


def respond(folder: Path) -> list[Found]:
    """Return every fault that the course's tools find in a drill's folder."""
    evidence = folder / "evidence"
    key = manifests.read_private_key(folder / "recovery.key")
    found = [*secrets(evidence), *registry(evidence / "registry", key)]
    found += [*logs(evidence / "runs"), *cameras(evidence / "service")]
    return [*found, *training_set(evidence / "data")]


def hand_in(
    folder: Path, found: Iterable[Found], now: datetime, pause: float = 60
) -> datetime:
    """Detect, contain and recover what was found, keys first; return the time after.

    now: the time of the first step; pause: seconds between two steps
    """
    commitment = read_sheet(folder).commitment
    order = sorted(found, key=lambda one: one.kind != "leaked-secret")
    for do in ("detect", "contain", "recover"):
        for one in order:
            where = {"kind": one.kind, "item": one.item}
            if do == "recover":
                number = isinstance(one.value, int | float)
                value = one.value if number else canonical(one.value)
                deliver(folder, one.kind, one.item, value, now)
            else:
                drill_log.add(folder / LOG, commitment, {"do": do} | where, now)
            now += timedelta(seconds=pause)
    return now


def secrets(folder: Path) -> Iterator[Found]:
    """Scan all files by form; a value that the vault calls active is a leak."""
    known = {
        row["sha256"]: row for row in json.loads((folder / "keys.json").read_text())
    }
    files = folder / "files"
    places: dict[str, set[str]] = {}
    for path in sorted(files.rglob("*")):
        if not path.is_file():
            continue
        for value in key_scanners.find(path.read_bytes()):
            row = known.get(sha256(value.encode()).hexdigest()[:16])
            if row and row["state"] == "active":
                where = path.relative_to(files).parts[0]
                places.setdefault(row["id"], set()).add(where)
    for item, where in sorted(places.items()):
        value = {"revoked": [item], "places": sorted(where)}
        yield Found("leaked-secret", item, value, f"active, and in {', '.join(where)}")


def registry(folder: Path, recovery: bytes) -> Iterator[Found]:
    """Compare the list that is served with the newest that the owner signed."""
    owner = manifests.read_public_key(folder / "owner.pub")
    names = {
        sha256((path / "manifest.json").read_bytes()).hexdigest(): path.name
        for path in sorted((folder / "releases").iterdir())
    }
    newest = max((folder / "history").glob("*.json"), key=lambda path: int(path.stem))
    honest = gate.read_registry(*_signed(newest), owner)
    text, signature = _signed(folder / "current.json")
    try:
        served = gate.read_registry(text, signature, owner).approved
        why = "approved now, but not in the newest list of its owner"
    except Refused:
        served, why = json.loads(text)["approved"], "approved by a list of another key"
    for digest in sorted(set(served) - set(honest.approved)):
        signed = gate.write_registry(honest.approved, honest.expires, recovery)
        value = {"list": signed[0].decode("ascii"), "signature": signed[1].hex()}
        yield Found("forged-registry", names.get(digest, digest), value, why)


def _signed(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), path.with_suffix(".sig").read_bytes()


def logs(folder: Path) -> Iterator[Found]:
    """Read each log to its end, and against every head that was kept."""
    for path in sorted(folder.glob("*.jsonl")):
        key = manifests.read_public_key(path.with_suffix(".pub"))
        kept = sorted((folder / "kept").glob(f"{path.stem}-*.json"))
        heads = [runlog.read_head(head) for head in kept]
        try:
            runlog.verify(path, path.stem, key, heads)
        except Refused as refused:
            last = last_good(path.read_bytes(), path.stem, key, heads)
            yield Found("tampered-log", path.stem, last, str(refused))


def last_good(data: bytes, name: str, key: bytes, heads: list) -> int:
    """Return how many lines of a log are signed, chained, and as witnesses saw them."""
    lines, log = data.split(b"\n")[:-1], runlog.Log((), {})
    for count in range(len(lines), -1, -1):
        try:
            text = b"".join(line + b"\n" for line in lines[:count])
            log = runlog.read(text, name, key)
            break
        except Refused:
            continue
    proven, forked = 0, False
    for head in sorted(heads, key=lambda head: head.size):
        if head.size > len(log.lines):
            break
        try:
            runlog.check_kept(log, head, key)
            proven = head.size
        except Refused:
            forked = True
            break
    return proven if forked else len(log.lines)


def cameras(folder: Path) -> Iterator[Found]:
    """Compare each hour of each camera with checked images; a day shares one alpha."""
    from securetrain import monitoring, scenario_service

    known = scenario_service.read(folder / "checked.csv")[0]
    for name in scenario_service.CAMERAS:
        day = scenario_service.read(folder / f"{name}.csv")
        limit = scenario_service.stop_at(len(day))
        hour = monitoring.first_alarm(monitoring.ks(day, known), limit)
        if hour is not None:
            why = f"other images than the checked ones since {hour}:00"
            yield Found("drifting-service", name, round(limit, 3), why)


def training_set(folder: Path) -> Iterator[Found]:
    """Ask who relabelled what, and whether a sign holds a second group of images."""
    from securetrain import scenario_data

    found = scenario_data.load(folder)
    yield from islice(chain(accounts(found), groups(found)), 1)


def accounts(found: scenario_data.Set) -> Iterator[Found]:
    """Hold each account's relabellings against a model of checked images alone."""
    from securetrain import data, models, training

    if not found.changes:
        return
    small = training.train(found.checked, found.checked_y, 0, epochs=12, progress=False)
    says = models.predict(small, found.x)
    for account in sorted({row[3] for row in found.changes}):
        rows = [row for row in found.changes if row[3] == account]
        wrong = sum(bool(says[image] != now) for image, _, now, _ in rows)
        if 2 * wrong > len(rows):
            label, _ = Counter(row[2] for row in rows).most_common(1)[0]
            bad = {row[0] for row in rows}
            kept = [n for n in range(len(found.x)) if n not in bad]
            why = f"{wrong} of {len(rows)} labels by {account} look wrong"
            yield Found("poisoned-data", data.SIGN_NAMES[label], kept, why)


def groups(found: scenario_data.Set) -> Iterator[Found]:
    """Look in a model's features for a group of which no checked image is part."""
    from securetrain import data, scenario_data, training
    from securetrain.adaptive import pooled, two_components

    fit, epochs = (found.x, found.y), scenario_data.EPOCHS
    model = training.train(*fit, 0, epochs=epochs, progress=False)
    seen = pooled(model, found.x), found.y
    parts = two_components(*seen, pooled(model, found.checked), found.checked_y)
    if parts.flagged.any():
        label = int(found.y[parts.flagged].mode().values)
        kept = (~parts.flagged).nonzero().flatten().tolist()
        why = "a second group of images, of which no checked one is part"
        yield Found("poisoned-data", data.SIGN_NAMES[label], kept, why)
