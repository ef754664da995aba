"""Real grading runs that can be killed, and what they leave behind.

    python grading_runs.py      # imports the grader once, then forks for every run

nbgrader takes seconds to import: here once for all runs. The kernel makes this process
the parent of every orphan, so nothing that a killed run leaves goes unseen.
"""

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from pathlib import Path

import pytest
from corpus.lab import NAME, RIGHT, TOPIC, WRONG, answered

from graders import confine, release
from securetrain import cli

ROOT = Path(__file__).resolve().parents[1]
WORKSPACE = Path("graders", "workspace")
PATIENCE = 600  # seconds to wait for what must come; a bound for a starved machine
SUBREAPER = 36  # of prctl


def make_class(here, students):
    """Make a course of the small lab, with its hand-ins.

    students: by name, their answers by cell id, or the text of a file that is none
    """
    shutil.copytree(ROOT / "tests" / "fixtures" / "course", here)
    for student, answers in students.items():
        hand_in(here, student, answers)
    return here


def hand_in(here, student, answers, prose="It misses who stays quiet."):
    """Hand in the released lab with these answers, or a text that is no notebook."""
    text = answers
    if isinstance(answers, dict):
        topic = here / "solutions" / TOPIC
        (notebook,) = release.generate(here, [topic]).values()
        answered(notebook, WRONG | answers, f"{student}: {prose}")
        text = json.dumps(notebook)
    folder = here / WORKSPACE / "submitted" / student / TOPIC
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.ipynb").write_text(text)


def mixed(count):
    """Return the answers of a class: none, one or both of two tasks are right."""
    kinds = [RIGHT, {"clip": RIGHT["clip"]}, {"flag": RIGHT["flag"]}, {}]
    return {f"s{n:02}": dict(kinds[n % 4]) for n in range(count)}


def saved(here):
    """Return every file that grading left for people to see."""
    folder = here / WORKSPACE / "autograded"
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def noted(here, what=b"\n"):
    """Return how often the journal says something; by default, its lines."""
    journal = here / WORKSPACE / "journal.jsonl"
    return journal.read_bytes().count(what) if journal.exists() else 0


def history(here):
    """Return the states of each student's hand-in, in order, a space after each."""
    found, journal = defaultdict(str), here / WORKSPACE / "journal.jsonl"
    for line in journal.read_bytes().splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):  # cut short
            said = json.loads(line)
            found[said["student"]] += said["state"] + " "
    return dict(found)


class Runs:
    """Starts runs of `securetrain` on a course; use it in a `with` statement.

    around: a command to run them in, such as a jail's
    """

    def __init__(self, around=()):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        line = [*around, sys.executable, __file__]
        self.process, self.logs = subprocess.Popen(line, **pipes), {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def _ask(self, **order):
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def start(self, here, *words, die=None, module="", **environment):
        """Start a run, a session of its own; return its process id.

        die: (function, "before" or "after", number of its call): where it kills itself
        module: a program to start anew, instead of a fork that has imported the grader
        """
        scratch, log = here / "tmp", here / f"log-{len(self.logs)}"
        scratch.mkdir(exist_ok=True)
        log.touch()
        environment |= {"SECURETRAIN_ROOT": str(here), "TMPDIR": str(scratch)}
        order = {"words": words, "die": die, "module": module, "log": str(log)}
        run = self._ask(environment=environment, **order)
        self.logs[run] = log
        return run

    def wait(self, run):
        """Return a run's exit status and what it said, when it has ended."""
        return self._ask(wait=run), self.logs[run].read_text()

    def run(self, *words, **how):
        """Run to the end; return the exit status and what was said."""
        return self.wait(self.start(*words, **how))

    def left(self):
        """Return what runs leave behind, when there was time enough to end."""
        return self._ask(left=True)


def export(grading, here, **how):
    """Return the table of a class, as bytes."""
    out = here / "grades.csv"
    words = ["--partial", "--to", "csv", "--out", str(out), "--force"]
    status, said = grading.run(here, "export", TOPIC, *words, **how)
    assert status == 0, said
    return out.read_bytes()


@pytest.fixture(scope="session")
def grading():
    """Return what starts runs, for as long as the tests live."""
    with Runs() as runs:
        yield runs


def alive(process):
    """Say whether a run goes on: one that has ended is kept until `wait`."""
    stat = Path(f"/proc/{process}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(condition, process):
    """Wait until something holds or a run has ended."""
    end = time.monotonic() + PATIENCE
    while not condition() and alive(process):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.003)


def serve():
    """Start what is asked for, until the other side hangs up."""
    confine.call("prctl", SUBREAPER, 1, 0, 0, 0)
    for line in sys.stdin:
        order = json.loads(line)
        if "left" in order:
            answer = remaining()
        elif "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        elif not (answer := os.fork()):
            work(order)
        print(json.dumps(answer), flush=True)
    while numbers := children():
        for number in numbers:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)


def children():
    """Return the process ids of this process's children, adopted ones too."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in text.split()]


def remaining():
    """Wait for every child, orphans of killed runs too; name those that stay."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return []
    return [Path(f"/proc/{child}/cmdline").read_text() for child in children()]


def work(order):
    """Be a run of the command line."""
    status = 1
    try:
        os.setsid()
        os.environ |= order["environment"]
        tempfile.tempdir = None
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
            os.dup2(file, number)
        if order["module"]:
            os.chdir(os.environ["SECURETRAIN_ROOT"])
            line = [sys.executable, "-m", order["module"], *order["words"]]
            os.execv(sys.executable, line)
        if order["die"]:
            die_at(*order["die"])
        status = cli.main(order["words"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def die_at(where, when, count):
    """Let this process kill itself at a function's call number `count`."""
    module, *outer, name = where.split(":")
    owner = importlib.import_module(module)
    for part in outer:
        owner = getattr(owner, part)
    function, calls = getattr(owner, name), []

    def wrapper(*args, **kwargs):
        calls.append(name)
        if when == "before" and len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        value = function(*args, **kwargs)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    setattr(owner, name, wrapper)


if __name__ == "__main__":
    importlib.import_module("graders.grade")
    serve()
