"""Run a program with less: no network, nothing to write on, no rights, no environment.

The program may be hostile from its first line. It wants secrets of this machine, a way
out for them, and to stay. It shares our kernel: a hole in that is not stopped here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from securetrain import runc
from securetrain.bubblewrap import command
from securetrain.processes import Kept, Service, answers, running

RUNTIMES = ("bubblewrap", "runc")
NOBODY = 65534
INSTALL = {
    "bwrap": "bubblewrap is missing: sudo apt install bubblewrap",
    "runc": "runc is missing: sudo apt install runc",
    "setpriv": "setpriv is missing: sudo apt install util-linux",
    "prlimit": "prlimit is missing: sudo apt install util-linux",
}
REFUSED = (
    "the program was not started. Is it, with all it needs, inside, and may the user "
    "read it?"
)
NAMESPACES = (
    "Does the kernel allow user namespaces (sysctl user.max_user_namespaces above 0; "
    "Ubuntu: an AppArmor profile for bwrap)?"
)


class NoIsolation(RuntimeError):
    """The program was not run: nothing here could isolate it as asked."""


@dataclass(frozen=True)
class Bind:
    """A file or folder of this machine, and where the program sees it.

    place: the same path where it is ""; optional: left out where the source is absent
    """

    source: str
    place: str = ""
    writable: bool = False
    optional: bool = False

    def __post_init__(self) -> None:
        for path in (self.source, self.place or self.source):
            if not path.startswith("/") or "\0" in path:
                raise ValueError(f"a bind needs absolute paths, got {path!r}")


@dataclass(frozen=True)
class Isolation:
    """How little a program gets; the defaults are the least.

    network: "none" leaves it a loopback of its own; "host" shares ours
    writable: places that get an empty folder in memory, gone afterwards
    user: the id it runs as; 0 is root, of a namespace where we are not root ourselves
    capabilities: what it keeps of root's rights, as in CAP_NET_BIND_SERVICE
    environment: all of it; nothing of ours is passed on
    no_new_privileges: set-user-id programs give it nothing (bubblewrap: always)
    memory_mb: address space of each process; processes: how many at a time in that
        sandbox; under runc, of that user on this machine. It does not bind this
        machine's root. With it, a program that is not there ends with 127.
    Raises ValueError for a value that no runtime understands.
    """

    network: str = "none"
    read_only_root: bool = True
    writable: tuple[str, ...] = ()
    user: int = NOBODY
    capabilities: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    no_new_privileges: bool = True
    memory_mb: int | None = None
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.network not in ("none", "host"):
            raise ValueError(f'network is "none" or "host", got {self.network!r}')
        if not 0 <= self.user < 2**32 - 1:
            raise ValueError(f"user is an id from 0 up, got {self.user!r}")
        for name in self.capabilities:
            if not re.fullmatch(r"CAP_[A-Z_]+", name):
                raise ValueError(f"a capability is called CAP_…, got {name!r}")
        for path in self.writable:
            if not path.startswith("/") or path == "/" or "\0" in path:
                raise ValueError(f"writable places are absolute folders, got {path!r}")
        for name, value in self.environment.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"no name of an environment variable: {name!r}")
        for limit in (self.memory_mb, self.processes):
            if limit is not None and limit < 1:
                raise ValueError(f"a limit is at least 1, got {limit!r}")


@dataclass(frozen=True)
class Result:
    """What a program left: exit_code is None when its time was up.

    A program ended by a signal has 128 and the signal's number, as in a shell.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    truncated: bool = False

    @property
    def timed_out(self) -> bool:
        """Whether its time was up."""
        return self.exit_code is None


