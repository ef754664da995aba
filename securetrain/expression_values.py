"""Working out GitHub's expressions, as a runner does before a shell sees a script.

Source: GitHub Docs, "Evaluate expressions in workflows and actions"
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from securetrain.expressions import ExpressionError, Tree, parts


def value(tree: Tree, contexts: Mapping[str, Any]) -> Any:
    """Return what an expression comes to; a missing key is null, as with GitHub.

    contexts: "github", "env", "steps", … -> plain data; "success" etc. -> bool
    Raises ExpressionError for a function that is not there.
    """
    kind = tree[0]
    if kind == "literal":
        return tree[1]
    if kind == "name":
        return contexts.get(tree[1])
    if kind == "index":
        return _pick(value(tree[1], contexts), value(tree[2], contexts))
    if kind == "all":
        whole = value(tree[1], contexts)
        items = whole.values() if isinstance(whole, Mapping) else whole or []
        return list(items)
    if kind == "call":
        return _call(tree[1], [value(arg, contexts) for arg in tree[2:]], contexts)
    if kind == "not":
        return not truth(value(tree[1], contexts))
    left = value(tree[1], contexts)
    if kind in ("&&", "||"):
        return value(tree[2], contexts) if truth(left) == (kind == "&&") else left
    return _compare(kind, left, value(tree[2], contexts))


def fill(text: str, contexts: Mapping[str, Any]) -> str:
    """Return a text with each expression replaced by its value, as text."""
    return "".join(
        part if isinstance(part, str) else plain(value(part, contexts))
        for part in parts(text)
    )


def truth(found: Any) -> bool:
    """Say whether a value counts as true."""
    return not (found is None or found is False or found == 0 or found == "")


def plain(found: Any) -> str:
    """Return a value as the text that is put into a script."""
    if found is None:
        return ""
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return found if isinstance(found, str) else json.dumps(found)


def _pick(whole: Any, key: Any) -> Any:
    if isinstance(whole, Mapping):
        same = [name for name in whole if str(name).lower() == str(key).lower()]
        return whole[same[0]] if same else None
    if isinstance(whole, list) and isinstance(key, (int, float)):
        return whole[int(key)] if 0 <= key < len(whole) else None
    if isinstance(whole, list):  # behind a `*`: the key of each
        return [one for part in whole if (one := _pick(part, key)) is not None]
    return None


def _compare(sign: str, left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        left, right = left.lower(), right.lower()
    elif type(left) is not type(right):
        left, right = _number(left), _number(right)
    if sign in ("==", "!="):
        return (left == right) == (sign == "==")
    try:
        less, equal = left < right, left == right
    except TypeError:
        return False
    return {"<": less, "<=": less or equal, ">": not (less or equal)}.get(
        sign, not less
    )


def _number(found: Any) -> float:
    try:
        return float(found or 0)
    except (TypeError, ValueError):
        return float("nan")


def _call(name: str, args: list[Any], contexts: Mapping[str, Any]) -> Any:
    if name not in FUNCTIONS:
        if name in ("success", "failure", "always", "cancelled"):
            usual = name in ("success", "always")
            return contexts.get(name, usual)
        raise ExpressionError(f"no function {name}()")
    try:
        return FUNCTIONS[name](*args)
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise ExpressionError(f"{name}() cannot take this: {error}") from None


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, list):
        return any(_compare("==", one, part) for one in whole)
    return plain(part).lower() in plain(whole).lower()


def _format(text: str, *args: Any) -> str:
    filled = re.sub(r"\{\{|\}\}|\{(\d+)\}", lambda m: (
        plain(args[int(m[1])]) if m[1] else m[0][0]), text)  # fmt: skip
    return filled


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": lambda a, b: plain(a).lower().startswith(plain(b).lower()),
    "endswith": lambda a, b: plain(a).lower().endswith(plain(b).lower()),
    "format": _format,
    "join": lambda a, sep=",": sep.join(map(plain, a)) if isinstance(a, list) else a,
    "tojson": lambda a: json.dumps(a, indent=2),
    "fromjson": json.loads,
}
