"""What a drill was worth: every repair is tried, every claim held against the truth.

Nothing is believed because it was said. A cleaned set is counted row by row, a list is
verified with its key, a threshold watches twenty fresh days. What a cause lets in comes
back until the cause is contained.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from securetrain import drill_log, gate, plain_json
from securetrain.archives import FILE, Refused, check_kind
from securetrain.debriefs import Debrief, Finding
from securetrain.scenario_folder import (
    DELIVERED,
    LARGEST,
    LOG,
    changed,
    read_sheet,
    read_truth,
)
from securetrain.scenarios import ROWS

REMOVED, KEPT = 0.9, 0.9  # of the poison at least; of the honest images at least
BEYOND = 1e15  # no line and no threshold is as far
COPY = re.compile(r"[0-9a-f]{16}\.json")  # as `scenario_folder.deliver` names them
WRONG = 2  # repairs of one fault that may fail: a guess is no repair
CALM, STOPPED = 0.1, 0.9  # calm days stopped at most; drifting days stopped at least


@dataclass(frozen=True)
class Row:
    """One line of the drill, beside the truth.

    seconds: since the start; right: did it fit, None for notes and the like
    """

    seconds: float
    do: str
    text: str
    right: bool | None = None
    why: str = ""


@dataclass(frozen=True)
class Judged:
    """A drill and what became of it; repairs: fault -> the delivered value."""

    debrief: Debrief
    truth: Mapping[str, Any]
    rows: tuple[Row, ...]
    repairs: Mapping[str, Any]
    clock: tuple[str, ...]  # what was odd about the clock
    changed: tuple[str, ...]  # files of evidence that are not as at the start
    wrong_repairs: Mapping[str, int] = field(default_factory=dict)  # fault -> how many

    @property
    def held(self) -> bool:
        """Nothing missed, all repaired without guessing, few false alarms."""
        done = all(one.recovered_after_s is not None for one in self.debrief.findings)
        found = all(one.found for one in self.debrief.findings)
        few = 2 * self.debrief.false_alarms <= len(self.debrief.findings)
        guessed = any(count > WRONG for count in self.wrong_repairs.values())
        return found and done and few and not guessed


def judge(folder: Path) -> Judged:
    """Hold a drill's log against its revealed truth.

    Raises Refused for a damaged log or truth, ValueError while the truth is sealed.
    """
    sheet, truth = read_sheet(folder), read_truth(folder)
    lines = drill_log.read(folder / LOG, sheet.commitment)
    if not drill_log.revealed(lines):
        why = "the truth is open, and the log does not say when"
        raise Refused("log", f"{why}: securetrain scenario reveal")
    times = drill_log.elapsed(lines)
    faults = {(one["kind"], one["item"]): one for one in truth["faults"]}
    rows, wrong, repairs = [], set(), {}
    failed = dict.fromkeys((one["id"] for one in truth["faults"]), 0)
    first: dict[str, dict[str, float]] = {one["id"]: {} for one in truth["faults"]}
    for line, after in zip(lines, times, strict=True):
        event = line["event"]
        fault = faults.get((event.get("kind"), event.get("item")))
        row = _row(folder, event, fault, after, truth)
        rows.append(row)
        if row.right is False and event["do"] in ("detect", "contain"):
            wrong.add((event["kind"], event["item"]))
        if fault and event["do"] == "recover":  # the last delivery is the one in use
            first[fault["id"]].pop("recover", None)
            repairs.pop(fault["id"], None)
            failed[fault["id"]] += not row.right
        if row.right:
            first[fault["id"]].setdefault(event["do"], after)
            if event["do"] == "recover":
                repairs[fault["id"]] = delivered(folder, event)
    findings = _findings(truth["faults"], first)
    last = next(n for n, x in enumerate(lines) if x["event"]["do"] == "reveal")
    about = sheet.month, sheet.team, sheet.hard, sheet.synthetic, lines[0]["time"]
    ended = max(line["time"] for line in lines[: last + 1])
    debrief = Debrief(*about, ended, findings, len(wrong))
    odd = _clock(lines), tuple(changed(folder))
    return Judged(debrief, truth, tuple(rows), repairs, *odd, failed)


def _clock(lines: Sequence[Mapping]) -> tuple[str, ...]:
    key = "clock set back by"
    return tuple(
        f"line {line['number']}: the clock was set back by {line['event'][key]:.0f} s"
        for line in lines
        if key in line["event"]
    )


def _row(
    folder: Path, event: Mapping, fault: Mapping | None, after: float, truth: Mapping
) -> Row:
    do = event["do"]
    if do not in ("detect", "contain", "recover"):
        return Row(after, do, event.get("text", ""))
    text = f"{event['kind']} {event['item']}"
    if fault is None:
        why = "no fault of this kind is there"
        return Row(after, do, text, False, why)
    if do != "recover":
        return Row(after, do, text, True)
    try:
        why = refused(fault, delivered(folder, event), truth["recovery"])
    except ValueError as error:
        why = str(error)
    return Row(after, do, text, not why, why)


def delivered(folder: Path, event: Mapping[str, Any]) -> Any:
    """Return what was delivered with `recover`; Refused when it was changed since.

    Only a copy that the drill itself keeps is read: its own name, a file, no link.
    """
    name = event["file"]
    if not name:
        return event["value"]
    if not COPY.fullmatch(name):
        raise Refused("delivery", f"{name!a:.60}: no name that a delivery has")
    try:
        data = _own(folder / DELIVERED / name)
    except OSError as error:
        raise Refused("delivery", f"{name}: {error.strerror}") from None
    if sha256(data).hexdigest() != event["digest"]:
        raise Refused("delivery", f"{name}: changed after it was delivered")
    return plain_json.read(data)


def _own(path: Path) -> bytes:
    """Return the bytes of a delivered copy; not of a link, a device, a large file."""
    if path.parent.is_symlink():
        raise Refused("delivery", f"{path.name}: expected a file of this drill")
    with open(path, "rb", opener=lambda name, _: os.open(name, FILE)) as file:
        check_kind(os.fstat(file.fileno()), path.name)
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Refused("delivery", f"{path.name}: more than {LARGEST >> 20} MB")
    return data


def _findings(
    faults: Sequence[Mapping], first: Mapping[str, Mapping[str, float]]
) -> tuple[Finding, ...]:
    """Return each fault's times; one that came by another is closed after its cause."""

    def after(fault: Mapping, do: str) -> float | None:
        own = first[fault["id"]].get(do)
        if own is None or not fault["cause"] or do == "detect":
            return own
        cause = first[fault["cause"]].get("contain")
        return None if cause is None else max(own, cause)

    return tuple(
        Finding(
            fault["id"],
            fault["kind"],
            "detect" in first[fault["id"]],
            *(after(fault, do) for do in ("detect", "contain", "recover")),
        )
        for fault in faults
    )


