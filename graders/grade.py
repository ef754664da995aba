"""Grade a class in the jail.

    securetrain grade 13-poisoning

Hand-ins lie where nbgrader's collectors put them:
graders/workspace/submitted/STUDENT/TOPIC/NAME.ipynb. Scores go to nbgrader's gradebook,
graded notebooks to graders/workspace/autograded/; formgrader, `nbgrader
generate_feedback` and the export take it from there.

Exit status: 0 every hand-in was graded; 1 some could not be read or graded, each with
a reason; 2 nothing was done, as the message says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from graders import gradebook, intake, pool
from graders.intake import Submission
from graders.journal import Journal, digest
from graders.pool import Lab
from securetrain import notebooks
from securetrain.paths import root


def seed_of(file: Path | None, here: Path) -> int:
    """Return the cohort's private seed, from a file's words; the public one without.

    Raises ValueError when the file lies where git would take it, or says too little.
    """
    if file is None:
        return pool.PUBLIC_SEED
    if not file.is_file():
        raise ValueError(
            f"--seed-file {file}: no such file. Make one outside the course's folder: "
            f"openssl rand -hex 16 > {file}"
        )
    if file.resolve().is_relative_to(here):
        raise ValueError(
            f"--seed-file {file}: lies in the course's folder, where it ends up in "
            "git one day. Move it elsewhere."
        )
    words = file.read_bytes().strip()
    if len(words) < 16:
        raise ValueError(
            f"--seed-file {file}: expected 16 characters or more, got {len(words)}. "
            f"Make one: openssl rand -hex 16 > {file}"
        )
    # Away from the small numbers that a student would try.
    return 2**20 + int.from_bytes(hashlib.sha256(words).digest()[:4], "big") // 4


def grade_class(
    lab: Lab,
    submissions: Sequence[Submission],
    *,
    workspace: Path,
    url: str,
    jobs: int,
    cpu: int | None = None,
    resume: bool = False,
    dask: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Grade hand-ins of a lab and save each result; yield them as they are saved.

    resume: leave out what is saved already, and do not grade again what is staged
    Raises ValueError when another run is at work, or nothing can be graded.
    """
    journal = Journal(workspace)
    try:
        gradebook.register(url, lab)
        digests = {one: digest(lab, one) for one in submissions}
        left = list(submissions)
        with gradebook.open_gradebook(url) as book:
            if resume:
                states = {one: journal.state(one, digests[one]) for one in left}
                left = [one for one in left if states[one] in ("", "started")]
                for one in (one for one in states if states[one] == "graded"):
                    result = journal.staged(one)
                    yield _save(book, workspace, journal, one, digests[one], result)
            for one, result in _results(lab, left, jobs, cpu, dask, journal, digests):
                if result["status"] == "failed":
                    yield result
                    continue
                journal.stage(one, digests[one], result)
                yield _save(book, workspace, journal, one, digests[one], result)
    finally:
        journal.close()


def _results(
    lab: Lab,
    left: Sequence[Submission],
    jobs: int,
    cpu: int | None,
    dask: str | None,
    journal: Journal,
    digests: dict[Submission, str],
) -> Iterator[tuple[Submission, dict[str, Any]]]:
    """Yield hand-ins with their results, from this machine or from a cluster."""
    if not left:
        return
    for one in left:
        journal.note(one, digests[one], "started")
    if dask:
        from graders import cluster

        yield from cluster.run(dask, lab, left, cpu)
        return
    with pool.Pool(lab, min(jobs, len(left)), cpu) as ready:
        yield from ready.run(left)


