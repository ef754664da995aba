"""Do a rules file's alerts read what exists, and does somebody hear them?

The attacker changes the file that the alarms are made of: one letter of a metric's
name, a missing comparison, a wait of a month. Prometheus takes them all; what nothing
exports is simply never above a threshold. `promtool check rules` does not ask.

Not judged: whether a threshold is a good one, a comparison the right way round, a
label's value one that exists, an `unless` always true; and what silences Alertmanager
holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from securetrain.plain_yaml import Document

# What exporter.py exports; a test compares it with a scrape.
EXPORTED = frozenset(
    f"training_{name}"
    for name in ("batches_total", "loss", "top_loss", "class_loss", "labels_total")
    + ("input", "monitor_score", "monitor_threshold")
)
LABELS = frozenset({"monitor", "label", "statistic"})  # what it tells them apart by
TARGET = frozenset({"job", "instance"})  # what Prometheus adds to each
NEW_LABELS = frozenset({"label_replace", "label_join", "count_values"})
ALWAYS = frozenset({"up", "scrape_duration_seconds", "ALERTS"})  # Prometheus' own
NEEDED = ("training_monitor_score", "training_batches_total", "up")
MAX_WAIT, HOUR = 3600, "1 hour"  # seconds that an alert may wait before it fires

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
FIRES_WHEN = frozenset({"==", "!=", ">", "<", ">=", "<=", "absent", "absent_over_time"})
UNITS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "y": 31536000,
}
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
    found, labels, inside, listed = [], [], False, False
    parts = tokens(expr)
    for (kind, part), (_, after) in zip(parts, [*parts[1:], ("", "")], strict=True):
        if part == "{":
            inside = True
        elif part == "}":
            inside = False
        elif part == ")":
            listed = False
        elif kind == "name" and inside and part == "__name__":
            raise ValueError("__name__ hides which metric is read; write its name")
        elif kind == "name" and (inside or listed):
            labels.append(part)
        elif kind == "name":
            if part.lower() in WORDS:
                listed = part.lower() in LISTS and after == "("
            elif after == "(" or (part in FUNCTIONS and after in ("by", "without")):
                if part not in FUNCTIONS:
                    raise ValueError(f"{part} is no function that this check knows")
            else:
                found.append(part)
    return found, labels


def seconds(text: object) -> float:
    """Return a duration such as 5m or 1h30m in seconds. Raises ValueError else."""
    parts = re.findall(r"([0-9]+)(ms|[smhdwy])", text) if isinstance(text, str) else []
    if not parts or "".join(map("".join, parts)) != text:
        raise ValueError(f"expected a duration such as 5m, got {text!r:.40}")
    return sum(int(n) * UNITS[unit] for n, unit in parts)


def findings(
    document: Document,
    exported: Collection[str] = EXPORTED,
    needed: Collection[str] = NEEDED,
    labels: Collection[str] = LABELS,
) -> Iterator[str]:
    """Yield `file:line: what is wrong` for a rules file that was read.

    exported, labels: every metric and every label there is; needed: metrics that an
    alert must read
    """
    rules = list(_rules(document))
    if not isinstance(_get(document.data, "groups"), list):
        yield f"{document.where()}: expected groups, a list"
        return
    known, watched, told = {*exported, *ALWAYS}, set(), {*labels, *TARGET}
    left = [rule for _, rule in rules if isinstance(_get(rule, "record"), str)]
    while sound := [rule for rule in left if not _judge(rule, known, told)[0]]:
        known |= {rule["record"] for rule in sound}  # what it records does exist
        left = [rule for rule in left if rule not in sound]
    for path, rule in rules:
        wrong, read = _judge(rule, known, told)
        yield from (f"{document.where(*path, key)}: {says}" for key, says in wrong)
        watched |= read if not wrong and "alert" in rule else set()
    yield from (f"{document.where(*path)}: {says}" for path, says in _slow(document))
    for name in needed:
        if name not in watched:
            yield f"{document.where('groups')}: no sound alert reads {name}"


def _get(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, dict) else None


def _rules(document: Document) -> Iterator[tuple[tuple, Any]]:
    """Yield each rule with its path."""
    groups = _get(document.data, "groups")
    for g, group in enumerate(groups if isinstance(groups, list) else []):
        rules = _get(group, "rules")
        if not isinstance(_get(group, "name"), str) or not isinstance(rules, list):
            yield ("groups", g), None
            continue
        for r, rule in enumerate(rules):
            yield ("groups", g, "rules", r), rule


def _slow(document: Document) -> Iterator[tuple[tuple, str]]:
    """Yield the groups that are asked too seldom, or no one knows how often."""
    for g, group in enumerate(document.data["groups"]):
        if isinstance(group, dict) and "interval" in group:
            path = ("groups", g, "interval")
            try:
                if seconds(group["interval"]) > MAX_WAIT:
                    yield path, f"is asked less often than once in {HOUR}"
            except ValueError as error:
                yield path, str(error)


def _judge(
    rule: Any, known: Collection[str], told: Collection[str]
) -> tuple[list[tuple[str, str]], set[str]]:
    """Return (key, what is wrong with it) and the metrics that a rule reads."""
    if not isinstance(rule, dict):
        return [("", "expected a group with name and rules, or a rule")], set()
    kinds = {"alert", "record"} & rule.keys()
    if len(kinds) != 1 or not isinstance(rule[min(kinds)], str):
        return [("", "expected either alert or record, with a name")], set()
    expr, wrong = rule.get("expr"), []
    if not isinstance(expr, str):
        return [("expr", "expected an expression as text")], set()
    try:
        found, labels = named(expr)
    except ValueError as error:
        return [("expr", f"not an expression: {error}")], set()
    read = set(found)
    wrong += [("expr", f"nothing exports {n}") for n in sorted(read - set(known))]
    if not NEW_LABELS & {part for _, part in tokens(expr)}:
        strange = sorted(set(labels) - set(told))
        wrong += [("expr", f"nothing has a label {name}") for name in strange]
    if "alert" in kinds:
        wrong += _alert(rule, expr)
    return wrong, read


def _compares(expr: str) -> bool:
    """Say whether an expression compares values: in { } labels are compared."""
    depth, parts = 0, [part for _, part in tokens(expr)]
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        depth += (part == "{") - (part == "}")
        if not depth and part in FIRES_WHEN and after.lower() != "bool":
            return True
    return False


def _alert(rule: Mapping[str, Any], expr: str) -> Iterator[tuple[str, str]]:
    """Yield what keeps an alert from being raised once, and heard."""
    if not _compares(expr):
        yield "expr", "compares nothing, so it fires for as long as the metric exists"
    try:
        if seconds(rule.get("for", "0s")) > MAX_WAIT:
            yield "for", f"waits longer than {HOUR}"
    except ValueError as error:
        yield "for", str(error)
    for label in ("severity", "team"):
        value = _get(rule.get("labels"), label)
        if not isinstance(value, str) or not value.strip():
            yield "labels", f"no {label}: nobody is told where it goes"
    if not isinstance(_get(rule.get("annotations"), "summary"), str):
        yield "annotations", "no summary: say what to do"
