"""The settings of a prediction service: no service starts while one of them is open.

The attacker needs one limit that nobody set. So there are no defaults: what is not
written down is refused, by the service when it starts and by the hook before that. One
setting may be left out, `state`: then a restart gives every client a new day.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securetrain import plain_yaml

ANSWERS = ("label", "probabilities")
MOST = {  # of each limit that a service may have: beyond, it is none
    "body_bytes": 10_000_000,
    "body_seconds": 60,
    "images_at_once": 256,
    "requests_a_minute": 6_000,
    "images_a_day": 100_000,
    "connections": 1_000,
}
SAYS = {
    "shape": "height and width of an image, two whole numbers from 1 to 1024",
    "answers": "label, or probabilities where a client needs them",
    "host": "an address to listen on; 127.0.0.1 behind a proxy that speaks TLS",
    "port": "a number from 0 to 65535; 0 takes a free one",
    "keys": "a file of the clients' key hashes, not the keys themselves",
}
STATE = "a file, name.db, that keeps each client's day; without it a restart forgets"


@dataclass(frozen=True)
class Settings:
    """What a service holds to.

    shape: height, width; answers: "label" or "probabilities"; keys: path of a JSON
    file, SHA-256 of a client's key -> the client's name; state: path of a database, ""
    for none; the rest: limits, for each client but `connections`, which is for all of
    them together
    """

    shape: tuple[int, int]
    answers: str
    host: str
    port: int
    keys: str
    body_bytes: int
    body_seconds: int
    images_at_once: int
    requests_a_minute: int
    images_a_day: int
    connections: int
    state: str = ""


def read(path: str | Path) -> Settings:
    """Return a file's settings. Raises ValueError with every fault, a line for each."""
    documents = plain_yaml.read_file(path)
    if len(documents) != 1:
        raise ValueError(f"{path}:1: expected one document, got {len(documents)}")
    if wrong := faults(documents[0].data):
        lines = [f"{documents[0].where(name)}: {name}: {why}" for name, why in wrong]
        raise ValueError("\n".join(lines))
    return settings(documents[0].data)


def settings(tree: dict[str, Any]) -> Settings:
    """Return settings from plain data. Raises ValueError for open ones."""
    if wrong := faults(tree):
        raise ValueError("; ".join(f"{name}: {why}" for name, why in wrong))
    return Settings(**tree | {"shape": tuple(tree["shape"])})


def faults(tree: Any) -> list[tuple[str, str]]:
    """Return name and reason of each setting that is missing, unknown or open."""
    if not isinstance(tree, dict):
        return [("settings", "expected names and values")]
    known = set(SAYS) | set(MOST)
    extra = [name for name in tree if name not in known and name != "state"]
    found = [(str(name), "unknown setting") for name in extra]
    for name, says in SAYS.items():
        if not _fits(name, tree.get(name)):
            found.append((name, f"expected {says}"))
    for name, most in MOST.items():
        if not _whole(tree.get(name), 1, most):
            found.append((name, f"expected a limit, a whole number from 1 to {most}"))
    state = tree.get("state", ".db")
    if not isinstance(state, str) or not state.endswith(".db"):
        found.append(("state", f"expected {STATE}"))
    return found


def _fits(name: str, value: Any) -> bool:
    """Return whether a setting that is no limit has a value we know."""
    if name == "shape":
        sides = value if isinstance(value, list | tuple) else ()
        return len(sides) == 2 and all(_whole(side, 1, 1024) for side in sides)
    if name == "port":
        return _whole(value, 0, 65535)
    if not isinstance(value, str):
        return False
    if name == "host":
        return _address(value)
    return value in ANSWERS if name == "answers" else value.endswith(".json")


def _address(text: str) -> bool:
    """Return whether this is an address of one interface, not of all."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address  # as ::ffff:0.0.0.0
    return not (address.is_unspecified or address.is_multicast)


def _whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high
