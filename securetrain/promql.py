"""Expressions of Prometheus, read as far as a check of alert rules needs it.

The attacker writes an expression that Prometheus takes and that is never true: of a
metric or a label that nothing has, or one that asks whether a metric exists where its
value matters. What cannot be read here raises; nothing is skipped.

Source: Prometheus' documentation, "Querying basics" and "Functions"
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
    abs absent absent_over_time avg avg_over_time bottomk ceil changes clamp clamp_max
    clamp_min count count_over_time count_values delta deriv exp floor group
    histogram_quantile increase irate label_join label_replace last_over_time ln log10
    log2 max max_over_time min min_over_time predict_linear present_over_time quantile
    quantile_over_time rate resets round scalar sgn sort sort_desc sqrt stddev
    stddev_over_time stdvar stdvar_over_time sum sum_over_time time timestamp topk
    vector start end minute hour day_of_week day_of_month days_in_month month year
    """,
    )
)
LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
WORDS = LISTS | {"and", "or", "unless", "bool", "offset", "inf", "nan"}
# What these give is the same for every value of what they are given.
ABSENT = frozenset({"absent", "absent_over_time"})
BLIND = ABSENT | {"count", "count_over_time", "group", "present_over_time", "timestamp"}
COMPARES = frozenset({"==", "!=", ">", "<", ">=", "<="})
MATCHES = {"=", "!=", "=~", "!~"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"} | {c: c for c in "\\\\\"'"}
# Letters, classes, groups that are not repeated: read alike here and there.
ESCAPED = r"\\[.*+?|()\[\]{}\\^$/dws-]"
CLASS = rf"\[\^?\]?([^\\\[\]]|{ESCAPED})*\]"
SIMPLE = re.compile(rf"([^\\(){{}}\[]|{ESCAPED}|{CLASS}|\((?!\?)|\)(?![*+?{{]))*")
Part = tuple[str, str]  # kind and text, as tokens returns them
Matcher = tuple[str, str, str]  # label, sign, value
TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<range>\[[^\]\[]*\])|(?P<number>(?:[0-9]|\.[0-9])[0-9a-zA-Z.]*)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<sign>=~|!~|==|!=|>=|<=|[-+*/%^<>=(){},@]))""",
    re.VERBOSE,
)


def tokens(expr: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each part of an expression.

    Raises ValueError for a letter that is none, or brackets that do not close.
    """
    found, place, open_ones = [], 0, []
    text = expr.strip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if not match:
            raise ValueError(f"cannot be read from {text[place:][:20]!r} on")
        kind, part = match.lastgroup or "", match[match.lastgroup or 0]
        if part in ("(", "{"):
            open_ones.append(part)
        elif part in (")", "}") and (
            not open_ones or open_ones.pop() + part not in ("()", "{}")
        ):
            raise ValueError(f"{part} closes nothing")
        found.append((kind, part))
        place = match.end()
    if open_ones:
        raise ValueError(f"{open_ones[-1]} is not closed")
    return found


def named(expr: str) -> tuple[list[str], list[str]]:
    """Return the metrics that an expression reads, and the labels that it names.

    Raises ValueError for an unknown function, and for what cannot be read.
    """
    found = list(_names(tokens(expr)))
    metrics = [part for _, what, part in found if what == "metric"]
    return metrics, [part for _, what, part in found if what == "label"]


def _names(parts: list[Part]) -> Iterator[tuple[int, str, str]]:
    """Yield place, "metric" or "label", and name."""
    inside, listed = False, False
    for at, (kind, part) in enumerate(parts):
        after = _text(parts, at + 1)
        if part == "{":
            inside = True
        elif part == "}":
            inside = False
        elif part == ")":
            listed = False
        elif kind == "name" and inside and part == "__name__":
            raise ValueError("__name__ hides which metric is read; write its name")
        elif kind == "name" and (inside or listed):
            yield at, "label", part
        elif kind == "name":
            if part.lower() in WORDS:
                listed = part.lower() in LISTS and after == "("
            elif after == "(" or (part in FUNCTIONS and after in ("by", "without")):
                if part not in FUNCTIONS:
                    raise ValueError(f"{part} is no function that this check knows")
            else:
                yield at, "metric", part


