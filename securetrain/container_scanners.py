"""Other people's checks of Dockerfiles: hadolint, trivy, checkov, where installed.

None of them is in the course's lock: they come as binaries, or do not fit beside its
packages. Snyk sends what it reads to its service; it is named here and never started.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from securetrain import installers
from securetrain.paths import tool

ABSENT = "not installed"
TOOLS = ("hadolint", "trivy", "checkov")
Finds = list[tuple[str, int]]  # the rule's id, the line or 0


def version(name: str) -> str:
    """Return a tool with its version, or that it is absent."""
    program = tool(name)
    if not program:
        return f"{name}: {ABSENT}"
    flag = "version" if name == "trivy" else "--version"
    said = _run([program, flag]).stdout.split("\n")[0].strip()
    return said if name in said.lower() else f"{name} {said}"


def snyk() -> str:
    """Say what a learner with an account can do with Snyk; nothing is sent."""
    if not tool("snyk"):
        return "snyk: not installed, not asked; it needs an account and a network"
    if not os.environ.get("SNYK_TOKEN"):
        return "snyk: installed, not asked: there is no SNYK_TOKEN"
    return "snyk: not asked, as it sends files away; run: snyk test --file=FILE"


def scan(name: str, path: Path) -> Finds | None:
    """Return what a tool finds in a Dockerfile, None when it is not here.

    Raises ValueError when it ends without a report: that is no clean bill.
    """
    if name not in TOOLS:
        raise ValueError(f"unknown tool {name!r}, expected one of {TOOLS}")
    program = tool(name)
    if not program:
        return None
    line, rows = HOW[name]
    with tempfile.TemporaryDirectory(prefix="securetrain-") as home:
        done = _run([program, *line, str(path)], home)
    try:
        return sorted(rows(json.loads(done.stdout)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1][:200]
        raise ValueError(f"{name} gave no report: {last}") from error


def _run(line: list[str], home: str | None = None) -> subprocess.CompletedProcess[str]:
    away = {"HOME": home, "TMPDIR": home} if home else {}
    return subprocess.run(
        line,
        capture_output=True,
        text=True,
        timeout=installers.WAIT,
        stdin=subprocess.DEVNULL,
        env=installers.environment() | {"PATH": os.environ.get("PATH", "")} | away,
    )


def _hadolint(report: Any) -> Finds:
    return [(row["code"], row["line"]) for row in report]


def _trivy(report: Any) -> Finds:
    found = [
        row for part in report["Results"] for row in part.get("Misconfigurations", [])
    ]
    return [(r["ID"], r.get("CauseMetadata", {}).get("StartLine", 0)) for r in found]


def _checkov(report: Any) -> Finds:
    reports = report if isinstance(report, list) else [report]
    failed = [row for one in reports for row in one["results"]["failed_checks"]]
    return [(row["check_id"], row["file_line_range"][0]) for row in failed]


HOW: dict[str, tuple[list[str], Callable[[Any], Finds]]] = {
    "hadolint": (["--no-fail", "-f", "json"], _hadolint),
    "trivy": (["config", "--quiet", "-f", "json", "--skip-check-update"], _trivy),
    "checkov": (
        ["--quiet", "--compact", "-o", "json", "--framework", "dockerfile", "-f"],
        _checkov,
    ),
}
