"""Many hand-ins, a few slots: feed the worker, and give bad luck a second chance.

The worker (worker.py) is a process of its own, so this one stays small, imports no
torch, and outlives whatever happens there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from socket import socketpair
from typing import Any

from graders import release, wire
from graders.intake import Submission
from securetrain import notebooks

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PUBLIC_SEED = 7  # what hidden tests use when a cohort has no seed of its own


@dataclass(frozen=True)
class Lab:
    """A lab to grade: its master with hidden tests, what learners got, and the seed.

    folder: where the master lies; its code runs there
    """

    topic: str
    name: str
    master: dict[str, Any]
    released: dict[str, Any]
    folder: str
    seed: int = PUBLIC_SEED


def labs(here: Path, topic: str, seed: int = PUBLIC_SEED) -> list[Lab]:
    """Return a topic's labs, released afresh so that they fit their masters.

    Raises FileNotFoundError for an unknown topic, ValueError for an unfit source.
    """
    folder = release.topics(here, topic)[0]
    found = []
    for name, released in release.generate(here, [folder]).items():
        path = folder / Path(name).name
        master = notebooks.read(path)
        found.append(Lab(folder.name, path.stem, master, released, str(folder), seed))
    return found


class Pool:
    """A lab's worker, and the hand-ins on their way through it.

    Use it in a `with` statement. Raises ValueError on entry, with the reason, when
    there is no jail or the course's own answers fail.
    """

    def __init__(
        self,
        lab: Lab,
        jobs: int,
        cpu: int | None = None,
        trust: bool = False,
        place: str | Path | None = None,
    ) -> None:
        """Prepare it.

        jobs: hand-ins side by side; cpu: CPU seconds for one step, by default what
        the lab needs; trust: run without a jail, for a learner's own work alone
        place: where the worker's temporary folder comes; default: the system's
        """
        self.lab, self.place = lab, place
        self.how = {"jobs": jobs, "cpu": cpu, "trust": trust}

    def __enter__(self) -> Pool:
        self.scratch = tempfile.TemporaryDirectory(
            prefix="securetrain-", dir=self.place
        )
        try:
            self._start()
        except BaseException:
            self.scratch.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self.scratch.cleanup()

    def _start(self) -> None:
        """Start the worker and wait until it is warm."""
        self.channel, theirs = socketpair()
        drop = ("PYTHON", "JUPYTER", "IPYTHON", "SECURETRAIN")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "graders.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=kept
            | dict.fromkeys(THREADS, "1")
            | {"MPLBACKEND": "Agg", "SECURETRAIN_WORK": self.scratch.name},
            cwd=Path(__file__).parents[1],
        )
        theirs.close()
        wire.send(self.channel, asdict(self.lab) | self.how)
        try:
            said = wire.receive(self.channel)
        except EOFError:
            said = {"error": "the worker ended before it was ready"}
        if "error" in said:
            self._stop()
            raise ValueError(f"{self.lab.topic}/{self.lab.name}: {said['error']}")
        self.facts = said["ready"]

    def _stop(self) -> None:
        self.channel.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def run(
        self, submissions: Sequence[Submission]
    ) -> Iterator[tuple[Submission, dict[str, Any]]]:
        """Grade hand-ins; yield each with its result, in the order they are done.

        One that the wall clock stopped, or whose checker died, is tried once more,
        alone, when all others are done.
        """
        again: list[Submission] = []
        for submission, result in self._run(submissions, self.how["jobs"]):
            if result["status"] in ("wall", "failed"):
                again.append(submission)
            else:
                yield submission, result
        for submission, result in self._run(again, 1):
            if result["status"] == "wall":
                result = result | {"status": "graded"}
            yield submission, result

    def _run(
        self, submissions: Sequence[Submission], side_by_side: int
    ) -> Iterator[tuple[Submission, dict[str, Any]]]:
        waiting = deque(enumerate(submissions))
        away: dict[int, Submission] = {}
        while waiting or away:
            try:
                while waiting and len(away) < side_by_side:
                    number, submission = waiting.popleft()
                    away[number] = submission
                    wire.send(self.channel, {"job": number} | asdict(submission))
                answer = wire.receive(self.channel)
                yield away.pop(answer["job"]), json.loads(answer["result"])
            except (OSError, EOFError):
                self._stop()
                self._start()
                for submission in away.values():
                    yield submission, failed(submission, "the worker died")
                away.clear()


def failed(submission: Submission, reason: str) -> dict[str, Any]:
    """Return the result of a hand-in that failed through no fault of its own."""
    return {
        "student": submission.student,
        "topic": submission.topic,
        "name": submission.name,
        "status": "failed",
        "reason": reason,
    }
