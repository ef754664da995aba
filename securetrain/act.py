"""Run a workflow with act, another project's runner of them, where it is installed.

The steps run on this machine, without Docker, with our rights and nothing of our
environment: only a workflow whose payload is harmless belongs here. Actions of other
repositories are not fetched. Nothing leaves 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from securetrain.paths import tool

SECONDS = 120
LABELS = ("ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04")
SAYS = re.compile(r"(?m)^\[[^\]]+\]\s+\| ?(.*)$")  # [workflow/job]   | a line


class NoAct(RuntimeError):
    """Nothing was run, or it did not end; the message says why."""


def version() -> str:
    """Return "act" and its version, "" when it is not installed."""
    path = tool("act")
    if not path:
        return ""
    done = subprocess.run([path, "--version"], capture_output=True, text=True)
    return done.stdout.strip().replace(" version ", " ")


def run(repository: Path, trigger: str, payload: Mapping[str, Any]) -> list[str]:
    """Run what an event starts in a repository; return the lines its steps printed.

    payload: the event, as GitHub sends it
    Raises NoAct when act is missing, fails, or does not end in time.
    """
    path = tool("act")
    if not path:
        raise NoAct("act is not installed: see nektosact.com")
    with tempfile.TemporaryDirectory(prefix="securetrain-") as home:
        event = Path(home) / "event.json"
        event.write_text(json.dumps(payload), "utf-8")
        line = [path, trigger, "--eventpath", str(event), "--action-offline-mode"]
        line += ["--no-cache-server", "--cache-server-addr", "127.0.0.1"]
        line += ["--artifact-server-addr", "127.0.0.1"]
        for label in LABELS:
            line += ["--platform", f"{label}=-self-hosted"]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home}
        return SAYS.findall(_ended(line, repository, environment))


def _ended(line: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Return what a command prints; end it with all that it started."""
    with subprocess.Popen(
        line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise NoAct(f"act did not end within {SECONDS} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        last = said.strip().splitlines()[-1:] or [f"status {process.returncode}"]
        raise NoAct(f"act: {last[0][:300]}")
    return said
