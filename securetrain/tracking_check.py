"""Does MLflow show what the signed log of runs says, and nothing else?

The attacker changed MLflow's records, and not the log. What the log says MLflow refused
may be there or not, but never with another value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from securetrain import archives, redaction, run_facts, tracking
from securetrain.run_facts import Run

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.entities import Run as StoredRun


def differences(store: tracking.Store, runs: Mapping[str, Run]) -> list[str]:
    """Return where MLflow shows other facts than the log, a line for each.

    Facts are a run's state, parameters, numbers and files. Nobody checks what the log
    does not hold: tags, names, owners, times, the register of models.
    """
    stored = {run.info.run_id: run for run in store.stored()}
    found = [f"{run[:8]}: in MLflow, not in the log" for run in stored.keys() - runs]
    for run, facts in runs.items():
        if run not in stored:
            found.append(f"{run[:8]}: in the log, not in MLflow")
            continue
        found += [f"{run[:8]}: {line}" for line in _run(store, stored[run], facts)]
    return sorted(found)


def _run(store: tracking.Store, stored: StoredRun, facts: Run) -> Iterator[str]:
    """Yield what differs in one run."""
    run, info, gone = stored.info.run_id, stored.info, facts.refused
    if info.lifecycle_stage != "active":
        yield f"MLflow calls it {info.lifecycle_stage}"
    ended = facts.status and ("end", facts.status, 0) not in gone
    if info.status != facts.status and (ended or info.status != "RUNNING"):
        yield f"status {info.status}, logged {facts.status or 'RUNNING'}"
    yield from _params(stored.data.params, facts)
    for key in facts.metrics.keys() | stored.data.metrics.keys():
        history = store.client.get_metric_history(run, key)
        yield from _metric(key, history, stored.data.metrics.get(key), facts)
    try:
        listed = tracking.files(store, run)
    except Exception as error:  # MLflow asks whatever address its database names
        yield f"files cannot be listed: {type(error).__name__}"
        listed = set()
    for path in listed - facts.artifacts.keys():
        yield f"file {path!a}: not in the log"
    for path in facts.artifacts:
        if path not in listed and ("artifact", path, 0) in gone:
            continue
        if why := archives.refusal(tracking.load, store, run, path, {run: facts}):
            yield f"file {why}"


def _params(shown: Mapping[str, str], facts: Run) -> Iterator[str]:
    logged = facts.params
    for key in logged.keys() | shown.keys():
        if key not in shown and ("param", key, 0) in facts.refused:
            continue
        if logged.get(key) != shown.get(key):
            there = "none" if key not in shown else redaction.redact(key, shown[key])
            values = f"{there!a}, logged {logged.get(key, 'none')!a}"
            yield f"parameter {key!a}: {values}"  # it may go into a report: no secret


def _metric(
    key: str, history: Sequence[Metric], last: float | None, facts: Run
) -> Iterator[str]:
    """Yield what differs in a metric's history, and in its newest value."""
    shown = {one.step: run_facts.number(one.value) for one in history}
    logged = {
        step: _kept(value)
        for step, value in facts.metrics.get(key, {}).items()
        if step in shown or ("metric", key, step) not in facts.refused
    }
    if len(history) != len(logged) or shown != logged:
        yield f"metric {key!a}: {_short(shown)}, logged {_short(logged)}"
    newest = logged[max(logged)] if logged else None
    if (last if last is None else run_facts.number(last)) != newest:
        yield f"metric {key!a}: newest shown {last}, logged {newest}"


def _kept(value: str) -> str:
    """Return the number that MLflow makes of ours: it knows no infinity."""
    most = repr(sys.float_info.max)
    return {"inf": most, "-inf": f"-{most}"}.get(value, value)


def _short(history: Mapping[int, str]) -> str:
    return ", ".join(f"{s}: {v:.8}" for s, v in sorted(history.items())[-2:]) or "none"
