"""A list of everything inside, in the CycloneDX format: written from a lock, and asked.

It answers the question of the morning after: do we have this package, in this version,
with this file? It lists what the lock says. What was put beside it, it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from securetrain import dependencies, installers
from securetrain.package_index import normal

SPEC = "1.6"
MISSING = "cyclonedx-bom is not installed: install the course's lock again"


def heading() -> str:
    """Return which library checks the format."""
    try:
        return (
            f"CycloneDX {SPEC}, cyclonedx-python-lib {version('cyclonedx-python-lib')}"
        )
    except PackageNotFoundError:
        return MISSING


def write(lock: bytes, source: str, name: str = "securetrain") -> bytes:
    """Return the list of a lock's packages, the same bytes for the same lock.

    Each package has the hashes of all files that the lock allows; a marker says where
    it is installed. Raises ValueError for a lock that is not pinned and hashed.
    """
    every, found = dependencies.read(lock, source)
    if found or not every:
        raise ValueError(str(found[0]) if found else f"{source}: no requirement")
    digest = sha256(lock).hexdigest()
    about = {"type": "application", "bom-ref": name, "name": name}
    about["hashes"] = [{"alg": "SHA-256", "content": digest}]
    parts = [_component(pin) for pin in sorted(every, key=_order)]
    tree = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {"component": about},
        "components": parts,
    }
    return (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode("ascii")


def _order(pin: dependencies.Pin) -> tuple[str, str, str]:
    return pin.name, pin.version, pin.marker


def _component(pin: dependencies.Pin) -> dict[str, Any]:
    place = f"pkg:pypi/{pin.name}@{pin.version.replace('+', '%2B')}"
    hashes = (one.split(":") for one in sorted(pin.hashes))
    found = {
        "type": "library",
        "bom-ref": f"{place} {pin.marker}".strip(),
        "name": pin.name,
        "version": pin.version,
        "purl": place,
        "hashes": [
            {"alg": f"SHA-{kind.removeprefix('sha')}", "content": digest}
            for kind, digest in hashes
        ],
    }
    if pin.marker:
        found["properties"] = [{"name": "securetrain:marker", "value": pin.marker}]
    return found


def problems(content: bytes) -> str:
    """Return why a list is no valid CycloneDX, "" when it is.

    Raises ValueError when the library that knows the format is not installed.
    """
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        raise ValueError(MISSING) from None
    try:
        text = content.decode("utf-8")
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except ValueError as fault:
        return f"no JSON: {fault}"
    return str(error.data.message if error else "")[:300]


def find(content: bytes, name: str, versions: Collection[str] = ()) -> list[str]:
    """Return which versions of a package a list holds.

    versions: only these count; none means any
    """
    parts = json.loads(content)["components"]
    held = [one["version"] for one in parts if normal(one["name"]) == normal(name)]
    return sorted(one for one in held if not versions or one in versions)


def tool() -> str:
    """Return which tool lists an environment."""
    try:
        return f"cyclonedx-bom {version('cyclonedx-bom')}"
    except PackageNotFoundError:
        return MISSING


def installed(python: Path) -> list[str]:
    """Return the packages that cyclonedx-py finds in an environment.

    python: its interpreter. Raises ValueError when the tool is missing or fails.
    """
    words = ["environment", "--output-reproducible", "--no-validate", str(python)]
    done = installers.run("cyclonedx_py", *words)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1][:200]
        raise ValueError(f"cyclonedx-py gave no list: {last}")
    parts = json.loads(done.stdout).get("components", [])
    return sorted(one["name"] for one in parts)
