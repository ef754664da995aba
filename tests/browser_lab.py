"""JupyterLab as `securetrain lab` starts it, seen by a headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, WebSocket, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LOCAL = ("127.0.0.1", "localhost")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Seen:
    """What a browser did: the addresses it asked for, and the errors it printed.

    frames: what came over its web sockets, as text
    """

    requests: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Return the requests that left this machine."""
        parts = [(urlsplit(address), address) for address in self.requests]
        return [
            address
            for part, address in parts
            if part.scheme not in ("data", "blob") and part.hostname not in LOCAL
        ]

    def watch(self, context: BrowserContext) -> None:
        """Record what every page of this browser asks for and prints."""
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("page", self._listen)
        for page in context.pages:
            self._listen(page)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", self._note)

    def _listen(self, page: Page) -> None:
        page.on("websocket", self._follow)

    def _follow(self, socket: WebSocket) -> None:
        self.requests.append(socket.url)
        socket.on("framereceived", self._keep)

    def _keep(self, data: str | bytes) -> None:
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        self.frames.append(text)

    def _note(self, message: object) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location})")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(folder: Path, scratch: Path, what: str = "lab") -> Iterator[str]:
    """Run `securetrain lab --no-browser` in a folder; give its address with token.

    scratch: holds the server's home, its log and the learner's work
    what: the command, lab or formgrader
    """
    environment = os.environ | {
        "HOME": str(scratch / "home"),
        "SECURETRAIN_ROOT": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    log = scratch / "server.log"
    (scratch / "home").mkdir(parents=True)
    command = [sys.executable, "-m", "securetrain.cli", what, "--no-browser"]
    command += ["--port", str(free_port())]
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        yield _address(server, log)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _address(server: subprocess.Popen, log: Path) -> str:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S+token=\w+", log.read_text()):
            return found.group()
        assert server.poll() is None, f"JupyterLab stopped:\n{log.read_text()}"
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab printed no address:\n{log.read_text()}")


@contextmanager
def browser(scratch: Path, seen: Seen, **options: object) -> Iterator[Page]:
    """Open a fresh Chromium and give its page."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(scratch / "profile"),
            executable_path=CHROMIUM,
            args=FLAGS + ["--no-sandbox"] * root,
            **{"viewport": {"width": 1280, "height": 800}, **options},
        )
        seen.watch(context)
        try:
            yield context.pages[0]
        finally:
            context.close()
