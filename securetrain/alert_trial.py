"""A real Prometheus and a real Alertmanager on 127.0.0.1, and whom they tell.

Both are Debian packages (`apt-get install prometheus prometheus-alertmanager`). Each
is started on a free port with a temporary folder, and ended by its own id.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from securetrain import paths, processes

PROGRAMS = {"prometheus": ("prometheus",)}
PROGRAMS["alertmanager"] = ("prometheus-alertmanager", "alertmanager")
SECONDS = 30.0  # that a program may take to answer


def missing() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name in PROGRAMS if not _program(name)]


def _program(name: str) -> str | None:
    return next(filter(None, map(paths.tool, PROGRAMS[name])), None)


@contextmanager
def receiver() -> Iterator[tuple[int, queue.Queue[dict[str, Any]]]]:
    """Give a port on 127.0.0.1, and a queue of what Alertmanager posts to it."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = min(int(self.headers.get("Content-Length", 0)), 1 << 20)
            heard.put(json.loads(self.rfile.read(size)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def watching(target: int, rules: str) -> Iterator[queue.Queue[dict[str, Any]]]:
    """Let Prometheus scrape 127.0.0.1:`target`, and give what Alertmanager says.

    rules: the text of a rules file. Raises FileNotFoundError naming a program that is
    not installed, TimeoutError when one does not come up.
    """
    if absent := missing():
        raise FileNotFoundError(f"not installed: {', '.join(absent)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hook, heard = stack.enter_context(receiver())
        alertmanager, prometheus = processes.free_port(), processes.free_port()
        (folder / "rules.yaml").write_text(rules, "utf-8")
        for name, settings in _settings(folder, hook, alertmanager, target).items():
            (folder / name).write_text(json.dumps(settings), "utf-8")  # JSON is YAML
        lines = {
            alertmanager: [
                str(_program("alertmanager")),
                f"--config.file={folder}/alertmanager.yaml",
                f"--storage.path={folder}/alertmanager",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            ],
            prometheus: [
                str(_program("prometheus")),
                f"--config.file={folder}/prometheus.yaml",
                f"--storage.tsdb.path={folder}/prometheus",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            ],
        }
        for port, line in lines.items():
            service = stack.enter_context(processes.running(line, b""))
            processes.answers(service, port, SECONDS)
        yield heard


def _settings(
    folder: Path, hook: int, alertmanager: int, target: int
) -> dict[str, dict[str, Any]]:
    """Return the two configurations by file name."""
    managers = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
    job = {"job_name": "training"}
    job |= {"static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    url = f"http://127.0.0.1:{hook}/"
    return {
        "prometheus.yaml": {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{folder}/rules.yaml"],
            "alerting": {"alertmanagers": managers},
            "scrape_configs": [job],
        },
        "alertmanager.yaml": {
            "route": {"receiver": "team", "group_wait": "0s", "group_by": ["monitor"]},
            "receivers": [{"name": "team", "webhook_configs": [{"url": url}]}],
        },
    }
