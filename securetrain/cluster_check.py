"""Judge a folder of manifests: pods, network, rights, quotas; each with file and line.

The attacker runs code in one pod of a namespace, or holds its service account. What is
found here is what the manifests give them; what the cluster adds by other hands (a
webhook, an operator, kubectl edit) no file shows.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from securetrain import escalation, netpol, pod_security, quotas, rbac
from securetrain.cluster_files import Manifest
from securetrain.netpol import Endpoint
from securetrain.pod_security import LABEL, LEVELS, Pod
from securetrain.rbac import Request
from securetrain.selectors import selects

LAYERS = ("pods", "network", "rights", "quota")
OUTSIDE = Endpoint("an address outside", ip="203.0.113.9")
METADATA = Endpoint("the cloud's metadata", ip="169.254.169.254")
# The networks of one owner; other addresses are outside.
INSIDE = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    )
)
EVERYBODY = {
    "system:anonymous",
    "system:authenticated",
    "system:serviceaccounts",
    "system:unauthenticated",
}


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
    found = [
        *_pods(pods, manifests, level),
        *_network(pods, manifests),
        *_rights(pods, manifests),
        *_quota(pods, manifests),
    ]
    return list(dict.fromkeys(found))


# --- Pods ------------------------------------------------------------------------


def _pods(
    pods: Sequence[Pod], manifests: Sequence[Manifest], level: str
) -> Iterator[Finding]:
    spaces = {one.name: one for one in manifests if one.kind == "Namespace"}
    for pod in pods:
        for one in pod_security.violations(pod.data, level):
            yield Finding(pod.where(*one.path), "pods", str(one))
        yield from _own_rules(pod)
        space = spaces.get(pod.namespace)
        enforced = pod_security.enforced(space)
        if LEVELS.index(enforced) < LEVELS.index(level):
            where = space.where("metadata", "labels") if space else pod.where()
            what = f"the namespace {pod.namespace} enforces {enforced}"
            yield Finding(where, "pods", f"{what}; set {LABEL}enforce: {level}")


def _own_rules(pod: Pod) -> Iterator[Finding]:
    """Yield what no level of the standard asks for, and every training job can do."""
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for number, one in enumerate(pod.spec.get(kind) or []):
            context = one.get("securityContext") or {}
            if context.get("readOnlyRootFilesystem") is not True:
                where = pod.where("spec", kind, number, "securityContext")
                text = f"spec.{kind}.{number}: set readOnlyRootFilesystem: true"
                yield Finding(where, "pods", text)


# --- Network ---------------------------------------------------------------------


def _network(pods: Sequence[Pod], manifests: Sequence[Manifest]) -> Iterator[Finding]:
    rules = netpol.policies(manifests)
    spaces = netpol.namespaces(manifests)
    for one in manifests:
        yield from _wide_peers(one) if one.kind == "NetworkPolicy" else ()
    for pod in pods:
        here = netpol.endpoint(pod)
        for direction in ("Ingress", "Egress"):
            if not any(rule.restricts(here, direction) for rule in rules):
                text = f"no policy restricts {direction} of {pod.manifest}"
                yield Finding(pod.where(), "network", text)
            elif not any(rule.restricts_all(here, direction) for rule in rules):
                text = f"no policy restricts {direction} of every pod in"
                text += f" {here.namespace}: one with an empty podSelector would"
                yield Finding(pod.where(), "network", text)
        if not any(rule.restricts(here, "Egress") for rule in rules):
            continue
        for target in (OUTSIDE, METADATA):
            if way := _way_out(rules, spaces, here, target):
                text = f"{pod.manifest} reaches {target.name} ({target.ip}) {way}"
                yield Finding(pod.where(), "network", text)


def _wide_peers(one: Manifest) -> Iterator[Finding]:
    """Yield peers that open more than the namespaces that they name."""
    spec = one.data.get("spec") or {}
    for key, peers in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec.get(key) or []):
            where = ("spec", key, number)
            if key == "ingress" and not rule.get(peers):
                text = f"{one}: a rule without from takes connections from everywhere"
                yield Finding(one.where(*where), "network", text)
            for place, peer in enumerate(rule.get(peers) or []):
                path = (*where, peers, place)
                if text := _wide(peer, key):
                    yield Finding(one.where(*path), "network", f"{one}: {text}")


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
    if any(network.version == one.version and network.subnet_of(one) for one in INSIDE):
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


# --- Rights ----------------------------------------------------------------------


def _rights(pods: Sequence[Pod], manifests: Sequence[Manifest]) -> Iterator[Finding]:
    held = rbac.grants(manifests)
    for role in manifests:
        if role.kind in ("Role", "ClusterRole"):
            for number, rule in enumerate(role.data.get("rules") or []):
                for key in ("verbs", "resources", "apiGroups"):
                    if "*" in (rule.get(key) or []):
                        where = role.where("rules", number, key)
                        yield Finding(where, "rights", f"{role}: * under {key}")
    yield from _given(held)
    named = {grant.subject for grant in held}
    for pod in pods:
        account = rbac.Subject("ServiceAccount", pod.service_account, pod.namespace)
        mounts = pod.spec.get("automountServiceAccountToken")
        if mounts is not False and account not in named:
            text = f"{account} has no rights: set automountServiceAccountToken: false"
            yield Finding(pod.where("spec"), "rights", text)
        for number, volume in enumerate(pod.spec.get("volumes") or []):
            sources = (volume.get("projected") or {}).get("sources") or []
            if any("serviceAccountToken" in one for one in sources):
                text = f"the volume {volume['name']} holds a token of {account}"
                where = pod.where("spec", "volumes", number)
                yield Finding(where, "rights", text)
    yield from _readers(pods, manifests)


def _given(held: Sequence[rbac.Grant]) -> Iterator[Finding]:
    """Yield who is given too much at once, or is too many."""
    for grant in held:
        if grant.subject.name in EVERYBODY:
            text = f"{grant.subject} is everybody, and gets {grant.role}"
            yield Finding(grant.where, "rights", text)
        if grant.role == "ClusterRole cluster-admin":
            where = grant.namespace or "the whole cluster"
            text = f"{grant.subject} gets cluster-admin in {where}"
            yield Finding(grant.where, "rights", text)


def _readers(pods: Sequence[Pod], manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Yield the accounts of pods that get at more secrets than those named to them."""
    used = {
        rbac.Subject("ServiceAccount", pod.service_account, pod.namespace): pod
        for pod in pods
    }
    # A name that no secret has: only a right to all of them covers it.
    asked = [Request(verb, "secrets", name="*") for verb in ("list", "get", "watch")]
    spaces = {grant.namespace for grant in rbac.grants(manifests)} - {""}
    for space in sorted(spaces | {pod.namespace for pod in pods}):
        for way in escalation.who(manifests, space, asked):
            if (pod := used.get(way.subject)) is not None:
                text = f"can read the secrets of {space}: {way}"
                yield Finding(pod.where("spec"), "rights", text)


