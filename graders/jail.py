"""The program inside the jail: a warm parent, and a child for every submission.

    python jail.py SOCKET MODULE…     # started by sandbox.py, under bubblewrap

The parent imports what labs import once and forks. A child runs a student's cells
as IPython does and answers three requests: run a cell, call a function, tell a value.
Nothing it says is believed: the student's code shares its process.
"""

from __future__ import annotations

import array
import base64
import importlib
import io
import json
import os
import random
import signal
import sys
from contextlib import suppress
from functools import partial
from socket import SCM_RIGHTS, SOL_SOCKET, socket
from typing import Any

import confine
import wire

MAX_TEXT = 1 << 20  # characters of printed text kept for a cell
MAX_ERROR = 4000
MAX_KINDS = 20  # classes that an exception descends from
SHOWN = ("text/plain", "image/png", "image/jpeg")


class Bounded(io.StringIO):
    """Keeps the first megabyte of what is printed; the rest is dropped."""

    def write(self, text: str) -> int:
        room = MAX_TEXT - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


class OutOfTime(Exception):
    """A step used up its CPU time."""


def warm_up(modules: list[str]) -> Any:
    """Import what labs need and return an IPython shell that shows nothing."""
    from IPython.core.displayhook import CapturingDisplayHook
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(
        config=config, display_pub_class=CapturingDisplayPublisher
    )
    shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=[])
    shell.enable_gui = lambda gui=None: None
    shell.register_magic_function(lambda line: None, magic_name="check")
    shell._showtraceback = lambda kind, error, lines: None
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:  # the lab's own cell will say so
            continue
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    return shell


def parent(control: socket, modules: list[str]) -> None:
    """Wait for submissions, each with a socket and its limits; `stop` ends one."""
    shell, mapped_mb = warm_up(modules), 0
    with suppress(OSError), open("/proc/self/statm") as file:
        mapped_mb = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") >> 20
    control.sendall(b"ready\n")
    child = first = 0
    while True:
        word, channel = _hear(control)
        if channel is not None:
            options = json.loads(word) | {"mapped_mb": mapped_mb}
            try:
                child, first = confine.spawn(
                    partial(life, shell, channel, options),
                    options["real_user"],
                    options["tmp_mb"],
                    options["trust"],
                )
                control.sendall(b"started\n")
            except OSError as error:
                control.sendall(f"no: {error}\n".encode())
            channel.close()
        elif word == b"stop":
            if child:
                confine.kill(first)
                confine.bury()
                child = 0
            control.sendall(b"stopped\n")
        elif not word:
            return


def _hear(control: socket) -> tuple[bytes, socket | None]:
    """Return the next word from outside, and the socket that came with it."""
    word, extra, _, _ = control.recvmsg(4096, 64)
    for level, kind, data in extra:
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
            return word, socket(fileno=array.array("i", data[:4])[0])
    return word, None


def life(shell: Any, channel: socket, options: dict[str, Any]) -> None:
    """Be a submission's process until the grader outside hangs up."""
    number = channel.detach()
    os.chdir(os.environ["SECURETRAIN_WORK"] if options["trust"] else "/tmp")
    if not options["trust"]:
        confine.give_up(number, options, options["mapped_mb"])
    channel = socket(fileno=number)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()
    sys.stdin = io.StringIO()
    sys.path.insert(0, "")  # as in a notebook: modules that a cell wrote
    signal.signal(signal.SIGPROF, _out_of_time)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    answers = {"run": run, "call": call_function, "get": get}
    while True:
        try:
            request = wire.receive(channel)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, options["cpu_step"])
        try:
            frame = _answer(answers[request["op"]], shell, request)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        channel.sendall(frame)


def _answer(answer: Any, shell: Any, request: dict[str, Any]) -> bytes:
    """Return the frame of an answer, or of why there is none."""
    sys.stdout = sys.stderr = Bounded()
    try:
        return wire.pack(answer(shell, request))
    except BaseException as error:
        return wire.pack({"error": describe(error)})


def _out_of_time(*_: Any) -> None:
    raise OutOfTime("it used up the CPU time that one step has; is there a loop?")


def describe(error: BaseException) -> list[Any]:
    """Return an exception's name, message, line of its cell, and its kinds' names."""
    kinds = [kind.__name__[:100] for kind in type(error).__mro__[:MAX_KINDS]]
    line, frame = 0, error.__traceback__
    try:
        text = str(error)
    except BaseException:
        text = "(its message cannot be read)"
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.startswith("<ipython-input"):
            line = frame.tb_lineno
        frame = frame.tb_next
    return [kinds[0], text[:MAX_ERROR], line, kinds]


def run(shell: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Run a cell; return what it showed and what it raised."""
    published, results = shell.display_pub.outputs, shell.display_trap.hook.outputs
    published.clear()
    results.clear()
    result = shell.run_cell(request["code"], store_history=False)
    error = result.error_before_exec or result.error_in_exec
    shown = [*published, *results]
    return {
        "text": sys.stdout.getvalue(),
        "shown": [_texts(output.get("data", {})) for output in shown],
        "error": describe(error) if error else None,
    }


def _texts(data: dict[str, Any]) -> dict[str, str]:
    """Return what an output shows, as text: images come as base64."""
    kept = {name: data[name] for name in SHOWN if name in data}
    for name, value in kept.items():
        if isinstance(value, bytes):
            kept[name] = base64.b64encode(value).decode()
    return {name: str(value)[: 2 * MAX_TEXT] for name, value in kept.items()}


def call_function(shell: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Call a student's function; return its value, and whether it changed its data."""
    name, args, kwargs = request["name"], request["args"], request["kwargs"]
    before = wire.pack([args, kwargs])
    if name not in shell.user_ns:
        raise NameError(f"name '{name}' is not defined")
    value = shell.user_ns[name](*args, **kwargs)
    changed = wire.pack([args, kwargs]) != before
    return {"value": value, "changed": changed, "error": None}


def get(shell: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Tell the value of a student's name."""
    if request["name"] not in shell.user_ns:
        raise NameError(f"name '{request['name']}' is not defined")
    return {"value": shell.user_ns[request["name"]], "error": None}


if __name__ == "__main__":
    parent(socket(fileno=int(sys.argv[1])), sys.argv[2:])
