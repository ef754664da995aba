"""Grade the same twenty hand-ins with stock nbgrader, one by one, and with our grader.

    .venv/bin/python tests/bench/throughput.py [20 [13-poisoning/poisoning]]

Both walk from collected hand-ins to a gradebook, start-up included, one thread a
kernel. Prints hand-ins a minute, their ratio, and whether the scores agree.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nbgrader.api import Gradebook

from graders.mutants import load
from securetrain import notebooks
from securetrain.notebook_rules import is_prose, is_solution

ROOT = Path(__file__).resolve().parents[2]
LAB = "13-poisoning/poisoning"
WORKSPACE = Path("graders", "workspace")
STOCK = """
c = get_config()
c.CourseDirectory.course_id = "secure-ai-training"
c.CourseDirectory.root = {root!r}
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "labs"
c.CourseDirectory.submitted_directory = "graders/workspace/submitted"
c.CourseDirectory.autograded_directory = "stock/autograded"
c.CourseDirectory.db_url = "sqlite:///{root}/stock.db"
c.Execute.timeout = 600
"""


def handed_in(course: Path, lab: str, count: int) -> None:
    """Write a class: half of it right, the others with one plausible mistake each."""
    solution = notebooks.read(course / "solutions" / f"{lab}.ipynb")
    released = notebooks.read(course / "labs" / f"{lab}.ipynb")
    right = {cell["id"]: cell["source"] for cell in solution["cells"]}
    mutants = load(ROOT / "graders" / "mutants" / lab.split("/")[0])
    step = max(1, len(mutants) // max(1, count // 2))
    for number in range(count):
        notebook = json.loads(json.dumps(released))
        wrong = mutants[number // 2 * step % len(mutants)] if number % 2 else None
        for cell in notebook["cells"]:
            if is_solution(cell):
                cell["source"] = right[cell["id"]]
                if wrong and wrong.cell == cell["id"]:
                    cell["source"] = wrong.code
            if is_prose(cell):
                cell["source"] = "It misses poison that is most of a class."
        folder = course / WORKSPACE / "submitted" / f"student-{number:02}"
        notebooks.write(folder / f"{lab}.ipynb", notebook)


def environment(course: Path) -> dict[str, str]:
    """Return the environment of both: one thread, this Python's commands on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    work = {"SECURETRAIN_ROOT": str(course), "SECURETRAIN_WORK": str(course / "own")}
    quiet = {"JUPYTER_CONFIG_DIR": str(course / "none"), "OMP_NUM_THREADS": "1"}
    return os.environ | {"PATH": path} | work | quiet


def timed(command: list[str], course: Path, cwd: Path) -> tuple[float, float]:
    """Run a command; return its wall seconds and CPU seconds, children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    log = course / "log.txt"
    with open(log, "w") as file:
        subprocess.run(
            command, cwd=cwd, env=environment(course), stdout=file, stderr=file
        )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def scores(url: str, topic: str) -> dict[str, dict[str, float]]:
    """Return every student's automatic scores by cell."""
    with Gradebook(url, "secure-ai-training") as book:
        return {
            submission.student.id: {
                grade.name: grade.auto_score
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in book.find_assignment(topic).submissions
        }


def compare(count: int = 20, lab: str = LAB) -> dict:
    """Grade one class both ways and print what came out."""
    topic = lab.split("/")[0]
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        course = Path(scratch).resolve()
        for part in ("course", "solutions", "labs"):
            shutil.copytree(ROOT / part, course / part)
        handed_in(course, lab, count)
        stock = course / "stock"
        stock.mkdir()
        (stock / "nbgrader_config.py").write_text(STOCK.format(root=str(course)))
        os.environ["PATH"] = environment(course)["PATH"]
        ours = timed(["securetrain", "grade", topic], course, course)
        ours_scores = scores(f"sqlite:///{course / WORKSPACE / 'gradebook.db'}", topic)
        timed(["nbgrader", "generate_assignment", topic, "--force"], course, stock)
        theirs = timed(["nbgrader", "autograde", topic], course, stock)
        their_scores = scores(f"sqlite:///{course}/stock.db", topic)
    same = sum(ours_scores[name] == their_scores.get(name) for name in ours_scores)
    report = {
        "hand-ins": count,
        "ours a minute": 60 * count / ours[0],
        "stock a minute": 60 * count / theirs[0],
        "ours / stock": theirs[0] / ours[0],
        "CPU seconds": {"ours": ours[1], "stock": theirs[1]},
        "same scores": same,
        "differ": {
            name: {"ours": ours_scores[name], "stock": their_scores.get(name)}
            for name in ours_scores
            if ours_scores[name] != their_scores.get(name)
        },
    }
    print(
        f"\nGrading {count} hand-ins of {lab}, start-up included\n"
        f"{report['ours a minute']:10.1f}  a minute, ours ({ours[1]:.0f} CPU s)\n"
        f"{report['stock a minute']:10.1f}  a minute, stock ({theirs[1]:.0f} CPU s)\n"
        f"{report['ours / stock']:10.1f}  ours / stock\n"
        f"{same:10}  of {count} with the same scores"
    )
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=20)
    parser.add_argument("lab", nargs="?", default=LAB)
    print(json.dumps(compare(**vars(parser.parse_args())), indent=1))
