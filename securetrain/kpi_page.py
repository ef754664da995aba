"""One page for leaders, self-contained, and one table for OKR tools.

The page asks for nothing outside itself, which its own policy forbids besides. What
matters is said in words and shapes, not by colour alone.
"""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Sequence
from datetime import datetime

from securetrain import pages
from securetrain.kpi_figures import (
    HIDDEN,
    MET,
    MISSED,
    PLAIN,
    UNKNOWN,
    Figure,
    Input,
    Quarter,
    percent,
)
from securetrain.kpi_systems import minutes
from securetrain.spreadsheet import safe

OBJECTIVE = "Training that makes models safer"
SYMBOLS = {MET: "\u2713", MISSED: "\u2717", UNKNOWN: "?", HIDDEN: "\u2013", PLAIN: ""}
KINDS = {MET: "met", MISSED: "missed", UNKNOWN: "unknown", HIDDEN: "hidden", PLAIN: ""}
READING = (
    "Does the training work? Each number comes from evidence: grades, records that "
    "learners exported, drills, the log of the deployment gate. A bar is the "
    "number, its dashed mark the goal, its thin line the 95 % interval: how far chance "
    "alone may move a number of so few. A curve shows the quarters."
)
WIDTH, HEIGHT = 260, 30  # of a drawing, in its own units
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HEAD = (
    "objective", "key result", "target", "current", "unit", "status", "period", "n",
    "interval", "source", "synthetic",
)  # fmt: skip


def text(words: str) -> str:
    """Return words as HTML shows them; a percent sign stays with its number."""
    return html.escape(words).replace(" %", "\u00a0%")


# --- Drawings -------------------------------------------------------------------------


def bar(figure: Figure) -> str:
    """Return a drawing of a value, its interval and its goal; "" for mere counts."""
    if figure.value is None or figure.unit in ("decisions", "poisonings"):
        return ""
    ends = [end for end in figure.band or () if math.isfinite(end)]
    marks = [0.0, figure.value, *ends, *([figure.target] if figure.target else [])]
    low, high = min(marks), max(marks) or 1.0
    high += 0.04 * (high - low)

    def at(value: float) -> float:
        return round(WIDTH * (min(value, high) - low) / (high - low), 1)

    zero, end = sorted((at(0.0), at(figure.value)))
    parts = [f'<rect class="base" x="0" y="9" width="{WIDTH}" height="12"/>']
    wide = max(round(end - zero, 1), 1)
    parts.append(f'<rect class="value" x="{zero}" y="9" width="{wide}" height="12"/>')
    if figure.band:
        first, last = (at(end) for end in figure.band)
        parts.append(
            f'<path class="band" d="M{first} 15H{last}M{first} 11V19M{last} 11V19"/>'
        )
    if figure.target is not None:
        goal = at(figure.target)
        parts.append(f'<path class="goal" d="M{goal} 2V28"/>')
    says = f"{figure.shown}, goal {figure.goal}. {figure.interval}."
    return _svg(parts, says)


def sparkline(figure: Figure) -> str:
    """Return a drawing of the quarters; "" unless two of them are known."""
    known = {q: v for q, v in figure.trend.items() if v is not None}
    if len(known) < 2:
        return ""
    low, high = min(0.0, *known.values()), max(known.values())
    step, room = WIDTH / max(1, len(figure.trend) - 1), (high - low) or 1.0
    points, path, joined = [], "", False
    for number, value in enumerate(figure.trend.values()):
        if value is None:  # a gap, not a 0
            joined = False
            continue
        x = round(min(max(number * step, 4), WIDTH - 4), 1)
        y = round(25 - 20 * (value - low) / room, 1)
        path += f"{'L' if joined else 'M'}{x} {y}"
        points.append(f'<circle class="value" cx="{x}" cy="{y}" r="3"/>')
        joined = True
    says = "By quarter: " + ", ".join(
        f"{q} {'not known' if v is None else _said(figure, v)}"
        for q, v in figure.trend.items()
    )
    drawn = _svg([f'<path class="line" d="{path}"/>', *points], says)
    first, last = (list(figure.trend)[i] for i in (0, -1))
    return f'<p class="when"><span>{first}</span><span>{last}</span></p>{drawn}'


def _said(figure: Figure, value: float) -> str:
    """Return an earlier value as the page says its own."""
    if figure.unit == "min":
        return minutes(60 * value)
    if figure.unit != "%":
        return _number(value)
    return percent(value / 100, None if figure.target is None else figure.target / 100)


def _svg(parts: Sequence[str], says: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" preserveAspectRatio="none" '
        f'aria-label="{text(says)}">{"".join(parts)}</svg>'
    )


