"""Pod Security Standards: what a pod may not ask for, as a policy in Rego.

An attacker who may create one pod asks for the node: its network, its processes, its
folders, its root. The rules are Kubernetes' own (baseline and restricted), written
down in pod_security.rego and run by a real engine. What they do not cover: a namespace
without an `enforce` label is not checked by the cluster at all.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from securetrain.cluster_files import Manifest, at
from securetrain.cluster_schemas import VERSION, NoTool

LEVELS = ("privileged", "baseline", "restricted")
LABEL = "pod-security.kubernetes.io/"
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
POLICY = Path(__file__).with_suffix(".rego")
# Where a kind keeps the template of its pods.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
} | {
    kind: ("spec", "template")
    for kind in (
        "DaemonSet",
        "Deployment",
        "Job",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
    )
}


@dataclass(frozen=True)
class Pod:
    """A pod, or the template of one, and the object it stands in."""

    manifest: Manifest
    data: dict[str, Any]
    path: tuple[str, ...]

    @property
    def spec(self) -> dict[str, Any]:
        return self.data.get("spec") or {}

    @property
    def labels(self) -> dict[str, str]:
        return (self.data.get("metadata") or {}).get("labels") or {}

    @property
    def namespace(self) -> str:
        return self.manifest.namespace

    @property
    def service_account(self) -> str:
        """Who it is to the API server; `default` where it does not say."""
        spec = self.spec
        return spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of its containers, whenever they run."""
        return [one for kind in CONTAINERS for one in self.spec.get(kind) or []]

    @property
    def secrets(self) -> set[str]:
        """The names of the secrets in its volumes and in its environment."""
        volumes = self.spec.get("volumes") or []
        sources = [s for v in volumes for s in at(v, "projected", "sources") or []]
        whole = [one for c in self.containers for one in c.get("envFrom") or []]
        values = [one for c in self.containers for one in c.get("env") or []]
        return {
            *(at(one, "secret", "secretName") for one in volumes),
            *(at(one, "secret", "name") for one in sources),
            *(at(one, "secretRef", "name") for one in whole),
            *(at(one, "valueFrom", "secretKeyRef", "name") for one in values),
        } - {None}

    def where(self, *path: Hashable) -> str:
        """Return `file:line` of a value of the pod."""
        return self.manifest.where(*self.path, *path)


@dataclass(frozen=True)
class Violation:
    """A value that a level forbids: its path in the pod, the rule, and why."""

    path: tuple[str | int, ...]
    rule: str
    why: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.why} ({self.rule})"


def tool() -> str:
    """Return the engine and its version. Raises NoTool when it is missing."""
    _engine()
    return f"regopy {version('regopy')}"


def pods(manifests: Iterable[Manifest]) -> list[Pod]:
    """Return the pods that these objects are, or would start."""
    return list(_pods(manifests))


def _pods(manifests: Iterable[Manifest]) -> Iterator[Pod]:
    for one in manifests:
        path = TEMPLATES.get(one.kind)
        if path is None:
            continue
        data = at(one.data, *path)
        if isinstance(data, dict):
            yield Pod(one, data, path)


def violations(pod: dict[str, Any], level: str = "restricted") -> list[Violation]:
    """Return what a level forbids in a pod (a dict with `metadata` and `spec`).

    Raises ValueError for an unknown level or a pod that is no mapping, NoTool
    when the engine is missing.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown level {level!r}, expected one of {LEVELS}")
    if not isinstance(pod, dict):
        raise ValueError(f"expected a pod as a mapping, got {type(pod).__name__}")
    if level == "privileged":
        return []
    engine, policy = _engine()
    engine.set_input(pod)
    found = {
        Violation(tuple(one["path"]), one["rule"], one["why"])
        for name in LEVELS[1 : LEVELS.index(level) + 1]
        for one in _answer(engine, policy, f"podsecurity/{name}")
    }
    return sorted(found, key=lambda v: (tuple(map(str, v.path)), v.rule))


def _answer(engine: Any, policy: Any, rule: str) -> list[dict[str, Any]]:
    """Return the set that a rule gives. Raises ValueError when it gives none."""
    said = json.loads(str(engine.query_bundle_entrypoint(policy, rule)))
    try:
        (value,) = said["expressions"]
        return list(value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the policy did not answer {rule}: {said}") from error


@functools.cache
def _engine() -> tuple[Any, Any]:
    """Return the engine, and the policy compiled once: a query then takes 6 ms."""
    try:
        import regopy
    except ImportError:
        raise NoTool("regopy is missing: pip install regopy") from None
    engine = regopy.Interpreter()
    engine.add_module(POLICY.name, POLICY.read_text("utf-8"))
    rules = [f"podsecurity/{level}" for level in LEVELS[1:]]
    return engine, engine.build(None, rules)


def enforced(namespace: Manifest | None) -> str:
    """Return the level that a namespace enforces: without its label, privileged."""
    labels = namespace.labels if namespace else {}
    level = labels.get(f"{LABEL}enforce", "privileged")
    return level if level in LEVELS else "privileged"


def outdated(namespace: Manifest) -> str:
    """Return the version whose rules a namespace asks for, "" for those of today.

    One that is no version counts: the API server refuses it.
    """
    asked = namespace.labels.get(f"{LABEL}enforce-version", "latest")
    match = re.fullmatch(r"v1\.([0-9]{1,4})", asked)
    today = int(VERSION.removeprefix("1."))
    current = asked == "latest" or (match and int(match[1]) >= today)
    return "" if current else asked
