"""docs/claims.md for the site: its wide tables as rows that a telephone can show."""

from __future__ import annotations

import re
from collections import Counter

from coursesite import Problem, cards
from securetrain import ledger

HEAD = "| " + " | ".join(ledger.COLUMNS) + " |"
CELL = re.compile(r"(?<!\\)\|")
NAME = re.compile(r"(.*) \(`([\w-]+)`\)")
SHOWN = ["Claim", "Measured", "Bar", "Seeds", "Verdict"]


def page(markdown: str) -> str:
    """Return the page with a summary, and each table of claims as HTML.

    Raises Problem when the page holds no such table, or one of another width.
    """
    parts: list[str] = []
    verdicts: Counter[str] = Counter()
    lines = iter(markdown.splitlines())
    for line in lines:
        if line != HEAD:
            parts.append(line)
            continue
        next(lines)  # the line of dashes
        rows = []
        while line := next(lines, ""):
            rows.append(_cells(line))
        verdicts.update(_plain(row[5]) for row in rows)
        parts += [_table(rows), ""]
    if not verdicts:
        raise Problem(
            ["docs/claims.md: no table of claims; see coursesite/ledger_page"]
        )
    at = next(n for n, line in enumerate(parts) if line.startswith("## "))
    return "\n".join([*parts[:at], _summary(verdicts), "", *parts[at:]]) + "\n"


def _cells(line: str) -> list[str]:
    cells = [cell.strip().replace("\\|", "|") for cell in CELL.split(line)[1:-1]]
    if len(cells) != len(ledger.COLUMNS):
        raise Problem([f"docs/claims.md: not {len(ledger.COLUMNS)} cells: {line[:80]}"])
    return cells


def _plain(verdict: str) -> str:
    """Return a verdict without the note on what was recorded."""
    return verdict.partition(" (")[0].strip("*")


def _summary(verdicts: Counter[str]) -> str:
    """Return how many claims came out how."""
    shown = "".join(
        f'<li><strong>{count}</strong> <span class="verdict {_style(verdict)}">'
        f"{cards.text(verdict)}</span></li>"
        for verdict, count in verdicts.most_common()
    )
    return f'<ul class="totals">{shown}</ul>'


def _style(verdict: str) -> str:
    return _plain(verdict).replace(" ", "-")


def _table(rows: list[list[str]]) -> str:
    """Return a unit's claims: recipe and source stand small below each sentence."""
    shown = []
    for says, measures, bar, mean, seeds, verdict, recipe, source in rows:
        sentence, name = NAME.fullmatch(says).groups()
        first = (
            f'<span id="{name}">{cards.text(sentence)}</span>'
            f"<small>{cards.text(recipe)}<br>{cards.text(source)}<br>"
            f"<code>{name}</code></small>"
        )
        value, _, interval = mean.partition(" ")
        number = (
            f"<strong>{value}</strong> <span class='quiet'>{interval}</span>"
            f"<small>{cards.text(measures)}</small>"
        )
        mark = cards.text(verdict.replace("**", ""))
        mark = f'<span class="verdict {_style(verdict)}">{mark}</span>'
        shown.append([first, number, cards.text(bar), seeds, mark])
    return cards.table(SHOWN, shown, "claims")
