"""The map of what can go wrong in the life of a model, from collection to deployment.

The threats stand in risk_map.toml, in the order of the lifecycle. Names of ATLAS and
OWASP ids come from threats.toml, stages, roles and units from the catalogue.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from securetrain import catalogue, pages, rows
from securetrain.catalogue import Unit

if TYPE_CHECKING:
    from securetrain.widgets import RiskMap

FILE = Path(__file__).with_name("risk_map.toml")
FOLDER = "course/01-risk-map"  # where the lesson lies that shows the map
COLUMNS = ["Threat", "What goes wrong", "What stops it", "Ids", "Units"]


@dataclass(frozen=True)
class Threat:
    """One thing that can go wrong.

    topic: the folder of the units that teach it, in the catalogue
    harm: a key of `harms()`; title: a few plain words
    wrong, stops: one sentence each: what goes wrong, and what stops it
    ids: of `catalogue.threats()`, ATLAS techniques and mitigations, then OWASP
    """

    id: str
    topic: str
    harm: str
    title: str
    wrong: str
    stops: str
    ids: tuple[str, ...]

    @property
    def stage(self) -> str:
        """The stage of the lifecycle: the topic's first digit."""
        return self.topic[:1]

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that teach it."""
        return tuple(u for u in catalogue.units() if u.topic == self.topic)


@cache
def harms() -> dict[str, str]:
    """Return what a threat leads to: key -> words."""
    return tomllib.loads(FILE.read_text("utf-8"))["harms"]


@cache
def threats() -> tuple[Threat, ...]:
    """Return every threat, in the order of the lifecycle."""
    return parse(tomllib.loads(FILE.read_text("utf-8")))


def parse(table: dict) -> tuple[Threat, ...]:
    """Return the threats of a map read from TOML.

    Raises ValueError that names the threat and the key that is missing or unknown.
    """
    return tuple(rows.read(Threat, table["threats"], f"{FILE.name}: threat"))


def stages() -> dict[str, tuple[Threat, ...]]:
    """Return the lifecycle: digit of each stage on the map -> its threats."""
    return {
        digit: found
        for digit in catalogue.stages()
        if (found := tuple(t for t in threats() if t.stage == digit))
    }


def problems(of: Sequence[Threat] | None = None) -> list[str]:
    """Return what is wrong with the map, one readable line each."""
    everything = threats() if of is None else tuple(of)
    found, seen = [], set()
    for threat in everything:
        found += [f"{threat.id}: {line}" for line in _faults(threat)]
        if threat.id in seen:
            found.append(f"{threat.id}: this id stands twice on the map.")
        seen.add(threat.id)
    for before, after in zip(everything, everything[1:], strict=False):
        if after.topic < before.topic:
            found.append(f"{after.id}: topic {after.topic} after {before.topic}.")
    on_map = {threat.topic for threat in everything}
    for topic in catalogue.topics():
        if topic not in on_map and topic[:1] != "0":  # stage 0 is about the map itself
            found.append(f"{topic}: in the catalogue, but no threat on the map.")
    return found


def _faults(threat: Threat) -> Iterator[str]:
    if threat.stage not in catalogue.stages() or threat.stage == "0":
        yield f"topic '{threat.topic}' belongs to no stage of the lifecycle."
    if threat.harm not in harms():
        yield f"harm '{threat.harm}', expected one of {', '.join(harms())}."
    for id in threat.ids:
        if id not in catalogue.threats():
            yield f"id '{id}' is not in threats.toml."
    if not threat.units:
        yield f"its topic '{threat.topic}' has no unit in the catalogue."
    known = {id for unit in threat.units for id in (*unit.atlas, *unit.owasp)}
    if known and not known.intersection(threat.ids):
        yield f"none of its ids is one of {threat.topic} in the catalogue."
    for name in ("title", "wrong", "stops"):
        if not getattr(threat, name).strip():
            yield f"{name} is empty."


def names(threat: Threat, *kinds: str) -> list[str]:
    """Return the threat's ids of these kinds with their names, "ML06 AI Supply …".

    kinds: how the ids begin, such as "AML.T"
    """
    known = catalogue.threats()
    return [f"{id} {known[id]}" for id in threat.ids if id.startswith(kinds)]


def show() -> RiskMap:
    """Return the map for the notebook to show: a widget, a table or text."""
    from securetrain.widgets import RiskMap  # needs Jupyter, which the rest does not

    return RiskMap(
        stages=[
            {"name": catalogue.stages()[digit], "threats": list(map(_data, members))}
            for digit, members in stages().items()
        ],
        harms=harms(),
        roles=catalogue.roles(),
    )


def _data(threat: Threat) -> dict:
    """Return a threat as the widget has it."""
    return {
        "id": threat.id,
        "harm": threat.harm,
        "title": threat.title,
        "wrong": threat.wrong,
        "stops": threat.stops,
        "attack": names(threat, "AML.T", "ML"),
        "defence": names(threat, "AML.M"),
        "roles": sorted({role for unit in threat.units for role in unit.roles}),
        "units": [_unit(unit) for unit in threat.units],
    }


def _unit(unit: Unit) -> dict:
    path = pages.reachable(unit)
    return {
        "title": unit.title,
        "facts": f"{unit.kind}, {unit.minutes} minutes",
        "path": path,
        "href": pages.relative(path, FOLDER) if path else "",
    }


def as_html() -> str:
    """Return the map as tables, one a stage, for where no widget runs."""
    tables = [
        pages.table(catalogue.stages()[digit], COLUMNS, map(_row, members))
        for digit, members in stages().items()
    ]
    return pages.framed(tables, kind="st-wide")


def _row(threat: Threat) -> list[str]:
    links = [pages.anchor(unit, unit.title, FOLDER) for unit in threat.units]
    named = map(pages.text, names(threat, "AML", "ML"))
    harm = f"<br><small>{pages.text(harms()[threat.harm])}</small>"
    words = (threat.title, threat.wrong, threat.stops)
    title, wrong, stops = map(pages.text, words)
    ids = f"<small>{'<br>'.join(named)}</small>"
    return [title + harm, wrong, stops, ids, "<br>".join(links)]


def as_text() -> str:
    """Return the map as plain text."""
    lines = []
    for digit, members in stages().items():
        lines += ["", catalogue.stages()[digit].upper()]
        for threat in members:
            titles = ", ".join(unit.title for unit in threat.units)
            lines += [
                f"- {threat.title} ({harms()[threat.harm].lower()})",
                f"    goes wrong: {threat.wrong}",
                f"    stops it:   {threat.stops}",
                f"    ids:        {', '.join(names(threat, 'AML', 'ML'))}",
                f"    units:      {titles}",
            ]
    return "\n".join(lines[1:])
