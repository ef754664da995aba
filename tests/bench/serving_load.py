"""How many requests the guarded service answers, beside the bare one in one run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import yaml
from timing import side_by_side

from securetrain import models
from securetrain.serving_client import JSON, Running, running
from securetrain.serving_settings import settings

THREADS, EACH = 4, 50  # clients at once, and requests of each
EXAMPLE = Path(models.__file__).with_name("service.yaml")
WIDE = {
    "port": 0,
    "requests_a_minute": 6000,
    "images_a_day": 100_000,
    "connections": 64,
}
GIVEN = yaml.safe_load(EXAMPLE.read_text("utf-8")) | WIDE


def load(service: Running, client: str) -> None:
    """Ask about one image many times, from several threads; every answer counts."""
    x = torch.zeros(1, 1, *GIVEN["shape"])

    def one(_: int) -> None:
        for _ in range(EACH):
            status, said = service.ask(x, client)
            if status != 200:
                raise RuntimeError(f"a request of the load was refused: {said}")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(THREADS)))


def flooded(service: Running) -> None:
    """Ask as `load` does while two threads of another client send too much."""
    stop = threading.Event()
    headers = JSON | {"X-Api-Key": service.keys["flood"]}
    headers |= {"Content-Length": str(10**9)}

    def flood() -> None:
        while not stop.is_set():
            service.post("/predict", b"", headers)

    others = [threading.Thread(target=flood) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        load(service, "honest")
    finally:
        stop.set()
        for thread in others:
            thread.join()


def serving(repeats: int = 3) -> dict:
    """Print and return requests a second, and their ratio to the bare service's."""
    model = models.small_resnet(0, 10, 1).eval()
    with running(model, settings(GIVEN), ("honest", "flood")) as service:
        spent = side_by_side(
            {
                "bare": lambda: load(service, ""),
                "guarded": lambda: load(service, "honest"),
                "guarded, flooded": lambda: flooded(service),
            },
            repeats,
        )
    print(f"\nOne service, {THREADS} clients at once, one image a request")
    report = {}
    for name, times in spent.items():
        ratio = spent["bare"]["median"] / times["median"]
        a_second = THREADS * EACH / times["median"]
        report[name] = {"requests a second": a_second, "ratio to bare": ratio}
        print(f"{ratio:10.2f}  of the bare service's: {name}, {a_second:.0f} a second")
    return report


if __name__ == "__main__":
    serving()
