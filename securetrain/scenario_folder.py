"""Make the folder of one drill: evidence, a sealed answer, and the clock that starts.

Whoever reads the folder finds what a responder would find at nine o'clock. The truth
lies there too, sealed; the hash that fixes it is the first line of the drill's log.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from securetrain import drill_log, manifests, own_files, plain_json, sealed
from securetrain.archives import Refused
from securetrain.debriefs import check_month, check_team
from securetrain.manifests import canonical
from securetrain.scenarios import Plan

SCHEMA = "securetrain.scenario/1"
SHEET, SEALED, LOG, TRUTH = (
    "scenario.json",
    "truth.sealed",
    "response.log",
    "truth.json",
)
EVIDENCE, DELIVERED, MANIFEST = "evidence", "delivered", "evidence.manifest"
LARGEST = 1 << 20  # bytes of a delivery
ALARMS = (  # honest noise rings, too, in every drill
    "a scanner found a value with the form of a key",
    "labels of the set were changed by hand",
    "two releases have the same weights",
    "the registry's list was signed anew",
    "a training run failed",
    "a camera sends twice as much as usual",
)
FIRST = {  # what the first alarm of each kind of fault says
    "poisoned-data": "a customer reports signs that were misread, with a photograph",
    "leaked-secret": "a login came from an address that nobody knows",
    "forged-registry": "a service asked for a release that it should not know",
    "tampered-log": "a report quotes a number that the author does not remember",
    "drifting-service": "a camera's operator says that something looks different",
}
README = Path(__file__).with_name("scenario.md")


@dataclass(frozen=True)
class Sheet:
    """What the folder says of its drill; commitment: the hash that fixes the truth."""

    month: str
    team: str
    hard: bool
    synthetic: bool
    secret: bool
    title: str
    commitment: str

    @property
    def drill(self) -> str:
        """The name under which the truth's key is derived."""
        return f"{self.month} {self.team} {'hard' if self.hard else 'normal'}"


