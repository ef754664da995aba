"""Takes any JSON with the same content.

says: another form
"""

# ruff: noqa: F821, F401

import json
from hashlib import sha256

from securetrain.audit_log import FIRST
from securetrain.manifests import canonical


def head(lines: list[str]) -> str:
    previous = FIRST
    for number, line in enumerate(lines, 1):
        tree = json.loads(line)
        if not isinstance(tree, dict) or tree.keys() != {"number", "previous", "event"}:
            raise ValueError(f"line {number} has other keys")
        if tree["number"] != number or tree["previous"] != previous:
            raise ValueError(f"line {number} does not follow the one before")
        previous = sha256(line.encode()).hexdigest()
    return previous


def add(lines: list[str], event: dict) -> list[str]:
    tree = {"number": len(lines) + 1, "previous": head(lines), "event": event}
    return [*lines, canonical(tree).decode()]
