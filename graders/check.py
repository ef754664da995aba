"""Check your own lab as the grader would.

    securetrain check 13-poisoning
    securetrain check 13-poisoning/poisoning

Runs your copy under work/ against all of the lab's checks, the hidden ones too, in the
same jail that graded hand-ins run in. Your copy is only read. Exit status: 0 every
check passes, 1 some do not, 2 nothing could be checked.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from graders import intake, pool
from securetrain import catalogue, paths, progress
from securetrain.paths import root


def report(result: dict[str, Any]) -> str:
    """Return what each check said."""
    lines = []
    for mark in result["marks"]:
        points = f"{mark['points']:g} point{'s' if mark['points'] != 1 else ''}"
        if mark["score"] is None:
            lines.append(f"  read    {mark['id']} ({points}): an instructor reads it")
        elif mark["score"] > 0:
            lines.append(f"  passed  {mark['id']} ({points})")
        else:
            lines.append(f"  failed  {mark['id']} ({points}): {mark['message']}")
    lines += [f"  note    {said}" for said in result["notes"]]
    return "\n".join(lines)


def check(lab: pool.Lab, trust: bool) -> dict[str, Any]:
    """Return the result of the learner's own copy of a lab.

    Raises ValueError when there is no copy, none that can be read, or no jail and no
    trust.
    """
    path = paths.work() / lab.topic / f"{lab.name}.ipynb"
    if not os.path.lexists(path):
        raise ValueError(
            f"work/{lab.topic}/{lab.name}.ipynb: found no notebook of yours; "
            f"`securetrain start {lab.topic}` makes your copy"
        )
    mine = intake.Submission("you", lab.topic, lab.name, intake.read(path))
    with pool.Pool(lab, jobs=1, trust=trust) as ready:
        return next(result for _, result in ready.run([mine]))


def _record(result: dict[str, Any]) -> None:
    """Note in the learner's own record which checks pass."""
    unit = f"{result['topic']}/{result['name']}"
    if unit not in [known.id for known in catalogue.units()]:
        return
    for mark in result["marks"]:
        if mark["score"] is not None:
            task = mark["id"].removeprefix("check-")
            progress.record("checked", unit, part=task, success=mark["score"] > 0)


def _labs(name: str) -> list[pool.Lab]:
    """Return the labs of a topic, or the one lab that TOPIC/LAB names."""
    topic, slash, wanted = name.partition("/")
    found = pool.labs(root(), topic)
    if slash and wanted not in [lab.name for lab in found]:
        known = ", ".join(f"{topic}/{lab.name}" for lab in found)
        raise ValueError(f"no lab '{name}', expected {topic} or one of: {known}")
    return [lab for lab in found if not slash or lab.name == wanted]


def main(argv: list[str]) -> int:
    """Check the learner's copies of a topic's labs."""
    parser = argparse.ArgumentParser(
        prog="securetrain check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("topic", help="or TOPIC/LAB, such as 13-poisoning")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run it without a jail: for work that is your own, never a stranger's",
    )
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    options = parser.parse_args(argv)
    results = [check(lab, options.trust) for lab in _labs(options.topic)]
    for result in results:
        if result["status"] != "graded":
            raise ValueError(result["reason"])
        if not options.json:
            print(f"work/{result['topic']}/{result['name']}.ipynb\n{report(result)}")
        _record(result)
    if options.json:
        kept = [{k: v for k, v in r.items() if k != "notebook"} for r in results]
        print(json.dumps(kept, indent=1))
    marks = [mark for result in results for mark in result["marks"]]
    return int(any(mark["score"] == 0 for mark in marks))
