"""MLflow, with a signed log beside it that says what MLflow should hold.

The attacker reaches the tracking server, its database or its files. They want a worse
run to win, another model to be loaded, or a password that somebody logged. MLflow
keeps whatever it is given: it signs nothing, and hashes no file that it serves.

Source: MLflow 3.17, its SQLite store; the log is `securetrain.runlog`
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from securetrain import archives, key_scanners, redaction, runlog
from securetrain.archives import Refused

if TYPE_CHECKING:
    from mlflow.entities import Run as StoredRun
    from mlflow.tracking import MlflowClient

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


# --- The store ----------------------------------------------------------------------


@dataclass(frozen=True)
class Store:
    """MLflow's client, the experiment's id, and where its database and files lie."""

    client: MlflowClient
    experiment: str
    database: Path

    def stored(self) -> list[StoredRun]:
        """Return every run that MLflow shows, the deleted too, the oldest first."""
        from mlflow.entities import ViewType

        found, token = [], None
        while True:
            page = self.client.search_runs(
                [self.experiment], "", ViewType.ALL, 1000, None, token
            )
            found += page
            if not (token := page.token):
                return sorted(found, key=lambda run: run.info.start_time)


def version() -> str:
    """Return MLflow's name and version; importing it takes seconds."""
    from importlib.metadata import version

    return f"MLflow {version('mlflow')}"


def client(address: str) -> MlflowClient:
    """Return a client of an address, with telemetry off and without its chatter."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # MLflow 3.17 maps its tables in a way that SQLAlchemy 2.1 calls deprecated.
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy")
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return MlflowClient(address)


@contextlib.contextmanager
def store(folder: Path, name: str, create: bool = False) -> Iterator[Store]:
    """Open a folder's `runs.db` and its experiment `name`, and close it again.

    create: begin a new one; otherwise a missing or broken database is refused, and not
    a byte of it is changed: MLflow itself would begin an empty one in its place
    """
    database = folder / "runs.db"
    if create and database.exists():
        raise Refused("database", f"{database} exists: it is not begun anew")
    if not create:
        check_database(database)
    ours = client(f"sqlite:///{database}")
    try:
        if create:
            place = (folder / "artifacts").resolve().as_uri()
            experiment = ours.create_experiment(name, artifact_location=place)
        else:
            found = ours.get_experiment_by_name(name)
            if found is None:
                raise Refused("database", f"{database} has no experiment {name!a}")
            experiment = found.experiment_id
        yield Store(ours, experiment, database)
    finally:
        ours._tracking_client.store._dispose_engine()


def check_database(database: Path) -> None:
    """Raise Refused unless SQLite finds this database whole; it is only read."""
    if not database.is_file():
        raise Refused("database", f"{database} is missing: expected MLflow's database")
    try:
        address = f"{database.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        said, names = str(error), []
    if said != "ok" or ("runs",) not in names:
        why = said if said != "ok" else "it has no table of runs"
        raise Refused("database", f"{database} is broken: {why}; restore a copy of it")


# --- Writing ------------------------------------------------------------------------


@dataclass(frozen=True)
class Tracker:
    """Writes each fact into the signed log first, then into MLflow.

    What cannot be logged raises, and never reaches MLflow. What MLflow then refuses, an
    odd name or a long value, stays in the log, and `differences` says so from then on.
    name: the log's; known: secrets that must not appear
    """

    store: Store
    log: Path
    name: str
    private_key: bytes
    known: Sequence[str] = ()

    def _say(self, do: str, run: str, **facts: Any) -> None:
        said = {"do": do, "run": run, **facts}
        runlog.append(self.log, self.name, said, self.private_key)

    def start(self) -> str:
        """Start a run and return its id, which MLflow draws: here it comes first."""
        run = self.store.client.create_run(self.store.experiment).info.run_id
        self._say("start", run)
        return run

    def params(self, run: str, values: Mapping[str, Any]) -> None:
        """Write hyperparameters, once and for all; secrets are taken out before."""
        for key, value in values.items():
            text = redaction.redact(key, str(value), self.known)
            self._say("param", run, key=key, value=text)
            self.store.client.log_param(run, key, text)

    def metric(self, run: str, key: str, value: float, step: int = 0) -> None:
        """Write a number of one step, once and for all."""
        text = runlog.number(value)
        self._say("metric", run, key=key, step=step, value=text)
        self.store.client.log_metric(run, key, float(text), step=step)

    def artifact(self, run: str, path: Path) -> None:
        """Hash a file and hand it to MLflow; Refused when a secret is found in it."""
        data = path.read_bytes()
        secret = any(key_scanners.holds(data, one) for one in self.known)
        if secret or key_scanners.find(data):
            raise Refused("secret", f"{path.name}: holds what looks like a key")
        facts = {"size": len(data), "digest": sha256(data).hexdigest()}
        self._say("artifact", run, path=path.name, **facts)
        with tempfile.TemporaryDirectory() as folder:  # the bytes that were hashed
            copy = Path(folder) / path.name
            copy.write_bytes(data)
            self.store.client.log_artifact(run, str(copy))

    def end(self, run: str, status: str = "FINISHED") -> None:
        """End a run: nothing more can be said of it."""
        self._say("end", run, status=status)
        self.store.client.set_terminated(run, status)


# --- Reading ------------------------------------------------------------------------


def load(store: Store, run: str, path: str, runs: Mapping[str, runlog.Run]) -> bytes:
    """Return a file of a run as the log knows it; Refused when it is any other.

    runs: of a log that was verified. The bytes that were hashed are those returned.
    """
    known = runs[run].artifacts.get(path) if run in runs else None
    if known is None:
        raise Refused("artifact", f"{path!a}: the log has no such file of this run")
    data = fetch(store, run, path)
    if (len(data), sha256(data).hexdigest()) != (known.size, known.digest):
        why = f"{len(data)} bytes of SHA-256 {sha256(data).hexdigest()[:12]}…"
        wanted = f"the log says {known.size} of {known.digest[:12]}…"
        raise Refused("artifact", f"{path!a}: swapped: {why}, {wanted}")
    return data


def fetch(store: Store, run: str, path: str) -> bytes:
    """Return what MLflow serves under a name; Refused when it serves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            local = store.client.download_artifacts(run, path, folder)
            return Path(local).read_bytes()
        except Exception as error:  # each kind of storage raises errors of its own
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            raise Refused("artifact", f"{path!a} is missing: {why}") from None


