"""Whom somebody can become by what their roles allow, one step at a time.

The attacker holds one account. They start or enter a pod that runs as another, make its
token, impersonate it, or hand themselves a role; `escalation` follows the steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from securetrain.rbac import GROUP, Grant, Request, Subject, named

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


def moves(
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
        by_name = grant.names and written
        able = not written or _can(mine, "", written)
        if able and _can([grant], "", asked) and not by_name:
            yield everything, f"may {text} {whose}"
    masters = Request("impersonate", "groups", name="system:masters")
    if grant.covers("", masters):
        yield everything, f"may impersonate the group system:masters {whose}"
    for resource, kind in (("users", "User"), ("groups", "Group")):
        asked = Request("impersonate", resource)
        for name in grant.names if grant.covers("", asked) else ():
            yield named(kind, name), f"may impersonate {kind} {name} {whose}"
        if grant.covers("", asked) and not grant.names:
            yield everything, f"may impersonate any {kind.lower()} {whose}"
