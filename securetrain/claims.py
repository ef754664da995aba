"""Claims are checked: a number of this run against the bar it must reach.

All claims stand in claims.toml, each with its sentence, bar, recipe and source. A
claim that a paper makes and that does not hold at our scale stays there, marked so.
"""

from __future__ import annotations

import html
import json
import operator
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("claims.toml")
COMPARE = {">=": operator.ge, "<=": operator.le}
REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"


@dataclass(frozen=True)
class Claim:
    """One sentence that a number can bear out.

    unit: the lesson that measures it; bar: ">= 0.95" or "<= 0.05"; verdict: what
    every run is expected to find, "reproduced" or "not reproduced"
    """

    id: str
    unit: str
    says: str
    measures: str
    bar: str
    recipe: str
    source: str
    verdict: str

    def holds(self, value: float) -> bool:
        """Return whether `value` reaches the bar; NaN never does."""
        sign, limit = self.bar.split()
        return COMPARE[sign](float(value), float(limit))


@cache
def load() -> dict[str, Claim]:
    """Return every claim by its id.

    Raises ValueError, naming the claim, for a missing field, bar or verdict.
    """
    claims = {}
    for key, fields in tomllib.loads(FILE.read_text("utf-8")).items():
        try:
            found = Claim(id=key, **fields)
            sign, limit = found.bar.split()
            COMPARE[sign], float(limit)
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{FILE.name}: claim '{key}': {error}") from error
        if found.verdict not in (REPRODUCED, NOT_REPRODUCED):
            raise ValueError(f"{FILE.name}: claim '{key}': verdict '{found.verdict}'")
        claims[key] = found
    return claims


def claim(id: str, value: float) -> None:
    """Show a claim beside this run's number, and whether it reproduced.

    With SECURETRAIN_CLAIMS set to a file, appends the outcome as one JSON line.
    Raises ValueError for an id that is not in claims.toml.
    """
    from IPython.display import display

    known = load()
    if id not in known:
        raise ValueError(f"no claim '{id}' in {FILE.name}; known: {', '.join(known)}")
    this = known[id]
    reproduced = this.holds(value)
    if path := os.environ.get("SECURETRAIN_CLAIMS"):
        line = {"id": id, "value": float(value), "reproduced": reproduced}
        line["expected"] = this.verdict == REPRODUCED
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    display(_bundle(this, value, reproduced), raw=True)


def _bundle(this: Claim, value: float, reproduced: bool) -> dict[str, str]:
    """Return the outcome as text and as HTML."""
    outcome = REPRODUCED if reproduced else f"{NOT_REPRODUCED} in this run"
    note = ""
    if reproduced != (this.verdict == REPRODUCED):
        note = f" (over our seeds: {this.verdict})"
    number = f"{this.measures} {value:.3f}, bar {this.bar}"
    text = f"Claim {outcome}{note}: {this.says}\n  {number} · {this.source}"
    colour = "#0072b2" if reproduced else "#d55e00"
    page = (
        f'<div style="border-left: 4px solid {colour}; padding: 2px 12px">'
        f"<strong>Claim {outcome}</strong>{note}: {html.escape(this.says)}<br>"
        f"{html.escape(number)} · <small>{html.escape(this.source)}</small></div>"
    )
    return {"text/plain": text, "text/html": page}