def _text(parts: Sequence[Part], at: int) -> str:
    return parts[at][1] if at < len(parts) else ""


def compares(parts: Sequence[Part]) -> bool:
    """Say whether values are compared: in { } labels are, and `bool` gives a number."""
    depth = 0
    for at, (_, part) in enumerate(parts):
        depth += (part == "{") - (part == "}")
        if depth or part not in COMPARES:
            continue
        if _text(parts, at + 1).lower() != "bool":
            return True
    return False


def decides(expr: str) -> bool:
    """Say whether an expression is empty at times: it compares, or asks for absence."""
    parts = tokens(expr)
    return compares(parts) or any(part in ABSENT for _, part in parts)


def valued(expr: str) -> set[str]:
    """Return the metrics whose values decide, and not only whether they exist.

    `absent(a)` and `count(a) > 3` do not read `a`; `count(a > 3)` does.
    """
    parts, hidden = tokens(expr), set()
    for start, end in _blind(parts):
        if not compares(parts[start:end]):
            hidden.update(range(start, end))
    found = _names(parts)
    return {part for at, what, part in found if what == "metric" and at not in hidden}


def _blind(parts: list[Part]) -> Iterator[tuple[int, int]]:
    """Yield where the argument of each function begins and ends that reads no value."""
    for at, (_, part) in enumerate(parts):
        if part in BLIND:
            start = at + 1
            if _text(parts, start).lower() in ("by", "without"):
                start = _closed(parts, start + 1) + 1
            if _text(parts, start) == "(":
                yield start, _closed(parts, start)


def _closed(parts: list[Part], start: int) -> int:
    """Return where the bracket at `start` is closed; the end where there is none."""
    depth = 0
    for at in range(start, len(parts)):
        depth += (parts[at][1] == "(") - (parts[at][1] == ")")
        if not depth:
            return at
    return len(parts)


# --- Which series are meant ---------------------------------------------------------


def selectors(expr: str) -> list[tuple[str, list[Matcher]]]:
    """Return each metric with what is asked of its labels.

    Raises ValueError for what is neither.
    """
    parts, found = tokens(expr), []
    for at, what, metric in _names(parts):
        if what == "metric":
            inside = _text(parts, at + 1) == "{"
            found.append((metric, _matchers(parts[at + 2 :]) if inside else []))
    return found


def _matchers(parts: list[Part]) -> list[Matcher]:
    """Return label, sign and value of each comparison up to the closing bracket."""
    found: list[Matcher] = []
    while _text(parts, 0) != "}":
        kinds = [kind for kind, _ in parts[:3]]
        sign = _text(parts, 1)
        if kinds != ["name", "sign", "text"] or sign not in MATCHES:
            raise ValueError("expected label and value in { }")
        found.append((parts[0][1], sign, _plain(parts[2][1])))
        parts = parts[4:] if _text(parts, 3) == "," else parts[3:]
    return found


def _plain(quoted: str) -> str:
    """Return what a text between quotes says; ValueError for a rare escape."""

    def plain(match: re.Match) -> str:
        if match[1] not in ESCAPES:
            raise ValueError(f"{quoted} is no text that this check reads")
        return ESCAPES[match[1]]

    return re.sub(r"\\(.)", plain, quoted[1:-1])


def chooses(matchers: Collection[Matcher], labels: Mapping[str, str]) -> bool:
    """Say whether a series with these labels is meant.

    Raises ValueError for a pattern that Python and Prometheus may read differently, or
    that may take for ever.
    """
    for label, sign, value in matchers:
        there = labels.get(label, "")  # no label is an empty one
        same = _fits(label, value, there) if "~" in sign else there == value
        if same == sign.startswith("!"):
            return False
    return True


def _fits(label: str, pattern: str, value: str) -> bool:
    try:
        if not SIMPLE.fullmatch(pattern) or len(re.findall("[*+]", pattern)) > 4:
            raise ValueError
        return bool(re.fullmatch(pattern, value, re.DOTALL | re.ASCII))
    except (ValueError, re.error):
        says = "is no pattern that this check reads"
        if re.search(r"\[[^\]]*\[", pattern):  # Python takes [[:alpha:]] for letters
            says += r": write the letters of [: :] out, and a [ in a class as \["
        raise ValueError(f"{label}: {pattern!r:.40} {says}") from None
