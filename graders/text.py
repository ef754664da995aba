"""What strangers wrote, made fit to be shown: on a terminal, in a list, in a page."""

from __future__ import annotations

import re
from typing import Any

MAX_MESSAGE = 2000
# Codes for a terminal, control characters, and what turns the direction of text around:
# code would read other than it runs.
CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
TAG = re.compile(r"<(?=[A-Za-z/!?])")
LINK = re.compile(r"\](\s*)([(:])")
ENTITY = re.compile(r"&(?=[#\w])")
# What formulas may do in a page besides being formulas, as MathJax draws them.
FORMULA = re.compile(r"\\(?=href|url|require|class|cssId|style|bbox|unicode|html|mml)")
UNSEEN = "\u200b"  # a space of no width


def clean(text: Any, limit: int = MAX_MESSAGE) -> str:
    """Return text without control characters, of at most `limit` characters."""
    text = str(text)[: limit + 1].encode("utf-8", "replace").decode()
    text = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return text if len(text) <= limit else text[:limit] + " …"


def line(text: Any) -> str:
    """Return text as one line, for a terminal or a list."""
    return " ".join(clean(text).split())


def harmless_markdown(text: str) -> str:
    """Return prose that shows as it is, without tags, links and images in a page.

    A link may run a script, an image tells a stranger who reads when.
    """
    text = TAG.sub("&lt;", ENTITY.sub("&amp;", text))
    text = FORMULA.sub(lambda _: f"\\{UNSEEN}", text)
    return LINK.sub(lambda end: f"]{end[1]}&#{ord(end[2])};", text)
