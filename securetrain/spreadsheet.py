"""Cells that no spreadsheet takes for a formula: a text in them may be anybody's."""

from __future__ import annotations

# What makes a cell a formula; the wide ones are read so in some languages.
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def safe(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = text.replace("\0", "")
    risky = text.startswith(FORMULA) or text.lstrip().startswith(FORMULA)
    return "'" + text if risky else text
