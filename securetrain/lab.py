"""Open JupyterLab on the course: the home page, and nothing that distracts from it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import sys
from pathlib import Path

from securetrain import lab_copies, paths

HOME = "course/index.ipynb"
CONFIG = Path(__file__).parent / "jupyter"
QUIET = (
    "--LabApp.log_level=WARN",
    "--ServerApp.log_level=WARN",
    # Nothing asks the outside for news, updates or extensions.
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    # Notebook and kernel talk encrypted: other users of this machine cannot listen.
    "--KernelManager.transport_encryption=auto",
)


def main(argv: list[str]) -> int:
    """Open the course in JupyterLab, with your own copies of the labs."""
    parser = argparse.ArgumentParser(prog="securetrain lab", description=main.__doc__)
    parser.add_argument("--no-browser", action="store_true", help="print the address")
    parser.add_argument("--port", type=int, help="default: 8888, or the next free one")
    parser.add_argument(
        "--prepare", action="store_true", help="make the copies of the labs, then stop"
    )
    options = parser.parse_args(argv)
    print(*lab_copies.prepare(), sep="\n")
    if options.prepare:
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        raise FileNotFoundError(
            "JupyterLab is not installed in this environment. Run `make lab`, or "
            "`python -m pip install --require-hashes -r requirements.lock`."
        )
    if options.port is not None:
        _check_free(options.port)
    command = [sys.executable, "-m", "jupyterlab", *arguments(options)]
    print("Opening the course. Ctrl-C here stops it.", flush=True)
    os.execve(sys.executable, command, environment())


def arguments(options: argparse.Namespace) -> list[str]:
    """Return JupyterLab's arguments."""
    found = [
        *QUIET,
        f"--ServerApp.root_dir={paths.root()}",
        f"--LabApp.default_url=/lab/tree/{HOME}",
        # A workspace of the course's own: tabs of other projects stay out of it.
        f"--LabApp.workspaces_dir={paths.work() / '.jupyter' / 'workspaces'}",
    ]
    if options.no_browser:
        found.append("--no-browser")
    if options.port is not None:
        found += [f"--port={options.port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        print("Note: this runs as root; an ordinary user is safer.", file=sys.stderr)
        found.append("--allow-root")
    return found


def environment() -> dict[str, str]:
    """Return the environment with our settings and this installation's commands."""
    found = dict(os.environ)
    first = {"JUPYTER_CONFIG_PATH": CONFIG, "PATH": Path(sys.executable).parent}
    for name, folder in first.items():
        others = [found[name]] if found.get(name) else []
        found[name] = os.pathsep.join([str(folder), *others])
    return found


def _check_free(port: int) -> None:
    """Raise ValueError when no server can listen on this port."""
    if not 0 < port < 65536:
        raise ValueError(f"expected a port from 1 to 65535, got {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(
                f"port {port} is not free ({error.strerror}). Choose another with "
                "--port, or leave it out to take the next free one."
            ) from None
