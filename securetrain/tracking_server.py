"""An MLflow server of our own on 127.0.0.1 that asks for a login.

The attacker reaches the server's port. Without a login MLflow lets them read and write
all. With one, a stranger gets nothing, a reader writes nothing, and whoever may write
still changes what others wrote: that is the signed log's part.

Source: MLflow 3.17, `mlflow server --app-name basic-auth`
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from securetrain import processes

SECONDS = 180  # on a busy machine the server takes half of it to start
ADMIN = "admin"
RULES = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/logins.db
admin_username = {admin}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def missing() -> str:
    """Return what to install before the server can ask for a login, "" if nothing."""
    there = importlib.util.find_spec("flask_wtf")
    return "" if there else "the Python package Flask-WTF (mlflow[auth])"


@dataclass(frozen=True)
class Server:
    """A server that runs; its administrator's password was drawn when it started."""

    address: str
    password: str

    def ask(
        self, path: str, body: object = None, user: str = "", word: str = ""
    ) -> int:
        """Return the status of one request, such as 200 or 401.

        path: behind the address; body: sent as JSON, or as it is when it is bytes,
        which makes an upload; user, word: a login, none when empty
        """
        raw = isinstance(body, bytes)
        data = body if raw else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.address}{path}", data, method="PUT" if raw else "POST"
        )
        request.add_header("Content-Type", "application/json")
        if user:
            login = base64.b64encode(f"{user}:{word}".encode()).decode()
            request.add_header("Authorization", f"Basic {login}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def add(self, user: str, experiment: str, may: str) -> str:
        """Make a login with a permission, READ or EDIT, and return its password.

        Raises ValueError when the server refuses.
        """
        word, login = secrets.token_urlsafe(18), (ADMIN, self.password)
        grant = {"resource_type": "experiment", "resource_id": experiment}
        grant |= {"username": user, "permission": may}
        calls = {
            "/api/2.0/mlflow/users/create": {"username": user, "password": word},
            "/api/3.0/mlflow/users/permissions/grant": grant,
        }
        for path, body in calls.items():
            status = self.ask(path, body, *login)
            if status != 200:
                raise ValueError(f"{path}: the server answers {status}")
        return word


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Serve a folder's `runs.db` and `artifacts` to those who log in; end it after.

    The jobs that MLflow's server can run are switched off. Raises ValueError when
    something must be installed first, TimeoutError when the server does not start.
    """
    if absent := missing():
        raise ValueError(f"a server with logins needs {absent}")
    port, password = processes.free_port(), secrets.token_urlsafe(24)
    rules = folder / "logins.ini"
    rules.write_text(RULES.format(folder=folder, admin=ADMIN), "utf-8")
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(rules),
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(24),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(folder),
    }
    line = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
    line += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    line += ["--backend-store-uri", f"sqlite:///{folder}/runs.db"]
    line += ["--artifacts-destination", str(folder / "artifacts")]
    with processes.running(line, b"", environment=environment) as service:
        processes.answers(service, port, SECONDS)
        yield Server(f"http://127.0.0.1:{port}", password)
