"""The checklist as one page to print: boxes, who enforces each line, owner and date.

The page is whole in itself: one file, nothing fetched, no script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from securetrain import atlas, checklist
from securetrain.checklist import Area, Part
from securetrain.pages import STATIC, text

FIELDS = ("Team", "Training run", "Owner", "Date")
SQUARE = "a machine refuses; tick when it does so in your repository"
ROUND = f"{checklist.NOBODY}; a person signs for it"


def page() -> str:
    """Return the checklist as HTML: one file that fits on one sheet."""
    style = (STATIC / "checklist.css").read_text("utf-8")
    fields = "".join(f"<span>{name}:</span>" for name in FIELDS)
    machine = sum(bool(part.checks) for part in checklist.parts())
    whole = len(checklist.parts())
    sections = "\n".join(_section(area) for area in checklist.areas())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Training-run checklist</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>Training-run checklist</h1>
<p>Square: {SQUARE}. Round: {ROUND}. A machine enforces {machine} of {whole} parts.</p>
<div class="fields">{fields}</div>
</header>
<main>
{sections}
</main>
<footer><p>A hook runs with pre-commit and again in CI; a command begins with
<code>securetrain</code>. Reviewed against MITRE ATLAS {atlas.pinned()[-1].number}.
What passes was asked about, and no more.</p></footer>
</body>
</html>
"""


def _section(area: Area) -> str:
    parts = [part for topic in area.topics for part in checklist.of(topic)]
    rows = "\n".join(_row(part) for part in parts)
    title = text(area.title)
    return (
        f"<section>\n<h2>{title}<span>Owner: ____________</span></h2>\n"
        f"<ul>\n{rows}\n</ul>\n</section>"
    )


def _row(part: Part) -> str:
    kind = "" if part.checks else ' class="by-hand"'
    says = part.says[:1].upper() + part.says[1:]
    if part.says.startswith("with "):  # goes on where the part before it ended
        says = f"… {part.says}"
    return f'<li{kind}>{text(says)}. <span class="by">{_by(part)}</span></li>'


def _by(part: Part) -> str:
    found = []
    if part.hooks:
        found.append(f"{_many('hook', part.hooks)} {_codes(part.hooks)}")
    if part.commands:
        found.append(_codes(part.commands))
    if part.hand:
        hand = re.sub("`(.+?)`", r"<code>\1</code>", text(part.hand))
        found.append(f"by hand: {hand}")
    line = "; ".join(found)
    return line[:1].upper() + line[1:]  # a command begins with "<" and stays as it is


def _many(word: str, many: Sequence[str]) -> str:
    return word if len(many) == 1 else f"{word}s"


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"<code>{text(name)}</code>" for name in names)
