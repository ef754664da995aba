"""A team's own rules as a file, and what in its repository does not keep them.

A rule on paper stops nobody. The attacker here is a colleague in a hurry: they take a
hook out of the configuration, leave a file out of it, let an exception run on, or cite
a rule that no check enforces. So each rule names its check and its owner, the file says
what the configuration must be, and each exception ends.

Whether a rule is a good one, no check here says.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

RULES = ".securetrain/rules.toml"
CONFIG = ".pre-commit-config.yaml"
TEMPLATE = Path(__file__).with_name("rules.toml")
LONGEST = timedelta(days=90)  # of an exception
WORD = re.compile("[a-z][a-z0-9-]{0,39}")
DIGEST = re.compile("[0-9a-f]{64}")
MUST = re.compile(r"\b(MUST|SHOULD|MAY)\b")  # of RFC 2119


@dataclass(frozen=True)
class Rule:
    """What must be so.

    says: a sentence with MUST, SHOULD or MAY; owner: who answers for it
    checks: "hook ID", or "ci COMMAND" that a workflow runs; hand: what a person does
    """

    id: str
    says: str
    owner: str
    checks: tuple[str, ...]
    hand: str = ""


@dataclass(frozen=True)
class Waiver:
    """An exception: files that one hook leaves out, for a while.

    paths: whole paths, no patterns; approved: somebody else than the owner
    """

    hook: str
    paths: tuple[str, ...]
    why: str
    owner: str
    approved: str
    granted: date
    expires: date


@dataclass(frozen=True)
class Production:
    """What a model needs to be deployed, whoever asks.

    model: the name that its manifest must bear; publisher, registry, reporter: public
    keys, 32 bytes; reports: kinds that must have passed about exactly this model
    """

    model: str
    publisher: bytes
    registry: bytes
    reporter: bytes
    reports: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """A team's rules. review: the day on which somebody must have looked at them."""

    name: str
    owner: str
    review: date
    rules: tuple[Rule, ...]
    waivers: tuple[Waiver, ...] = ()
    pinned: Mapping[str, str] = field(default_factory=dict)  # path -> SHA-256
    production: Production | None = None

    @property
    def hooks(self) -> list[str]:
        """The hooks that some rule needs, each once."""
        checks = [check for rule in self.rules for check in rule.checks]
        return list(dict.fromkeys(c[5:] for c in checks if c.startswith("hook ")))


# --- Reading -----------------------------------------------------------------------


def read(content: bytes, source: str = RULES) -> Policy:
    """Return a policy. Raises ValueError that names what is wrong with it, and where.

    `securetrain policy init` writes one; docs/policy-template.md says how to go on.
    """
    try:
        tree = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{source}: not TOML: {error}") from None
    _keys(tree, {"policy", "rules"}, {"waivers", "pinned", "production"}, source)
    head = tree["policy"]
    _keys(head, {"name", "owner", "review"}, set(), f"{source}: [policy]")
    review = _day(head["review"], f"{source}: [policy]: review")
    rules = _rows(tree["rules"], f"{source}: rule", _rule)
    ids = [rule.id for rule in rules]
    if twice := {id for id in ids if ids.count(id) > 1}:
        raise ValueError(f"{source}: rule '{min(twice)}' stands twice")
    waivers = _rows(tree.get("waivers", []), f"{source}: waiver", _waiver)
    pinned = tree.get("pinned", {})
    if not isinstance(pinned, dict) or not all(map(_digest, pinned.values())):
        raise ValueError(f"{source}: [pinned]: expected path = SHA-256, 64 hex digits")
    production = None
    if "production" in tree:
        production = _production(tree["production"], f"{source}: [production]")
    found = Policy(
        _text(head["name"], f"{source}: [policy]: name"),
        _text(head["owner"], f"{source}: [policy]: owner"),
        review, rules, waivers, pinned, production,
    )  # fmt: skip
    for waiver in waivers:
        if waiver.hook not in found.hooks:
            raise ValueError(f"{source}: no rule needs the hook '{waiver.hook}'")
    return found


def _keys(tree: Any, needed: set[str], more: set[str], where: str) -> None:
    if not isinstance(tree, dict):
        raise ValueError(f"{where}: expected a table")
    for key in sorted(needed - tree.keys()):
        raise ValueError(f"{where}: '{key}' is missing")
    for key in sorted(tree.keys() - needed - more):
        raise ValueError(f"{where}: '{key}' is not known here")


