"""The ledger: every claim over several seeds, and the page that shows them.

`ledger.json` holds what was measured, tables under the key `tables`; `docs/claims.md`
is made from it, claims.toml and tables.toml. A verdict holds for all seeds or for none;
anything between varies.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from securetrain import catalogue, claims, execution, paths, tables
from securetrain.claims import Claim
from securetrain.tables import DIGITS, Values, interval

FILE = Path(__file__).with_name("ledger.json")
PAGE = "docs/claims.md"  # below the course's root
TABLES = "tables"
VARIES, MISSING = "varies by seed", "not measured"
COLUMNS = ["Claim", "Measure", "Bar", "Mean [95 %]"]
COLUMNS += ["Seeds", "Verdict", "Recipe", "Source"]
HEAD = """\
# Claims and their numbers

Made by `securetrain claims` from `securetrain/ledger.json` and
`securetrain/claims.toml`, its tables from `securetrain/tables.toml`; edit neither this
page nor the ledger by hand.

Each lesson runs with seeds 0, 1, 2 and so on; *seeds* counts those that reach the bar.
The mean stands with its 95 % interval, Student's t over the seeds. It assumes normal
spread, so with few seeds it may reach past 0 or 1 (figures cut it there). A claim is
*reproduced* when every seed reaches the bar, *not reproduced* when none does, and
otherwise *varies by seed*.
"""
FOOT = """\
## Measure again

```bash
.venv/bin/securetrain claims                # every lesson, five seeds
.venv/bin/securetrain claims --unit {unit}  # one lesson
.venv/bin/securetrain claims --table {table}  # one table, and no lesson
.venv/bin/securetrain claims --page         # this page, after new words or bars
.venv/bin/securetrain claims --check        # is this page up to date?
```

A claim or a table whose recipe changes counts as *not measured* until it runs again.
"""


def load() -> dict[str, dict[str, Any]]:
    """Return what was measured: claim id -> its row.

    A row: unit, recipe, values (one a seed from 0, None where it was not a number),
    mean, interval ([low, high], or None), holds (how many seeds), verdict.
    """
    return {key: row for key, row in _stored().items() if key != TABLES}


def _stored() -> dict[str, Any]:
    return json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}


def measured_tables() -> dict[str, dict[str, Any]]:
    """Return the tables whose recipe has not changed since: id -> recipe, values."""
    recorded = _stored().get(TABLES, {})
    return {
        id: recorded[id]
        for id, table in tables.declared().items()
        if id in recorded and recorded[id]["recipe"] == table.recipe
    }


def table(id: str) -> Values:
    """Return a table: row -> column -> one value a seed.

    Raises ValueError when there is no such table, or when it was not measured.
    """
    tables.find(id)
    if not (found := measured_tables().get(id)):
        raise ValueError(f"'{id}' is {MISSING}: run `securetrain claims --table {id}`")
    return found["values"]


def row(claim: Claim, values: list[float | None]) -> dict[str, Any]:
    """Return a claim's row of the ledger for the values of seeds 0, 1, 2, …"""
    rounded = [
        None if v is None or not math.isfinite(v) else round(v, DIGITS) for v in values
    ]
    numbers = [v for v in rounded if v is not None]
    holds = sum(claim.holds(v) for v in numbers)
    mean = round(sum(numbers) / len(numbers), DIGITS) if numbers else None
    verdict = {len(values): claims.REPRODUCED, 0: claims.NOT_REPRODUCED}
    return {
        "unit": claim.unit,
        "recipe": claim.recipe,
        "values": rounded,
        "mean": mean,
        "interval": interval(numbers) if len(numbers) > 1 else None,
        "holds": holds,
        "verdict": verdict.get(holds, VARIES),
    }


def measured() -> dict[str, dict[str, Any]]:
    """Return the ledger's rows, worked out anew from their values and claims.toml.

    A claim that is gone, or whose recipe has changed since, has no row.
    """
    recorded = load()
    return {
        id: row(claim, recorded[id]["values"])
        for id, claim in claims.load().items()
        if id in recorded and recorded[id]["recipe"] == claim.recipe
    }


def measure(unit: str, seeds: int) -> None:
    """Run a lesson with seeds 0 to `seeds` - 1; record its claims after each run.

    The first run replaces what the ledger had of the unit; a run cut short leaves
    the seeds before it. Raises ValueError when a cell fails, or when the lesson
    does not make each of its claims exactly once.
    """
    own = {id: c for id, c in claims.load().items() if c.unit == unit}
    path = paths.root() / catalogue.unit(unit).source
    values: dict[str, list[float | None]] = {id: [] for id in own}
    for seed in range(seeds):
        print(f"{unit}, seed {seed} ({seed + 1} of {seeds})", end=" … ", flush=True)
        done = execution.run(path, parameters={"SEED": seed})
        print(f"{done.seconds:.0f} s", flush=True)
        if done.error:
            raise ValueError(f"{unit}, seed {seed}: {done.error}")
        found = [line["id"] for line in done.claims]
        if sorted(found) != sorted(own):
            raise ValueError(
                f"{unit} must make each of its claims once. claims.toml: "
                f"{', '.join(sorted(own))}; made: {', '.join(sorted(found)) or 'none'}"
            )
        for line in done.claims:
            values[line["id"]].append(line["value"])
        write(measured() | {id: row(own[id], values[id]) for id in own})


def measure_table(id: str, seeds: int) -> None:
    """Measure a table with seeds 0 to `seeds` - 1; record it after each of them.

    The first seed replaces what the ledger had of it.
    """
    this, values = tables.find(id), {}
    for seed in range(seeds):
        print(f"{id}, seed {seed} ({seed + 1} of {seeds}) …", flush=True)
        values = tables.joined(values, this.measure(seed))
        kept = measured_tables() | {id: {"recipe": this.recipe, "values": values}}
        write(measured(), kept)


