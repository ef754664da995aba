"""Role-based access control: who may do what, read from the manifests.

The attacker holds one account, a service account's token for instance, and wants
another's rights. A right is granted by a role that a binding gives to a subject; the
roads that lead round it are in `escalation`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securetrain import plain_yaml
from securetrain.cluster_files import ClusterError, Manifest
from securetrain.pod_security import pods
from securetrain.selectors import selects

GROUP = "rbac.authorization.k8s.io"
OWN = Path(__file__).with_name("default_roles.yaml")
READS = ("get", "list", "watch")  # each shows what an object holds
VERBS = (
    *READS,
    *("create", "update", "patch", "delete", "deletecollection"),
    *("bind", "escalate", "impersonate", "approve", "sign", "attest", "use"),
)
# Resources that can be asked about by name alone; others want RESOURCE.GROUP.
GROUPS = {
    name: group
    for group, names in {
        "": "configmaps endpoints events limitranges namespaces nodes "
        "persistentvolumeclaims persistentvolumes pods replicationcontrollers "
        "resourcequotas secrets serviceaccounts services users groups",
        "apps": "daemonsets deployments replicasets statefulsets",
        "batch": "cronjobs jobs",
        "networking.k8s.io": "ingresses networkpolicies",
        GROUP: "clusterrolebindings clusterroles rolebindings roles",
        "admissionregistration.k8s.io": "mutatingwebhookconfigurations "
        "validatingwebhookconfigurations",
        "certificates.k8s.io": "certificatesigningrequests",
    }.items()
    for name in names.split()
}


@dataclass(frozen=True, order=True)
class Subject:
    """Who asks: a User, a Group, or a ServiceAccount of a namespace."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        inside = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {inside}{self.name}"

    @property
    def groups(self) -> tuple[Subject, ...]:
        """The groups that the API server puts it into by itself."""
        if self.kind == "ServiceAccount":
            mine = f"system:serviceaccounts:{self.namespace}"
            names = ("system:serviceaccounts", mine, "system:authenticated")
        elif self.kind == "User" and self.name != "system:anonymous":
            names = ("system:authenticated",)
        elif self.kind == "User":
            names = ("system:unauthenticated",)
        else:
            names = ()
        return tuple(Subject("Group", name) for name in names)


@dataclass(frozen=True)
class Request:
    """What is asked. name: of one object; "" asks for any that there is."""

    verb: str
    resource: str  # with a subresource, as in pods/exec
    group: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}"


@dataclass(frozen=True)
class Grant:
    """One rule that a binding gives to a subject.

    namespace: where it holds; "" is everywhere. where: file and line of the binding
    """

    subject: Subject
    namespace: str
    rule: Mapping[str, Any] = field(hash=False)
    role: str
    where: str

    def covers(self, namespace: str, request: Request) -> bool:
        """Return whether it allows a request in a namespace ("": everywhere)."""
        return self.namespace in ("", namespace) and allows(self.rule, request)

    @property
    def names(self) -> tuple[str, ...]:
        """The only objects it holds for; none means all."""
        return tuple(self.rule.get("resourceNames") or ())


def request(verb: str, resource: str) -> list[Request]:
    """Return what a question asks: `read` stands for get, list and watch.

    resource: as kubectl takes it: secrets, pods/exec, deployments.apps
    Raises ValueError for an unknown verb, for a resource that is not known by its name
    alone, and for one of Kubernetes' own in another of its groups.
    """
    if verb not in ("read", *VERBS):
        raise ValueError(f"unknown verb {verb!r}: expected read, {', '.join(VERBS)}")
    whole, dot, group = resource.partition(".")
    plural, slash, sub = whole.partition("/")
    if not dot and plural not in GROUPS:
        raise ValueError(
            f"unknown resource {plural!r}: write its plural in small letters, as in "
            f"secrets, or RESOURCE.GROUP, as in workflows.argoproj.io"
        )
    own = GROUPS.get(plural, group)
    if dot and "." not in group and group != own:  # others' groups have a domain
        whole = f"{plural}.{own}" if own else plural
        raise ValueError(f"{plural} is not of the API group {group!r}: write {whole}")
    group = group if dot else own
    name = f"{plural}/{sub}" if slash else plural
    return [Request(v, name, group) for v in (READS if verb == "read" else (verb,))]


def allows(rule: Mapping[str, Any], asked: Request) -> bool:
    """Return whether a rule allows a request, as the API server decides.

    A request that names no object asks whether there is any that the rule allows. With
    resourceNames a list or a watch names one by a field selector (metadata.name=NAME);
    only create and deletecollection name none.
    """
    verbs, groups = rule.get("verbs") or (), rule.get("apiGroups") or ()
    if not ({"*", asked.verb} & set(verbs) and {"*", asked.group} & set(groups)):
        return False
    _, slash, sub = asked.resource.partition("/")
    wanted = {"*", asked.resource} | ({f"*/{sub}"} if slash else set())
    if not wanted & set(rule.get("resources") or ()):
        return False
    names = rule.get("resourceNames") or ()
    if not names or asked.name in names:
        return True
    return not asked.name and asked.verb not in ("create", "deletecollection")


