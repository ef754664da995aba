"""Who can reach whom: network policies, as Kubernetes defines them.

The attacker runs code in one pod, and wants a secret store, the cluster's metadata, or
any address outside that will take a stolen file. Without a policy that selects it, a
pod may talk to all and all to it; policies only ever add what is allowed.

We decide ourselves, in about a hundred lines. The simulator `kube-netpol` gives a
second opinion, and no more: version 1.0.0 ignores `matchExpressions`, the labels of
namespaces, address blocks, and policies that leave `policyTypes` out.
"""

from __future__ import annotations

import ipaddress
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from securetrain.cluster_files import Manifest
from securetrain.cluster_schemas import NoTool
from securetrain.pod_security import Pod
from securetrain.selectors import selects

PROTOCOLS = ("TCP", "UDP", "SCTP")
NAME = "kubernetes.io/metadata.name"  # the label that every namespace has
# The networks of one owner; other addresses are outside.
OURS = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


@dataclass(frozen=True)
class Endpoint:
    """A pod, or an address outside (namespace "").

    ports: the names of its ports, (name, protocol) to number
    host_network: it uses the node's network, where no policy holds
    """

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    ip: str = ""
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict, hash=False)
    host_network: bool = False


@dataclass(frozen=True)
class Policy:
    """A network policy: its name, namespace and spec, as plain data."""

    name: str
    namespace: str
    spec: Mapping[str, Any] = field(hash=False)

    @property
    def types(self) -> tuple[str, ...]:
        """What it restricts; without policyTypes that follows from its rules."""
        if types := self.spec.get("policyTypes"):
            return tuple(types)
        return ("Ingress", "Egress") if self.spec.get("egress") else ("Ingress",)

    def restricts(self, pod: Endpoint, direction: str) -> bool:
        """Return whether it selects a pod, for "Ingress" or "Egress"."""
        return (
            pod.namespace == self.namespace
            and not pod.host_network
            and direction in self.types
            and selects(self.spec.get("podSelector") or {}, pod.labels)
        )

    def restricts_all(self, pod: Endpoint, direction: str) -> bool:
        """Return whether it restricts every pod of a pod's namespace."""
        selector = self.spec.get("podSelector") or {}
        return not any(selector.values()) and self.restricts(pod, direction)


def policies(manifests: Iterable[Manifest]) -> list[Policy]:
    """Return the network policies among manifests."""
    return [
        Policy(one.name, one.namespace, one.data.get("spec") or {})
        for one in manifests
        if one.kind == "NetworkPolicy"
    ]


def namespaces(manifests: Iterable[Manifest]) -> dict[str, dict[str, str]]:
    """Return the labels of every namespace that manifests have or use."""
    found: dict[str, dict[str, str]] = {}
    for one in manifests:
        if one.kind == "Namespace":
            found[one.name] = dict(one.labels)
        elif one.namespace:
            found.setdefault(one.namespace, {})
    return found


def endpoint(pod: Pod) -> Endpoint:
    """Return a pod as an endpoint."""
    ports = {
        (port["name"], port.get("protocol") or "TCP"): port["containerPort"]
        for kind in ("containers", "initContainers")
        for one in pod.spec.get(kind) or []
        for port in one.get("ports") or []
        if port.get("name")
    }
    return Endpoint(
        pod.manifest.name,
        pod.namespace,
        pod.labels,
        "",
        ports,
        bool(pod.spec.get("hostNetwork")),
    )


