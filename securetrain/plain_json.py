"""JSON that every reader takes alike: what they read differently is refused.

Of two keys alike readers choose differently, NaN and Infinity are no JSON though Python
reads them, and depth ends in an error that no `except ValueError` catches.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read(data: bytes) -> Any:
    """Return what JSON in UTF-8 says. Raises ValueError with the reason.

    A number with too large an exponent is JSON, and infinite: callers bound theirs.
    """
    try:
        text = data.decode("utf-8")
        return json.loads(text, parse_constant=_constant, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("not JSON in UTF-8") from None


def _constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