def differences(store: Store, runs: Mapping[str, runlog.Run]) -> list[str]:
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


def _run(store: Store, stored: StoredRun, facts: runlog.Run) -> Iterator[str]:
    """Yield what differs in one run."""
    run, info = stored.info.run_id, stored.info
    if info.lifecycle_stage != "active":
        yield f"MLflow calls it {info.lifecycle_stage}"
    if info.status != (facts.status or "RUNNING"):
        yield f"status {info.status}, logged {facts.status or 'RUNNING'}"
    yield from _facts("parameter", facts.params, stored.data.params)
    for key in facts.metrics.keys() | stored.data.metrics.keys():
        history = store.client.get_metric_history(run, key)
        shown = [(one.step, runlog.number(one.value)) for one in history]
        logged = {step: _kept(v) for step, v in facts.metrics.get(key, {}).items()}
        if len(shown) != len(logged) or dict(shown) != logged:
            yield f"metric {key!a}: {_short(dict(shown))}, logged {_short(logged)}"
        last = stored.data.metrics.get(key)
        newest = logged[max(logged)] if logged else None
        if last is None or runlog.number(last) != newest:
            yield f"metric {key!a}: newest shown {last}, logged {newest}"
    try:
        listed = files(store, run)
    except Exception as error:  # MLflow asks whatever address its database names
        yield f"files cannot be listed: {type(error).__name__}"
        listed = set()
    for path in listed - facts.artifacts.keys():
        yield f"file {path!a}: not in the log"
    for path in facts.artifacts:
        if why := archives.refusal(load, store, run, path, {run: facts}):
            yield f"file {why}"


def _facts(what: str, logged: Mapping, shown: Mapping) -> Iterator[str]:
    for key in logged.keys() | shown.keys():
        if logged.get(key) != shown.get(key):
            there = "none" if key not in shown else redaction.redact(key, shown[key])
            values = f"{there!a}, logged {logged.get(key, 'none')!a}"
            yield f"{what} {key!a}: {values}"  # it may go into a report: no secret


def _kept(value: str) -> str:
    """Return the number that MLflow makes of ours: it knows no infinity."""
    most = repr(sys.float_info.max)
    return {"inf": most, "-inf": f"-{most}"}.get(value, value)


def _short(history: Mapping[int, str]) -> str:
    return ", ".join(f"{s}: {v:.8}" for s, v in sorted(history.items())[-2:]) or "none"


def files(store: Store, run: str, under: str | None = None) -> set[str]:
    """Return the paths of all files that MLflow lists for a run."""
    found = set()
    for one in store.client.list_artifacts(run, under):
        found |= files(store, run, one.path) if one.is_dir else {one.path}
    return found
