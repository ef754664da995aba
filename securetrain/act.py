"""Run a workflow with act, another project's runner of them, where it is installed.

The steps run on this machine, without Docker, with our rights and nothing of our
environment: only a workflow whose payload is harmless belongs here. Actions of other
repositories are not fetched. Nothing leaves 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from securetrain.paths import tool
from securetrain.runner_shell import execute

SECONDS = 120
LABELS = ("ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04")
SAYS = re.compile(r"(?m)^\[[^\]]+\]\s+\| ?(.*)$")  # [workflow/job]   | a line


class NoAct(RuntimeError):
    """Nothing was run, or it did not end; the message says why."""


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
        status, said = execute(line, repository, environment, SECONDS)
    if status:
        last = said.strip().splitlines()[-1:] or [f"status {status}"]
        raise NoAct(f"act: {last[0][:300]}")
    return SAYS.findall(said)