def _rows(tree: Any, where: str, make: Callable[[Any, str], Any]) -> tuple:
    if not isinstance(tree, list):
        raise ValueError(f"{where}s: expected a list of tables")
    return tuple(make(row, f"{where} {number}") for number, row in enumerate(tree, 1))


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{where}: expected a text of one line that is not empty")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list of texts")
    return tuple(_text(one, where) for one in value)


def _day(value: Any, where: str) -> date:
    if type(value) is not date:
        raise ValueError(f"{where}: expected a day such as 2027-03-31, without quotes")
    return value


def _digest(value: Any) -> bool:
    return isinstance(value, str) and bool(DIGEST.fullmatch(value))


def _rule(row: Any, where: str) -> Rule:
    _keys(row, {"id", "says", "owner"}, {"checks", "hand"}, where)
    if not isinstance(row["id"], str) or not WORD.fullmatch(row["id"]):
        raise ValueError(f"{where}: id: expected a word such as signed-models")
    where = f"{where} ({row['id']})"
    says = _text(row["says"], f"{where}: says")
    if not MUST.search(says):
        raise ValueError(f"{where}: says: expected MUST, SHOULD or MAY")
    checks = _texts(row.get("checks", []), f"{where}: checks")
    for check in checks:
        if not re.fullmatch(r"hook [a-z][a-z0-9-]*|ci \S.*", check):
            raise ValueError(f"{where}: '{check}': expected 'hook ID' or 'ci COMMAND'")
    hand = _text(row["hand"], f"{where}: hand") if "hand" in row else ""
    if not checks and not hand:
        raise ValueError(f"{where}: no check, and nobody by hand: a rule on paper")
    return Rule(row["id"], says, _text(row["owner"], f"{where}: owner"), checks, hand)


def _waiver(row: Any, where: str) -> Waiver:
    texts, days = ("hook", "why", "owner", "approved"), ("granted", "expires")
    _keys(row, {*texts, *days, "paths"}, set(), where)
    paths = _texts(row["paths"], f"{where}: paths")
    if not paths or any("*" in path or path.strip("/") != path for path in paths):
        raise ValueError(f"{where}: paths: name each file, without patterns")
    found = {key: _text(row[key], f"{where}: {key}") for key in texts}
    found |= {key: _day(row[key], f"{where}: {key}") for key in days}
    waiver = Waiver(paths=paths, **found)
    if waiver.owner == waiver.approved:
        raise ValueError(f"{where}: owner and approved: two people, not one")
    if not timedelta() < waiver.expires - waiver.granted <= LONGEST:
        raise ValueError(f"{where}: expires: 1 to {LONGEST.days} days after granted")
    return waiver


def _production(tree: Any, where: str) -> Production:
    keys = ("publisher", "registry", "reporter")
    _keys(tree, {"model", "publisher"}, {"registry", "reporter", "reports"}, where)
    for key in keys:
        if key in tree and not _digest(tree[key]):
            raise ValueError(f"{where}: {key}: expected 64 hex digits, a public key")
    reports = _texts(tree.get("reports", []), f"{where}: reports")
    if bool(reports) != ("reporter" in tree):
        raise ValueError(f"{where}: reports and reporter belong together")
    model = _text(tree["model"], f"{where}: model")
    return Production(
        model, *(bytes.fromhex(tree.get(key, "")) for key in keys), reports
    )


# --- Exceptions --------------------------------------------------------------------


def exclude(paths: tuple[str, ...] | list[str]) -> str:
    """Return the `exclude:` that leaves out these files and no others, "" for none."""
    if not paths:
        return ""
    return f"^(?:{'|'.join(re.escape(path) for path in sorted(set(paths)))})$"


def waived(policy: Policy, hook: str) -> str:
    """Return the `exclude:` that the waivers of a hook allow it, ended or not."""
    asked = [w.paths for w in policy.waivers if w.hook == hook]
    return exclude([path for paths in asked for path in paths])


def ended(policy: Policy, today: date) -> list[Waiver]:
    """Return the exceptions whose last day has passed, and those not granted yet."""
    return [w for w in policy.waivers if not w.granted <= today <= w.expires]