def rules(role: Manifest, roles: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Return a role's rules; those of an aggregated one come from all that it selects.

    What an aggregated role lists itself is overwritten by the cluster, and counts for
    nothing.
    """
    return _rules(role, roles, frozenset())


def _rules(
    role: Manifest, roles: Sequence[Manifest], seen: frozenset[str]
) -> list[dict[str, Any]]:
    if role.kind != "ClusterRole" or not role.data.get("aggregationRule"):
        return list(role.data.get("rules") or [])
    selectors = role.data["aggregationRule"].get("clusterRoleSelectors") or []
    seen = seen | {role.name}
    return [
        rule
        for other in roles
        if other.kind == "ClusterRole" and other.name not in seen
        if any(selects(selector, other.labels) for selector in selectors)
        for rule in _rules(other, roles, seen)
    ]


def grants(manifests: Iterable[Manifest]) -> list[Grant]:
    """Return every rule that a binding gives to a subject.

    Kubernetes' own roles (cluster-admin, admin, edit, view) are known; its own
    bindings, as that of the group system:masters, are not listed.
    Raises ClusterError for a binding to a role that is in no file: what it grants
    cannot be known.
    """
    manifests = list(manifests)
    all_roles = roles(manifests)
    found, problems = [], []
    for binding in manifests:
        if binding.kind in ("RoleBinding", "ClusterRoleBinding"):
            given = _roles_of(binding, all_roles)
            if not given:
                ref = binding.data["roleRef"]
                what = f"{ref['kind']} {ref['name']}"
                where = binding.where("roleRef")
                problems.append(f"{where}: {what} is in no file: what does it allow?")
            for role in given:
                found += _grants(binding, role, rules(role, all_roles), problems)
    if problems:
        raise ClusterError(problems)
    return found


def roles(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return the roles of a cluster, Kubernetes' own first."""
    ours = [one for one in manifests if one.kind in ("Role", "ClusterRole")]
    return [*_own(), *ours]


@functools.cache
def _own() -> tuple[Manifest, ...]:
    return tuple(Manifest(one.data, one) for one in plain_yaml.read_file(OWN))


def _roles_of(binding: Manifest, roles: Sequence[Manifest]) -> list[Manifest]:
    """Return the role that a binding names; ours and Kubernetes' may share one."""
    ref = binding.data["roleRef"]
    return [
        role
        for role in roles
        if (role.kind, role.name) == (ref["kind"], ref["name"])
        if role.kind == "ClusterRole" or role.namespace == binding.namespace
    ]


def _grants(
    binding: Manifest,
    role: Manifest,
    rules: Sequence[dict[str, Any]],
    problems: list[str],
) -> Iterator[Grant]:
    for number, one in enumerate(binding.data.get("subjects") or []):
        where = binding.where("subjects", number)
        name, namespace = one["name"], ""
        if one["kind"] == "ServiceAccount":
            namespace = one.get("namespace") or ""
            if not namespace:
                problems.append(f"{where}: a ServiceAccount without its namespace")
        elif one["kind"] not in ("User", "Group"):
            problems.append(f"{where}: no subject is called {one['kind']}")
        subject = named(one["kind"], name, namespace)
        for rule in rules:
            label = f"{role.kind} {role.name}"
            yield Grant(subject, binding.namespace, rule, label, where)


def accounts(manifests: Iterable[Manifest]) -> set[Subject]:
    """Return the service accounts that the manifests know, `default` included."""
    manifests = list(manifests)
    found = {(pod.namespace, pod.service_account) for pod in pods(manifests)}
    for one in manifests:
        if one.kind == "ServiceAccount":
            found.add((one.namespace, one.name))
        if one.kind == "Namespace":
            found.add((one.name, "default"))
        elif one.namespace:
            found.add((one.namespace, "default"))
    return {Subject("ServiceAccount", name, namespace) for namespace, name in found}


def direct(
    held: Iterable[Grant], namespace: str, asked: Sequence[Request]
) -> list[Grant]:
    """Return the grants that allow one of the requests, the first of each subject."""
    found: dict[tuple[Subject, str], Grant] = {}
    for grant in held:
        if any(grant.covers(namespace, one) for one in asked):
            found.setdefault((grant.subject, grant.where), grant)
    return sorted(found.values(), key=lambda grant: (grant.subject, grant.where))


def named(kind: str, name: str, namespace: str = "") -> Subject:
    """Return a subject; a service account has a user's name, too."""
    prefix = "system:serviceaccount:"
    if kind == "User" and name.startswith(prefix):
        place, _, account = name.removeprefix(prefix).partition(":")
        return Subject("ServiceAccount", account, place)
    return Subject(kind, name, namespace)


def held_by(subject: Subject, held: Iterable[Grant]) -> list[Grant]:
    """Return a subject's grants, those of its groups included."""
    who = {subject, *subject.groups}
    return [grant for grant in held if grant.subject in who]