# --- Quotas ----------------------------------------------------------------------


def _quota(pods: Sequence[Pod], manifests: Sequence[Manifest]) -> Iterator[Finding]:
    for pod in pods:
        space = pod.namespace
        limits = quotas.specs(manifests, "ResourceQuota", space)
        ranges = quotas.specs(manifests, "LimitRange", space)
        hard = {key for one in limits for key in one.get("hard") or {}}
        if not {"pods", "count/pods"} & hard:
            yield Finding(pod.where(), "quota", f"{space}: no quota counts its pods")
        if not {"memory", "requests.memory", "limits.memory"} & hard:
            yield Finding(pod.where(), "quota", f"{space}: no quota on its memory")
        try:
            verdict = quotas.admit(pod.spec, limits, ranges)
            bounded = all(
                "memory" in one["limits"]
                for one in quotas.with_defaults(pod.spec, ranges)
            )
        except ValueError as error:
            yield Finding(pod.where("spec"), "quota", str(error))
            continue
        if not bounded:
            text = f"{pod.manifest}: a container without a limit of memory"
            yield Finding(pod.where("spec"), "quota", text)
        if not verdict.admitted:
            text = f"{pod.manifest} would be turned away: {verdict.why}"
            yield Finding(pod.where("spec"), "quota", text)
