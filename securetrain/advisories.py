"""Known faults of packages: pip-audit, asked about a lock, against a local source.

An advisory is what somebody found, reported and published. The attacker of last night
is in none. The bundled subset is small and dated: it shows how an audit works and where
it is silent, and is no source for real projects.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from http.server import BaseHTTPRequestHandler
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from securetrain import installers
from securetrain.package_index import normal, running

FILE = Path(__file__).with_name("advisories.json")
PATH = "/v1/query"
CLEAN, FOUND = 0, 1  # pip-audit's exit status; 1 also where it fails


@dataclass(frozen=True)
class Audit:
    """What pip-audit answered.

    status: its exit status; found: package -> advisories; skipped: package -> why;
    error: what it said when it gave no report
    """

    status: int
    found: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    error: str = ""


@cache
def bundle() -> dict[str, Any]:
    """Return the bundled subset: its date, a note, and the advisories."""
    return json.loads(FILE.read_text("utf-8"))


def heading() -> str:
    """Return which tool audits against what, and of which day."""
    try:
        tool = f"pip-audit {version('pip-audit')}"
    except PackageNotFoundError:
        tool = "pip-audit is not installed"
    known, day = bundle(), date.fromisoformat(bundle()["date"])
    return f"{tool}; {len(known['advisories'])} bundled advisories of {day:%d %B %Y}"


def affecting(name: str, given: str, known: Sequence[dict[str, Any]]) -> list[dict]:
    """Return the advisories that name this version of a package.

    known: advisories in the format of OSV. A version that is none affects nothing:
    the source cannot order it.
    """
    try:
        wanted = Version(given)
    except InvalidVersion:
        return []
    return [
        one
        for one in known
        if any(
            normal(part["package"]["name"]) == normal(name) and _hit(part, wanted)
            for part in one["affected"]
        )
    ]


def _hit(part: dict[str, Any], wanted: Version) -> bool:
    if any(Version(one) == wanted for one in part.get("versions", [])):
        return True
    spans = (one for one in part.get("ranges", []) if one.get("type") != "GIT")
    return any(_within(span["events"], wanted) for span in spans)


def _within(events: list[dict[str, str]], wanted: Version) -> bool:
    """Say whether a version is affected after all events up to it, as OSV counts."""
    rows = [(Version(text), kind) for event in events for kind, text in event.items()]
    hit = False
    for at, kind in sorted(rows, key=lambda row: (row[0], row[1] == "introduced")):
        if kind == "last_affected":
            hit = hit and wanted <= at
        elif wanted >= at:
            hit = kind == "introduced"
    return hit


def before(repaired: str) -> str:
    """Return a version shortly before another: 2.5.0 for 2.6.0, 4.66.2 for 4.66.3.

    Raises ValueError for version 0.
    """
    numbers = [int(part) for part in repaired.split(".")]
    place = max((i for i, n in enumerate(numbers) if n), default=-1)
    if place < 0:
        raise ValueError(f"no version is before {repaired}")
    numbers[place] -= 1
    return ".".join(map(str, numbers))


def repairs() -> dict[str, str]:
    """Return the version that repairs each package of the bundle, in the bundle."""
    found: dict[str, Version] = {}
    for one in bundle()["advisories"]:
        for part in one["affected"]:
            for event in (e for span in part.get("ranges", []) for e in span["events"]):
                if "fixed" in event:
                    name, fixed = part["package"]["name"], Version(event["fixed"])
                    found[name] = max(fixed, found.get(name, fixed))
    return {name: str(version) for name, version in found.items()}


@contextmanager
def serve(known: Sequence[dict[str, Any]] | None = None) -> Iterator[str]:
    """Answer queries as OSV does, on 127.0.0.1; gives the address of its queries.

    known: the advisories, the bundled ones by default
    """
    every = bundle()["advisories"] if known is None else known

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            try:
                asked = json.loads(self.rfile.read(size))
                name, given = asked["package"]["name"], asked["version"]
                found = affecting(name, given, every) if self.path == PATH else None
            except (ValueError, KeyError, TypeError):
                found = None
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(400 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with running(Handler) as address:
        yield f"{address}{PATH}"


def audit(lock: Path, address: str, strict: bool = False) -> Audit:
    """Ask pip-audit about the pins of a requirements file, against our source.

    address: as `serve` gives it; strict: fail where a package cannot be looked up
    Raises ValueError when pip-audit is not installed, or the address is not ours.
    """
    if not address.startswith("http://127.0.0.1:"):
        raise ValueError(f"expected an address of 127.0.0.1, got {address!r}")
    with tempfile.TemporaryDirectory(prefix="securetrain-") as cache_dir:
        line = ["-r", str(lock), "-f", "json", "--cache-dir", cache_dir]
        line += ["-s", "osv", "--osv-url", address, "--progress-spinner", "off"]
        line += ["--no-deps", "--disable-pip", *(["--strict"] if strict else [])]
        done = installers.run("pip_audit", *line)
    if "No module named pip_audit" in done.stderr:
        raise ValueError("pip-audit is not installed: install the course's lock again")
    try:
        rows = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return Audit(done.returncode, error=last.rpartition("._cli:")[2])
    found = {r["name"]: [v["id"] for v in r["vulns"]] for r in rows if r.get("vulns")}
    skipped = {r["name"]: r["skip_reason"] for r in rows if "skip_reason" in r}
    return Audit(done.returncode, found, skipped)
