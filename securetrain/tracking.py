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
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from securetrain import key_scanners, redaction, run_facts, runlog
from securetrain.archives import Refused
from securetrain.run_facts import Run

if TYPE_CHECKING:
    from mlflow.entities import Run as StoredRun
    from mlflow.tracking import MlflowClient

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",  # raise, and store no other value than ours
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
    address, place = f"sqlite:///{database}", (folder / "artifacts").resolve().as_uri()
    ours = client(address)
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    connections = SqlAlchemyStore(address, place).engine  # one for each address
    try:
        if create:
            experiment = ours.create_experiment(name, artifact_location=place)
        else:
            found = ours.get_experiment_by_name(name)
            if found is None:
                raise Refused("database", f"{database} has no experiment {name!a}")
            experiment = found.experiment_id
        yield Store(ours, experiment, database)
    finally:
        connections.dispose()


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

    What cannot be logged raises, and never reaches MLflow. Where MLflow then raises, on
    an odd name or a long value, the log says that, too: the fact stays said, whether
    MLflow shows it or not. A crash in between is a difference until somebody says that
    it was `refused`.
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

    @contextlib.contextmanager
    def _said(self, do: str, run: str, **facts: Any) -> Iterator[None]:
        """Say a fact, do what stands in the block, and say if that fails."""
        self._say(do, run, **facts)
        try:
            yield
        except Exception as error:
            key = next(facts[k] for k in ("key", "path", "status") if k in facts)
            with contextlib.suppress(Refused, OSError):  # a difference says so, too
                self.refused(run, do, key, facts.get("step", 0), type(error).__name__)
            raise

    def refused(self, run: str, fact: str, key: str, step: int, why: str) -> None:
        """Say that MLflow did not take what was logged; key: a status for "end"."""
        self._say("refused", run, fact=fact, key=key, step=step, why=why)

    def start(self) -> str:
        """Start a run and return its id, which MLflow draws: here it comes first."""
        run = self.store.client.create_run(self.store.experiment).info.run_id
        self._say("start", run)
        return run

    def params(self, run: str, values: Mapping[str, Any]) -> None:
        """Write hyperparameters, once and for all; secrets are taken out before."""
        for key, value in values.items():
            text = redaction.redact(key, str(value), self.known)
            with self._said("param", run, key=key, value=text):
                self.store.client.log_param(run, key, text)

    def metric(self, run: str, key: str, value: float, step: int = 0) -> None:
        """Write a number of one step, once and for all."""
        text = run_facts.number(value)
        with self._said("metric", run, key=key, step=step, value=text):
            self.store.client.log_metric(run, key, float(text), step=step)

    def artifact(self, run: str, path: Path) -> None:
        """Hash a file and hand it to MLflow; Refused when a secret is found in it."""
        data = path.read_bytes()
        secret = any(key_scanners.holds(data, one) for one in self.known)
        if secret or key_scanners.find(data):
            raise Refused("secret", f"{path.name}: holds what looks like a key")
        facts = {"size": len(data), "digest": sha256(data).hexdigest()}
        with (
            self._said("artifact", run, path=path.name, **facts),
            tempfile.TemporaryDirectory() as folder,  # the bytes that were hashed
        ):
            copy = Path(folder) / path.name
            copy.write_bytes(data)
            self.store.client.log_artifact(run, str(copy))

    def end(self, run: str, status: str = "FINISHED") -> None:
        """End a run: nothing more can be said of it."""
        with self._said("end", run, status=status):
            self.store.client.set_terminated(run, status)


# --- Reading ------------------------------------------------------------------------


def load(store: Store, run: str, path: str, runs: Mapping[str, Run]) -> bytes:
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


def files(store: Store, run: str, under: str | None = None) -> set[str]:
    """Return the paths of all files that MLflow lists for a run."""
    found = set()
    for one in store.client.list_artifacts(run, under):
        found |= files(store, run, one.path) if one.is_dir else {one.path}
    return found