def allowed(
    rules: Sequence[Policy],
    spaces: Mapping[str, Mapping[str, str]],
    source: Endpoint,
    target: Endpoint,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Return whether `source` may open a connection to a port of `target`.

    spaces: the labels of each namespace; the label with its name is added
    An address block holds for endpoints whose `ip` is known. From the node's network
    everything is reached: a node may talk to its own pods, whatever policies say.
    Raises ValueError for a protocol or a port that does not exist.
    """
    if protocol not in PROTOCOLS or not 0 < port < 65536:
        raise ValueError(f"expected a port of 1 to 65535, got {port} {protocol}")
    if source.namespace and source == target:
        return True
    asked = _Asked(spaces, target, port, protocol)
    leaves = asked.passes(rules, source, "Egress", "egress", "to", target)
    if source.host_network:
        return True
    return leaves and asked.passes(rules, target, "Ingress", "ingress", "from", source)


@dataclass(frozen=True)
class _Asked:
    """One connection: where to."""

    spaces: Mapping[str, Mapping[str, str]]
    target: Endpoint
    port: int
    protocol: str

    def passes(
        self,
        rules: Sequence[Policy],
        pod: Endpoint,
        direction: str,
        key: str,
        peers: str,
        other: Endpoint,
    ) -> bool:
        """Return whether one end lets it pass: no policy selects it, or one allows."""
        mine = [policy for policy in rules if policy.restricts(pod, direction)]
        if not pod.namespace or not mine:
            return True
        return any(
            self._port(rule) and self._peer(rule.get(peers), other, policy.namespace)
            for policy in mine
            for rule in policy.spec.get(key) or []
        )

    def _port(self, rule: Mapping[str, Any]) -> bool:
        return not rule.get("ports") or any(map(self._one_port, rule["ports"]))

    def _one_port(self, one: Mapping[str, Any]) -> bool:
        protocol, port = one.get("protocol") or "TCP", one.get("port")
        if protocol != self.protocol:
            return False
        if isinstance(port, str):
            return self.target.ports.get((port, protocol)) == self.port
        if port is None:
            return True
        return port <= self.port <= (one.get("endPort") or port)

    def _peer(self, peers: Any, other: Endpoint, home: str) -> bool:
        return not peers or any(self._one_peer(peer, other, home) for peer in peers)

    def _one_peer(self, peer: Mapping[str, Any], other: Endpoint, home: str) -> bool:
        if (block := peer.get("ipBlock")) is not None:
            return bool(other.ip) and _inside(other.ip, block)
        if not other.namespace or other.host_network:
            return False
        spaces, labels = peer.get("namespaceSelector"), peer.get("podSelector")
        if spaces is None and labels is None:
            return False
        if spaces is None:
            here = other.namespace == home
        else:
            own = {**self.spaces.get(other.namespace, {}), NAME: other.namespace}
            here = selects(spaces, own)
        return here and selects(labels or {}, other.labels)


def _inside(ip: str, block: Mapping[str, Any]) -> bool:
    """Return whether an address lies in a block, and in none of its exceptions."""
    address = ipaddress.ip_address(ip)
    return address in ipaddress.ip_network(block["cidr"], strict=False) and not any(
        address in ipaddress.ip_network(one, strict=False)
        for one in block.get("except") or []
    )


def ours(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Return whether all addresses of a network belong to one owner."""
    own = (ipaddress.ip_network(one) for one in OURS)
    return any(network.version == o.version and network.subnet_of(o) for o in own)


# --- A second opinion --------------------------------------------------------------


def tool() -> str:
    """Return the simulator and its version. Raises NoTool when it is missing."""
    _simulator()
    return f"kube-netpol {version('kube-netpol')}"


def second_opinion(
    rules: Sequence[Policy],
    asked: Sequence[tuple[Endpoint, Endpoint, int, str]],
) -> list[bool]:
    """Return what `kube-netpol` says about many connections between pods at once.

    asked: source, target, port, protocol
    """
    parse, simulate, flow, allow = _simulator()
    documents = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": rule.name, "namespace": rule.namespace},
            "spec": rule.spec,
        }
        for rule in rules
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "policies.yaml")  # it reads files only; JSON is YAML
        path.write_text("\n---\n".join(map(json.dumps, documents)), "utf-8")
        found, _ = parse(str(path))
    flows = [
        flow(
            source.name,
            source.namespace,
            dict(source.labels),
            target.name,
            target.namespace,
            dict(target.labels),
            port,
            protocol,
        )
        for source, target, port, protocol in asked
    ]
    return [one.verdict == allow for one in simulate(found, flows)]


def _simulator() -> tuple[Any, Any, Any, Any]:
    try:
        from kube_netpol.analyzers.simulator import simulate_traffic
        from kube_netpol.models import TrafficFlow, TrafficVerdict
        from kube_netpol.parser import parse_manifests
    except ImportError:
        raise NoTool("kube-netpol is missing: pip install kube-netpol") from None
    return parse_manifests, simulate_traffic, TrafficFlow, TrafficVerdict.ALLOW
