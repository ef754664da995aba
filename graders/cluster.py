"""The way past one machine: hand-ins are graded by the workers of a Dask cluster.

The unit is one student's lab, safe to repeat. A Dask worker keeps one warm `pool.Pool`
for each of its threads, so torch is imported once. When a worker dies, Dask runs its
hand-ins elsewhere. The cohort's seed travels to the workers: use tls:// addresses.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import logging
import re
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from graders import pool
from graders.intake import Submission

PATIENCE = 20  # seconds to wait for a scheduler, or for a worker when there is none
THIS_MACHINE = re.compile(r"(tcp://)?(127\.\d|localhost:|\[::1\])")
HERE = Path(__file__).resolve().parents[1]
FILES = [p for name in ("graders", "securetrain") for p in (HERE / name).glob("*.py")]
SOURCES = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(FILES))).hexdigest()
idle: list[pool.Pool] = []  # in a Dask worker: warm pools that no thread uses
lock = threading.Lock()


def run(
    address: str, lab: pool.Lab, submissions: Sequence[Submission], cpu: int | None
) -> Iterator[tuple[Submission, dict[str, Any]]]:
    """Grade hand-ins on a cluster; yield each with its result, as they are done.

    Raises ValueError when the cluster cannot be reached or used, with what to do.
    """
    with Cluster(address, lab, cpu) as ready:
        yield from ready.run(submissions)


class Cluster(pool.Pool):
    """A pool that works elsewhere; `run`, with its second chances, stays the same."""

    def __init__(self, address: str, lab: pool.Lab, cpu: int | None) -> None:
        super().__init__(lab, jobs=0, cpu=cpu)
        self.address = address

    def __enter__(self) -> Cluster:
        try:
            import distributed
        except ImportError as error:
            raise ValueError(
                f"--dask needs the course's extra: pip install -e .[cluster] ({error})"
            ) from None
        if not (self.address.startswith("tls:") or THIS_MACHINE.match(self.address)):
            print(f"note: {self.address} is not encrypted; use tls://", file=sys.stderr)
        # Its log is full of tracebacks; what went wrong is said here in a sentence.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        how = {"timeout": PATIENCE, "set_as_default": False}
        try:
            self.client = distributed.Client(self.address, **how)
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(
                f"--dask {self.address}: no scheduler answers ({error}). Start one "
                "with `dask scheduler`; tls:// addresses need certificates"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # a scheduler that has gone: `run` has said so
            self.client.run(let_go, wait=False, on_error="ignore")
        with suppress(Exception):
            self.client.close()

    def _run(
        self, submissions: Sequence[Submission], side_by_side: int
    ) -> Iterator[tuple[Submission, dict[str, Any]]]:
        waiting, away = deque(submissions), {}
        try:
            while waiting or away:
                room = side_by_side or 2 * sum(self.client.nthreads().values()) or 1
                while waiting and len(away) < room:
                    # Impure, so that the key, which all can see, does not tell who.
                    task = (grade, self.lab, self.how["cpu"], waiting[0], SOURCES)
                    away[self.client.submit(*task, pure=False)] = waiting.popleft()
                for future in self._done(list(away)):
                    submission = away.pop(future)
                    yield submission, self._result(submission, future)
        except Exception as error:
            gone = isinstance(error, (OSError, CancelledError))
            if not gone and self.client.status == "running":
                raise
            raise ValueError(
                f"the scheduler at {self.address} has gone. What was graded is saved: "
                "start it again and add --resume."
            ) from error

    def _done(self, futures: list) -> set:
        """Return the futures that are done, one or more."""
        from distributed import wait

        while True:
            with suppress(TimeoutError), self.client.as_current():
                return wait(futures, PATIENCE, "FIRST_COMPLETED").done
            try:
                self.client.wait_for_workers(1, PATIENCE)
            except TimeoutError:
                raise ValueError(
                    f"the cluster at {self.address} has no worker. Start some with "
                    f"`dask worker {self.address} --nthreads 1`, then add --resume."
                ) from None

    def _result(self, submission: Submission, future: Any) -> dict[str, Any]:
        from distributed import KilledWorker

        try:
            result = future.result()
        except KilledWorker:
            return pool.failed(submission, "every worker that graded it died")
        except CancelledError:
            raise
        except Exception as error:
            result = {"error": f"a worker fails with {type(error).__name__}: {error}"}
        if "error" in result:
            raise ValueError(f"--dask {self.address}: {result['error']}")
        return result


def grade(
    lab: pool.Lab, cpu: int | None, submission: Submission, sources: str
) -> dict[str, Any]:
    """Grade one hand-in in a Dask worker; return its result, or {"error": why not}.

    Nothing is raised: Dask would write the arguments to its log.
    sources: a digest of the course's programs, which must be the same here
    """
    from distributed import get_worker

    where = f"worker {get_worker().address}"
    if sources != SOURCES:
        return {"error": f"{where} runs another version of the course; update it"}
    if not Path(lab.folder).is_dir():
        lab = replace(lab, folder=str(HERE / "solutions" / lab.topic))
    try:
        with warm(lab, cpu) as ready:
            return next(ready._run([submission], 1))[1]
    except (ValueError, OSError) as error:
        return {"error": f"{where}: {error}"}


@contextmanager
def warm(lab: pool.Lab, cpu: int | None) -> Iterator[pool.Pool]:
    """Lend this thread a warm pool of a lab; those of other labs are closed."""
    with lock:
        fit = [one for one in idle if one.lab == lab and one.how["cpu"] == cpu][:1]
        other = [one for one in idle if one.lab != lab or one.how["cpu"] != cpu]
        idle[:] = [one for one in idle if one not in fit + other]
    for one in other:
        one.__exit__()
    ready = fit[0] if fit else _start(lab, cpu)
    try:
        yield ready
    except BaseException:
        ready.__exit__()
        raise
    with lock:
        idle.append(ready)


def _start(lab: pool.Lab, cpu: int | None) -> pool.Pool:
    """Start a pool whose folder Dask removes when this worker was killed."""
    from distributed import get_worker

    place = get_worker().local_directory
    return pool.Pool(lab, 1, cpu, place=place).__enter__()


@atexit.register
def close() -> None:
    """Close this Dask worker's idle pools."""
    with lock:
        old, idle[:] = idle[:], []
    for one in old:
        one.__exit__()


async def let_go() -> None:
    """Close them from Dask's event loop, which must not be held up."""
    await asyncio.to_thread(close)
