"""Grade a class in the jail.

    securetrain grade 13-poisoning

Hand-ins lie where nbgrader's collectors put them:
graders/workspace/submitted/STUDENT/TOPIC/NAME.ipynb. Scores go to nbgrader's gradebook,
graded notebooks to graders/workspace/autograded/; formgrader, `nbgrader
generate_feedback` and the export take it from there.

Exit status: 0 every hand-in was graded; 1 some could not be read or graded, each with
a reason; 2 the run did not begin or had to stop, as the message says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from graders import gradebook, intake, pool
from graders.intake import Submission
from graders.journal import Journal, digest, settle
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
    Raises ValueError when another run is at work, when nothing can be graded, or when
    the disk or the gradebook fails.
    """
    where = gradebook.without_password(url).replace(str(workspace), "")
    digests = {one: digest(lab, one, where) for one in submissions}
    try:
        with closing(Journal(workspace)) as journal:
            gradebook.register(url, lab)
            with gradebook.open_gradebook(url) as book:
                save = partial(_save, book, workspace, journal, digests)
                staged, left = [], list(submissions)
                if resume:
                    staged, left = _sorted_out(book, workspace, journal, digests)
                for one in staged:
                    yield save(one, journal.staged(one))
                how = (lab, left, jobs, cpu, dask)
                for one, result in _results(*how, journal, digests):
                    if result["status"] != "failed":
                        journal.stage(one, digests[one], result)
                        save(one, result)
                    yield result
    except KeyboardInterrupt:
        raise ValueError(
            "grading stopped. What was graded is kept: to go on, add --resume."
        ) from None
    except (OSError, SQLAlchemyError) as error:
        raise ValueError(
            f"grading stopped: {gradebook.reason(error)}. What was graded is kept: "
            "mend this, then add --resume."
        ) from error


def _sorted_out(
    book: Any, workspace: Path, journal: Journal, digests: dict[Submission, str]
) -> tuple[list[Submission], list[Submission]]:
    """Return which hand-ins are staged, whole, and which must be graded."""
    staged, left = [], []
    for one in digests:
        state = journal.state(one, digests[one])
        if state == "graded" and journal.staged(one):
            staged.append(one)
        elif state == "saved" and _is_there(book, workspace, one):
            journal.let_go(one)
        else:
            left.append(one)
    return staged, left


def _is_there(book: Any, workspace: Path, submission: Submission) -> bool:
    """Say whether what was saved has not been taken away since."""
    return _place(workspace, submission).is_file() and gradebook.has(book, submission)


def _place(workspace: Path, submission: Submission) -> Path:
    """Return where a graded notebook lies."""
    folder = workspace / "autograded" / submission.student / submission.topic
    return folder / f"{submission.name}.ipynb"


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
    with pool.Pool(lab, min(jobs, len(left)), cpu, place=journal.scratch) as ready:
        yield from ready.run(left)


def _save(
    book: Any,
    workspace: Path,
    journal: Journal,
    digests: dict[Submission, str],
    submission: Submission,
    result: dict[str, Any],
) -> dict[str, Any]:
    """Save one result: the gradebook first, the notebook beside it last."""
    path = _place(workspace, submission)
    if intake.STUDENT.fullmatch(submission.student):
        gradebook.save(book, result, _before(path))
        for left_behind in path.parent.glob(f".{path.name}.*"):
            left_behind.unlink()
        notebooks.write(path, result["notebook"])
        if result["timestamp"]:
            stamp = path.with_name("timestamp.txt")
            stamp.write_text(result["timestamp"] + "\n")
        settle(path, *path.parents[:3])
    state = "refused" if result["status"] == "refused" else "saved"
    journal.note(submission, digests[submission], state)
    journal.let_go(submission)
    return result


def _before(path: Path) -> dict[str, Any] | None:
    """Return the graded notebook that is there, None when it cannot be read."""
    try:
        return notebooks.read(path)
    except (FileNotFoundError, ValueError):
        return None


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
