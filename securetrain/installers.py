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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from securetrain.paths import tool

WAIT = 300  # seconds; a backstop on a starved machine
INDEX = ("--index-url", "--extra-index-url", "--default-index", "--index")
PRIVATE = re.compile(
    r"(PIP|UV)_.*|.*_proxy|PYTHON(PATH|HOME|STARTUP)|FORCE_COLOR|CLICOLOR.*|PY_COLORS",
    re.IGNORECASE,
)
PRELOAD = {
    "pip": "pip._internal.commands.install pip._internal.resolution.resolvelib",
    "pip_audit": "pip_audit._cli",
}
WORKER = """
import importlib, json, os, runpy, sys
program, *modules = sys.argv[1:]
for name in modules:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
for line in sys.stdin:
    words, folder = json.loads(line)
    child = os.fork()
    if not child:
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT)
            os.dup2(file, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        os.environ["HOME"], sys.argv = folder, [program, *words]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_workers: dict[str, subprocess.Popen[str]] = {}


@dataclass(frozen=True)
class Outcome:
    """What an installer would install, or did.

    took: package -> version; files: package -> SHA-256 of the file; why: the reason
    when it refused, "" when it went on
    """

    took: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
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
    if python is None:
        return run("pip", *words)
    return _run([sys.executable, "-m", "pip", "--python", str(python), *words])


@contextmanager
def warm(program: str = "pip") -> Iterator[None]:
    """Keep one Python that has imported a program, and fork it for each call.

    program: pip or pip_audit. Importing it costs more than what it then does here.
    Each call still is a process of its own. Where this version is built otherwise,
    calls are as slow as without.
    """
    line = [sys.executable, "-c", WORKER, program, *PRELOAD[program].split()]
    worker = subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,  # an interrupt of the notebook is not for it
    )
    _workers[program] = worker
    try:
        yield
    finally:
        _end(program, worker)


def _end(program: str, worker: subprocess.Popen[str]) -> None:
    if _workers.get(program) is worker:
        del _workers[program]
    worker.kill()
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m program`, in a fork of its warm process where there is one."""
    worker = _workers.get(program)
    if worker is None:
        return _run([sys.executable, "-m", program, *words])
    with tempfile.TemporaryDirectory(prefix="securetrain-") as home:
        try:
            worker.stdin.write(json.dumps([list(words), home]) + "\n")
            worker.stdin.flush()
            status = int(worker.stdout.readline())
        except BaseException:  # an interrupt would leave an answer to the next call
            _end(program, worker)
            raise
        said = [Path(home, name).read_text("utf-8") for name in ("out", "err")]
    return subprocess.CompletedProcess([program, *words], status, *said)


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
    with tempfile.TemporaryDirectory(prefix="securetrain-") as folder:
        report = Path(folder, "report.json")
        line = ["install", "--dry-run", "--ignore-installed", "--quiet"]
        done = pip(*line, "--report", str(report), *words)
        if done.returncode:
            return Outcome(why=_reason(done.stderr))
        rows = json.loads(report.read_text("utf-8"))["install"]
    took, files = {}, {}
    for row in rows:
        name = row["metadata"]["name"]
        took[name] = row["metadata"]["version"]
        files[name] = row["download_info"]["archive_info"]["hashes"]["sha256"]
    return Outcome(took, files)


def _reason(said: str) -> str:
    """Return the first error that pip printed, on one line."""
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    text = errors[0].removeprefix("ERROR: ") if errors else said.strip()[-200:]
    if "MISMATCH" in said or "DO NOT MATCH" in said:
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
        return Outcome(why=" ".join(done.stderr.split())[:200])
    return Outcome(dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", done.stdout)))


def new_environment(folder: Path) -> Path:
    """Make a virtual environment without pip; return its interpreter."""
    line = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(line, check=True, capture_output=True, env=environment())
    return folder / "bin" / "python"