def _number(value: float) -> str:
    """Return a number for a program, with the digits that it takes to be compared."""
    return f"{round(value, 6) + 0.0:.6f}".rstrip("0").removesuffix(".")


# --- The page -------------------------------------------------------------------------


def card(figure: Figure) -> str:
    """Return one figure as a card."""
    mark = "Synthetic: " if figure.synthetic else ""
    chip = f"{SYMBOLS[figure.status]} {figure.status}".strip()
    rows = {"goal": figure.goal, "counted": figure.n, "period": figure.period}
    earlier = [
        f"{q} {_said(figure, v)}".replace(" ", "\u00a0")
        for q, v in list(figure.trend.items())[:-1]
        if v is not None
    ]
    rows |= {"interval": figure.interval, "earlier": ", ".join(earlier)}
    rows |= {"source": "; ".join(figure.sources)}
    facts = "".join(
        f"<dt>{name}</dt><dd>{text(said)}</dd>" for name, said in rows.items() if said
    )
    first = figure.notes[0] if figure.notes else ""
    return (
        f'<section class="card {KINDS[figure.status]}" aria-labelledby="{figure.id}">'
        f'<h2 id="{figure.id}">{text(mark + figure.title)}</h2>'
        f'<p class="what">{text(figure.what)}</p>'
        f'<p class="value">{text(figure.shown)}</p><p class="chip">{text(chip)}</p>'
        + (f'<p class="why">{text(first)}</p>' if first else "")
        + f"{bar(figure)}{sparkline(figure)}<dl>{facts}</dl></section>"
    )


def limits(figures: Sequence[Figure]) -> str:
    """Return what each number rests on, and what it cannot say."""
    parts = []
    for figure in figures:
        name = figure.title + (" (synthetic)" if figure.synthetic else "")
        notes = "".join(f"<li>{text(note)}</li>" for note in figure.notes)
        parts.append(f"<h3>{text(name)}</h3><ul>{notes}</ul>")
        for head, *rows in figure.tables:
            cells = [[text(cell) for cell in row] for row in rows]
            by = "" if " " in head[0] else f", by {head[0].lower()}"
            parts.append(pages.table(name + by, head, cells))
    return "".join(parts)


def hashes(inputs: Sequence[Input]) -> str:
    """Return the hash of every file that was read, for an auditor to compare."""
    rows = [
        [text(one.kind), "<br>".join(sorted(one.hashes)) or "none read"]
        for one in inputs
    ]
    return pages.table("SHA-256 of every file read", ["Kind", "SHA-256"], rows)


def page(
    figures: Sequence[Figure], inputs: Sequence[Input], quarter: Quarter, now: datetime
) -> str:
    """Return the whole page as HTML."""
    synthetic = any(figure.synthetic for figure in figures)
    counts = [
        f"{sum(one.status == status for one in figures)} {status}" for status in SYMBOLS
    ]
    counts = [said for said in counts if not said.startswith("0 ")]
    title = f"{'Synthetic: ' if synthetic else ''}Secure AI training, {quarter}"
    banner = (
        "Synthetic data: made by a program to try this page. It shows no people, and "
        "its dates are made up."
    )
    running = ""
    if not synthetic and f"{now:%Y-%m}" <= quarter.months[-1]:
        running = f"<p>This quarter is not over: numbers as of {now:%Y-%m-%d}.</p>"
    css = (pages.STATIC / "kpis.css").read_text("utf-8")
    made = f"{now:%Y-%m-%d %H:%M} UTC"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><title>{text(title)}</title>'
        f"<style>{css}</style></head>\n<body><main>"
        f"<h1>{text(title)}</h1>"
        + (f'<p class="banner">{banner}</p>' if synthetic else "")
        + running
        + f'<p class="summary">{", ".join(counts)}.</p><p>{text(READING)}</p>'
        + '\n<div class="cards">'
        + "\n".join(map(card, figures))
        + f"</div>\n<h2>What these numbers rest on</h2>{limits(figures)}"
        + f"\n<h2>For an auditor</h2>{hashes(inputs)}"
        + f"<p>Made {made} by <code>securetrain kpis</code> from these files, none "
        "typed in. The same files give the same numbers.</p></main></body></html>\n"
    )


# --- The table ------------------------------------------------------------------------


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as CSV; a number that is not known is an empty cell."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(HEAD)
    for one in figures:
        numbers = [one.target, one.value]
        target, current = ("" if n is None else _number(n) for n in numbers)
        made = "synthetic" if one.synthetic else ""
        words = [one.status, one.period, one.n, one.interval, "; ".join(one.sources)]
        title = f"{'Synthetic: ' if one.synthetic else ''}{one.title}: {one.goal}"
        writer.writerow(
            [OBJECTIVE, safe(title), target, current, one.unit]
            + [*map(safe, words), made]
        )
    return file.getvalue()
