"""The log of a drill: who saw what when, chained, with the clock's own times.

The attacker is haste: a line that somebody adds afterwards, a time that is remembered
kindly. Every line carries the hash of the one before, and no time is ever typed in.
Whoever owns the folder can still write a new log: the newest hash, kept elsewhere,
shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from securetrain import audit_log
from securetrain.archives import Refused
from securetrain.debriefs import KINDS

KEYS = {
    "start": {"commitment", "evidence"},
    "note": {"text"},
    "detect": {"kind", "item"},
    "contain": {"kind", "item"},
    "recover": {"kind", "item", "value", "file", "digest"},
    "reveal": set(),
}
Line = Mapping[str, Any]


def start(
    path: Path, commitment: str, evidence: str, now: datetime | None = None
) -> str:
    """Write the first line of a new log: the clock runs. Returns its hash.

    commitment: what fixes the truth; evidence: the hash of the list of its files
    """
    fixed = {"commitment": commitment, "evidence": evidence}
    return audit_log.append(path, {"do": "start"} | fixed, now)


def add(
    path: Path, commitment: str, event: Mapping[str, Any], now: datetime | None = None
) -> str:
    """Add what was done to a log that is whole, and return the new line's hash.

    A clock that goes back is written down with the line, in seconds. Two programs can
    add at once: each line waits for the other. Raises Refused for a damaged log, and
    for what is done once the truth is out, notes excepted.
    """
    if not path.exists():  # a new log would start a new clock
        raise Refused("log", f"{path} is missing: this drill has no clock any more")

    def line(found: list[dict], previous: str, time: str) -> dict[str, Any]:
        checked = check(found, commitment)
        if revealed(checked) and event["do"] != "note":
            why = f"the truth is out since {revealed(checked)}: only notes are taken"
            raise Refused("log", why)
        _check_event(event)
        back = seconds(time, checked[-1]["time"])
        return dict(event) | ({"clock set back by": back} if back > 0 else {})

    return audit_log.append(path, line, now)


def seconds(earlier: str, later: str) -> float:
    """Return how many seconds lie between two times of the log."""
    first, last = (datetime.fromisoformat(time) for time in (earlier, later))
    return (last - first).total_seconds()


def read(path: Path, commitment: str) -> list[dict[str, Any]]:
    """Return the lines of a log. Raises Refused, with the line, for a damaged one."""
    try:
        found, _ = audit_log.events(path.read_bytes())
    except OSError as error:
        raise Refused("log", f"{path}: {error.strerror}") from None
    return check(found, commitment)


def check(found: Sequence[dict[str, Any]], commitment: str) -> list[dict[str, Any]]:
    """Return lines that form the log of the drill with this commitment."""
    first = found[0]["event"] if found else None
    if not isinstance(first, Mapping) or first.get("commitment") != commitment:
        raise Refused("log", "it does not start with this drill's commitment")
    for line in found:
        try:
            _check_event(line["event"])
            datetime.fromisoformat(line["time"])
        except (ValueError, TypeError, KeyError) as error:
            raise Refused("log", f"line {line['number']}: {error}") from None
    does = [line["event"]["do"] for line in found]
    end = does.index("reveal") if "reveal" in does else len(does)
    for number, do in enumerate(does[end + 1 :], end + 2):
        if do != "note":
            why = f"line {number}: only notes come after line {end + 1}, the reveal"
            raise Refused("log", why)
    return list(found)


def _check_event(event: Any) -> None:
    do = event.get("do") if isinstance(event, Mapping) else None
    extra = {"do", "clock set back by"}
    if not isinstance(do, str) or do not in KEYS or event.keys() - extra != KEYS[do]:
        raise ValueError(f"expected one of {', '.join(KEYS)}, got {event!a:.60}")
    free = {"value", "clock set back by"}
    if not all(isinstance(event[key], str) for key in event.keys() - free):
        raise ValueError(f"expected texts, got {event!a:.60}")
    if "kind" in event and event["kind"] not in KINDS:
        raise ValueError(f"kind {event['kind']!a:.40}: expected {', '.join(KINDS)}")


def revealed(lines: Sequence[Line]) -> str:
    """Return when the truth was revealed, "" while it is sealed."""
    times = [line["time"] for line in lines if line["event"]["do"] == "reveal"]
    return times[0] if times else ""


def elapsed(lines: Sequence[Line]) -> list[float]:
    """Return the seconds since the start of each line; never fewer than before.

    Steps forward are summed: a clock that was set back gains the gap in which it was.
    """
    found, total, before = [], 0.0, lines[0]["time"] if lines else ""
    for line in lines:
        total += max(0.0, seconds(before, line["time"]))
        before = line["time"]
        found.append(total)
    return found
