"""A service in a real container, and an exploit that runs in it: what is reached?

The service answers on a socket file, so it needs no network. It has a hole: a request
may bring a formula, which is run as code. The exploit does harmless things only: it
leaves a marker, calls a listener of ours, changes a model in a temporary folder. Every
process is ended by its own id.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securetrain import containers, isolation
from securetrain.isolation import Bind, NoIsolation

SERVICE = """
import json, os, socket, tempfile

with open(os.environ["SERVICE_MODEL"]) as file:
    model = json.load(file)
path = "/run/service/answers.sock"
server = socket.socket(socket.AF_UNIX)
server.bind(path)
os.chmod(path, 0o666)
server.listen()

def answer(asked):
    with tempfile.TemporaryFile(dir="/tmp") as scratch:
        scratch.write(json.dumps(asked).encode())
    if "formula" in asked:  # the hole: what a client sends is run
        return eval(asked["formula"])
    return {"fraud": asked["x"] > model["threshold"]}

while True:
    client, _ = server.accept()
    try:
        with client, client.makefile("rwb") as stream:
            try:
                said = answer(json.loads(stream.readline()))
            except Exception as error:
                said = {"error": f"{type(error).__name__}: {error}"}
            stream.write(json.dumps(said).encode() + b"\\n")
    except OSError:  # whoever asked has gone
        pass
"""
EXPLOIT = """
import json, mmap, os, signal, socket, stat, time

found = {"uid": os.getuid(), "environment": dict(os.environ), "texts": []}
with open("/proc/self/status") as file:
    found["capabilities"] = [l.split()[1] for l in file if l.startswith("CapEff")][0]
try:
    open("/planted", "w").close()
except OSError:
    pass
for top, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(top, f) not in SKIP]
    for name in files:
        path = os.path.join(top, name)
        try:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                if name != "answers.sock":
                    with socket.socket(socket.AF_UNIX) as client:
                        client.settimeout(2)
                        client.connect(path)
                        client.sendall(b"start me a container")
            elif name == "model.json":
                with open(path, "r+") as file:
                    file.write('{"threshold": 9e9}')
                    file.truncate()
            elif os.path.getsize(path) < 1000:
                with open(path) as file:
                    found["texts"].append(file.read())
        except (OSError, ValueError):
            pass
try:
    socket.create_connection(("127.0.0.1", PORT), 2).close()
except OSError:
    pass
try:
    mmap.mmap(-1, MEGABYTES << 20).close()
    found["memory"] = True
except (OSError, ValueError):
    found["memory"] = False
children = []
try:
    for _ in range(STARTS):
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except OSError:
    pass
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
found["processes"] = len(children)
"""


@dataclass
class Host:
    """The machine around a container, as far as it matters, in a temporary folder."""

    folder: Path
    token: str
    port: int
    heard: dict[str, int] = field(default_factory=dict)  # what came to our listeners

    @property
    def model(self) -> Path:
        return self.folder / "home" / "model" / "model.json"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def source(self, name: str) -> Path:
        """Return the file or folder that a bind's name stands for."""
        home = self.folder / "home"
        places = {"home": home, "run": self.folder / "run", "model": home / "model"}
        return places.get(name) or home / {"token": "token", "control": "c.sock"}[name]


@dataclass(frozen=True)
class Outcome:
    """What a trial found.

    reached: the goals of `containers.GOALS`; answers: whether the service answered an
    honest question; why: what stopped it
    """

    reached: frozenset[str]
    answers: bool
    why: str = ""


@contextmanager
def host() -> Iterator[Host]:
    """Give a machine with a model, a token, a listener and a daemon's socket."""
    with (
        tempfile.TemporaryDirectory(prefix="st-") as name,  # a socket's path is short
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX) as control,
    ):
        here = Host(Path(name), secrets.token_hex(16), listener.getsockname()[1])
        for folder in ("home/model", "run", "root"):
            (here.folder / folder).mkdir(parents=True)
        here.source("token").write_text(here.token)
        control.bind(str(here.source("control")))
        control.listen()
        for kind, server in (("network", listener), ("control", control)):
            arguments = (server, here.heard, kind)
            threading.Thread(target=_listen, args=arguments, daemon=True).start()
        try:
            yield here
        finally:
            for server in (listener, control):
                with suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)


