"""Start the services of `serving_app` in a process of their own, and ask them.

Nothing leaves 127.0.0.1. Every question goes over HTTP, as a stranger's would.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from securetrain import processes
from securetrain.serving_settings import Settings

JSON = {"Content-Type": "application/json"}
BATCH = 16  # images a request
WAIT = 60  # seconds until torch is loaded on a busy machine


@dataclass
class Running:
    """Services that run; `keys` are those of the clients, by name."""

    port: int
    keys: Mapping[str, str] = field(repr=False)

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str] = JSON
    ) -> tuple[int, Any]:
        """Send a body and return status and answer.

        An answer that comes before the body was sent whole is an answer, too.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", path, body, dict(headers))
            response = connection.getresponse()
            return response.status, _read(response.read())
        finally:
            connection.close()

    def ask(self, x: Tensor, client: str = "") -> tuple[int, Any]:
        """Ask about images (N, 1, H, W), the open service where no client is named."""
        body = json.dumps({"images": x[:, 0].tolist()}).encode()
        if not client:
            return self.post("/open/predict", body)
        return self.post("/predict", body, JSON | {"X-Api-Key": self.keys[client]})

    def ask_all(self, x: Tensor, *clients: str) -> tuple[Tensor, list[dict]]:
        """Ask in batches until every client is refused.

        clients: each is used until the service refuses it; none means the open one
        Returns the images that were answered and the answers, one row for each.
        """
        left, rows, place = list(clients or [""]), [], 0
        while left and place < len(x):
            status, said = self.ask(x[place : place + BATCH], left[0])
            if status != 200:
                left.pop(0)
                continue
            rows += [
                dict(zip(said, row, strict=True))
                for row in zip(*said.values(), strict=False)
            ]
            place += BATCH
        return x[: len(rows)], rows


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises ValueError where the port is taken."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        says = f"cannot listen on {host}, port {port}: {error.strerror.lower()}"
        raise ValueError(f"{says}; choose another, or 0 for a free one") from error


@contextmanager
def running(
    model: nn.Module, given: Settings, clients: tuple[str, ...]
) -> Iterator[Running]:
    """Serve a model in a process of its own until the block ends.

    clients: names; each gets a key, made anew
    Raises TimeoutError when the service does not come up, with what it said.
    """
    keys = {client: secrets.token_urlsafe(16) for client in clients}
    with (
        tempfile.TemporaryDirectory() as folder,
        listen(given.host, given.port) as listener,
    ):
        weights = Path(folder, "model.safetensors")
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        tree = {name: value for name, value in asdict(given).items() if value != ""}
        start = {"settings": tree, "weights": str(weights), "open": True}
        start["keys"] = {sha256(k.encode()).hexdigest(): c for c, k in keys.items()}
        start["socket"] = listener.fileno()
        line = [sys.executable, "-m", "securetrain.serving_app"]
        here = str(Path(__file__).parents[1])
        with processes.running(
            line,
            json.dumps(start).encode(),
            listener.fileno(),
            environment={"PYTHONPATH": here, "OMP_NUM_THREADS": "1"},
        ) as service:
            port = listener.getsockname()[1]
            listener.close()  # ours: the service holds its own
            _answers(service, port)
            yield Running(port, keys)


def _answers(service: processes.Service, port: int) -> None:
    """Wait until HTTP is spoken: the socket itself takes connections before that."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        said = service.output[-600:].strip()
        raise TimeoutError(f"the service is not up. It said: {said}") from error
    finally:
        connection.close()
