"""A training run's numbers, as Prometheus scrapes them, on 127.0.0.1 only."""

from __future__ import annotations

import math
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from securetrain.monitoring import STATISTICS, Trace


def _gauge(name: str, says: str, *labels: str) -> Gauge:
    return field(default_factory=lambda: Gauge(name, says, labels, registry=None))


@dataclass
class Exporter:
    """The newest batch of a run in a registry of its own, and each monitor's peak.

    A threshold is for the highest score of a run, so an alert reads the peak: what a
    scrape comes too late for is still in it. A run has its own exporter, from its
    first batch on. port: where it is served while `serving` lasts
    """

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    loss: Gauge = _gauge("training_loss", "mean loss of the newest batch")
    top: Gauge = _gauge("training_top_loss", "mean of its five highest losses")
    by_class: Gauge = _gauge("training_class_loss", "mean loss of a label", "label")
    inputs: Gauge = _gauge("training_input", "mean over its images", "statistic")
    score: Gauge = _gauge("training_monitor_score", "score of a monitor", "monitor")
    peak: Gauge = _gauge("training_monitor_peak", "its highest up to now", "monitor")
    limit: Gauge = _gauge("training_monitor_threshold", "its threshold", "monitor")
    port: int = 0

    def __post_init__(self) -> None:
        self._peaks: dict[str, float] = {}
        own = {"registry": self.registry}
        self.batches = Counter("training_batches", "batches trained on", **own)
        self.labels = Counter("training_labels", "labels seen", ["label"], **own)
        gauges = (self.loss, self.top, self.by_class, self.inputs, self.score)
        for one in (*gauges, self.peak, self.limit):
            self.registry.register(one)

    def thresholds(self, limits: Mapping[str, float]) -> None:
        """Export the threshold of each monitor."""
        for name, limit in limits.items():
            self.limit.labels(name).set(limit)

    def observe(self, trace: Trace, t: int, scores: Mapping[str, float]) -> None:
        """Export batch `t` of a trace, and each monitor's score of it."""
        self.loss.set(trace.losses[t].mean())
        one = Trace(*(part[t : t + 1] for part in (trace.losses, trace.labels)),
                    trace.inputs[t : t + 1], trace.classes)  # fmt: skip
        self.top.set(one.top[0])
        for k, (count, loss) in enumerate(
            zip(one.counts[0], one.by_class[0], strict=True)
        ):
            self.labels.labels(str(k)).inc(int(count))
            if count:
                self.by_class.labels(str(k)).set(loss)
        for name, value in zip(STATISTICS, one.inputs[0].mean(0), strict=True):
            self.inputs.labels(name).set(value)
        for name, value in scores.items():
            self.score.labels(name).set(value)
            self._peaks[name] = max(self._peaks.get(name, -math.inf), value)
            self.peak.labels(name).set(self._peaks[name])
        self.batches.inc()  # last: whoever counts batches finds them whole


@contextmanager
def serving(exporter: Exporter, port: int = 0) -> Iterator[str]:
    """Serve on 127.0.0.1 and give the address; port 0 takes a free one.

    Raises ValueError when the port is in use.
    """
    try:
        server, thread = start_http_server(
            port, addr="127.0.0.1", registry=exporter.registry
        )
    except OSError as error:
        raise ValueError(
            f"127.0.0.1:{port} cannot be used ({error.strerror}); "
            "end what listens there, or give port=0 for a free one"
        ) from error
    try:
        exporter.port = server.server_port
        yield f"http://127.0.0.1:{exporter.port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scrape(address: str) -> str:
    """Return what the exporter answers over HTTP, past any proxy that is set."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=10) as answer:
        return answer.read().decode()


def sample(text: str, name: str, **labels: str) -> float | None:
    """Return one sample of a scrape, or None."""
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return one.value
    return None