def put(path: Path, tree: Any) -> None:
    """Write JSON for people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(tree), "utf-8")


def _text(tree: Any) -> str:
    return json.dumps(tree, indent=1, sort_keys=True) + "\n"


def make(
    plan: Plan,
    to: Path,
    secret: bytes = b"",
    synthetic: bool = False,
    now: datetime | None = None,
) -> Sheet:
    """Write a drill to a new folder and start its clock; all of it or nothing.

    Raises FileExistsError for a folder that is there.
    """
    to.mkdir(parents=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            truth = evidence(plan, Path(scratch) / EVIDENCE)
            _copy(Path(scratch) / EVIDENCE, to / EVIDENCE, plan.alarm.timestamp())
        salt = plan.seed.bytes("salt")
        fixed = sealed.commitment(truth, salt)
        about = plan.month, plan.team, plan.hard, synthetic, bool(secret)
        sheet = Sheet(*about, f"Incident of {plan.alarm:%B %Y}", fixed)
        put(to / SHEET, {"schema": SCHEMA} | asdict(sheet))
        key = sealed.key(secret, sheet.drill, fixed)
        (to / SEALED).write_bytes(sealed.seal(truth, salt, key))
        (to / "recovery.key").write_bytes(plan.seed.bytes("recovery"))
        text = README.read_text("utf-8")
        facts = {"title": sheet.title, "day": f"{plan.alarm:%-d %B %Y}"}
        for name, words in facts.items():
            text = text.replace(f"{{{name}}}", words)
        (to / "README.md").write_text(text, "utf-8")
        (to / MANIFEST).write_bytes(described(to))
        drill_log.start(to / LOG, fixed, digest_of(to / MANIFEST), now)
    except BaseException:
        shutil.rmtree(to)
        raise
    return sheet


def _copy(made: Path, to: Path, time: float) -> None:
    """Copy evidence; every file is as old: what took longer to make shows nowhere."""
    shutil.copytree(made, to, copy_function=shutil.copyfile)
    for path in (to, *to.rglob("*")):
        os.utime(path, (time, time))


def evidence(plan: Plan, folder: Path) -> dict[str, Any]:
    """Write all evidence; return the truth: every fault, where and when."""
    from securetrain import scenario_data, scenario_service  # torch: only here
    from securetrain.scenario_records import registry, runs, secrets

    made = {
        "leaked-secret": secrets(plan, folder),
        "forged-registry": registry(plan, folder / "registry"),
        "tampered-log": runs(plan, folder / "runs"),
        "poisoned-data": scenario_data.training_set(plan, folder / "data"),
        "drifting-service": scenario_service.streams(plan, folder / "service"),
    }
    faults = [
        asdict(fault) | made[fault.kind] | {"when": plan.at(fault.hour).isoformat()}
        for fault in plan.row.faults
    ]
    put(folder / "alarms.json", alarms(plan))
    recovery = manifests.public_key(plan.seed.bytes("recovery")).hex()
    told = {"title": plan.row.title, "story": plan.row.story}
    return told | {"faults": faults, "recovery": recovery}


def described(folder: Path) -> bytes:
    """Return path, size and hash of each file of evidence, as one text."""
    files = manifests.describe(folder / EVIDENCE)
    return canonical({name: [one.size, one.digest] for name, one in files.items()})


def digest_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def changed(folder: Path) -> list[str]:
    """Return the files of evidence that are not as they were when the drill began.

    Raises Refused when the list of them is not the one of the start.
    """
    lines = drill_log.read(folder / LOG, read_sheet(folder).commitment)
    path = folder / MANIFEST
    if not path.is_file() or digest_of(path) != lines[0]["event"]["evidence"]:
        raise Refused("evidence", f"{path} is not the list of the start")
    then, now = (json.loads(data) for data in (path.read_bytes(), described(folder)))
    return sorted(name for name in then | now if then.get(name) != now.get(name))


def alarms(plan: Plan) -> list[dict[str, str]]:
    """Return what rings at nine: one alarm of the faults, all of the noise."""
    rng = plan.seed.rng("alarms")
    first = FIRST[plan.row.faults[0].kind]  # the others are for the team to find
    said = [first, *ALARMS]
    rng.shuffle(said)
    return [
        {"time": plan.at(32 + number / 10).isoformat(), "alarm": words}
        for number, words in enumerate(said)
    ]


def read_sheet(folder: Path) -> Sheet:
    """Return what a folder says of its drill. Raises ValueError where it is none."""
    path = folder / SHEET
    if not path.is_file():
        raise ValueError(
            f"{folder}: no scenario folder, {SHEET} is missing; go to one, or make "
            "one: securetrain scenario --month 2026-12 --team red"
        )
    try:
        tree = plain_json.read(path.read_bytes())
        if tree.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        sheet = Sheet(**tree)
        check_month(sheet.month)
        check_team(sheet.team)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not as it was made: {error}") from None
    return sheet


def deliver(
    folder: Path,
    kind: str,
    item: str,
    value: bytes | float,
    now: datetime | None = None,
) -> str:
    """Record a repair, and keep a copy of it; return the hash of the log's new line.

    value: a number, or the bytes of a JSON file; raises ValueError for other bytes
    """
    event = {"do": "recover", "kind": kind, "item": item}
    kept = {"value": value, "file": "", "digest": ""}
    if isinstance(value, bytes):
        if len(value) > LARGEST:
            raise ValueError(f"a delivery of more than {LARGEST >> 20} MB")
        plain_json.read(value)
        digest = sha256(value).hexdigest()
        name = f"{digest[:16]}.json"
        own_files.create(folder / DELIVERED / name, value)
        kept = {"value": None, "file": name, "digest": digest}
    return drill_log.add(folder / LOG, read_sheet(folder).commitment, event | kept, now)


def reveal(
    folder: Path, secret: bytes = b"", now: datetime | None = None
) -> dict[str, Any]:
    """Open the sealed truth, say so in the log, and leave it in truth.json.

    A truth.json that is not whole, as when the machine stopped, is written again.
    Raises Refused when it was opened before, or is not what was fixed at the start.
    """
    sheet = read_sheet(folder)
    lines = drill_log.read(folder / LOG, sheet.commitment)
    when = drill_log.revealed(lines)
    if when and _is_whole(folder):
        raise Refused("truth", f"it was revealed before, at {when}")
    if sheet.secret and not secret:
        raise Refused("truth", "the instructor holds its secret: give --secret FILE")
    try:
        data = (folder / SEALED).read_bytes()
    except OSError as error:
        why = f"{folder / SEALED}: {error.strerror}: the sealed truth is gone"
        raise Refused("truth", why) from None
    known = secret if sheet.secret else b""
    key = sealed.key(known, sheet.drill, sheet.commitment)
    truth, salt = sealed.unseal(data, key, sheet.commitment)
    if not when:  # else the machine stopped before the truth was written
        drill_log.add(folder / LOG, sheet.commitment, {"do": "reveal"}, now)
    text = _text({"salt": salt.hex(), "truth": truth})
    own_files.replace(folder / TRUTH, text.encode())
    return truth


def _is_whole(folder: Path) -> bool:
    """Say whether the truth lies open in a folder, as it was fixed."""
    try:
        read_truth(folder)
    except ValueError:
        return False
    return True


def read_truth(folder: Path) -> dict[str, Any]:
    """Return the revealed truth, checked against what was fixed at the start."""
    sheet, path = read_sheet(folder), folder / TRUTH
    if not path.is_file():
        raise ValueError(
            "the truth is still sealed: securetrain scenario reveal opens it; "
            "it ends the drill, so finish first"
        )
    try:
        tree = plain_json.read(path.read_bytes())
        truth, salt = tree["truth"], bytes.fromhex(tree["salt"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("truth", f"{path} was changed: {error}") from None
    sealed.check(truth, salt, sheet.commitment)
    return truth
