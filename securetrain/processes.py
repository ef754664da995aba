"""Programs that are started, read within bounds, and ended by their own id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

KEPT = 1 << 20  # bytes of each stream that are kept; the rest is read and dropped


class Kept(threading.Thread):
    """Reads a stream to its end, keeps its first bytes, and closes it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.stream, self.data, self.truncated = stream, b"", False
        self.start()

    def run(self) -> None:
        with suppress(OSError, ValueError), self.stream:
            while block := self.stream.read1(1 << 16):
                room = KEPT - len(self.data)
                self.data += block[:room]
                self.truncated |= len(block) > room

    @property
    def text(self) -> str:
        """What is kept, as text."""
        return self.data.decode("utf-8", "replace")


@dataclass
class Service:
    """A program that runs; `output` is what it has said up to now."""

    process: subprocess.Popen[bytes]
    streams: tuple[Kept, ...]
    log: Path | None = None  # runc's own
    stop: Callable[[], bool] | None = None  # ends what is inside; whether it could

    @property
    def pid(self) -> int:
        """The process that holds the sandbox: it ends when this one is ended."""
        return self.process.pid

    @property
    def output(self) -> str:
        """What it wrote to stdout, then to stderr, as far as it is kept."""
        return "".join(stream.text for stream in self.streams[:2])

    def end(self) -> None:
        """End it with all that it started, and wait until they are gone.

        What is inside a sandbox goes first: then each that waits for it ends, and is
        not left to this machine's first process, which may let it count for a while.
        """
        process = self.process
        if self.stop and process.poll() is None and self.stop():
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running(
    line: list[str],
    stdin: bytes,
    *shared: int,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Start a program with no environment but a PATH, and end it whatever happens.

    shared: numbers of open files that it gets besides; environment: added to PATH
    """
    path = f"{os.environ.get('PATH', '')}:/usr/bin:/bin:/usr/sbin:/sbin"
    process = subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=shared,
        start_new_session=True,  # a group of its own, which `end` ends
        env={"PATH": path, **(environment or {})},
        cwd="/",
    )
    service = Service(process, (Kept(process.stdout), Kept(process.stderr)))
    try:
        with suppress(OSError), process.stdin as pipe:
            pipe.write(stdin)
        yield service
    finally:
        service.end()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(service: Service, port: int, seconds: float) -> None:
    """Wait until a service answers. Raises TimeoutError when it does not, or ends."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and service.process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    ended = service.process.poll()
    why = "is not up in time" if ended is None else f"ended with {ended}"
    raise TimeoutError(f"port {port}: {why}. It said: {service.output[-600:].strip()}")