def _save(
    book: Any,
    workspace: Path,
    journal: Journal,
    submission: Submission,
    digest: str,
    result: dict[str, Any],
) -> dict[str, Any]:
    """Save one result: the gradebook first, the notebook beside it last."""
    folder = workspace / "autograded" / result["student"] / result["topic"]
    path = folder / f"{result['name']}.ipynb"
    if intake.STUDENT.fullmatch(result["student"]):
        before = notebooks.read(path) if path.is_file() else None
        gradebook.save(book, result, before)
        notebooks.write(path, result["notebook"])
        if result["timestamp"]:
            (folder / "timestamp.txt").write_text(result["timestamp"] + "\n")
    journal.saved(submission, digest)
    return result


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Return a table of the class: points, cells for a human, and what went wrong."""
    width = max([len(repr(r["student"])) - 2 for r in results] + [7])
    lines = [f"{'student':<{width}}  points       by hand  CPU s"]
    for result in sorted(results, key=lambda r: (r["student"], r["name"])):
        name = f"{repr(result['student'])[1:-1]:<{width}}"
        if result["status"] == "failed":
            lines.append(f"{name}  not graded: {result['reason']}")
            continue
        marks = result["marks"]
        got = sum(mark["score"] or 0 for mark in marks)
        most = sum(mark["points"] for mark in marks)
        human = sum(mark["score"] is None for mark in marks)
        cpu = result["cpu_seconds"]
        lines.append(f"{name}  {got:5g} of {most:<3g} {human:7}  {cpu:5.1f}")
        if result["status"] == "refused":
            lines.append(f"{'':<{width}}  not read: {result['reason']}")
        else:
            lines += [f"{'':<{width}}  {said}" for said in result["notes"]]
    return "\n".join(lines)


def _progress(done: int, of: int) -> None:
    """Rewrite one line on a terminal."""
    if sys.stderr.isatty():
        bar = "#" * (30 * done // of)
        print(f"\r[{bar:<30}] {done} of {of}", end="", file=sys.stderr, flush=True)


def arguments(argv: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="securetrain grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("topic", help="such as 13-poisoning")
    parser.add_argument("student", nargs="*", help="default: the whole class")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="default: the cores"
    )
    parser.add_argument("--db", help="the gradebook; default: a file in the workspace")
    parser.add_argument("--seed-file", type=Path, help="the cohort's private seed")
    parser.add_argument(
        "--resume", action="store_true", help="only what is not saved yet"
    )
    parser.add_argument("--cpu", type=int, help="CPU seconds that one step may use")
    parser.add_argument("--dask", metavar="ADDRESS", help="grade on a Dask cluster")
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    options = parser.parse_intermixed_args(argv)
    for name in ("jobs", "cpu"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: expected 1 or more")
    return options


def main(argv: list[str]) -> int:
    """Grade a class, or some students of it."""
    options, here = arguments(argv), root()
    workspace = here / "graders" / "workspace"
    url = options.db or gradebook.default_url(workspace)
    seed = seed_of(options.seed_file, here)
    results: list[dict[str, Any]] = []
    for lab in pool.labs(here, options.topic, seed):
        found = intake.collect(
            workspace / "submitted", lab.topic, lab.name, options.student
        )
        if missing := set(options.student) - {one.student for one in found}:
            raise ValueError(f"no hand-in of {', '.join(sorted(missing))}")
        if not found:
            raise ValueError(
                f"{workspace}/submitted holds no hand-in of {lab.topic}. Collect them "
                "first: nbgrader collect, or nbgrader zip_collect."
            )
        how = {"workspace": workspace, "url": url, "jobs": options.jobs}
        how |= {"cpu": options.cpu, "resume": options.resume, "dask": options.dask}
        done = 0
        try:
            for done, result in enumerate(grade_class(lab, found, **how), 1):
                results.append(result)
                _progress(done, len(found))
        finally:
            if done and sys.stderr.isatty():
                print(file=sys.stderr)
    if options.json:
        kept = [{k: v for k, v in r.items() if k != "notebook"} for r in results]
        print(json.dumps(kept, indent=1))
    elif results:
        print(summary(results))
    else:
        print("Nothing to do: every hand-in is graded and saved.")
    return int(any(result["status"] != "graded" for result in results))
