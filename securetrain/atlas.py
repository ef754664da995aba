"""Two pinned versions of MITRE ATLAS, compared: what is new since the last review?

A checklist ages while nobody looks. ATLAS gains techniques each quarter, and whoever
reviews wants to know three things: what is new, what of it touches us, and what nobody
here has decided about yet. Only ids and names are kept; descriptions stay with MITRE.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from securetrain import catalogue, plain_yaml, risk_map

FOLDER = Path(__file__).with_name("atlas")
DECISIONS = FOLDER / "decisions.toml"
NUMBER = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
KINDS = {  # kind -> what its ids look like
    "tactics": re.compile(r"AML\.TA[0-9]{4}"),
    "techniques": re.compile(r"AML\.T[0-9]{4}(\.[0-9]{3})?"),
    "mitigations": re.compile(r"AML\.M[0-9]{4}"),
}
VERDICTS = ("taught", "outside", "open")


# --- Versions ----------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """One version of ATLAS: number, and id -> name for each kind of KINDS."""

    number: str
    tables: Mapping[str, Mapping[str, str]]

    @property
    def names(self) -> dict[str, str]:
        """Every id and its name."""
        return {
            id: name for table in self.tables.values() for id, name in table.items()
        }

    def full(self, id: str) -> str:
        """Return a name, a sub-technique's behind its parent's: "Parent: Name"."""
        parent = self.names.get(id.rpartition(".")[0])
        return f"{parent}: {self.names[id]}" if parent else self.names[id]


def read(content: bytes, source: str) -> Version:
    """Return a pinned version. Raises ValueError that names what is wrong with it."""
    try:
        tree = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{source}: not TOML: {error}") from None
    if tree.keys() != {"version", *KINDS}:
        raise ValueError(f"{source}: expected version, {', '.join(KINDS)}")
    if not all(isinstance(tree[kind], dict) for kind in KINDS):
        raise ValueError(f"{source}: each of {', '.join(KINDS)} is a table")
    rows = [(kind, *row) for kind in KINDS for row in tree[kind].items()]
    return _version(tree["version"], rows, source)


def _version(number: Any, rows: Iterable[tuple[str, Any, Any]], source: str) -> Version:
    if not isinstance(number, str) or not NUMBER.fullmatch(number):
        raise ValueError(f"{source}: version {number!r:.40}: expected one like 5.6.0")
    tables: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for kind, id, name in rows:
        if not isinstance(id, str) or not KINDS[kind].fullmatch(id):
            raise ValueError(f"{source}: {id!r:.40} is no id of {kind}")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"{source}: {id}: expected a name, got {name!r:.40}")
        if id in tables[kind]:
            raise ValueError(f"{source}: {id} stands twice")
        tables[kind][id] = name.strip()
    for kind, table in tables.items():
        if not table:
            raise ValueError(f"{source}: no {kind} in it")
    for id in tables["techniques"]:
        if id.count(".") == 2 and id.rpartition(".")[0] not in tables["techniques"]:
            raise ValueError(f"{source}: {id} has no parent in it")
    return Version(number, tables)


def from_yaml(path: Path) -> Version:
    """Return the version in a downloaded ATLAS.yaml, as MITRE publishes it.

    Takes ids and names of tactics, techniques and mitigations, and leaves out the rest.
    Raises ValueError that names the file for anything else.
    """
    documents = plain_yaml.read_file(path)
    tree = documents[0].data if len(documents) == 1 else None
    matrices = tree.get("matrices") if isinstance(tree, dict) else None
    if not isinstance(matrices, list) or not matrices:
        raise ValueError(f"{path}: expected ATLAS.yaml, with `version` and `matrices`")
    rows = []
    for matrix in matrices:
        for kind in KINDS:
            entries = matrix.get(kind) if isinstance(matrix, dict) else None
            if not isinstance(entries, list):
                raise ValueError(f"{path}: a matrix without a list of {kind}")
            for entry in entries:
                entry = entry if isinstance(entry, dict) else {}
                rows.append((kind, entry.get("id"), entry.get("name")))
    return _version(tree.get("version"), rows, str(path))


def write(version: Version) -> str:
    """Return the text of a pin: the same text for the same version."""
    lines = [
        "# MITRE ATLAS: ids and names only; the whole is at atlas.mitre.org.",
        f'version = "{version.number}"',
    ]
    for kind, table in version.tables.items():
        lines += ["", f"[{kind}]"]
        for id in sorted(table):
            name = table[id].replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'"{id}" = "{name}"')
    return "\n".join(lines) + "\n"


@cache
def pinned(folder: Path = FOLDER) -> tuple[Version, ...]:
    """Return the pinned versions of a folder, oldest first."""
    paths = [p for p in folder.glob("*.toml") if NUMBER.fullmatch(p.stem)]
    found = [read(path.read_bytes(), str(path)) for path in paths]
    return tuple(sorted(found, key=_order))


def _order(version: Version) -> list[int]:
    return [int(part) for part in version.number.split(".")]


# --- The review --------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What differs between two versions: ids, and for `renamed` both names."""

    added: Mapping[str, str]
    removed: Mapping[str, str]
    renamed: Mapping[str, tuple[str, str]]

    @property
    def ids(self) -> list[str]:
        """Every id that changed, sorted."""
        return sorted({*self.added, *self.removed, *self.renamed})


