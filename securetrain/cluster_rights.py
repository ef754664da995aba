"""What the rights in a folder of manifests give whoever runs code in one of its pods.

The attacker holds a pod's service account. They want secrets, another's token, or to
change what holds the pod: its network policies, the labels of its namespace, its quota.
And who answers a webhook sees or changes every object that it is asked about.

What people may do is not judged here: `securetrain cluster who` answers that. Nor is a
secret that two workloads mount, as no manifest says whose it is, nor a mutating webhook
that may fail: whether it guards anything, its code decides.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from securetrain import escalation, netpol, rbac
from securetrain.cluster_files import Manifest, at
from securetrain.detours import ENTERS
from securetrain.pod_security import Pod
from securetrain.rbac import Grant, Request, Subject

Row = tuple[str, str]  # where, and what is wrong
EVERYBODY = {
    "system:anonymous",
    "system:authenticated",
    "system:serviceaccounts",
    "system:unauthenticated",
}
TOKEN, ACCOUNT = (f"kubernetes.io/service-account{x}" for x in ("-token", ".name"))
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
HERE = (".svc", ".cluster.local", ".localhost")  # how names of this cluster end
UNDO = ("update", "patch", "delete", "deletecollection")
# What an account may do to what holds its pod: verbs, resources, their group. In a
# namespace, and in the whole cluster.
GUARDS = (
    (("create", *UNDO), ("networkpolicies",), "networking.k8s.io",
     "may change whom pods reach"),
    (("update", "patch"), ("namespaces",), "", "may change which pods are let in"),
    (UNDO, ("resourcequotas", "limitranges"), "", "may change how much pods take"),
)  # fmt: skip
WIDE_GUARDS = (
    (("create",), ("persistentvolumes",), "", "may make volumes of the node's folders"),
    (UNDO, ("validatingwebhookconfigurations",), "admissionregistration.k8s.io",
     "may change what the API server refuses"),
)  # fmt: skip


def rows(pods: Sequence[Pod], manifests: Sequence[Manifest]) -> Iterator[Row]:
    """Yield where a right, a token or a webhook gives too much, and why.

    Raises ClusterError as `rbac.grants` does.
    """
    held = rbac.grants(manifests)
    spaces = {grant.namespace for grant in held} - {""}
    spaces |= {pod.namespace for pod in pods}
    for one in manifests:
        yield from _stars(one) if one.kind in ("Role", "ClusterRole") else ()
        yield from _webhooks(one) if one.kind in WEBHOOKS else ()
    yield from _given(held)
    yield from _tokens(pods, manifests, {grant.subject for grant in held})
    used = {account(pod): pod for pod in pods}
    yield from _readers(used, manifests, sorted(spaces))
    yield from _unguarded(used, held, sorted(spaces))


def account(pod: Pod) -> Subject:
    """Return who a pod is to the API server."""
    return Subject("ServiceAccount", pod.service_account, pod.namespace)


def _stars(role: Manifest) -> Iterator[Row]:
    for number, rule in enumerate(role.data.get("rules") or []):
        for key in ("verbs", "resources", "apiGroups"):
            if "*" in (rule.get(key) or []):
                yield role.where("rules", number, key), f"{role}: * under {key}"


def _given(held: Sequence[Grant]) -> Iterator[Row]:
    """Yield who is given too much at once, or is too many."""
    for grant in held:
        if grant.subject.name in EVERYBODY:
            yield grant.where, f"{grant.subject} is everybody, and gets {grant.role}"
        if grant.role == "ClusterRole cluster-admin":
            what = f"gets cluster-admin in {_place(grant)}"
            yield grant.where, f"{grant.subject} {what}"


def _place(grant: Grant) -> str:
    return grant.namespace or "the whole cluster"


# --- Tokens ----------------------------------------------------------------------


def _tokens(
    pods: Sequence[Pod], manifests: Sequence[Manifest], named: set[Subject]
) -> Iterator[Row]:
    """Yield the pods that hold a token for nothing, or one that never ends."""
    lasting = {(one.namespace, one.name): one for one in manifests if _is_token(one)}
    for pod in pods:
        who = account(pod)
        mounts = pod.spec.get("automountServiceAccountToken")
        if mounts is not False and who not in named:
            text = f"{who} has no rights: set automountServiceAccountToken: false"
            yield pod.where("spec"), text
        for number, volume in enumerate(pod.spec.get("volumes") or []):
            sources = at(volume, "projected", "sources") or []
            if any("serviceAccountToken" in one for one in sources):
                text = f"the volume {volume['name']} holds a token of {who}"
                yield pod.where("spec", "volumes", number), text
        for name in sorted(pod.secrets):
            if secret := lasting.get((pod.namespace, name)):
                whose = at(secret.data, "metadata", "annotations", ACCOUNT)
                owner = Subject("ServiceAccount", str(whose), pod.namespace)
                text = f"the secret {name} is a token of {owner} that does not expire"
                yield pod.where("spec"), text


def _is_token(one: Manifest) -> bool:
    return one.kind == "Secret" and one.data.get("type") == TOKEN


# --- What an account may do ------------------------------------------------------


def _readers(
    used: Mapping[Subject, Pod], manifests: Sequence[Manifest], spaces: Sequence[str]
) -> Iterator[Row]:
    """Yield the accounts of pods that get at more secrets than those named to them."""
    # A name that no secret has: only a right to all of them covers it.
    asked = [Request(verb, "secrets", name="*") for verb in ("list", "get", "watch")]
    for space in spaces:
        for way in escalation.who(manifests, space, asked):
            for who, pod in used.items():
                if way.subject in (who, *who.groups):
                    text = f"{who} can read the secrets of {space}: {way}"
                    yield pod.where("spec"), text


def _unguarded(
    used: Mapping[Subject, Pod], held: Sequence[Grant], spaces: Sequence[str]
) -> Iterator[Row]:
    """Yield the accounts of pods that may change what holds them, without detours."""
    for who, pod in used.items():
        mine = rbac.held_by(who, held)
        for space, asked, what in _guards(spaces):
            for grant in rbac.direct(mine, space, asked):
                by = f"({grant.role}, {grant.where})"
                yield pod.where("spec"), f"{who} {what} in {_place(grant)} {by}"


def _guards(spaces: Sequence[str]) -> Iterator[tuple[str, list[Request], str]]:
    """Yield a namespace, what is asked there, and what that would be."""
    places = [(space, GUARDS) for space in spaces] + [("", WIDE_GUARDS)]
    for space, guards in places:
        for verbs, kinds, group, what in guards:
            name = space if "namespaces" in kinds else ""
            asked = [Request(verb, k, group, name) for k in kinds for verb in verbs]
            yield space, asked, what
    yield "kube-system", list(ENTERS), "may enter the cluster's own pods"


# --- Webhooks --------------------------------------------------------------------


def _webhooks(one: Manifest) -> Iterator[Row]:
    """Yield the webhooks that leave the cluster, or let pass while they are silent."""
    for number, hook in enumerate(one.data.get("webhooks") or []):
        path = ("webhooks", number)
        if (url := at(hook, "clientConfig", "url")) and (host := _outside(url)):
            text = f"{one} shows what it is asked about to {host}, outside the cluster"
            yield one.where(*path, "clientConfig", "url"), text
        if one.kind.startswith("Validating") and hook.get("failurePolicy") == "Ignore":
            text = f"{one} lets all pass while it is silent; set failurePolicy: Fail"
            yield one.where(*path, "failurePolicy"), text


def _outside(url: str) -> str:
    """Return the host of a URL that does not lead into the cluster, "" if it does."""
    try:
        host = urlsplit(url).hostname or url
    except ValueError:
        return url
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "" if f".{host}".endswith(HERE) else host
    own = address.is_loopback or netpol.ours(ipaddress.ip_network(address))
    return "" if own else host
