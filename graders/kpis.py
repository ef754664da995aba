"""Write the page of KPIs from evidence, and a table for OKR tools.

    securetrain kpis --html kpis.html --csv kpis.csv --period 2026Q4 \\
        --cohort cohort.csv --records records --debriefs drills \\
        --gate-log audit.jsonl --head HASH
    securetrain kpis --synthetic folder --period 2026Q4

The gradebook is opened for reading alone; one of another nbgrader is not migrated. The
cohort is everyone who should have taken part: CSV with a column `student` and, if
known, `role`. HASH is one of the log's that somebody else kept. `--synthetic` writes a
made-up cohort in the real formats, gradebook included, to try this without people.

Exit status: 0 every number is known; 1 the page was written and says which number is
not known, and why; 2 wrong input, nothing written.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graders.kpi_gradebook import read_gradebook, write_gradebook
from securetrain import catalogue, kpi_cohort, kpi_figures, kpi_page, kpis, own_files
from securetrain.kpi_figures import Figure, Quarter
from securetrain.paths import root


def synthetic(folder: Path, quarter: Quarter, learners: int, seed: int) -> None:
    """Write a synthetic cohort with its gradebook, and say what to do with it."""
    if learners < 1:
        raise ValueError(f"--learners {learners}: expected 1 or more")
    cohort = kpi_cohort.draw(seed, quarter, kpi_cohort.Truth(learners=learners))
    kpi_cohort.write(cohort, folder)
    write_gradebook(folder / "gradebook.db", cohort)
    head = kpis.read_log(folder / "gate.jsonl")[1]
    print(f"wrote {folder}: {learners} synthetic learners, no people. Its page:")
    words = {
        "html": "kpis.html",
        "csv": "kpis.csv",
        "period": quarter,
        "gradebook": folder / "gradebook.db",
        "cohort": folder / "cohort.csv",
        "records": folder / "records",
        "debriefs": folder / "debriefs",
        "gate-log": folder / "gate.jsonl",
        "head": head,
    }
    line = [word for key, value in words.items() for word in (f"--{key}", str(value))]
    print(shlex.join(["securetrain", "kpis", *line]))


# --- The command ----------------------------------------------------------------------


def gather(options: argparse.Namespace) -> kpis.Evidence:
    """Read everything that the command line names."""
    from graders import gradebook

    url = options.gradebook
    if url and "://" not in url:
        url = f"sqlite:///{Path(url).resolve()}"
    url = url or gradebook.default_url(root() / "graders" / "workspace")
    found: dict[str, Any] = {"grades": read_gradebook(url)}
    if options.cohort:
        found["cohort"] = kpis.read_cohort(options.cohort)
    if options.records:
        found["records"] = kpis.read_records(options.records)
    if options.debriefs:
        found["debriefs"] = kpis.read_debriefs(options.debriefs)
    if options.gate_log:
        found["log"], found["newest"] = kpis.read_log(options.gate_log)
    return kpis.Evidence(**found)


def write(path: Path, words: str, force: bool) -> None:
    """Write a file whole or not at all, one that exists only with `force`."""
    data = words.encode("utf-8")
    if force:
        own_files.replace(path, data)
    elif not own_files.create(path, data):
        raise ValueError(f"{path}: exists; --force replaces it")


def report(figures: list[Figure]) -> str:
    """Return each number in a line, and why it is not known."""
    lines = []
    for one in figures:
        mark = "synthetic " if one.synthetic else ""
        lines.append(f"{one.title:<30} {mark}{one.shown} ({one.status})")
        if one.status in (kpi_figures.UNKNOWN, kpi_figures.HIDDEN):
            lines += [f"  {note}" for note in one.notes]
    return "\n".join(lines)


def arguments(argv: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="securetrain kpis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--period", required=True, help="a quarter, such as 2026Q4")
    add("--html", type=Path, help="the page to write")
    add("--csv", type=Path, help="the table to write")
    add("--gradebook", help="file or URL; default: the workspace's")
    add("--cohort", type=Path, help="CSV: who should have taken part")
    add("--records", type=Path, help="folder of exported records")
    add("--debriefs", type=Path, help="folder of debriefs")
    add("--gate-log", type=Path, help="the gate's audit log")
    add("--head", default="", help="a hash of the log that somebody else kept")
    add("--lab", action="append", default=[], help="assigned; default: a path's")
    says = "share of a lab's points that passes it; default: %(default)s"
    add("--passing", type=float, default=catalogue.PASSED, help=says)
    add("--force", action="store_true", help="replace files that exist")
    add("--synthetic", type=Path, metavar="FOLDER", help="write a made-up cohort")
    add("--learners", type=int, default=20, help="of the made-up cohort")
    add("--seed", type=int, default=0, help="of the made-up cohort")
    options = parser.parse_args(argv)
    if not (options.html or options.csv or options.synthetic):
        parser.error("expected --html FILE, --csv FILE or --synthetic FOLDER")
    options.period = Quarter.parse(options.period)
    if not 0 < options.passing <= 1:
        parser.error(f"--passing {options.passing}: expected a share, above 0 to 1")
    labs = sorted({unit.topic for unit in catalogue.units() if unit.kind == "lab"})
    if strange := sorted(set(options.lab) - set(labs)):
        known = ", ".join(labs)
        parser.error(f"--lab {strange[0]!a:.40} is no lab. There are: {known}")
    return options


def main(argv: list[str]) -> int:
    """Write the page and the table, or a synthetic cohort."""
    options = arguments(argv)
    if options.synthetic:
        synthetic(options.synthetic, options.period, options.learners, options.seed)
        return 0
    for path in filter(None, (options.html, options.csv)):
        if os.path.lexists(path) and not options.force:
            raise ValueError(f"{path}: exists; --force replaces it")
    evidence, now = gather(options), datetime.now(UTC)
    figures = kpis.figures(
        evidence, options.period, now, options.lab, options.head, options.passing
    )
    page = kpi_page.page(figures, evidence.inputs, options.period, now)
    for path, words in ((options.html, page), (options.csv, kpi_page.table(figures))):
        if path:
            write(path, words, options.force)
    print(report(figures))
    unknown = (kpi_figures.UNKNOWN, kpi_figures.HIDDEN)
    return int(any(one.status in unknown for one in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
