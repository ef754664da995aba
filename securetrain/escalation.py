"""Who can read a secret after all: the roads that no list of readers shows.

Whoever may start a pod in a namespace may mount its secrets, and be any of its service
accounts; whoever may hand out roles has them all. Each answer says how, step by step,
with file and line. Where the manifests leave room (which pods run, what a webhook
changes) the answer is yes: this is for finding roads, not for proving that one works.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from securetrain.cluster_files import Manifest
from securetrain.pod_security import Pod, pods
from securetrain.rbac import (
    GROUP,
    READS,
    Grant,
    Request,
    Subject,
    accounts,
    direct,
    grants,
    roles,
    rules,
)

NOT_FOLLOWED = "certificates, persistent volumes, validating webhooks"
CHANGE = ("create", "update", "patch")
# Kinds of subjects that are none: all rights in a namespace, and those of one role.
EVERYTHING, ROLE = "everything", "role"
STARTS = (Request("create", "pods"),) + tuple(
    Request(verb, resource, group)
    for group, resources in {
        "": ("replicationcontrollers",),
        "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
        "batch": ("cronjobs", "jobs"),
    }.items()
    for resource in resources
    for verb in CHANGE
)
ENTERS = (
    *(Request(v, f"pods/{x}") for x in ("exec", "attach") for v in ("create", "get")),
    *(Request(v, "pods/ephemeralcontainers") for v in ("update", "patch")),
    *(Request(v, "pods") for v in ("update", "patch")),  # another image
)
BINDS = tuple(Request("bind", x, GROUP) for x in ("clusterroles", "roles"))
# Neither bind nor escalate hands out anything by itself: its holder writes an object,
# too. In a namespace and in the whole cluster: what to bind, and where it is written.
BINDINGS = tuple(Request(v, "rolebindings", GROUP) for v in CHANGE)
WIDE_BINDS = (Request("bind", "clusterroles", GROUP),)
WIDE_BINDINGS = tuple(Request(v, "clusterrolebindings", GROUP) for v in CHANGE)
ESCALATES = (Request("escalate", "roles", GROUP),)
ROLES = tuple(Request(v, "roles", GROUP) for v in CHANGE)
WIDE_ESCALATES = (Request("escalate", "clusterroles", GROUP),)
WIDE_ROLES = tuple(Request(v, "clusterroles", GROUP) for v in CHANGE)
NODES = tuple(Request(v, "nodes/proxy") for v in ("create", "get"))
HOOKS = tuple(
    Request(v, "mutatingwebhookconfigurations", "admissionregistration.k8s.io")
    for v in CHANGE
)


@dataclass(frozen=True, order=True)
class Way:
    """How a subject gets there. direct: a role says so outright, without a detour."""

    subject: Subject
    steps: tuple[str, ...]
    direct: bool

    def __str__(self) -> str:
        return f"{self.subject}: {'; '.join(self.steps)}"


def who(
    manifests: Iterable[Manifest], namespace: str, asked: Sequence[Request]
) -> list[Way]:
    """Return who can do one of the requests in a namespace, each by the shortest way.

    Subjects are those that bindings name, groups included; besides them there are the
    cluster's own: its control plane, and the group system:masters.
    Raises ClusterError as `rbac.grants` does.
    """
    manifests = list(manifests)
    held = grants(manifests)
    known = sorted(accounts(manifests))
    places = sorted({s.namespace for s in known} | {namespace})
    subjects = sorted({grant.subject for grant in held})
    held += _handed_out(held, roles(manifests), places)
    here = [pod for pod in pods(manifests) if pod.namespace == namespace]
    entries = (("start", STARTS),)
    if any(map(_holds_secrets, here)):
        entries += (("enter", ENTERS),)
    ways = (
        _shortest(subject, held, known, places, namespace, asked, entries)
        for subject in subjects
    )
    return [way for way in ways if way]


def _handed_out(
    held: Sequence[Grant], all_roles: Sequence[Manifest], places: Sequence[str]
) -> list[Grant]:
    """Return what the roles allow that a grant lets somebody hand out by their names.

    Each has a subject of its own, of the kind ROLE, which its holder can become.
    """
    names = {n for g in held if g.names for a in BINDS if _any(g, a) for n in g.names}
    return [
        Grant(Subject(ROLE, role.name, place), place, rule, f"{role}", role.where())
        for role in all_roles
        if role.name in names
        for place in places
        if role.namespace in ("", place)
        for rule in rules(role, all_roles)
    ]


def _any(grant: Grant, asked: Request) -> bool:
    return grant.covers(grant.namespace, asked)


def _shortest(
    start: Subject,
    held: Sequence[Grant],
    known: Sequence[Subject],
    places: Sequence[str],
    namespace: str,
    asked: Sequence[Request],
    entries: Sequence[tuple[str, Sequence[Request]]],
) -> Way | None:
    """Return the shortest way from a subject to what is asked, None where none is."""
    waiting: deque[tuple[Subject, tuple[str, ...]]] = deque([(start, ())])
    seen = {start}
    while waiting:
        subject, steps = waiting.popleft()
        mine = _of(subject, held)
        if last := _plainly(subject, mine, namespace, asked):
            return Way(start, (*steps, last), not steps)
        if last := _mounting(mine, namespace, asked, entries):
            return Way(start, (*steps, last), False)
        for other, step in _moves(subject, mine, known, places):
            if other not in seen:
                seen.add(other)
                waiting.append((other, (*steps, step)))
    return None


def _of(subject: Subject, held: Sequence[Grant]) -> list[Grant]:
    """Return a subject's grants, those of its groups included."""
    who = {subject, *subject.groups}
    return [grant for grant in held if grant.subject in who]


