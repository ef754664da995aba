"""What a policy of AWS allows: yes, no, or "cannot tell", which is not yes.

A small evaluator of policy documents: Effect, Action, NotAction, Resource, NotResource
and Condition, with explicit Deny first. It does not know resource policies, boundaries,
sessions, or policy variables; what it does not know, it says.
Source: AWS Identity and Access Management, policy evaluation logic and policy grammar
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALLOW, DENY, UNKNOWN = "allow", "deny", "cannot tell"
Truth = bool | None  # None: cannot tell
Context = Mapping[str, Any]
STATEMENT = frozenset(
    ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"]
)
OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?")


@dataclass(frozen=True)
class Decision:
    """verdict: ALLOW, DENY or UNKNOWN; why: the statement that decided"""

    verdict: str
    why: str


def decide(
    action: str,
    resource: str,
    context: Context,
    policies: Sequence[Any],
    guards: Sequence[Any] = (),
) -> Decision:
    """Say whether a call is allowed by identity policies, and by guards above them.

    context: condition key -> value, list of values, or None where the call surely has
    none; a key that is not there cannot be told. guards: one service control policy for
    each level of the organisation; each must allow the call, too.
    Raises ValueError for a policy document that AWS would not take, or of another
    version than 2012-10-17.
    """
    whole = [("identity policy", list(policies))]
    whole += [("service control policy", [guard]) for guard in guards]
    decisions = [
        _one(kind, [s for policy in group for s in statements(policy)],
             action, resource, context)
        for kind, group in whole
    ]  # fmt: skip
    for verdict in (DENY, UNKNOWN):
        for decision in decisions:
            if decision.verdict == verdict:
                return decision
    return decisions[0]


def _one(
    kind: str, rows: list[Mapping], action: str, resource: str, context: Context
) -> Decision:
    """Return the verdict of statements that are read together."""
    asked = action, resource, context
    denies = [(row, applies(row, *asked)) for row in rows if row["Effect"] == "Deny"]
    allows = [(row, applies(row, *asked)) for row in rows if row["Effect"] == "Allow"]
    for row, truth in denies:
        if truth:
            return Decision(DENY, f"{kind}: {_name(row)} denies {action}")
    if all(truth is False for _, truth in allows):
        return Decision(DENY, f"{kind}: nothing allows {action} on {resource}")
    for row, truth in denies:
        if truth is None:
            return Decision(UNKNOWN, f"{kind}: {_name(row)} may deny {action}")
    for row, truth in allows:
        if truth:
            return Decision(ALLOW, f"{kind}: {_name(row)} allows {action}")
    return Decision(UNKNOWN, f"{kind}: what may allow {action} cannot be told")


def _name(row: Mapping) -> str:
    return str(row.get("Sid") or "a statement")


# --- Documents ---------------------------------------------------------------------


def statements(policy: Any) -> list[Mapping]:
    """Return a document's statements. Raises ValueError for what AWS would refuse."""
    if not isinstance(policy, Mapping) or "Statement" not in policy:
        raise ValueError("a policy is a mapping with a Statement")
    if policy.get("Version") != "2012-10-17":
        raise ValueError(f"expected Version 2012-10-17, got {policy.get('Version')!r}")
    rows = policy["Statement"]
    rows = [rows] if isinstance(rows, Mapping) else rows
    if not isinstance(rows, list):
        raise ValueError("Statement is a list of statements")
    for row in rows:
        _check(row)
    return rows


def _check(row: Any) -> None:
    if not isinstance(row, Mapping):
        raise ValueError(f"a statement is a mapping, got {type(row).__name__}")
    if strange := set(row) - STATEMENT:
        raise ValueError(f"a statement has no {', '.join(sorted(map(str, strange)))}")
    if row.get("Effect") not in ("Allow", "Deny"):
        raise ValueError(f"Effect is Allow or Deny, got {row.get('Effect')!r:.40}")
    for name in ("Action", "Resource"):
        given = [key for key in (name, f"Not{name}") if key in row]
        if len(given) != 1:
            raise ValueError(f"expected one of {name} and Not{name}")
        if not _texts(row[given[0]]):
            raise ValueError(f"{given[0]} is text or a list of texts")
    conditions = row.get("Condition", {})
    if not isinstance(conditions, Mapping) or not all(
        isinstance(part, Mapping) for part in conditions.values()
    ):
        raise ValueError("Condition maps operators to keys and values")


