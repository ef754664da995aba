"""The jail from outside: build it, hand it a submission, watch it, end it.

bubblewrap gives a read-only world without this course, home folders, other users'
files or a network. Inside, `jail.py` keeps one warm process and `confine.py` gives
every submission namespaces of its own. Here is what stays outside the jail's reach:
the clock, the scales and the kill.
"""

from __future__ import annotations

import array
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from socket import SCM_RIGHTS, SOL_SOCKET, SocketType, socketpair
from typing import Any

import psutil

import securetrain
from graders import wire
from graders.watch import LOOK, Limits, Watch

PROGRAM = ("jail.py", "confine.py", "wire.py")
ENVIRONMENT, LIBRARY = Path("/environment"), Path("/course")  # inside the jail
FIRST_USER = 61000  # when root grades, students get user ids from here on


class Gone(Exception):
    """The student's process has ended; the message says why.

    limit: it was stopped, rather than ending by itself
    wall: the machine may be to blame, so the submission deserves another try
    """

    def __init__(self, reason: str, limit: bool = False, wall: bool = False) -> None:
        super().__init__(reason)
        self.limit, self.wall = limit, wall


class OutOfTime(BaseException):
    """Trusted code used up its CPU time on what a student handed in or answered.

    No `except Exception` on the way takes it for something else.
    """


class NoJail(Exception):
    """This machine cannot jail anything; the message says what to install."""


def check_machine() -> None:
    """Raise NoJail when the machine lacks what a jail needs."""
    if not sys.platform.startswith("linux"):
        raise NoJail("Grading needs Linux: the jail is made of its namespaces.")
    if not shutil.which("bwrap"):
        raise NoJail(
            "bubblewrap is missing, and nothing is graded without a jail. Install it "
            "(Debian, Ubuntu: sudo apt install bubblewrap) and run this again."
        )


def visible() -> dict[Path, Path]:
    """Return what of this machine the jail shows, read-only, and where.

    The environment and the library get places of their own: the course may lie under
    /tmp, which a submission has for itself.
    """
    system = [Path("/usr"), Path("/etc/ld.so.cache"), Path("/etc/alternatives")]
    shown = {path: path for path in system if path.exists()}
    shown[Path(sys.base_prefix)] = Path(sys.base_prefix)
    if sys.prefix != sys.base_prefix:
        shown[Path(sys.prefix)] = ENVIRONMENT
    return shown | {Path(securetrain.__file__).parent: LIBRARY / "securetrain"}


def python() -> str:
    """Return this Python as the jail sees it."""
    path = Path(sys.executable)
    if sys.prefix != sys.base_prefix and path.is_relative_to(sys.prefix):
        path = ENVIRONMENT / path.relative_to(sys.prefix)
    return str(path)


