"""What a drill's commands take: names that the evidence lists, repairs of a known form.

A typing error is said at once. Nothing here knows the truth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from securetrain import plain_json, signs
from securetrain.manifests import canonical
from securetrain.scenario_folder import EVIDENCE

WORDS = {
    "poisoned-data": "sign",
    "leaked-secret": "key",
    "forged-registry": "release",
    "tampered-log": "log",
    "drifting-service": "camera",
}
NUMBERS = ("tampered-log", "drifting-service")
FORMS = {
    "poisoned-data": "a JSON list of rows",
    "leaked-secret": 'JSON: {"revoked": [key ids], "places": [files]}',
    "forged-registry": 'JSON: {"list": text, "signature": hex}',
    "tampered-log": "a number of lines, 0 or more",
    "drifting-service": "a number",
}


def names(folder: Path, kind: str) -> list[str]:
    """Return all items of a kind that a drill's evidence lists, faulty or not."""
    evidence = folder / EVIDENCE
    if kind == "poisoned-data":
        return sorted(signs.NAMES)
    if kind == "leaked-secret":
        return sorted(row["id"] for row in json.loads(_text(evidence / "keys.json")))
    if kind == "forged-registry":
        releases = evidence / "registry" / "releases"
        return sorted(path.name for path in releases.glob("*"))
    if kind == "tampered-log":
        return sorted(path.stem for path in (evidence / "runs").glob("*.jsonl"))
    tables = (evidence / "service").glob("*.csv")
    return sorted(path.stem for path in tables if path.stem != "checked")


def _text(path: Path) -> str:
    return path.read_text("utf-8")


def check(folder: Path, kind: str, item: str) -> None:
    """Raise ValueError for an item that the evidence does not list."""
    known = names(folder, kind)
    if item not in known:
        raise ValueError(f"no {WORDS[kind]} {item!a:.40} here: {', '.join(known)}")


def repair(folder: Path, kind: str, value: bytes | float) -> bytes | float:
    """Return a repair in the form that is judged; ValueError for another form.

    value: a number, or the bytes of a JSON file
    """
    number = not isinstance(value, bytes)
    if number != (kind in NUMBERS) or (
        kind == "tampered-log" and (type(value) is not int or value < 0)
    ):
        raise ValueError(f"{kind}: expected {FORMS[kind]}")
    if number:
        return value
    try:
        tree = plain_json.read(value)
    except ValueError as error:
        why = error.__context__  # what `plain_json` leaves out
        if isinstance(why, json.JSONDecodeError):
            where = f"line {why.lineno}: {why.msg}"
            raise ValueError(f"not JSON: {where}") from None
        raise
    if not _fits(kind, tree):
        raise ValueError(f"{kind}: expected {FORMS[kind]}")
    if kind != "leaked-secret":
        return value
    for key in tree["revoked"]:
        check(folder, kind, key)
    places = sorted({place(name) for name in tree["places"]})
    return canonical({"revoked": tree["revoked"], "places": places})


def _fits(kind: str, tree: Any) -> bool:
    if kind == "poisoned-data":
        return isinstance(tree, list) and all(type(n) is int for n in tree)
    if not isinstance(tree, Mapping):
        return False
    if kind == "forged-registry":
        texts = all(isinstance(part, str) for part in tree.values())
        return tree.keys() == {"list", "signature"} and texts
    lists = all(
        isinstance(part, list) and all(isinstance(name, str) for name in part)
        for part in tree.values()
    )
    return tree.keys() == {"revoked", "places"} and lists


def place(name: str) -> str:
    """Return the name in evidence/files that a path leads to, such as `repository`."""
    short = name.strip().removeprefix("./").removeprefix(f"{EVIDENCE}/")
    first = short.removeprefix("files/").split("/")[0]
    return "repository" if first == ".git" else first
