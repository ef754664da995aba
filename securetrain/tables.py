"""Tables of numbers over several seeds, for what needs more runs than a lesson has.

tables.toml names each: the unit that shows it, a title, a recipe, a source, and as
`made_by` the "module:function" that returns row -> column -> value for a seed. The
values lie in the ledger; ledger.py measures and keeps them.
"""

from __future__ import annotations

import importlib
import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("tables.toml")
DIGITS = 4

Values = dict[str, dict[str, list[float]]]  # row -> column -> one value a seed


@dataclass(frozen=True)
class Table:
    """What a table shows and how it is made."""

    id: str
    unit: str
    title: str
    made_by: str
    recipe: str
    source: str

    def measure(self, seed: int) -> dict[str, dict[str, float]]:
        """Return row -> column -> value of one seed; the module is imported now."""
        module, _, function = self.made_by.partition(":")
        return getattr(importlib.import_module(module), function)(seed)


@cache
def declared() -> dict[str, Table]:
    """Return every table by its id; a ValueError names a table with a wrong key."""
    found = {}
    for key, fields in tomllib.loads(FILE.read_text("utf-8")).items():
        try:
            found[key] = Table(id=key, **fields)
        except TypeError as error:
            raise ValueError(f"{FILE.name}: table '{key}': {error}") from error
    return found


def find(id: str) -> Table:
    """Return one table; a ValueError names those that there are."""
    if id not in declared():
        known = ", ".join(declared()) or "none"
        raise ValueError(f"no table '{id}' in {FILE.name}; there are: {known}")
    return declared()[id]


def joined(values: Values, new: dict[str, dict[str, float]]) -> Values:
    """Return the values with those of one more seed.

    Raises ValueError when rows or columns differ from before, or a value is no number.
    """
    shape = {row: list(cells) for row, cells in new.items()}
    before = {row: list(cells) for row, cells in values.items()}
    if values and shape != before:
        raise ValueError(f"expected the cells {before}, got {shape}")
    for row, cells in new.items():
        for column, value in cells.items():
            if not math.isfinite(value):
                raise ValueError(f"'{row}', '{column}': expected a number, got {value}")
    return {
        row: {
            column: [*values.get(row, {}).get(column, []), round(value, DIGITS)]
            for column, value in cells.items()
        }
        for row, cells in new.items()
    }


def interval(numbers: list[float]) -> list[float]:
    """Return Student's 95 % interval of the mean of two numbers or more.

    Source: The probable error of a mean, Student 1908
    """
    from scipy.stats import t

    n = len(numbers)
    mean = sum(numbers) / n
    deviation = math.sqrt(sum((v - mean) ** 2 for v in numbers) / (n - 1))
    half = float(t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    return [round(mean - half, DIGITS), round(mean + half, DIGITS)]


def means(values: Values) -> dict[str, dict[str, float]]:
    """Return row -> column -> the mean over the seeds, rounded to three digits."""
    return {
        row: {name: round(sum(seeds) / len(seeds), 3) for name, seeds in cells.items()}
        for row, cells in values.items()
    }


def render(table: Table, values: Values | None) -> str:
    """Return a table as Markdown: each cell its mean and interval."""
    head = f"### {table.title} (`{table.id}`)\n\n"
    foot = f"\nRecipe: {table.recipe}. Source: {table.source}.\n"
    if not values:
        return f"{head}Not measured.\n{foot}"
    columns = list(next(iter(values.values())))
    seeds = len(next(iter(next(iter(values.values())).values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row, cells in values.items():
        shown = [_cell(numbers) for numbers in cells.values()]
        lines.append("| " + " | ".join([row, *shown]) + " |")
    return f"{head}{seeds} seeds.\n\n" + "\n".join(lines) + f"\n{foot}"


def _cell(numbers: list[float]) -> str:
    mean = f"{sum(numbers) / len(numbers):.3f}"
    if len(numbers) < 2:
        return mean
    return mean + " [{:.3f}, {:.3f}]".format(*interval(numbers))