def command(number: int, modules: list[str], trust: bool) -> list[str]:
    """Return the command line of a jail that talks on socket `number`."""
    if trust:
        program = str(Path(__file__).with_name("jail.py"))
        named = [f"{name}={value}" for name, value in trusted().items()]
        return ["env", *named, sys.executable, "-B", program, str(number), *modules]
    line = ["bwrap", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv"]
    line += [f"--unshare-{name}" for name in ("pid", "net", "ipc", "uts")]
    line += ["--hostname", "jail", "--cap-drop", "ALL"]
    if os.getuid() == 0:  # to give its children the user ids of nobody
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if Path("/", name).is_symlink():
            line += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
        elif Path("/", name).exists():
            line += ["--ro-bind", f"/{name}", f"/{name}"]
    for path, place in visible().items():
        line += [*_parents(place), "--ro-bind", str(path), str(place)]
    line += ["--proc", "/proc", "--dev", "/dev"]
    # A mapping of it is memory of no process: what it gives, /dev/null does, too.
    line += ["--dev-bind", "/dev/null", "/dev/zero"]
    line += ["--perms", "0755", "--dir", "/grader"]
    for name in PROGRAM:
        line += ["--ro-bind", str(Path(__file__).with_name(name)), f"/grader/{name}"]
    line += ["--perms", "0755", "--tmpfs", "/tmp", "--chdir", "/tmp"]
    line += ["--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in environment().items():
        line += ["--setenv", name, value]
    program = [python(), "-B", "-s", "/grader/jail.py", str(number)]
    return [*line, *program, *modules]


def _parents(path: Path) -> list[str]:
    """Return options that make a path's parents passable: bwrap's own are not."""
    made = []
    for folder in reversed(path.parents[:-1]):
        made += ["--perms", "0755", "--dir", str(folder)]
    return made


def environment() -> dict[str, str]:
    """Return the whole environment of a student's code."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(threads, "1") | {
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": "/tmp",
        "IPYTHONDIR": "/tmp/ipython",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "PATH": f"{Path(python()).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(LIBRARY),
        "SECURETRAIN_WORK": "/tmp/work",
        "TMPDIR": "/tmp",
        "USER": "student",
    }


def trusted() -> dict[str, str]:
    """Return what changes in the environment of code that runs without a jail."""
    kept = ("HOME", "PATH", "PYTHONPATH", "TMPDIR", "USER", "SECURETRAIN_WORK")
    return {k: v for k, v in environment().items() if k not in kept}


class Jail:
    """A warm jail; it takes one submission at a time.

    modules: what its parent imports beforehand; slot: jails that run side by side
    have different ones
    """

    def __init__(self, modules: list[str], slot: int, trust: bool = False) -> None:
        """Start it; `wait` tells when it is warm.

        trust: no jail at all, the same program as an ordinary process; for a
        learner's own work, where there is no bubblewrap
        """
        if not trust:
            check_machine()
        self.trust = trust
        self.real_user = FIRST_USER + slot if os.getuid() == 0 else 0
        self.control, theirs = socketpair()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command(theirs.fileno(), modules, trust),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self.errors,
            stderr=self.errors,
        )
        theirs.close()

    def wait(self) -> None:
        """Return when the jail is warm. Raises NoJail when it does not start."""
        if self._line() != "ready":
            self.process.wait()
            self.errors.seek(0)
            said = self.errors.read()[-600:].decode("utf-8", "replace").strip()
            raise NoJail(
                "bubblewrap does not start here, and nothing is graded without a jail. "
                "Its kernel must allow user namespaces (sysctl user.max_user_namespaces"
                f" above 0; Ubuntu: an AppArmor profile for bwrap). It said: {said}"
            )

    def _say(self, word: bytes, rights: list[Any]) -> str:
        """Tell the warm parent something; return its answer.

        Raises NoJail when it has gone, which is no fault of a submission's.
        """
        try:
            self.control.sendmsg([word], rights)
            said = self._line()
        except OSError:
            said = ""
        if not said:
            raise NoJail("The jail has gone: something outside it ended its process.")
        return said

    def _line(self) -> str:
        """Return the next line that the warm parent says, "" when it has gone."""
        line = b""
        while not line.endswith(b"\n"):
            byte = self.control.recv(1)
            if not byte:
                return ""
            line += byte
        return line.decode().strip()

    @contextmanager
    def submission(
        self, limits: Limits, before: Watch | None = None
    ) -> Iterator[Student]:
        """Start a process for a submission; when this ends, it and all its kin end.

        before: who watched the submission's earlier process: what it saw counts on
        Raises NoJail when the kernel refuses it.
        """
        ours, theirs = socketpair()
        rights = [(SOL_SOCKET, SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
        options = asdict(limits) | {"real_user": self.real_user, "trust": self.trust}
        with ours:
            with theirs:
                said = self._say(json.dumps(options).encode(), rights)
            if said != "started":
                raise NoJail(
                    f"The jail cannot start a submission ({said}). It needs nested "
                    "user namespaces: sysctl user.max_user_namespaces above 0."
                )
            watch = Watch(self._parent(), limits, before)
            watch.start()
            try:
                yield Student(ours, watch)
            finally:
                watch.done.set()
                watch.join()
                ours.close()
                self._say(b"stop", [])

    def _parent(self) -> psutil.Process:
        """Return the warm parent: bubblewrap's child, or without a jail our own."""
        try:
            process = psutil.Process(self.process.pid)
            return process if self.trust else process.children()[0]
        except (psutil.Error, IndexError):
            raise NoJail("The jail has gone: its process has ended.") from None

    def close(self) -> None:
        """End the jail and everything in it."""
        self.control.close()
        self.process.kill()
        self.process.wait()
        self.errors.close()


class Student:
    """A student's process: every answer of it is decoded strictly and checked."""

    def __init__(self, channel: SocketType, watch: Watch) -> None:
        self.channel, self.watch = channel, watch

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request. Raises Gone when there is none."""
        self.watch.awaited = True
        try:
            wire.send(self.channel, request)
            answer = wire.receive(self.channel)
        except (OSError, EOFError):
            self.watch.done.wait(2 * LOOK if not self.watch.reason else 0)
            reason = self.watch.reason or "it ended its own process"
            raise Gone(reason, bool(self.watch.reason), self.watch.wall) from None
        except wire.Malformed as error:
            raise Gone(f"it answered with something unreadable ({error})") from None
        except OutOfTime as error:  # the next answer would be the rest of this one
            self.channel.close()
            raise Gone(str(error), limit=True) from None
        finally:
            self.watch.awaited = False
        if type(answer) is not dict or not _is_error(answer.get("error")):
            raise Gone("it answered with something unreadable")
        return answer


def _is_error(value: Any) -> bool:
    """Say whether this is None or [name, message, line, names of its kinds]."""
    return value is None or (
        type(value) is list
        and [type(part) for part in value] == [str, str, int, list]
        and all(type(kind) is str for kind in value[3])
    )
