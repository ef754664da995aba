"""Every hostile hand-in, by name."""

from __future__ import annotations

from corpus.forging import Hostile, Place
from corpus.hostile_file import FILE
from corpus.hostile_limits import LIMITS
from corpus.hostile_page import PAGE
from corpus.hostile_python import PYTHON
from corpus.hostile_reach import REACH
from corpus.hostile_wire import WIRE

__all__ = ["HOSTILE", "Hostile", "Place"]

THEMES = {
    "file": FILE,
    "python": PYTHON,
    "wire": WIRE,
    "reach": REACH,
    "limits": LIMITS,
    "page": PAGE,
}
HOSTILE = {one.name: one for theme in THEMES.values() for one in theme}
