"""What a cell showed, as far as a page may show it: text, PNG and JPEG, and not much.

Everything here comes from a student's process, so every type and size is checked, and
what is kept is small: a checker holds it until its hand-in is done.
"""

from __future__ import annotations

import base64
import struct
from typing import Any

from graders.text import clean

MAX_OUTPUT = 1_000_000  # characters of all outputs of a notebook
MAX_TEXT = 10_000  # of one value shown as text
EACH = 100  # what an output costs besides its text, in characters
PIXELS = 100  # as many as cost a character: a small file can hold billions
CUT = "\n[cut: a notebook shows at most 1 MB of output]"


def allowed(answer: dict[str, Any], left: int) -> tuple[list[dict[str, Any]], int]:
    """Return a cell's outputs as far as they are text, PNG or JPEG, and what is left.

    answer: what the student's process says that the cell showed; anything may be in it
    """
    outputs: list[dict[str, Any]] = []
    text = answer.get("text")
    if type(text) is str and (text := clean(text, left)):
        text = text if len(text) <= left else text[:left] + CUT
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
        left -= len(text)
    shown = answer.get("shown")
    for item in shown if type(shown) is list else []:
        data, size = _data(item) if left > 0 else ({}, 0)
        if data and size <= left:
            left -= size
            kind = {"output_type": "display_data", "metadata": {}}
            outputs.append(kind | {"data": data})
    if answer.get("error"):
        name, message, number, _ = answer["error"]
        where = f" (line {number})" if 0 < number < 10**6 else ""
        outputs.append(error(clean(name, 80), clean(message) + where))
    return outputs, max(left, 0)


def _data(item: Any) -> tuple[dict[str, str], int]:
    """Return the harmless ones among an output's representations, and what they cost.

    A picture costs its text, and its pixels: those are what a browser has to hold.
    """
    kept: dict[str, str] = {}
    cost = EACH
    if type(item) is not dict:
        return kept, cost
    for kind, size_of in SIZES.items():
        if type(item.get(kind)) is not str or len(item[kind]) > MAX_OUTPUT:
            continue
        try:
            raw = base64.b64decode(item[kind], validate=False)
            width, height = size_of(raw)
        except (ValueError, struct.error):  # no picture of this kind
            continue
        kept[kind] = base64.b64encode(raw).decode()
        cost += width * height // PIXELS
    if type(item.get("text/plain")) is str:
        kept["text/plain"] = clean(item["text/plain"], MAX_TEXT)
    return kept, cost + sum(map(len, kept.values()))


def _png(raw: bytes) -> tuple[int, int]:
    """Return a PNG's width and height in pixels: its first chunk says them."""
    if raw[:8] != b"\x89PNG\r\n\x1a\n" or raw[12:16] != b"IHDR":
        raise ValueError("no PNG")
    return struct.unpack(">II", raw[16:24])


def _jpeg(raw: bytes) -> tuple[int, int]:
    """Return a JPEG's width and height in pixels: its first frame header says them.

    Only what every reader takes in the same way is taken: segments, one after another.
    """
    if raw[:2] != b"\xff\xd8":
        raise ValueError("no JPEG")
    place = 2
    while True:
        mark, kind, length = struct.unpack(">BBH", raw[place : place + 4])
        if mark != 0xFF or length < 2 or not 0xC0 <= kind <= 0xFE or kind in ALONE:
            raise ValueError("no JPEG")
        if kind <= 0xCF and kind not in TABLES:
            height, width = struct.unpack(">HH", raw[place + 5 : place + 9])
            return width, height
        place += 2 + length


TABLES = (0xC4, 0xC8, 0xCC)  # among the numbers of frames, but none
ALONE = range(0xD0, 0xDA)  # they have no length
SIZES = {"image/png": _png, "image/jpeg": _jpeg}


def error(name: str, message: str) -> dict[str, Any]:
    """Return an error output; a check's verdict is shown as one."""
    lines = [f"{name}: {message}"]
    return {
        "output_type": "error",
        "ename": name,
        "evalue": message,
        "traceback": lines,
    }
