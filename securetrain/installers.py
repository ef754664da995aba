"""Real installers, pip and uv, in an environment that knows only what we tell them.

No setting, cache, proxy or index of the user reaches them, and none but an address of
127.0.0.1 is accepted: what a lesson installs comes from this machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from securetrain.paths import tool

WAIT = 300  # seconds; a backstop on a starved machine
INDEX = ("--index-url", "--extra-index-url", "--default-index", "--index")
PRIVATE = re.compile(r"(PIP|UV)_.*|.*_proxy|PYTHON(PATH|HOME|STARTUP)", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """What an installer would install, or did.

    took: package -> version; sources: package -> the path of the file on its server;
    why: the reason when it refused, "" when it went on
    """

    took: dict[str, str]
    sources: dict[str, str]
    why: str = ""


def environment() -> dict[str, str]:
    """Return this process's environment without what would steer an installer."""
    kept = {k: v for k, v in os.environ.items() if not PRIVATE.fullmatch(k)}
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INPUT": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_RETRIES": "0",
        "UV_NO_CONFIG": "1",
        "UV_NO_CACHE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "NO_PROXY": "*",
        "PATH": str(Path(sys.executable).parent),  # pip asks every compiler it finds
        "NO_COLOR": "1",
    }


def check_addresses(words: Sequence[str]) -> None:
    """Raise ValueError unless an index is named, and every one is on 127.0.0.1."""
    named = [
        word.partition("=")[2] or after
        for word, after in zip(words, [*words[1:], ""], strict=True)
        if word.partition("=")[0] in INDEX
    ]
    hosts = {urlsplit(address).hostname for address in named}
    if hosts != {"127.0.0.1"}:
        raise ValueError(
            f"expected --index-url with an address of 127.0.0.1, got {named or 'none'}"
        )


def version(name: str) -> str:
    """Return an installer and its version, or say that it is missing."""
    line = [sys.executable, "-m", "pip"] if name == "pip" else [tool(name) or ""]
    if not line[0]:
        return f"{name} is not installed"
    done = subprocess.run([*line, "--version"], capture_output=True, text=True)
    return " ".join(done.stdout.split()[:2])


def pip(*words: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run pip and return what it said and its exit status.

    python: an interpreter whose environment pip works on, this one by default.
    Raises ValueError for an index that is not on this machine, or none.
    """
    check_addresses(words)
    line = [sys.executable, "-m", "pip"]
    line += ["--python", str(python)] if python else []
    return _run([*line, *words])


def _run(line: Sequence[str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="securetrain-") as home:
        return subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=WAIT,
            stdin=subprocess.DEVNULL,
            env=environment() | {"HOME": home},
            cwd=home,
        )


def choose(*words: str) -> Outcome:
    """Ask pip what it would install, without installing it.

    words: requirements and options of `pip install`, an index among them
    Building a source release runs its code, here as well.
    """
    line = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    done = pip(*line, *words)
    if done.returncode:
        return Outcome({}, {}, _reason(done.stderr))
    rows = json.loads(done.stdout)["install"]
    named = [(row["metadata"]["name"], row) for row in rows]
    took = {name: row["metadata"]["version"] for name, row in named}
    urls = {name: row["download_info"]["url"] for name, row in named}
    return Outcome(took, {name: urlsplit(url).path for name, url in urls.items()})


def _reason(said: str) -> str:
    """Return the first error that pip printed, on one line."""
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    text = errors[0].removeprefix("ERROR: ") if errors else said.strip()[-200:]
    if "MISMATCH" in text or "DO NOT MATCH" in text:
        text = "the file's hash is not in the lock"
    return re.sub(r"\s+", " ", text)[:200]


def install(into: Path, *words: str) -> str:
    """Install with pip into a folder; return why it refused, "" when it did not."""
    line = ["install", "--quiet", "--target", str(into), *words]
    done = pip(*line)
    return _reason(done.stderr) if done.returncode else ""


def uv_choose(requirement: str, *words: str) -> Outcome | None:
    """Ask uv what it would install; None when there is no uv."""
    program = tool("uv")
    if not program:
        return None
    check_addresses(words)
    with tempfile.TemporaryDirectory(prefix="securetrain-") as name:
        wanted = Path(name, "requirements.in")
        wanted.write_text(f"{requirement}\n", "utf-8")
        line = [program, "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
        done = _run([*line, "--python", sys.executable, *words, str(wanted)])
    if done.returncode:
        return Outcome({}, {}, " ".join(done.stderr.split())[:200])
    return Outcome(dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", done.stdout)), {})


def new_environment(folder: Path) -> Path:
    """Make a virtual environment without pip; return its interpreter."""
    line = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(line, check=True, capture_output=True, env=environment())
    return folder / "bin" / "python"
