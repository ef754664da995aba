"""JupyterLab as `securetrain lab` starts it, seen by a headless Chromium.

Screenshots go to build/screenshots/.
"""

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

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    BrowserContext,
    Locator,
    Page,
    WebSocket,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[1]
SHOTS = ROOT / "build" / "screenshots"
TAB = ".lm-DockPanel-tabBar .lm-TabBar-tabLabel"
SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden)"
SECOND = 1000  # milliseconds
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


def course_copy(here: Path) -> Path:
    """Copy the course, as JupyterLab saves what it runs; skip without Chromium."""
    if CHROMIUM is None:
        message = (
            "NOT TESTED in a browser: there is no Chromium. "
            "Debian, Ubuntu: sudo apt install chromium"
        )
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    for folder in ("course", "labs"):
        shutil.copytree(ROOT / folder, here / folder)
    return here


def shot(page: Page, name: str) -> None:
    """Save a screenshot for people to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def wait_idle(page: Page) -> None:
    """Wait until a notebook is drawn and its kernel is ready."""
    panel = page.locator(SHOWN)
    expect(panel.locator("h1")).to_be_visible(timeout=90 * SECOND)
    expect(page.locator("#jp-main-statusbar")).to_contain_text(
        "| Idle", timeout=60 * SECOND
    )


def run_all(page: Page) -> None:
    """Run every cell of the notebook that is shown, and wait for the last one."""
    panel = page.locator(SHOWN)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    first = panel.locator(".jp-CodeCell .jp-InputPrompt").first
    expect(first).not_to_have_text("[ ]:", timeout=60 * SECOND)
    page.wait_for_function(
        """() => [...document.querySelectorAll(
            ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .jp-InputPrompt"
        )].every((prompt) => /^\\[\\d+\\]:$/.test(prompt.textContent))""",
        timeout=400 * SECOND,
    )


def go_dark(page: Page) -> None:
    """Choose JupyterLab's dark theme, as a learner does."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).hover()
    page.get_by_text("JupyterLab Dark", exact=True).click()
    dark = page.locator("body[data-jp-theme-light=false]")
    expect(dark).to_be_attached(timeout=30 * SECOND)


def faults(page: Page, part: Locator, selector: str, preload: bool = True) -> list[str]:
    """Return what axe finds serious or critical inside one of our parts.

    preload: let axe fetch style sheets, which a page that is a file may not do
    """
    part.first.scroll_into_view_if_needed()
    options = {"preload": preload, "resultTypes": ["violations"]}  # no megabytes
    found = Axe().run(page, context=selector, options=options).response["violations"]
    return [
        f"{fault['id']}: {node['html']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
