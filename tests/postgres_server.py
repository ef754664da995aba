"""A real PostgreSQL server for tests, from Debian's packages, in a folder of its own.

It listens on a Unix socket alone: no port to clash, nothing to reach from outside.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import URL, create_engine, text

MISSING = "PostgreSQL's server is missing; install it: sudo apt install postgresql"
READY_S = 120  # a bound for a busy machine; most servers are ready in a second


def binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`, the newest, or None."""
    if found := list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return max(found, key=lambda path: float(path.parts[-3])).parent
    path = shutil.which("initdb")
    return Path(path).resolve().parent if path else None


def account() -> dict[str, Any]:
    """Return whom the server runs as, for subprocess; PostgreSQL refuses root."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise RuntimeError("run as root: expected a user postgres or nobody, got neither")


@contextlib.contextmanager
def server(programs: Path) -> Iterator[URL]:
    """Run a server and give its URL; stop it and remove its folder afterwards.

    Raises RuntimeError with the server's own words when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        who = account()
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        run = {"cwd": folder, "env": environment, **who}
        password = secrets.token_hex(16)
        make(programs, Path(folder), password, run)
        # SQLAlchemy 2.1 takes `postgresql://` for another driver, psycopg 3.
        url = URL.create("postgresql+psycopg2", "teacher", password)
        url = url.set(database="postgres", query={"host": folder})
        log = Path(folder, "log")
        command = [programs / "postgres", "-D", "data", "-k", folder, "-h", "", "-F"]
        with open(log, "wb") as file:
            process = subprocess.Popen(command, **run, stdout=file, stderr=file)
        try:
            wait(process, url, log)
            yield url
        finally:
            stop(process)


def make(programs: Path, folder: Path, password: str, run: dict[str, Any]) -> None:
    """Write an empty data folder below `folder`, whose owner has this password."""
    secret = folder / "password"
    secret.write_text(password)
    for path in (folder, secret) if "user" in run else ():
        os.chown(path, run["user"], run["group"])
    command = [programs / "initdb", "-D", "data", "-U", "teacher", "-E", "UTF8"]
    command += ["--auth=scram-sha-256", "--pwfile=password", "--no-sync"]
    done = subprocess.run(command, **run, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"initdb stopped:\n{done.stdout}{done.stderr}")


def wait(process: subprocess.Popen, url: URL, log: Path) -> None:
    """Return when the server answers; raise RuntimeError with its log otherwise."""
    end = time.monotonic() + READY_S
    where = url.set(drivername="postgresql").render_as_string(hide_password=False)
    while process.poll() is None and time.monotonic() < end:
        try:
            psycopg2.connect(where).close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")


def stop(process: subprocess.Popen) -> None:
    """Stop the server: cut its connections, then wait; kill it only at the last."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)


@pytest.fixture(scope="session")
def postgres_server():
    """Return the URL of a server that lives as long as the tests."""
    found = binaries()
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    with server(found) as url:
        yield url


def database(where: URL, like: str = "template1") -> str:
    """Return the URL, as text with its password, of a new database: a copy of another.

    like: the other's name; nobody may be connected to it
    """
    name = f"gradebook_{secrets.token_hex(4)}"
    engine = create_engine(where, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {like}"))
    engine.dispose()
    url = where.set(database=name).render_as_string(hide_password=False)
    return url.replace("%2F", "/")  # alembic's file of settings takes no percent sign


@pytest.fixture
def postgres(postgres_server):
    """Return the URL of a new and empty database."""
    return database(postgres_server)
