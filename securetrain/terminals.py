"""Words that somebody else wrote, on their way to a terminal.

The attacker writes a name, a record or a commit message, and hides escape sequences in
it: a terminal that prints them clears lines, changes its title, or shows other words.
"""

from __future__ import annotations

import re


def shown(text: str) -> str:
    """Return text of one line that cannot steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def lines(text: str) -> str:
    """Return text whose lines stay lines, and that cannot steer a terminal."""
    parts = re.split("([\n\t])", text)
    return "".join(part if part in ("\n", "\t") else shown(part) for part in parts)
