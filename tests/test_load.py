"""On a machine with ten times the work it can do, honest students keep every point."""

import json
import os
from contextlib import closing, contextmanager

import psutil
import pytest
from corpus.lab import FULL, RIGHT, TOPIC
from grading_runs import make_class, noted, until

from graders.sandbox import Gone, Jail, Limits

CORES = sorted(os.sched_getaffinity(0))[:2]
LOAD = 10 * len(CORES)
BURN = """
import time
begun = time.process_time()
while time.process_time() - begun < {}:
    pass
"""
SLOW = RIGHT | {"clip": BURN.format(0.7) + RIGHT["clip"]}
HONEST = {"honest-1": SLOW, "honest-2": SLOW}
LOOPS = RIGHT | {"clip": "def clip(values, limit):\n    while True:\n        pass\n"}


@contextmanager
def busy():
    """Keep these cores busy; give the processes, and stop them at the end."""
    hogs = []
    try:
        for _ in range(LOAD):
            line = ["sh", "-c", "while :; do :; done"]
            hog = psutil.Popen(line, start_new_session=True)
            hogs.append(hog)
            hog.cpu_affinity(CORES)
        yield hogs
    finally:
        for hog in hogs:
            hog.kill()
        psutil.wait_procs(hogs)


def test_honest_students_keep_every_point_and_loops_are_stopped(tmp_path, grading):
    """Each needs 0.7 of the one CPU second that a step may take."""
    here = make_class(tmp_path / "course", {"a": RIGHT, "b-loops": LOOPS} | HONEST)
    run = grading.start(here, "grade", TOPIC, "--cpu", "1", "--jobs", "2", "--json")
    psutil.Process(run).cpu_affinity(CORES)
    until(lambda: noted(here, b"graded"), run)
    with busy() as hogs:
        status, said = grading.wait(run)
        load = sum(hog.cpu_times().user for hog in hogs)
        assert all(hog.is_running() for hog in hogs)
    assert status == 0, said
    results = {one["student"]: one for one in json.loads(said)}
    used = sum(result["cpu_seconds"] for result in results.values())
    assert load > 3 * used, "the load was no load"
    for student, result in results.items():
        scores = {m["id"]: m["score"] for m in result["marks"] if m["id"] in FULL}
        wanted = FULL | ({"check-clip": 0.0} if student == "b-loops" else {})
        assert scores == wanted, (student, result)
    for student in HONEST:
        assert results[student]["cpu_seconds"] > 0.7
    assert grading.left() == []


def test_a_sleeper_is_stopped_and_one_who_waits_for_a_core_is_not():
    limits = Limits(cpu_step=1, cpu_total=4, idle=2)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    try:
        with closing(Jail([], slot=50)) as jail:
            jail.wait()
            with busy():
                with jail.submission(limits) as student:
                    for code in ("import time\ntime.sleep(0.5)", BURN.format(0.3)):
                        assert student.ask({"op": "run", "code": code})["error"] is None
                    assert student.watch.slept < 2
                with jail.submission(limits) as student:
                    sleep = {"op": "run", "code": "import time\ntime.sleep(10**6)"}
                    with pytest.raises(Gone, match="it slept for 2 seconds"):
                        student.ask(sleep)
    finally:
        os.sched_setaffinity(0, before)
