"""The scales outside the jail: look at a submission's processes, end them at a limit.

A submission shares a processor with others, so time on the clock says little. What
counts is the processor time of all its processes together, also of those that came and
went between two looks; their memory; and how long all of them sleep of their own will.
"""

from __future__ import annotations

import glob
import os
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

LOOK = 0.2  # seconds between two looks at a submission's processes, on average
BLIND = 25  # looks in a row that may fail
MEMORY = 25  # looks for which it counts that a process has taken its time along
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    cpu_step: CPU seconds for one cell or one call; cpu_total: for all together
    memory_mb, processes: all of a submission's processes together; threads count
    idle: seconds in all that it may sleep while an answer is awaited, of its own
        will: a process that waits for a core is not asleep
    wall: seconds for the whole submission, however busy the machine; a backstop
    """

    cpu_step: int = 30
    cpu_total: int = 120
    memory_mb: int = 3000
    processes: int = 64
    tmp_mb: int = 64
    idle: int = 30
    wall: int = 1800


class Watch(threading.Thread):
    """Looks at a submission's processes and ends them when they exceed a limit."""

    def __init__(
        self, parent: psutil.Process, limits: Limits, before: Watch | None = None
    ) -> None:
        """Prepare it.

        parent: whose children, and theirs, are the submission's
        before: who watched the submission's earlier process: what it saw counts on
        """
        super().__init__(daemon=True)
        self.parent, self.limits = parent, limits
        self.done = threading.Event()
        self.awaited = False  # whether we wait for an answer
        self.reason, self.wall = "", False
        self.looked = time.monotonic()
        self.started = before.started if before else self.looked
        self.slept = before.slept if before else 0.0
        self.lost = before.cpu_seconds if before else 0.0  # by those that have ended
        self.living, self.dip = 0.0, False
        self.known: set[tuple[int, float]] = set()
        self.guess = 0  # for so many looks

    @property
    def cpu_seconds(self) -> float:
        """What the submission's processes have used, up to the last look."""
        return self.living + self.lost

    def run(self) -> None:
        blind = 0
        # Not in step: who knows when we look would sleep in between.
        while not self.done.wait(LOOK * random.uniform(0.5, 1.5)):
            try:
                kin = self.parent.children(recursive=True)
                reason, blind = self._too_much(kin), 0
            except psutil.NoSuchProcess:
                return
            except Exception:  # we are short of something ourselves: look again
                kin, reason, blind = [], "", blind + 1
            if blind > BLIND:
                kin, reason = [self.parent], "it could not be watched"
            self.reason = self.reason or reason
            for process in kin if self.reason else ():
                with suppress(psutil.Error):
                    process.kill()

    def _too_much(self, kin: list[psutil.Process]) -> str:
        """Return which limit is exceeded, in a student's words, or ""."""
        limits, now, memory, threads = self.limits, time.monotonic(), 0, 0
        spent: dict[tuple[int, float], float] = {}
        awake: set[tuple[int, float]] = set()
        parents = _parents(kin)
        for process in kin:
            with suppress(psutil.Error), process.oneshot():
                key = (process.pid, process.create_time())
                spent[key] = sum(process.cpu_times()[:4])
                if not _sleeps(process.pid, process.pid in parents):
                    awake.add(key)
                memory += process.memory_info().rss
                threads += process.num_threads()
        self._charge(spent, awake, now - self.looked)
        if not awake and self.awaited and _waits():
            self.slept += now - self.looked
        self.looked, allowed = now, limits.memory_mb * 10**6
        if self.cpu_seconds > limits.cpu_total:
            return f"it used more than {limits.cpu_total} seconds of CPU time"
        if threads > limits.processes + 1:  # the kernel's limit spares its own root
            return f"it started more than {limits.processes} processes or threads"
        if memory > allowed and _shared_out(kin) > allowed:
            return f"it used more than {limits.memory_mb} MB of memory"
        if self.slept > limits.idle:
            return f"it slept for {limits.idle} seconds instead of answering"
        if now - self.started > limits.wall:
            self.wall = True
            return f"it was not done after {limits.wall} seconds"
        return ""

    def _charge(
        self,
        spent: dict[tuple[int, float], float],
        awake: set[tuple[int, float]],
        passed: float,
    ) -> None:
        """Count CPU time.

        spent: of each process, with that of the children it has waited for
        awake: those that work; passed: seconds since the last look

        A process that nobody waits for takes its time along. Then what is seen of it
        stays counted, and for a while new ones count as if they worked all the time:
        those that live shortly are hardly seen.
        """
        living = sum(spent.values())
        fresh = min(len(awake - self.known), CORES) * passed
        self.known = set(spent)
        self.guess = max(0, self.guess - 1)
        if self.guess:
            self.lost += max(0.0, fresh - max(0.0, living - self.living))
        if living >= self.living:
            self.living, self.dip = living, False
        elif not self.dip:  # at one look, a child's may be in no one's account
            self.dip = True
        else:
            self.lost += self.living - living
            self.living, self.dip, self.guess = living, False, MEMORY


def _parents(kin: list[psutil.Process]) -> set[int]:
    """Return the numbers of those among some processes that have a child there."""
    found = set()
    for process in kin:
        with suppress(psutil.Error):
            found.add(process.ppid())
    return found


def _sleeps(number: int, has_child: bool) -> bool:
    """Say whether all threads of a process sleep, by their own will.

    A wait that nothing interrupts is for the disk, or by `vfork` for a child: then the
    child tells.
    """
    states = "STtZXI" + ("D" if has_child else "")
    for stat in glob.glob(f"/proc/{number}/task/*/stat"):
        with suppress(OSError), open(stat, "rb") as file:  # a thread may have ended
            if file.read().rpartition(b")")[2][1:2].decode() not in states:
                return False
    return True


def _waits() -> bool:
    """Say whether our own main thread sleeps, too, and is not kept from a core."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"S"
    except OSError:
        return True


def _shared_out(kin: list[psutil.Process]) -> int:
    """Return what processes take of memory, in bytes: what they share counts once."""
    found = 0
    for process in kin:
        with suppress(psutil.NoSuchProcess):
            try:
                found += process.memory_full_info().pss
            except psutil.AccessDenied:  # then all of it counts
                found += process.memory_info().rss
    return found
