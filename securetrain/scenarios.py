"""Twelve incidents to rehearse: what happens in which month, and a seed for each team.

The attacker of a month is a row of scenarios.toml. Whoever has the seed has the answer:
an instructor adds a secret that stays with them; without one the drill rests on honour,
and only says when somebody looked.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random

from securetrain import rows
from securetrain.debriefs import KINDS, check_month, check_team
from securetrain.manifests import canonical

FILE = Path(__file__).with_name("scenarios.toml")
VECTORS = {
    "poisoned-data": ("sticker", "mosaic", "wave", "relabelled", "cover"),
    "leaked-secret": (
        "notebook output", "git history", "checkpoint config", "optimiser state",
        "tensor view", "training log",
    ),
    "forged-registry": ("rollback", "stranger", "forged list", "twice"),
    "tampered-log": ("edited", "cut", "inserted", "forked"),
    "drifting-service": ("fog", "colour cast", "night", "noise questions"),
}  # fmt: skip
ROWS = 800  # images of a training set
ALARM = 33  # the hour of the alarm: nine o'clock of the second day


@dataclass(frozen=True)
class Fault:
    """One fault of a month; cause: the id of the fault that let it in, or ""."""

    id: str
    kind: str
    vector: str
    hour: int
    cause: str


@dataclass(frozen=True)
class Month:
    """One row of the table."""

    number: int
    title: str
    story: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Seed:
    """Where all randomness of one drill comes from, each part by its name."""

    root: bytes

    def bytes(self, name: str) -> bytes:
        """Return 32 bytes of their own, as a key or a salt."""
        return sha256(self.root + name.encode()).digest()

    def rng(self, name: str) -> Random:
        return Random(self.bytes(name))

    def number(self, name: str) -> int:
        """Return a seed for torch and others, 0 to 2^31 - 1."""
        return int.from_bytes(self.bytes(name)[:4]) >> 1


@dataclass(frozen=True)
class Plan:
    """One drill before it is made: who, when, which faults, and its seed."""

    month: str
    team: str
    hard: bool
    row: Month
    seed: Seed

    @property
    def alarm(self) -> datetime:
        """Nine o'clock on the day that the drill plays."""
        return self.at(ALARM)

    def at(self, hour: float) -> datetime:
        """Return the time of an hour of the story, in UTC."""
        year, month = map(int, self.month.split("-"))
        return datetime(year, month, 2, tzinfo=UTC) + timedelta(hours=hour)

    def fault(self, kind: str) -> Fault | None:
        """Return this month's fault of a kind, if it has one."""
        return next((f for f in self.row.faults if f.kind == kind), None)


@cache
def months() -> tuple[Month, ...]:
    """Return the twelve months. Raises ValueError, naming the month, for a bad row."""
    table = tomllib.loads(FILE.read_text("utf-8"))["months"]
    found = tuple(_month(row) for row in rows.read(Month, table, f"{FILE.name}: month"))
    if [month.number for month in found] != list(range(1, 13)):
        raise ValueError(f"{FILE.name}: expected the months 1 to 12, in order")
    return found


def _month(row: Month) -> Month:
    """Return a row whose faults were read, too."""
    where = f"{FILE.name}: month {row.number}"
    faults = tuple(rows.read(Fault, row.faults, f"{where}: fault"))
    ids = [fault.id for fault in faults]
    for fault in faults:
        if fault.vector not in VECTORS.get(fault.kind, ()):
            raise ValueError(f"{where}: no {fault.kind!r} by {fault.vector!r}")
        if fault.cause and fault.cause not in ids or not 0 < fault.hour < ALARM:
            raise ValueError(f"{where}: {fault.id}: unknown cause, or a wrong hour")
    kinds = [fault.kind for fault in faults]
    if len(set(kinds)) != len(kinds) or not kinds:
        raise ValueError(f"{where}: expected one fault a kind")
    return replace(row, faults=faults)


def plan(month: str, team: str, hard: bool = False, secret: bytes = b"") -> Plan:
    """Return the drill of a team in a month; every year has the same twelve rows.

    secret: what only the instructor has; without it the order is that of the table,
    and anybody can work out the answer
    Raises ValueError for a month or a team that cannot be.
    """
    check_month(month)
    check_team(team)
    row = months()[order(month[:4], secret)[int(month[5:]) - 1]]
    if hard:
        row = replace(row, faults=harder(row.faults))
    who = {"month": month, "team": team, "hard": hard, "secret": secret.hex()}
    root = sha256(b"securetrain scenario v1\n" + canonical(who)).digest()
    return Plan(month, team, hard, row, Seed(root))


def order(year: str, secret: bytes) -> list[int]:
    """Return the row of each month; a secret shuffles the table, which is public."""
    rows = list(range(12))
    if secret:
        seed = sha256(b"securetrain months\n" + secret + year.encode()).digest()
        Random(seed).shuffle(rows)
    return rows


def harder(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """Return a month's faults with adaptive poison and a log forked with its key."""
    wanted = {
        "poisoned-data": ("poison-1", "cover"),
        "tampered-log": ("log-1", "forked"),
    }
    found = tuple(
        replace(fault, vector=wanted[fault.kind][1]) if fault.kind in wanted else fault
        for fault in faults
    )
    have = {fault.kind for fault in faults}
    new = [
        Fault(wanted[kind][0], kind, wanted[kind][1], 9, "")
        for kind in KINDS
        if kind in wanted and kind not in have
    ]
    return (*found, *new)
