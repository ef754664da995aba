"""Two services over one model: as a tutorial writes it, and as it should face people.

    python -m securetrain.serving_app < start.json

`start.json` has the settings, the file of weights and the number of an open socket.
The guarded service answers under /predict, the open one under /open/predict, so that a
lesson can ask both; it is served only where `open` is true.

Not answered here: TLS, and floods of whole heads from many addresses. Both belong to a
proxy in front of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import torch
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.concurrency import run_in_threadpool
from torch import Tensor, nn

from securetrain import models
from securetrain.serving_connections import HEAD_SECONDS, Impatient
from securetrain.serving_input import Refused, check_head, read_images
from securetrain.serving_quota import Quota
from securetrain.serving_settings import Settings, settings

CLOSED = {"docs_url": None, "redoc_url": None, "openapi_url": None}
HEADERS = {"Connection": "close", "Cache-Control": "no-store"}


class Question(BaseModel):
    """What a tutorial's service takes."""

    images: list[list[list[float]]]


def bare(model: nn.Module) -> FastAPI:
    """Return the service that tutorials write: the model, and nothing else."""
    app = FastAPI(**CLOSED)

    @app.post("/predict")
    def predict(question: Question) -> dict:
        x = torch.tensor(question.images)[:, None]
        return answer(models.probabilities(model, x), "probabilities")

    return app


def answer(p: Tensor, answers: str) -> dict:
    """Return what the client gets of the probabilities (N, classes)."""
    found = {"labels": p.argmax(1).tolist()}
    return found | ({"probabilities": p.tolist()} if answers != "label" else {})


def guarded(
    model: nn.Module, given: Settings, keys: dict[str, str], day: Quota
) -> FastAPI:
    """Return the service that asks who, how much and what, in this order.

    keys: SHA-256 of a client's key, in hex -> the client's name; day: counts images
    """
    app = FastAPI(**CLOSED)
    limiter = Limiter(key_func=_client, strategy="moving-window")

    def known(request: Request) -> None:
        key = request.headers.get("x-api-key", "")
        digest = sha256(key.encode()).hexdigest()  # no comparison of secrets in clear
        client = keys.get(digest) if key else None
        if not client:  # slowapi does not limit a client without a name
            raise HTTPException(401, "no such key")
        request.state.client = client

    @app.post("/predict", dependencies=[Depends(known)])
    @limiter.limit(f"{given.requests_a_minute}/minute")
    async def predict(request: Request) -> dict:
        check_head(request.headers, given)
        x = read_images(await _body(request, given), given)
        if not await run_in_threadpool(day.take, request.state.client, len(x)):
            raise Refused(429, f"at most {given.images_a_day} images a day")
        p = await run_in_threadpool(models.probabilities, model, torch.from_numpy(x))
        return answer(p, given.answers)

    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RateLimitExceeded, _limited)
    app.state.limiter = limiter
    return app


def _client(request: Request) -> str:
    return request.state.client


async def _body(request: Request, given: Settings) -> bytes:
    """Return the body, or stop reading at the limit of bytes or of seconds."""
    body = bytearray()
    try:
        async with asyncio.timeout(given.body_seconds):
            async for part in request.stream():
                body += part
                if len(body) > given.body_bytes:
                    raise Refused(413, f"at most {given.body_bytes} bytes")
    except TimeoutError:
        raise Refused(408, f"no whole body in {given.body_seconds} s") from None
    return bytes(body)


def _refused(_: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, error.status, HEADERS)


def _limited(_: Request, error: RateLimitExceeded) -> JSONResponse:
    return JSONResponse({"detail": f"at most {error.detail}"}, 429, HEADERS)


# --- Running it --------------------------------------------------------------------


def load(path: str | Path) -> nn.Module:
    """Return a network for images of one channel from a safetensors file.

    Raises ValueError for a file that holds no such network.
    """
    try:
        weights = load_file(path)
        model = models.small_resnet(0, len(weights["head.bias"]), channels=1)
        model.load_state_dict(weights)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: no weights of this network") from error
    return model.eval()


def run(app: Callable, listener: socket.socket, connections: int) -> None:
    """Serve until the process is ended."""
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="none",  # a connection that is upgraded leaves uvicorn's count
        limit_concurrency=connections + 1,  # it refuses from this many on
        h11_max_incomplete_event_size=16_384,  # bytes of a head
        timeout_keep_alive=HEAD_SECONDS,
        server_header=False,
        log_level="error",
        lifespan="off",
    )
    uvicorn.Server(config).run(sockets=[listener])


def end_with(parent: int) -> None:
    """End this process once its parent is gone, as when a kernel is restarted."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main() -> None:
    """Serve both services, as standard input says, until the parent ends."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    logging.getLogger("slowapi").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    start = json.load(sys.stdin)
    given, model = settings(start["settings"]), load(start["weights"])
    day = Quota(given.state or ":memory:", given.images_a_day)
    app = guarded(model, given, start["keys"], day)
    if start["open"]:
        app.mount("/open", bare(model))
    run(app, socket.socket(fileno=start["socket"]), given.connections)


if __name__ == "__main__":
    main()
