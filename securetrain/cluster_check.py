"""Judge a folder of manifests: pods, network, rights, quotas; each with file and line.

The attacker runs code in one pod of a namespace, or holds its service account. What is
found here is what the manifests give them; what the cluster adds by other hands (a
webhook, an operator, kubectl edit) no file shows. Nor do files say how large a cluster
is: a quota is judged too large only where no cluster has as much. Volumes of the kind
`local` are folders of a node as well, and let through: fast disks are used so.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from securetrain import cluster_rights, netpol, pod_security, quotas
from securetrain.cluster_files import Manifest, at
from securetrain.cluster_rights import Row
from securetrain.netpol import Endpoint
from securetrain.pod_security import LABEL, LEVELS, Pod
from securetrain.selectors import selects

LAYERS = ("pods", "network", "rights", "quota")
OUTSIDE = Endpoint("an address outside", ip="203.0.113.9")
METADATA = Endpoint("the cloud's metadata", ip="169.254.169.254")


@dataclass(frozen=True)
class Finding:
    """What is wrong, where, and which layer saw it."""

    where: str
    layer: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.layer}: {self.text}"


def findings(manifests: Iterable[Manifest], level: str = "restricted") -> list[Finding]:
    """Return all that the four layers find, in the order of LAYERS.

    Raises ValueError for an unknown level, ClusterError for a binding to a role that no
    file holds, NoTool when the policy engine is missing.
    """
    manifests = list(manifests)
    pods = pod_security.pods(manifests)
    layers = {
        "pods": _pods(pods, manifests, level),
        "network": _network(pods, manifests),
        "rights": cluster_rights.rows(pods, manifests),
        "quota": _quota(pods, manifests),
    }
    found = [Finding(where, n, text) for n in LAYERS for where, text in layers[n]]
    return list(dict.fromkeys(found))


# --- Pods ------------------------------------------------------------------------


def _pods(
    pods: Sequence[Pod], manifests: Sequence[Manifest], level: str
) -> Iterator[Row]:
    spaces = {one.name: one for one in manifests if one.kind == "Namespace"}
    for space in spaces.values():
        if version := pod_security.outdated(space):
            where = space.where("metadata", "labels", f"{LABEL}enforce-version")
            text = f"{space.name} is judged by {version} of the rules; write latest"
            yield where, text
    for one in manifests:
        if one.kind == "PersistentVolume" and at(one.data, "spec", "hostPath"):
            text = f"{one} is a folder of the node, for whoever claims it"
            yield one.where("spec", "hostPath"), text
    for pod in pods:
        for one in pod_security.violations(pod.data, level):
            yield pod.where(*one.path), str(one)
        yield from _own_rules(pod)
        space = spaces.get(pod.namespace)
        enforced = pod_security.enforced(space)
        if LEVELS.index(enforced) < LEVELS.index(level):
            where = space.where("metadata", "labels") if space else pod.where()
            what = f"the namespace {pod.namespace} enforces {enforced}"
            yield where, f"{what}; set {LABEL}enforce: {level}"


def _own_rules(pod: Pod) -> Iterator[Row]:
    """Yield what no level of the standard asks for, and every training job can do."""
    for kind in pod_security.CONTAINERS:
        for number, one in enumerate(pod.spec.get(kind) or []):
            context = one.get("securityContext") or {}
            if context.get("readOnlyRootFilesystem") is not True:
                where = pod.where("spec", kind, number, "securityContext")
                text = f"spec.{kind}.{number}: set readOnlyRootFilesystem: true"
                yield where, text


# --- Network ---------------------------------------------------------------------


def _network(pods: Sequence[Pod], manifests: Sequence[Manifest]) -> Iterator[Row]:
    rules = netpol.policies(manifests)
    spaces = netpol.namespaces(manifests)
    for one in manifests:
        yield from _wide_peers(one) if one.kind == "NetworkPolicy" else ()
    for pod in pods:
        here = netpol.endpoint(pod)
        for direction in ("Ingress", "Egress"):
            if not any(rule.restricts(here, direction) for rule in rules):
                text = f"no policy restricts {direction} of {pod.manifest}"
                yield pod.where(), text
            elif not any(rule.restricts_all(here, direction) for rule in rules):
                text = f"no policy restricts {direction} of every pod in"
                text += f" {here.namespace}: one with an empty podSelector would"
                yield pod.where(), text
        if not any(rule.restricts(here, "Egress") for rule in rules):
            continue
        for target in (OUTSIDE, METADATA):
            if way := _way_out(rules, spaces, here, target):
                text = f"{pod.manifest} reaches {target.name} ({target.ip}) {way}"
                yield pod.where(), text


def _wide_peers(one: Manifest) -> Iterator[Row]:
    """Yield peers that open more than the namespaces that they name."""
    spec = one.data.get("spec") or {}
    for key, peers in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec.get(key) or []):
            where = ("spec", key, number)
            if key == "ingress" and not rule.get(peers):
                text = f"{one}: a rule without from takes connections from everywhere"
                yield one.where(*where), text
            for place, peer in enumerate(rule.get(peers) or []):
                path = (*where, peers, place)
                if text := _wide(peer, key):
                    yield one.where(*path), f"{one}: {text}"


def _wide(peer: dict[str, Any], key: str) -> str:
    """Return why a peer opens too much, "" where it does not."""
    selector = peer.get("namespaceSelector")
    if selector is not None and not any(selector.values()):
        return "an empty namespaceSelector takes every namespace"
    if selector is not None and selects(selector, {netpol.NAME: "any-other-name"}):
        return "this namespaceSelector takes namespaces of other names, too"
    if (block := peer.get("ipBlock")) is None or key != "egress":
        return ""
    network = ipaddress.ip_network(block["cidr"], strict=False)
    if netpol.ours(network):
        return ""
    return f"the ipBlock {block['cidr']} has addresses outside"


def _way_out(
    rules: Sequence[netpol.Policy],
    spaces: dict[str, dict[str, str]],
    source: Endpoint,
    target: Endpoint,
) -> str:
    """Return the first port on which an address is reached, "" where none is."""
    ports = {53, 80, 443, 65535}
    for rule in rules:
        for one in rule.spec.get("egress") or []:
            ports |= {
                port["port"]
                for port in one.get("ports") or []
                if isinstance(port.get("port"), int)
            }
    for protocol in netpol.PROTOCOLS:
        for port in sorted(ports):
            if netpol.allowed(rules, spaces, source, target, port, protocol):
                return f"on {protocol} {port}"
    return ""


# --- Quotas ----------------------------------------------------------------------


def _quota(pods: Sequence[Pod], manifests: Sequence[Manifest]) -> Iterator[Row]:
    for pod in pods:
        space = pod.namespace
        limits = quotas.specs(manifests, "ResourceQuota", space)
        ranges = quotas.specs(manifests, "LimitRange", space)
        try:
            for why in (quotas.unbounded(limits, what) for what in quotas.COUNTS):
                if why:
                    yield pod.where(), f"{space}: {why}"
            verdict = quotas.admit(pod.spec, limits, ranges)
            bounded = all(
                "memory" in one["limits"]
                for one in quotas.with_defaults(pod.spec, ranges)
            )
        except ValueError as error:
            yield pod.where("spec"), str(error)
            continue
        if not bounded:
            text = f"{pod.manifest}: a container without a limit of memory"
            yield pod.where("spec"), text
        if not verdict.admitted:
            text = f"{pod.manifest} would be turned away: {verdict.why}"
            yield pod.where("spec"), text
