"""Drills: who reads the evidence finds each way in; who only looks at it finds none.

A rule that does not read names the item that is largest or smallest in name, size or
count. None may find the faulty one more often than a die does, nor tell whether a fault
is there at all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from securetrain import responder
from securetrain.scenarios import VECTORS, Fault, Month, Plan, plan

SIGMAS = 3.5  # of chance; some three hundred rules are tried
KINDS = ("leaked-secret", "forged-registry", "tampered-log", "drifting-service")
DRILLS = dict(zip(KINDS, (16, 24, 24, 10), strict=True))  # of each vector


def drill(kind: str, vector: str, number: int) -> Plan:
    """Return a drill with one fault of this kind, or with none."""
    faults = (Fault("one", kind, vector, 12, ""),) if vector else ()
    row = Month(1, "", "", faults)
    return replace(plan("2026-01", f"team-{number}"), row=row)


def seen(path: Path) -> dict[str, float]:
    """Return what a file or folder shows to whoever does not read it."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    lines = [line for one in files for line in one.read_bytes().split(b"\n")]
    longest = max(map(len, lines), default=0)
    size = sum(len(line) + 1 for line in lines)
    return {"files": len(files), "bytes": size, "lines": len(lines), "line": longest}


def items(kind: str, folder: Path) -> dict[str, dict[str, float]]:
    """Return item -> what is seen of it; of a leak, the place is looked for."""
    if kind == "leaked-secret":
        return {path.name: seen(path) for path in (folder / "files").iterdir()}
    if kind == "forged-registry":
        paths = (folder / "releases").iterdir()
        return {p.name: seen(p) | {"name": int(p.name[6:], 16)} for p in paths}
    found = {path.stem: seen(path) for path in folder.glob("*.[cj]s*")}
    found.pop("checked", None)
    for path in folder.glob("kept/*"):
        name, size = path.stem.split("-")
        log = found[name]
        log |= {"heads": log.get("heads", 0) + 1}
        log |= {"newest": max(int(size), log.get("newest", 0))}
    return found


def whole(folder: Path) -> dict[str, float]:
    """Return what is seen of all the evidence, whatever the items are."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        name = path.relative_to(folder)
        if not {"releases", "repository"} & set(name.parts[:-1]):
            found |= {f"{name} {key}": value for key, value in seen(path).items()}
    if lists := sorted(folder.glob("history/*.json")):
        now = (folder / "current.json").stat().st_size
        found["the list grew"] = now - lists[-1].stat().st_size
    return {key: v for key, v in found.items() if not key.startswith("kept/")}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return drills of a kind: vector, item, what is seen of items, of all, folder."""
    from securetrain import leaks, scenario_records, scenario_service

    images = scenario_service.pool(0)  # the same ones in each: none is looked at

    def text_of(folder: Path, line: str, when: str = "") -> Path:
        """Stand in for git: the size of its history alone is looked at."""
        (folder / ".git").mkdir(parents=True)
        (folder / ".git" / "history").write_text(line)
        return folder

    write = (
        scenario_records.secrets,
        scenario_records.registry,
        scenario_records.runs,
        scenario_service.streams,
    )
    writers = dict(zip(KINDS, write, strict=True))

    @cache
    def made(kind: str) -> list[tuple]:
        found = []
        for vector in (*VECTORS[kind], ""):
            for number in range(DRILLS[kind]):
                to = tmp_path_factory.mktemp("told") / "evidence"
                truth = writers[kind](drill(kind, vector, number), to)
                item = truth.get("places", [truth.get("item", "")])[0]
                found.append((vector, item, items(kind, to), whole(to), to))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenario_service, "pool", lambda _: images)
        patch.setattr(leaks, "repository", text_of)
        yield made


def rules(drills: list[tuple], vector: str) -> Iterator[tuple[str, float, int]]:
    """Return each rule, how often it is right about a vector, and of how many items."""
    mine = [(item, all_of) for way, item, all_of, *_ in drills if way == vector]
    for key in next(iter(mine[0][1].values())):
        for pick in (max, min):
            right = 0.0
            for item, all_of in mine:
                best = pick(one[key] for one in all_of.values())
                named = [name for name, one in all_of.items() if one[key] == best]
                right += (item in named) / len(named)
            yield f"{pick.__name__} {key}", right / len(mine), len(mine[0][1])


def deviation(ours: list[float], theirs: list[float]) -> float:
    """Return how far two groups differ in rank, in standard deviations of chance."""
    pairs = len(ours) * len(theirs)
    above = sum((a > b) + 0.5 * (a == b) for a in ours for b in theirs) / pairs
    count, ties = len(ours) + len(theirs), Counter(ours + theirs).values()
    tied = sum(n**3 - n for n in ties) / (count * (count - 1))
    spread = math.sqrt(max(count + 1 - tied, 1e-9) / (12 * pairs))
    return abs(above - 0.5) / spread


def test_the_search_sees_a_cut_log_that_is_shorter_and_a_file_that_grew():
    logs = {"a": {"lines": 9}, "b": {"lines": 20}}
    assert ("min lines", 1.0, 2) in rules([("cut", "a", logs, {}, None)] * 24, "cut")
    grown, mixed = [2.0] * 16, [1.0, 2.0] * 8
    assert deviation(grown, [1.0] * 16) > SIGMAS > deviation(mixed, mixed)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_no_name_size_or_count_tells_the_item(told, kind):
    for vector in VECTORS[kind]:
        for rule, share, many in rules(told(kind), vector):
            chance, tries = 1 / many, DRILLS[kind]
            bar = chance + SIGMAS * math.sqrt(chance * (1 - chance) / tries)
            assert share < bar, (vector, rule, share)


@pytest.mark.parametrize("kind", KINDS)
def test_no_size_or_count_tells_whether_there_is_a_fault(told, kind):
    drills = told(kind)
    calm = [one for vector, _, _, one, _ in drills if not vector]
    for item in {item for _, item, *_ in drills if kind == "leaked-secret"} or [""]:
        bad = [one for way, x, _, one, _ in drills if way and item in ("", x)]
        for key in calm[0].keys() & bad[0].keys():
            groups = [[one[key] for one in side] for side in (bad, calm)]
            assert deviation(*groups) < SIGMAS, (item, key)


@pytest.mark.parametrize("kind", KINDS)
def test_who_reads_the_evidence_finds_each_way_in_and_nothing_beside_it(told, kind):
    def read(folder: Path, number: int) -> list[responder.Found]:
        recovery = drill(kind, "", number).seed.bytes("recovery")
        readers = (
            lambda: responder.secrets(folder),
            lambda: responder.registry(folder, recovery),
            lambda: responder.logs(folder),
            lambda: responder.cameras(folder),
        )
        return list(readers[KINDS.index(kind)]())

    for vector in (*VECTORS[kind], ""):
        mine = [(item, to) for way, item, *_, to in told(kind) if way == vector]
        for number, (item, folder) in enumerate(mine[: 1 + (kind != KINDS[3])]):
            found = read(folder, number)
            assert len(found) == bool(vector), (vector, found)
            for one in found:
                where = one.value["places"][0] if "leaked" in kind else one.item
                assert (one.kind, where) == (kind, item), (vector, one)
