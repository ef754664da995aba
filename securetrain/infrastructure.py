"""A training job that steals, run bare and isolated, and a listener that waits for it.

The attacker wrote one of the job's packages. They can run any code in it, and want
tokens: from its environment, from files, from other processes. All of it is real but
the tokens, which are made here; the listener is on 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from securetrain import infrastructure_job, isolation, processes
from securetrain.isolation import Bind, Isolation

JOB = Path(infrastructure_job.__file__)
SOURCES = ("environment", "home", "neighbours")
LEAST = Isolation(memory_mb=1024, processes=64)
SECONDS, CHECKPOINT = 60, "checkpoint.json"


@dataclass
class Listener:
    """What waits for stolen things, on a port for TCP and one for UDP."""

    tcp: int
    udp: int
    heard: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class House:
    """A machine with a job: its folders, and the mock tokens by where they are kept."""

    home: Path
    data: Path
    out: Path
    tokens: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """What a run did. worked: each attempt; arrived: where the tokens came from that
    the listener got; loss: of the honest work, None where there is no checkpoint
    """

    worked: Mapping[str, bool]
    arrived: tuple[str, ...]
    loss: float | None


@contextmanager
def listen() -> Iterator[Listener]:
    """Give a listener on free ports of 127.0.0.1, and close it after."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        found = Listener(tcp.getsockname()[1], udp.getsockname()[1])
        stop = threading.Event()
        threads = [
            threading.Thread(target=_accept, args=(tcp, found.heard, stop)),
            threading.Thread(target=_receive, args=(udp, found.heard, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _accept(server: socket.socket, heard: list[bytes], stop: threading.Event) -> None:
    server.settimeout(0.1)
    while not stop.is_set():
        with suppress(OSError), server.accept()[0] as line:
            line.settimeout(2)
            heard.append(line.recv(4096))


def _receive(server: socket.socket, heard: list[bytes], stop: threading.Event) -> None:
    server.settimeout(0.1)
    while not stop.is_set():
        with suppress(OSError):
            if datagram := server.recv(4096):
                heard.append(datagram)


@contextmanager
def house(seed: int) -> Iterator[House]:
    """Give a home with a token, data for a job, and a neighbour; remove them after.

    The data follow from the seed; the tokens are new each time.
    """
    tokens = {name: f"mock-{secrets.token_hex(16)}" for name in SOURCES}
    rng = random.Random(seed)
    points = [(x, 2 * x + 1 + rng.gauss(0, 0.1)) for x in (n / 25 for n in range(50))]
    with isolation.scratch() as home, isolation.scratch() as folder:
        kept = home / ".config" / "store"
        kept.mkdir(parents=True)
        (kept / "token").write_text(tokens["home"], "utf-8")
        (folder / "data.json").write_text(json.dumps(points), "utf-8")
        out = folder / "out"
        out.mkdir(0o777)
        out.chmod(0o777)
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
        extra = {"STORE_TOKEN": tokens["neighbours"]}
        with processes.running(sleeper, b"", environment=extra):
            yield House(home, folder / "data.json", out, tokens)


def bare(here: House, listener: Listener) -> Outcome:
    """Run the job as it is: with our rights, files, processes, network."""
    (here.out / CHECKPOINT).unlink(missing_ok=True)
    with processes.running(
        [sys.executable, "-I", str(JOB), _settings(here, listener)],
        b"",
        environment={"STORE_TOKEN": here.tokens["environment"]},
    ) as job:
        job.process.wait(SECONDS)
        for stream in job.streams:
            stream.join(10)
    return _outcome(here, listener, job.output)


def isolated(
    here: House,
    listener: Listener,
    settings: Isolation = LEAST,
    *,
    home: str = "",
    token: bool = False,
    smuggle: bool = False,
    runtime: str = "bubblewrap",
) -> Outcome:
    """Run the job with less; it sees its data, and a folder for its checkpoint.

    home: "read" or "write" shows the home folder, too; token: whether it gets a token
    in its environment; smuggle: whether it hides what it finds in the checkpoint
    Raises isolation.NoIsolation when there is no such runtime.
    """
    (here.out / CHECKPOINT).unlink(missing_ok=True)
    binds = [
        *isolation.python_binds(),
        Bind(str(JOB), "/job/train.py"),
        Bind(str(here.data), "/job/data.json"),
        Bind(str(here.out), "/job/out", writable=True),
    ]
    if home:
        binds.append(Bind(str(here.home), "/job/home", writable=home == "write"))
    inside = House(*map(Path, ("/job/home", "/job/data.json", "/job/out")), here.tokens)
    given = {"STORE_TOKEN": here.tokens["environment"]} if token else {}
    said = isolation.run(
        replace(settings, environment={**settings.environment, **given}),
        [sys.executable, "-I", "/job/train.py", _settings(inside, listener, smuggle)],
        seconds=SECONDS,
        binds=binds,
        runtime=runtime,
    )
    return _outcome(here, listener, said.stdout or said.stderr)


def _settings(here: House, listener: Listener, smuggle: bool = False) -> str:
    """Return what the job is told."""
    asked: dict[str, Any] = {"data": str(here.data), "out": str(here.out)}
    asked |= {"home": str(here.home), "host": "127.0.0.1", "smuggle": smuggle}
    return json.dumps(asked | {"tcp": listener.tcp, "udp": listener.udp})


def _outcome(here: House, listener: Listener, said: str) -> Outcome:
    """Read what a job said, and what arrived; then forget it, and its traces."""
    try:
        told = json.loads(said)
    except ValueError:
        raise RuntimeError(f"the job broke off: {said[-600:]}") from None
    heard = _heard(listener, told["worked"])
    arrived = tuple(n for n, t in here.tokens.items() if t.encode() in heard)
    path = here.out / CHECKPOINT
    loss = told["loss"] if path.is_file() else None
    (here.home / ".start-up").unlink(missing_ok=True)
    return Outcome(told["worked"], arrived, loss)


def _heard(listener: Listener, worked: Mapping[str, bool]) -> bytes:
    """Return all that the listener got from this run; it may lag behind a moment."""
    wanted = worked["tcp"] + worked["udp"]
    pause = threading.Event()
    for _ in range(100):
        if len(listener.heard) >= wanted:
            break
        pause.wait(0.05)
    heard = b" ".join(listener.heard)
    listener.heard.clear()
    return heard


def smuggled(here: House) -> tuple[str, ...]:
    """Return which tokens the checkpoint carries, for someone who knows where."""
    state = json.loads((here.out / CHECKPOINT).read_text("utf-8"))
    text = bytes.fromhex(state["optimizer"]).decode()
    return tuple(name for name, token in here.tokens.items() if token in text)


def runtimes() -> list[str]:
    """Return the runtimes that work here: runc wants root."""
    found = []
    for name in isolation.RUNTIMES:
        with suppress(isolation.NoIsolation):
            isolation.tool(name)
            if name != "runc" or os.getuid() == 0:
                found.append(name)
    return found
