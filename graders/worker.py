"""The trusted, warm process behind a grading run: one for a lab, whatever its class.

    python -m graders.worker SOCKET      # started by pool.py

It imports what the lab imports, runs the course's own answers once, keeps a warm jail
for every slot, and forks a checker for every hand-in. What it is told and what it
answers are plain frames (wire.py); the cohort's seed comes that way, never in a
command line.
"""

from __future__ import annotations

import ast
import json
import math
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from socket import socket
from typing import Any

from graders import checker, feedback, intake, rebuild, wire
from graders.sandbox import Jail, Limits, NoJail, OutOfTime
from graders.text import line
from securetrain.notebook_rules import is_check, source

ALWAYS = ["numpy", "matplotlib.pyplot"]  # what a student's own cells often want
MARGIN = 60  # CPU seconds of a checker besides those of its checks


def imports(master: dict[str, Any]) -> list[str]:
    """Return the modules that a lab's own cells import, where it can be told."""
    found = dict.fromkeys(ALWAYS)
    for cell in master["cells"]:
        if cell["cell_type"] != "code" or is_check(cell):
            continue
        try:
            nodes = list(ast.walk(ast.parse(source(cell))))
        except SyntaxError:  # a magic
            continue
        for node in nodes:
            if isinstance(node, ast.Import):
                found |= dict.fromkeys(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found[node.module] = None
                found |= {f"{node.module}.{alias.name}": None for alias in node.names}
    return list(found)


def limits(reference_cpu: float, cpu: int | None) -> Limits:
    """Return a submission's limits: generous multiples of what the course needs.

    reference_cpu: CPU seconds of the course's own answers; cpu: for one step, given
    by the instructor
    """
    step = cpu or max(30, math.ceil(5 * reference_cpu))
    return Limits(cpu_step=step, cpu_total=4 * step)


def grade(lab: dict, job: dict, jail: Jail, reference: Any, allowed: Limits) -> dict:
    """Grade one hand-in; return the result as plain data."""
    started, cpu = time.process_time(), allowed.cpu_step
    result = {key: job[key] for key in ("student", "topic", "name", "timestamp")}
    try:
        if job["refused"]:
            raise intake.Refused(job["refused"])
        with checker.bounded(cpu):
            handed_in = intake.parse(job["content"], f"{job['name']}.ipynb")
            plan = rebuild.plan(lab["master"], lab["released"], handed_in)
    except (intake.Refused, RecursionError, MemoryError, OutOfTime) as error:
        plan = rebuild.plan(lab["master"], lab["released"], None)
        return result | feedback.refused(plan, _unread(error))
    session = checker.Session(jail, allowed)
    try:
        done = checker.mark(plan, reference, session, cpu)
    finally:
        session.close()
    return result | {
        "status": "wall" if done.wall else "graded",
        "reason": "",
        "marks": [asdict(mark) for mark in done.marks],
        "notes": [line(said) for said in done.notes],
        "notebook": feedback.build(plan, done),
        "cpu_seconds": time.process_time() - started + session.cpu_seconds,
    }


def _unread(error: BaseException) -> str:
    """Say why a hand-in could not be read."""
    if isinstance(error, intake.Refused):
        return str(error)
    what = "takes too long to read" if isinstance(error, OutOfTime) else "is too deep"
    return f"The notebook {what}: hand in one with ordinary cells."


class Worker:
    """The loop: jobs come in on a socket, results go out, slots run side by side."""

    def __init__(self, channel: socket, lab: dict[str, Any]) -> None:
        self.channel, self.lab = channel, lab
        self.modules = imports(lab["master"])
        self.jails = [self.jail(slot) for slot in range(lab["jobs"])]
        for name in ("torch",):
            if name in self.modules:
                __import__(name).set_num_threads(1)
        plan = rebuild.plan(lab["master"], lab["released"], lab["master"])
        self.reference = checker.Reference(plan)
        self.limits = limits(self.reference.cpu_seconds, lab["cpu"])
        for jail in self.jails:
            jail.wait()
        self.free = list(range(lab["jobs"]))
        self.selector = DefaultSelector()
        self.selector.register(channel, EVENT_READ)

    def jail(self, slot: int) -> Jail:
        """Return a new jail, not warm yet."""
        return Jail(self.modules, slot, self.lab["trust"])

    def run(self) -> None:
        """Work until the other side hangs up."""
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    try:
                        self.start(wire.receive(self.channel))
                    except EOFError:
                        return
                else:
                    self.collect(key.fd, *key.data)

    def start(self, job: dict[str, Any]) -> None:
        """Give a job to a free slot."""
        slot = self.free.pop()
        if self.jails[slot].process.poll() is not None:
            self.jails[slot] = self.jail(slot)
            self.jails[slot].wait()
        jail, lab = self.jails[slot], self.lab
        child, pipe = checker.in_child(
            lambda: json.dumps(
                grade(lab, job, jail, self.reference, self.limits)
            ).encode(),
            self.limits.cpu_total + MARGIN,
            self.limits.memory_mb,
        )
        self.selector.register(pipe, EVENT_READ, (slot, child, job, []))

    def collect(self, pipe: int, slot: int, child: int, job: dict, parts: list) -> None:
        """Take in what a checker writes; pass its result on when it is done."""
        if part := os.read(pipe, 1 << 20):
            parts.append(part)
            return
        self.selector.unregister(pipe)
        os.close(pipe)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.free.append(slot)
        result = b"".join(parts)
        if status or not result:  # the jail may be in any state: a new one for the next
            self.jails[slot].close()
            result = json.dumps(self.unfinished(job, status)).encode()
        # As bytes, for which a frame has more room than for everything else.
        wire.send(self.channel, {"job": job["job"], "result": result})

    def unfinished(self, job: dict[str, Any], status: int) -> dict[str, Any]:
        """Return the result of a hand-in whose checker has ended without one."""
        result = {key: job[key] for key in ("student", "topic", "name", "timestamp")}
        if status == -signal.SIGXCPU:  # it would again
            plan = rebuild.plan(self.lab["master"], self.lab["released"], None)
            return result | feedback.refused(
                plan,
                "What your functions returned kept the checks busy until they were "
                "stopped. Is a value far too large?",
            )
        reason = f"the checker ended with status {status}; see its messages"
        return result | {"status": "failed", "reason": reason}

    def close(self) -> None:
        """End every checker and every jail."""
        for key in self.selector.get_map().values():
            if key.data is not None:
                os.kill(key.data[1], signal.SIGKILL)
        for jail in self.jails:
            jail.close()


def serve(channel: socket) -> int:
    """Say "ready" or why not, then work."""
    lab = wire.receive(channel)
    os.environ["SECURETRAIN_PRIVATE_SEED"] = str(lab["seed"])
    os.chdir(Path(lab["folder"]))
    try:
        worker = Worker(channel, lab)
    except (NoJail, ValueError) as error:
        wire.send(channel, {"error": str(error)})
        return 1
    facts = {"cpu_seconds": worker.reference.cpu_seconds}
    try:
        wire.send(channel, {"ready": facts | asdict(worker.limits)})
        worker.run()
    finally:
        worker.close()
    return 0


def main(argv: list[str]) -> int:
    """Work on a socket until the other side hangs up, or is killed."""
    # Ctrl-C reaches a terminal's processes all at once; this one ends with its grader.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return serve(socket(fileno=int(argv[0])))
    except (EOFError, ConnectionError):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