def _plainly(
    subject: Subject, mine: Sequence[Grant], namespace: str, asked: Sequence[Request]
) -> str:
    """Return by which grant somebody can do what is asked, "" where there is none."""
    if subject.kind == EVERYTHING and subject.namespace in ("", namespace):
        return f"may do everything in {subject.namespace or 'the cluster'}"
    for grant in direct(mine, namespace, asked):
        what = next(one for one in asked if grant.covers(namespace, one))
        only = f" {', '.join(grant.names)}" if grant.names else ""
        return f"may {what}{only} ({grant.role}, {grant.where})"
    return ""


def _holds_secrets(pod: Pod) -> bool:
    """Return whether a pod has a secret in a volume or in its environment."""
    for volume in pod.spec.get("volumes") or []:
        sources = (volume.get("projected") or {}).get("sources") or []
        if any("secret" in one for one in (volume, *sources)):
            return True
    for kind in ("containers", "initContainers"):
        for one in pod.spec.get(kind) or []:
            if any("secretRef" in source for source in one.get("envFrom") or []):
                return True
            values = (value.get("valueFrom") or {} for value in one.get("env") or [])
            if any("secretKeyRef" in value for value in values):
                return True
    return False


def _mounting(
    mine: Sequence[Grant],
    namespace: str,
    asked: Sequence[Request],
    entries: Sequence[tuple[str, Sequence[Request]]],
) -> str:
    """Return by which grant somebody sees secrets through pods that mount them."""
    shown = (one for one in asked if one.verb in READS)
    if not any((one.resource, one.group) == ("secrets", "") for one in shown):
        return ""
    for verb, kinds in entries:
        for grant in direct(mine, namespace, kinds):
            where = f"({grant.role}, {grant.where})"
            return f"may {verb} pods that mount its secrets {where}"
    return ""


