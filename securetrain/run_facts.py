"""What a log says of training runs: each fact once, and what the store then refused.

The attacker holds the log's key and wants a fact to become another. A fact that was
said stays; a second value for it is refused, by whoever writes and whoever reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from securetrain import manifests
from securetrain.archives import Refused
from securetrain.manifests import File

KEYS = {  # what may be said of a run, and in which words
    "start": {"run"},
    "param": {"run", "key", "value"},
    "metric": {"run", "key", "step", "value"},
    "artifact": {"run", "path", "size", "digest"},
    "end": {"run", "status"},
    "refused": {"run", "fact", "key", "step", "why"},  # by the store, after it was said
    "repair": {"size", "digest"},  # of no run: a torn line was set aside
}
REFUSABLE = ("param", "metric", "artifact", "end")


@dataclass
class Run:
    """One run as the log tells it; every fact was said once.

    params: texts; metrics: name -> step -> number, written as text; status: "" while
    it still runs; refused: what was said, and then refused by the store: fact, its
    name (a status for "end"), step (0 but for metrics)
    """

    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, dict[int, str]] = field(default_factory=dict)
    artifacts: dict[str, File] = field(default_factory=dict)
    status: str = ""
    refused: set[tuple[str, str, int]] = field(default_factory=set)


def _no(why: str) -> Refused:
    return Refused("run log", why)


def take(runs: dict[str, Run], said: Mapping[str, Any]) -> None:
    """Add what was said to the runs; Refused for what may not be said, or not again."""
    check(said)
    if said["do"] == "repair":
        return
    run, name = runs.get(said["run"]), f"run {said['run'][:12]!a}"
    if said["do"] == "start":
        if run is not None:
            raise _no(f"{name} was started before")
        runs[said["run"]] = Run()
        return
    if run and said["do"] == "refused" and (said["fact"] == "end" or not run.status):
        _refuse(run, name, said)
        return
    if run is None or run.status:
        raise _no(f"{name} {'has ended' if run else 'was never started'}")
    if said["do"] == "end":
        run.status = said["status"]
    elif said["do"] == "param":
        _once(run.params, said["key"], said["value"], f"{name}: parameter")
    elif said["do"] == "artifact":
        _once(run.artifacts, said["path"], _file(said), f"{name}: artifact")
    else:
        steps = run.metrics.setdefault(said["key"], {})
        _once(steps, said["step"], said["value"], f"{name}: {said['key']!a} at step")


def _refuse(run: Run, name: str, said: Mapping[str, Any]) -> None:
    """Note that the store refused a fact: it stays said, and cannot be said again."""
    fact, key, step = said["fact"], said["key"], said["step"]
    known = {
        "param": key in run.params,
        "metric": step in run.metrics.get(key, {}),
        "artifact": key in run.artifacts,
        "end": bool(run.status) and key == run.status,
    }
    if not known[fact] or (fact != "metric" and step):
        raise _no(f"{name}: {fact} {key!a} was never said, so nobody refused it")
    if (fact, key, step) in run.refused:
        raise _no(f"{name}: that {fact} {key!a} was refused was said before")
    run.refused.add((fact, key, step))


def check(said: Any) -> None:
    """Raise Refused unless this is one of the things that the log may hold."""
    do = said.get("do") if isinstance(said, Mapping) else None
    if not isinstance(do, str) or do not in KEYS or said.keys() != KEYS[do] | {"do"}:
        words = ", ".join(KEYS)
        raise _no(f"expected one of {words}, with its own keys, got {said!a:.80}")
    for key, value in said.items():
        if key in ("step", "size"):
            manifests.check_number(value, int(do == "repair"), key)
        elif not isinstance(value, str) or not (value or key == "value"):
            raise _no(f"{key}: expected text that is not empty, got {value!a:.40}")
    if do == "metric" and said["value"] != number(said["value"]):
        raise _no(f"value: expected a number as text, got {said['value']!a:.40}")
    if do == "refused" and said["fact"] not in REFUSABLE:
        raise _no(f"fact: expected {', '.join(REFUSABLE[:-1])} or {REFUSABLE[-1]}")
    if do in ("artifact", "repair"):
        manifests.check_digest(said["digest"])


def number(value: float | str) -> str:
    """Return a number as the log writes it: exact, and the same for the same float."""
    try:
        return repr(float(value))
    except (TypeError, ValueError, OverflowError):
        raise _no(f"expected a number, got {value!a:.40}") from None


def _file(said: Mapping[str, Any]) -> File:
    return File(said["size"], said["digest"])


def _once(facts: dict, key: str | int, value: Any, what: str) -> None:
    if key in facts:
        raise _no(f"{what} {key!a} was written before, and cannot be changed")
    facts[key] = value
