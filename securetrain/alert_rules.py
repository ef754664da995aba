"""Do a rules file's alerts read what exists, and does somebody hear them?

The attacker changes the file that the alarms are made of: one letter of a metric's
name, a missing comparison, a wait of a month. Prometheus takes them all; what nothing
exports is simply never above a threshold. `promtool check rules` does not ask.

Not judged: whether a threshold is a good one, a comparison the right way round, an
`unless` always true, a label's value one that exists where no scrape shows the values;
and what silences Alertmanager holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from securetrain import promql
from securetrain.plain_yaml import Document

# What exporter.py exports; a test compares it with a scrape.
EXPORTED = frozenset(
    f"training_{name}"
    for name in ("batches_total", "loss", "top_loss", "class_loss", "labels_total")
    + ("input", "monitor_score", "monitor_peak", "monitor_threshold")
)
LABELS = frozenset({"monitor", "label", "statistic"})  # what it tells them apart by
TARGET = frozenset({"job", "instance"})  # what Prometheus adds to each
NEW_LABELS = frozenset({"label_replace", "label_join", "count_values"})
ALWAYS = frozenset({"up", "scrape_duration_seconds", "ALERTS"})  # Prometheus' own
NEEDED = ("training_monitor_peak", "training_batches_total", "up")
Series = Mapping[str, Sequence[Mapping[str, str]]]
MAX_WAIT, HOUR = 3600, "1 hour"  # seconds that an alert may wait before it fires

UNITS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "y": 31536000,
}


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
    series: Series | None = None,
) -> Iterator[str]:
    """Yield `file:line: what is wrong` for a rules file that was read.

    exported, labels: every metric and every label there is; needed: metrics whose
    values an alert must read; series: metric -> the labels of each of its series,
    where they are known
    """
    rules = list(_rules(document))
    if not isinstance(_get(document.data, "groups"), list):
        yield f"{document.where()}: expected groups, a list"
        return
    known, watched, told = {*exported, *ALWAYS}, set(), {*labels, *TARGET}
    left = [rule for _, rule in rules if isinstance(_get(rule, "record"), str)]
    while sound := [
        rule for rule in left if not _judge(rule, known, told, series or {})[0]
    ]:
        known |= {rule["record"] for rule in sound}  # what it records does exist
        left = [rule for rule in left if rule not in sound]
    for path, rule in rules:
        wrong, read = _judge(rule, known, told, series or {})
        yield from (f"{document.where(*path, key)}: {says}" for key, says in wrong)
        watched |= read if not wrong and "alert" in rule else set()
    yield from (f"{document.where(*path)}: {says}" for path, says in _slow(document))
    for name in needed:
        if name not in watched:
            says = f"no sound alert reads the value of {name}"
            yield f"{document.where('groups')}: {says}"


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
    rule: Any, known: Collection[str], told: Collection[str], series: Series
) -> tuple[list[tuple[str, str]], set[str]]:
    """Return (key, what is wrong with it) and the metrics whose values a rule reads."""
    if not isinstance(rule, dict):
        return [("", "expected a group with name and rules, or a rule")], set()
    kinds = {"alert", "record"} & rule.keys()
    if len(kinds) != 1 or not isinstance(rule[min(kinds)], str):
        return [("", "expected either alert or record, with a name")], set()
    expr, wrong = rule.get("expr"), []
    if not isinstance(expr, str):
        return [("expr", "expected an expression as text")], set()
    try:
        found, labels = promql.named(expr)
        wrong += [("expr", says) for says in _unmet(expr, series)]
    except ValueError as error:
        return [("expr", f"not an expression: {error}")], set()
    strange = sorted(set(found) - set(known))
    wrong += [("expr", f"nothing exports {name}") for name in strange]
    if not NEW_LABELS & {part for _, part in promql.tokens(expr)}:
        strange = sorted(set(labels) - set(told))
        wrong += [("expr", f"nothing has a label {name}") for name in strange]
    if "alert" in kinds:
        wrong += _alert(rule, expr)
    return wrong, promql.valued(expr)


def _unmet(expr: str, series: Series) -> Iterator[str]:
    """Yield each choice of labels that no series of its metric has."""
    for metric, matchers in promql.selectors(expr):
        asked = [one for one in matchers if one[0] not in TARGET]  # not in a scrape
        chosen = [promql.chooses(asked, labels) for labels in series.get(metric, ())]
        if chosen and not any(chosen):
            said = ",".join(f'{label}{sign}"{value}"' for label, sign, value in asked)
            yield f"nothing in the scrape is {metric}{{{said}}}"


def _alert(rule: Mapping[str, Any], expr: str) -> Iterator[tuple[str, str]]:
    """Yield what keeps an alert from being raised once, and heard."""
    if not promql.decides(expr):
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