def _moves(
    subject: Subject,
    mine: Sequence[Grant],
    known: Sequence[Subject],
    places: Sequence[str],
) -> Iterator[tuple[Subject, str]]:
    """Yield whom a subject can become, and how."""
    if subject.kind == EVERYTHING:
        for one in known:
            if subject.namespace in ("", one.namespace):
                yield one, f"may run as {one}"
        return
    for grant in mine:
        whose = f"({grant.role}, {grant.where})"
        for place in places:
            yield from _moves_in(grant, place, known, whose)
            yield from _hands_out(grant, place, mine, whose)
        yield from _wide_moves(grant, mine, whose)


def _moves_in(
    grant: Grant, place: str, known: Sequence[Subject], whose: str
) -> Iterator[tuple[Subject, str]]:
    """Yield whom one grant lets somebody become in one namespace."""

    def can(*asked: Request) -> bool:
        return any(grant.covers(place, one) for one in asked)

    here = [one for one in known if one.namespace == place]
    if can(*STARTS):
        for one in here:
            yield one, f"may start pods in {place} that run as {one} {whose}"
    if can(*ENTERS):
        for one in here:
            yield one, f"may enter pods in {place} that run as {one} {whose}"
    for verb, resource, text in (
        ("create", "serviceaccounts/token", "make a token of"),
        ("impersonate", "serviceaccounts", "impersonate"),
    ):
        for one in here:
            if can(Request(verb, resource, name=one.name)):
                yield one, f"may {text} {one} {whose}"


def _can(held: Iterable[Grant], place: str, asked: Iterable[Request]) -> bool:
    return any(one.covers(place, each) for one in held for each in asked)


def _hands_out(
    grant: Grant, place: str, mine: Sequence[Grant], whose: str
) -> Iterator[tuple[Subject, str]]:
    """Yield which roles of a namespace one grant lets somebody take, with all others.

    mine: all grants of its holder, who must be able to write the role or the binding
    """
    everything = Subject(EVERYTHING, "", place)
    if _can([grant], place, ESCALATES) and _can(mine, place, ROLES):
        yield everything, f"may write itself any role in {place} (escalate) {whose}"
    if _can([grant], place, BINDS) and _can(mine, place, BINDINGS):
        for name in grant.names:
            yield Subject(ROLE, name, place), f"may hand out the role {name} {whose}"
        if not grant.names:
            yield everything, f"may hand out any role in {place} (bind) {whose}"


def _wide_moves(
    grant: Grant, mine: Sequence[Grant], whose: str
) -> Iterator[tuple[Subject, str]]:
    """Yield whom a grant lets somebody become that holds in the whole cluster."""
    if grant.namespace:
        return
    everything = Subject(EVERYTHING, "")
    for asked, written, text in (
        (WIDE_ESCALATES, WIDE_ROLES, "write itself any role (escalate)"),
        (WIDE_BINDS, WIDE_BINDINGS, "hand out roles everywhere (bind)"),
        (NODES, (), "talk to any node's kubelet"),
        (HOOKS, (), "change every object on its way in (webhook)"),
    ):
        named = grant.names and written
        able = not written or _can(mine, "", written)
        if able and _can([grant], "", asked) and not named:
            yield everything, f"may {text} {whose}"
    masters = Request("impersonate", "groups", name="system:masters")
    if grant.covers("", masters):
        yield everything, f"may impersonate the group system:masters {whose}"
    for resource, kind in (("users", "User"), ("groups", "Group")):
        asked = Request("impersonate", resource)
        for name in grant.names if grant.covers("", asked) else ():
            yield _named(kind, name), f"may impersonate {kind} {name} {whose}"
        if grant.covers("", asked) and not grant.names:
            yield everything, f"may impersonate any {kind.lower()} {whose}"


def _named(kind: str, name: str) -> Subject:
    """Return a subject; a service account has a user's name, too."""
    prefix = "system:serviceaccount:"
    if kind == "User" and name.startswith(prefix):
        place, _, account = name.removeprefix(prefix).partition(":")
        return Subject("ServiceAccount", account, place)
    return Subject(kind, name)