def write(
    rows: dict[str, dict[str, Any]], of_tables: dict[str, Any] | None = None
) -> None:
    """Write the ledger, in the order of its sources, and the page made from it.

    of_tables: by default those that the ledger has
    """
    found = measured_tables() if of_tables is None else of_tables
    found = {id: found[id] for id in tables.declared() if id in found}
    ordered = {id: rows[id] for id in claims.load() if id in rows}
    stored = ordered | ({TABLES: found} if found else {})
    _replace(FILE, json.dumps(stored, indent=1, allow_nan=False) + "\n")
    _replace(paths.root() / PAGE, render(ordered, found))


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, also when the process is stopped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".new")
    scratch.write_text(text, "utf-8")
    os.replace(scratch, path)


def render(rows: dict[str, dict[str, Any]], of_tables: dict[str, Any]) -> str:
    """Return the page: one table for each unit that makes claims, then its others."""
    units = list(dict.fromkeys(c.unit for c in claims.load().values()))
    parts = [HEAD]
    for unit in units:
        known = catalogue.unit(unit)
        lines = [
            f"## [{known.title}](../{known.source})\n",
            "| " + " | ".join(COLUMNS) + " |",
            "|---" * len(COLUMNS) + "|",
        ]
        lines += [
            _line(claim, rows.get(id))
            for id, claim in claims.load().items()
            if claim.unit == unit
        ]
        parts.append("\n".join(lines) + "\n")
        parts += [
            tables.render(table, of_tables.get(id, {}).get("values"))
            for id, table in tables.declared().items()
            if table.unit == unit
        ]
    example = {"unit": next(iter(units), "UNIT")}
    example["table"] = next(iter(tables.declared()), "TABLE")
    return "\n".join([*parts, FOOT.format(**example)])


def _line(claim: Claim, found: dict[str, Any] | None) -> str:
    """Return a claim's line of its table."""
    mean, seeds, verdict = "–", "–", MISSING
    if found:
        mean = "–" if found["mean"] is None else f"{found['mean']:.3f}"
        if found["interval"]:
            mean += " [{:.3f}, {:.3f}]".format(*found["interval"])
        seeds = f"{found['holds']}/{len(found['values'])}"
        verdict = found["verdict"]
        if verdict != claim.verdict:
            verdict = f"**{verdict}** (recorded: {claim.verdict})"
    says = f"{claim.says} (`{claim.id}`)"
    cells = [says, claim.measures, claim.bar.replace(">=", "≥").replace("<=", "≤")]
    cells += [mean, seeds, verdict, claim.recipe, claim.source]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def problems() -> list[str]:
    """Return how ledger, page and claims.toml differ, one readable line each."""
    rows, found = measured(), []
    page, of_tables = paths.root() / PAGE, measured_tables()
    if load() != rows or _stored().get(TABLES, {}) != of_tables:
        found.append(f"{FILE.name} is not what its values and claims.toml give")
    if not page.exists() or page.read_text("utf-8") != render(rows, of_tables):
        found.append(f"{PAGE} is not what {FILE.name} and claims.toml give")
    return [f"{line}: run `securetrain claims --page`" for line in found]


def surprises(only: str | None = None) -> list[str]:
    """Return the claims, of a unit or all, that did not do what is recorded.

    Without a unit, tables that were not measured are among them.
    """
    found, rows = [], measured()
    for id, claim in claims.load().items():
        this = rows.get(id)
        if only not in (None, claim.unit):
            continue
        if this is None:
            found.append(f"{id}: {MISSING}")
        elif this["verdict"] != claim.verdict:
            of = f"{this['holds']} of {len(this['values'])} seeds reach {claim.bar}"
            found.append(f"{id}: {of}, recorded: {claim.verdict}")
    missing = tables.declared().keys() - measured_tables() if only is None else ()
    return found + [f"{id}: {MISSING}" for id in sorted(missing)]


def main(argv: list[str]) -> int:
    """Run the command; 1 when the page is old or a claim differs from its verdict."""
    parser = argparse.ArgumentParser(
        prog="securetrain claims", description="Run every claim over several seeds."
    )
    parser.add_argument("--seeds", type=int, default=5, help="runs a lesson (5)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--unit", help="measure this lesson only")
    only.add_argument("--table", help="measure this table only")
    only.add_argument("--page", action="store_true", help=f"write {PAGE}, run nothing")
    only.add_argument("--check", action="store_true", help=f"is {PAGE} up to date?")
    chosen = parser.parse_args(argv)
    if chosen.check:
        for line in (found := problems()):
            print(line, file=sys.stderr)
        return 1 if found else 0
    if chosen.page:
        write(measured())
        return 0
    if chosen.seeds < 1:
        raise ValueError(f"need at least 1 seed, got {chosen.seeds}")
    if chosen.table:
        measure_table(chosen.table, chosen.seeds)
        return 0
    _measure_all(chosen.unit, chosen.seeds)
    for line in (found := surprises(chosen.unit)):
        print(line, file=sys.stderr)
    return 1 if found else 0


def _measure_all(only: str | None, seeds: int) -> None:
    """Measure one unit, or all and the tables, one notebook at a time."""
    units = list(dict.fromkeys(claim.unit for claim in claims.load().values()))
    if only and only not in units:
        raise ValueError(f"no claims of '{only}'; there are: {', '.join(units)}")
    if not find_spec("papermill"):
        raise ValueError("papermill is missing; `make test` installs what authors need")
    for unit in units:
        if only in (None, unit):
            measure(unit, seeds)
    for id in () if only else tables.declared():
        measure_table(id, seeds)
