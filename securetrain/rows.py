"""Rows of the course's own TOML files as dataclasses; a wrong key is named.

Whoever adds a unit, a threat or a fault mistypes a key. Files that strangers write are
read elsewhere, each by a reader that asks for more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

Row = TypeVar("Row")


def read(
    kind: type[Row], table: Iterable[Mapping[str, Any]], what: str, **more: Any
) -> list[Row]:
    """Return a `kind` for each entry of a table; its lists become tuples.

    what: the file and what a row of it is, such as "risk_map.toml: threat"
    more: fields that stand in no row, the same for each
    Raises ValueError that names the row and the key that is missing or unknown.
    """
    expected, found = {field.name for field in fields(kind)} - more.keys(), []
    for number, entry in enumerate(table, 1):
        id = f" ({entry.get('id', 'no id')})" if "id" in expected else ""
        for key in sorted(expected ^ entry.keys()):
            how = "missing" if key in expected else "unknown"
            raise ValueError(f"{what} {number}{id}: {how} key '{key}'")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        found.append(kind(**values, **more))
    return found