def _listen(server: socket.socket, heard: dict[str, int], kind: str) -> None:
    """Count who calls; a call to the daemon counts when it brings an order."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client, suppress(OSError):
            client.settimeout(2)
            if kind == "network" or client.recv(100):
                heard[kind] = heard.get(kind, 0) + 1


@contextmanager
def service(
    settings: Mapping[str, Any],
    here: Host,
    *,
    runtime: str = "bubblewrap",
    seconds: float = 20,
) -> Iterator[tuple[Path, str]]:
    """Run the service with these settings; give its socket, and why there is none.

    Raises NoIsolation without the runtime, ValueError for settings that are none.
    """
    _reset(here)
    less = containers.isolation(settings, here.token)
    shown = [
        Bind(str(here.source(b["source"])), b["place"], b["writable"])
        for b in settings["binds"]
    ]
    shown = [Bind("/usr"), *isolation.python_binds(), *shown]
    places = [(bind.source, bind.place or bind.source) for bind in shown]
    _image(here.root, [*places, *(("/usr", place) for place in less.writable)])
    python = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}")
    line = [python if Path(python).exists() else sys.executable, "-I", "-c", SERVICE]
    more = {"root": here.root, "binds": shown, "runtime": runtime}
    path = here.folder / "run" / "answers.sock"
    with isolation.start(less, line, **more) as started:
        yield path, _wait(path, started, seconds)


def trial(
    settings: Mapping[str, Any],
    here: Host,
    *,
    runtime: str = "bubblewrap",
    seconds: float = 20,
) -> Outcome:
    """Start the service with these settings, ask it, exploit it, and say what happened.

    Raises as `service` does.
    """
    more = {"runtime": runtime, "seconds": seconds}
    with service(settings, here, **more) as (path, why):
        if not why:
            said = ask(path, {"x": 7}, seconds)
            why = "" if said == {"fraud": True} else str(said.get("error", said))
        reached = exploit(path, here, seconds) if path.exists() else set()
    return Outcome(frozenset(reached), not why, why)


def _reset(here: Host) -> None:
    """Bring the machine back to what it was before."""
    here.heard.clear()
    for path in (here.folder / "run" / "answers.sock", here.root / "planted"):
        path.unlink(missing_ok=True)
    here.model.write_text('{"threshold": 5}')
    os.chmod(here.model, 0o666)
    for name in (".", "home", "home/model", "run", "root"):
        os.chmod(here.folder / name, 0o777)
    os.chmod(here.source("token"), 0o644)
    os.chmod(here.source("control"), 0o666)


def _image(root: Path, binds: list[tuple[str, str]]) -> None:
    """Make a small root file system, with a place for everything that is shown."""
    for name in ("bin", "lib", "lib64"):
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "dev", "tmp", "run"):
        (root / name).mkdir(exist_ok=True)
    os.chmod(root / "tmp", 0o1777)
    for source, place in binds:
        target = root / place.strip("/")
        if Path(source).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()


def _gone(service: Any) -> bool:
    return service.process.poll() is not None


def _wait(path: Path, service: Any, seconds: float) -> str:
    """Wait for the service's socket; return why there is none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _gone(service):
            lines = service.output.strip().splitlines() or ["no word"]
            return f"it ended: {lines[-1]}"
        if path.exists():
            with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                return ""
        time.sleep(0.01)
    return "it made no socket in time"


def ask(path: Path, question: Mapping[str, Any], seconds: float = 20) -> dict[str, Any]:
    """Return the service's answer; under "error" why there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(seconds)
            client.connect(str(path))
            client.sendall(json.dumps(question).encode() + b"\n")
            with client.makefile("rb") as stream:
                return json.loads(stream.readline(1 << 20))
    except (OSError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def exploit(path: Path, here: Host, seconds: float = 20) -> set[str]:
    """Send the exploit through the hole; return the goals that it reached."""
    skip = ["/proc", "/sys", "/dev", "/usr", sys.prefix, sys.base_prefix]
    facts = f"SKIP, PORT = {skip!r}, {here.port}\n"
    facts += f"MEGABYTES, STARTS = {containers.TAKES_MB}, {containers.STARTS}\n"
    code = facts + EXPLOIT
    formula = f"(lambda s: (exec({code!r}, s), s['found'])[1])({{}})"
    said = ask(path, {"formula": formula}, seconds)
    time.sleep(0.05)  # our listeners count in threads of their own
    texts = [*said.get("texts", []), *said.get("environment", {}).values()]
    seen = {
        "root": said.get("uid") == 0,
        "capabilities": int(said.get("capabilities", "0"), 16) != 0,
        "planted": (here.root / "planted").exists(),
        "model": here.model.read_text() != '{"threshold": 5}',
        "token": any(here.token in text for text in texts),
        "network": here.heard.get("network", 0) > 0,
        "control": here.heard.get("control", 0) > 0,
        "memory": said.get("memory", False),
        "processes": said.get("processes") == containers.STARTS,
    }
    return {goal for goal, came in seen.items() if came}


__all__ = ["NoIsolation", "Outcome", "ask", "exploit", "host", "trial"]