# --- Repairs --------------------------------------------------------------------------


def refused(fault: Mapping[str, Any], value: Any, recovery: str = "") -> str:
    """Return why a repair does not hold, "" when it does.

    fault: of the truth; recovery: the public key of registries, as hex
    """
    kind = fault["kind"]
    if kind == "poisoned-data":
        return _set(fault, value)
    if kind == "leaked-secret":
        return _keys(fault, value)
    if kind == "forged-registry":
        return _registry(fault, value, bytes.fromhex(recovery))
    if type(value) not in (int, float) or not abs(value) < BEYOND:  # nor NaN
        return f"expected a number, got {value!a:.40}"
    if kind == "tampered-log":
        low, high = fault["last"]
        if value > high:
            return f"line {high + 1} is not what was written, and you trust {value}"
        return "" if value >= low else f"{low} lines are proven, you trust {value}"
    return _threshold(fault, float(value))


def _set(fault: Mapping[str, Any], kept: Any) -> str:
    rows = isinstance(kept, list) and all(
        type(n) is int and 0 <= n < ROWS for n in kept
    )
    if not rows or len(set(kept)) != len(kept):
        return f"expected a list of rows from 0 to {ROWS - 1}, each once"
    poison = set(fault["poison"])
    left, clean = len(poison & set(kept)), len(set(kept) - poison)
    if left > (1 - REMOVED) * len(poison):
        return f"{left} of {len(poison)} poisoned rows are still in it"
    if clean < KEPT * (ROWS - len(poison)):
        return f"only {clean} of {ROWS - len(poison)} honest rows are left"
    return ""


def _keys(fault: Mapping[str, Any], value: Any) -> str:
    if not isinstance(value, Mapping) or value.keys() != {"revoked", "places"}:
        return 'expected {"revoked": [...], "places": [...]}'
    if value["revoked"] != [fault["item"]]:
        return f"revoke {fault['item']}, and no key that nobody leaked"
    if value["places"] != fault["places"]:
        return f"it lies in {', '.join(fault['places'])}, and nowhere else"
    return ""


def _registry(fault: Mapping[str, Any], value: Any, key: bytes) -> str:
    try:
        text, signature = (
            value["list"].encode("ascii"),
            bytes.fromhex(value["signature"]),
        )
        found = gate.read_registry(text, signature, key)
    except Refused as error:
        return f"the list does not hold with the recovery key: {error}"
    except (TypeError, KeyError, ValueError, AttributeError):
        return 'expected {"list": text, "signature": hex}'
    extra = len(set(found.approved) - set(fault["approved"]))
    missing = len(set(fault["approved"]) - set(found.approved))
    if extra or missing:
        return f"it approves {extra} too many, and {missing} honest ones are missing"
    return ""


def _threshold(fault: Mapping[str, Any], limit: float) -> str:
    from securetrain.scenario_service import judged

    seed = int(sha256(json.dumps(fault, sort_keys=True).encode()).hexdigest()[:7], 16)
    calm, stopped = judged(limit, fault["vector"], fault["start"], seed)
    if calm > CALM:
        return f"it stops {calm:.0%} of calm days"
    return "" if stopped >= STOPPED else f"it stops {stopped:.0%} of days like this one"