def _texts(value: Any) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if isinstance(values, list) and all(isinstance(one, str) for one in values):
        return values
    return []


# --- One statement -----------------------------------------------------------------


def applies(row: Mapping, action: str, resource: str, context: Context) -> Truth:
    """Say whether a statement is about this call; None when that cannot be told."""
    parts = [
        _listed(row, "Action", action.lower(), str.lower),
        _listed(row, "Resource", resource, str),
    ]
    for operator, keys in row.get("Condition", {}).items():
        parts += [_holds(operator, key, want, context) for key, want in keys.items()]
    return _all(parts)


def _listed(row: Mapping, name: str, value: str, fold: Callable[[str], str]) -> Truth:
    inside = _any(_like(fold(pattern), value) for pattern in _texts(row.get(name, [])))
    if name in row:
        return inside
    outside = _any(_like(fold(one), value) for one in _texts(row[f"Not{name}"]))
    return None if outside is None else not outside


def _like(pattern: str, value: str) -> Truth:
    """Match `*` and `?`; a policy variable cannot be told."""
    if "${" in pattern:
        return None
    escaped = pattern.replace("[", "[[]")  # a bracket is a letter to AWS
    return fnmatch.fnmatchcase(value, escaped)


def _all(parts: Iterable[Truth]) -> Truth:
    parts = list(parts)
    return False if False in parts else None if None in parts else True


def _any(parts: Iterable[Truth]) -> Truth:
    parts = list(parts)
    return True if True in parts else None if None in parts else False


# --- Conditions --------------------------------------------------------------------


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], Truth]:
    def one(want: str, have: str) -> Truth:
        try:
            return compare(float(have), float(want))
        except ValueError:
            return None

    return one


def _arn(want: str, have: str) -> Truth:
    """Match part by part: a `*` in an ARN does not reach over a colon."""
    wanted, had = want.split(":", 5), have.split(":", 5)
    if len(wanted) != 6 or len(had) != 6:
        return None
    return _all(_like(w, h) for w, h in zip(wanted, had, strict=True))


COMPARE: dict[str, Callable[[str, str], Truth]] = {
    "StringEquals": lambda want, have: None if "${" in want else want == have,
    "StringEqualsIgnoreCase": lambda want, have: (
        None if "${" in want else want.lower() == have.lower()
    ),
    "StringLike": _like,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": lambda want, have: want.lower() == have.lower(),
    "NumericEquals": _number(lambda have, want: have == want),
    "NumericLessThan": _number(lambda have, want: have < want),
    "NumericLessThanEquals": _number(lambda have, want: have <= want),
    "NumericGreaterThan": _number(lambda have, want: have > want),
    "NumericGreaterThanEquals": _number(lambda have, want: have >= want),
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}


def _holds(operator: str, key: str, want: Any, context: Context) -> Truth:
    """Say whether one condition holds; None for what this evaluator does not know."""
    match = OPERATOR.fullmatch(operator)
    known = {name.lower(): value for name, value in context.items()}
    if match is None or key.lower() not in known:
        return None
    quantifier, name, if_exists = match.groups()
    wanted = [_text(one) for one in (want if isinstance(want, list) else [want])]
    values = known[key.lower()]
    if None in wanted or not wanted:
        return None
    if name == "Null":
        missing = values is None or values == []
        return {"true": missing, "false": not missing}.get(wanted[0].lower())
    positive = NEGATED.get(name, name)
    if positive not in COMPARE:
        return None
    if values is None or values == []:
        if quantifier == "ForAllValues" or if_exists:
            return True
        return quantifier is None and name in NEGATED
    had = [_text(one) for one in (values if isinstance(values, list) else [values])]
    if quantifier is None and len(had) > 1:  # AWS warns: the outcome is not defined
        return None
    each = [_any(COMPARE[positive](w, have) for w in wanted) for have in had]
    if name in NEGATED:
        each = [None if truth is None else not truth for truth in each]
    return _any(each) if quantifier == "ForAnyValue" else _all(each)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None
