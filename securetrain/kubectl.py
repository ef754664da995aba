"""A real cluster, asked through kubectl: only one that its owner has named.

Nothing is changed there: manifests are tried with --dry-run=server, rights are asked
about. Both need more rights than a training job has.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from securetrain.paths import tool

NAMED = "SECURETRAIN_CLUSTER"  # a context of kubectl's configuration
WAIT = 30  # seconds


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers: its context, and what it says of its version."""

    context: str
    version: str

    def __str__(self) -> str:
        return f"the cluster {self.context}, {self.version}"


def connect() -> tuple[Cluster | None, str]:
    """Return the cluster that is named, or None and why there is none."""
    context = os.environ.get(NAMED, "")
    if not tool("kubectl"):
        return None, "kubectl is not installed"
    if not context:
        why = f"set {NAMED} to the context of a test cluster"
        return None, f"kubectl is installed, but no cluster is named: {why}"
    done = _run(context, "version", "--output=json")
    if done.returncode:
        return None, f"{context} does not answer: {done.stderr.strip()[-300:]}"
    version = done.stdout.split('"serverVersion"')[-1]
    number = [x for x in version.split('"') if x.startswith("v")]
    return Cluster(context, number[0] if number else "of an unknown version"), ""


def dry_run(cluster: Cluster, path: Path) -> str:
    """Return why the API server would refuse a file, "" where it would not."""
    done = _run(cluster.context, "apply", "--dry-run=server", "-f", str(path))
    return done.stderr.strip() if done.returncode else ""


def can(
    cluster: Cluster, namespace: str, verb: str, resource: str, account: str
) -> bool:
    """Return whether the API server lets a service account do something."""
    who = f"--as=system:serviceaccount:{namespace}:{account}"
    words = ("auth", "can-i", verb, resource, "-n", namespace, who)
    return _run(cluster.context, *words).stdout.strip() == "yes"


def _run(context: str, *words: str) -> subprocess.CompletedProcess[str]:
    line = [tool("kubectl"), f"--context={context}", f"--request-timeout={WAIT}s"]
    try:
        return subprocess.run(
            [*line, *words], capture_output=True, text=True, timeout=2 * WAIT
        )
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(error.cmd, 1, "", "no answer in time")