def compare(old: Version, new: Version) -> Change:
    """Return what changed. Raises ValueError when `new` is not the newer one."""
    if _order(old) >= _order(new):
        raise ValueError(f"{new.number} is not newer than {old.number}")
    a, b = old.names, new.names
    return Change(
        {id: new.full(id) for id in sorted(b.keys() - a.keys())},
        {id: old.full(id) for id in sorted(a.keys() - b.keys())},
        {id: (a[id], b[id]) for id in sorted(a.keys() & b.keys()) if a[id] != b[id]},
    )


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a new id: a verdict of VERDICTS, where, and why."""

    verdict: str
    topic: str
    why: str


def decisions(content: bytes | None = None) -> dict[str, Decision]:
    """Return the decisions about new ids. Raises ValueError that names the bad one."""
    source = DECISIONS.name
    try:
        text = DECISIONS.read_bytes() if content is None else content
        tree = tomllib.loads(text.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{source}: not TOML: {error}") from None
    found = {}
    for id, entry in tree.items():
        if not isinstance(entry, dict) or entry.keys() != {"verdict", "topic", "why"}:
            raise ValueError(f"{source}: {id}: expected verdict, topic and why")
        if entry["verdict"] not in VERDICTS:
            raise ValueError(f"{source}: {id}: verdict: one of {', '.join(VERDICTS)}")
        if (entry["verdict"] == "taught") != bool(entry["topic"]) or not entry["why"]:
            why = "what is taught has a topic, all else none, and each says why"
            raise ValueError(f"{source}: {id}: {why}")
        found[id] = Decision(**entry)
    return found


def used() -> dict[str, tuple[str, ...]]:
    """Return where the course uses an id: id -> units, and threats of the risk map."""
    places = [(id, unit.id) for unit in catalogue.units() for id in unit.atlas]
    places += [(id, f"map: {t.id}") for t in risk_map.threats() for id in t.ids]
    ids = dict.fromkeys(id for id, _ in places)
    return {id: tuple(p for other, p in places if other == id) for id in ids}


def standing(
    id: str, uses: Mapping[str, tuple[str, ...]], known: Mapping[str, Decision]
) -> tuple[str, str]:
    """Return how we stand to a changed id, and the reason.

    One of "used", VERDICTS, and "undecided"; uses, known: as `used` and `decisions`
    """
    if id in uses:
        return "used", ", ".join(uses[id])
    if id in known:
        decision = known[id]
        where = f"{decision.topic}: " if decision.topic else ""
        return decision.verdict, where + decision.why
    family = id.rpartition(".")[0] if id.count(".") == 2 else id
    near = sorted(u for u in uses if u.startswith("AML") and u.startswith(family))
    return "undecided", f"we use {', '.join(near)}" if near else "nothing like it here"