@dataclass(frozen=True)
class Tool:
    """A program of this machine: what it is called, its version, where it lies."""

    name: str
    version: str
    path: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def tool(runtime: str = "bubblewrap") -> Tool:
    """Return a runtime with its version.

    Raises NoIsolation with what to install, ValueError for an unknown runtime.
    """
    path = _program({"bubblewrap": "bwrap"}.get(_known(runtime), runtime))
    try:
        said = subprocess.run([path, "--version"], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoIsolation(f"{path} --version does not answer: {error}") from error
    number = re.search(rb"\d+(\.\d+)+", said.stdout)
    if said.returncode or not number:
        raise NoIsolation(f"{path} --version does not answer: {said.stderr!r}")
    return Tool(runtime, number[0].decode(), path)


def _known(runtime: str) -> str:
    if runtime not in RUNTIMES:
        raise ValueError(f"unknown runtime {runtime!r}, expected one of {RUNTIMES}")
    return runtime


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise NoIsolation(INSTALL[name])
    return path


def python_binds() -> tuple[Bind, ...]:
    """Return what this Python needs to be seen, besides /usr."""
    folders = dict.fromkeys((sys.base_prefix, sys.prefix))
    return tuple(Bind(p) for p in folders if not Path(p).is_relative_to("/usr"))


@contextmanager
def scratch(user: int = NOBODY) -> Iterator[Path]:
    """Give a folder that this user may write in, to bind, and remove it after.

    Where we are not root ourselves, it is ours, as is all that a sandbox writes.
    """
    with tempfile.TemporaryDirectory(prefix="securetrain-") as name:
        os.chmod(name, 0o755)
        if os.getuid() == 0:
            os.chown(name, user, user)
        yield Path(name)


# --- Running it ------------------------------------------------------------------


def run(
    settings: Isolation,
    program: Sequence[str],
    *,
    seconds: float = 60,
    root: str | Path | None = None,
    binds: Sequence[Bind] = (),
    stdin: bytes = b"",
    runtime: str = "bubblewrap",
) -> Result:
    """Run a program isolated, to its end or until its time is up; return what it left.

    root, binds: as for `command`; stdin: at most 64 kB
    Raises NoIsolation when it was not started: there is no fallback without isolation.
    """
    with _started(settings, program, root, binds, stdin, runtime) as service:
        process, streams = service.process, service.streams
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
            service.end()
        if service.log and (said := runc.refused(service.log)):
            raise NoIsolation(f"{REFUSED} It said: {said}")
    for stream in streams:
        stream.join(10)
    out, err, *status = streams
    if code is not None and status:
        code = _exit_code(status[0].data, code, err.text)
    cut = out.truncated or err.truncated
    return Result(code, out.text, err.text, cut)


@contextmanager
def start(
    settings: Isolation,
    program: Sequence[str],
    *,
    port: int | None = None,
    seconds: float = 60,
    root: str | Path | None = None,
    binds: Sequence[Bind] = (),
    runtime: str = "bubblewrap",
) -> Iterator[Service]:
    """Run a service isolated, and end it, with all its processes, when this ends.

    port: of 127.0.0.1, to wait for, at most `seconds`; needs the network "host"
    Raises NoIsolation when it was not started or does not answer.
    """
    if port and settings.network != "host":
        raise ValueError('a service that answers on 127.0.0.1 needs network="host"')
    with _started(settings, program, root, binds, b"", runtime) as service:
        if port:
            try:
                answers(service, port, seconds)
            except TimeoutError as error:
                raise NoIsolation(str(error)) from error
        yield service


@contextmanager
def _started(
    settings: Isolation,
    program: Sequence[str],
    root: str | Path | None,
    binds: Sequence[Bind],
    stdin: bytes,
    runtime: str,
) -> Iterator[Service]:
    """Start a program, and end it by its own id whatever happens."""
    path = tool(runtime).path
    if len(stdin) > 1 << 16:
        raise ValueError(f"stdin is at most 65536 bytes, got {len(stdin)}")
    if runtime == "runc":
        with (
            runc.bundle(path, settings, program, root, binds) as (line, log, delete),
            running(line, stdin) as service,
        ):
            service.log, service.stop = log, delete
            yield service
        return
    read, write = os.pipe()
    said = Kept(open(read, "rb"))  # noqa: SIM115 (it closes it)
    with open(write, "wb") as ours:
        line = command(
            settings,
            program,
            root=root,
            binds=binds,
            as_root=os.getuid() == 0,
            status=write,
        )
        for name in set(INSTALL).intersection(line[: line.index("--new-session")]):
            _program(name)
        if settings.processes is not None:
            _program("prlimit")
        with running(line, stdin, write) as service:
            ours.close()
            service.streams += (said,)
            service.stop = partial(_end_inside, said)
            yield service


def _end_inside(status: Kept) -> bool:
    """End the first process of a sandbox, as bubblewrap named it; the rest go with it.

    Held by a descriptor, so that it is that one, and looked at: it is the first inside.
    """
    for event in _events(status.data):
        if number := event.get("child-pid"):
            with suppress(OSError):
                held = os.pidfd_open(number)
                try:
                    inside = Path(f"/proc/{number}/status").read_text("utf-8")
                    if re.search(r"^NSpid:\t.*\t1$", inside, re.MULTILINE):
                        signal.pidfd_send_signal(held, signal.SIGKILL)
                        return True
                finally:
                    os.close(held)
    return False


def _events(status: bytes) -> list[dict[str, int]]:
    """Return what bubblewrap said, as far as its lines are whole."""
    lines = status.splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def _exit_code(status: bytes, code: int, said: str) -> int:
    """Return the program's exit code as bubblewrap reports it: ours could be either's.

    Raises NoIsolation when bubblewrap ended without having run it.
    """
    for event in _events(status):
        if "exit-code" in event:
            return event["exit-code"]
    if code < 0:
        return 128 - code
    raise NoIsolation(f"{REFUSED} {NAMESPACES} It said: {said.strip()[-600:]}")
