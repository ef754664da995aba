"""What zizmor, a real scanner of workflows, says of a folder.

zizmor works offline here: what it could ask GitHub about, a commit that only a fork
has for example, it does not see.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from securetrain.paths import tool


class NoScanner(RuntimeError):
    """The scanner is missing or gave no answer; the message says what to do."""


@dataclass(frozen=True)
class Alarm:
    """One finding: the rule's name, how severe, which file and line."""

    rule: str
    severity: str
    file: str
    line: int


def version(name: str) -> str:
    """Return what a tool calls itself, "" when it is not here."""
    path = tool(name)
    if not path:
        return ""
    done = subprocess.run([path, "--version"], capture_output=True, text=True)
    return done.stdout.strip().replace(" version ", " ")


def heading() -> str:
    """Return the scanner with its version, for a cell's output."""
    return version("zizmor") or "SKIPPED: zizmor is not installed"


def zizmor(folder: Path, *, ignores: bool = True) -> list[Alarm]:
    """Return what zizmor finds below a folder, by file and line.

    ignores: whether a comment in a file may silence it. Raises NoScanner.
    """
    path = tool("zizmor")
    if not path:
        raise NoScanner("zizmor is missing: install the course's lock again")
    line = [path, "--offline", "--format", "json", "--no-progress", "--quiet"]
    line += [] if ignores else ["--no-ignores"]
    done = subprocess.run([*line, str(folder)], capture_output=True, text=True)
    try:
        found = [_alarm(one) for one in json.loads(done.stdout)]
        return sorted(found, key=lambda alarm: (alarm.file, alarm.line))
    except (ValueError, LookupError, TypeError) as error:
        said = done.stderr.strip()[-300:]
        raise NoScanner(f"zizmor gave no answer ({error}): {said}") from None


def _alarm(found: dict) -> Alarm:
    places = found["locations"]
    first = next((p for p in places if p["symbolic"]["kind"] == "Primary"), places[0])
    file = first["symbolic"]["key"]["Local"]["verbatim_path"]
    row = first["concrete"]["location"]["start_point"]["row"] + 1
    return Alarm(found["ident"], found["determinations"]["severity"], file, row)
