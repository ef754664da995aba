"""Who can read a secret after all: the roads that no list of readers shows.

Whoever may start a pod in a namespace may mount its secrets, and be any of its service
accounts; whoever may hand out roles has them all. Each answer says how, step by step,
with file and line. Where the manifests leave room (which pods run, what a webhook
changes) the answer is yes: this is for finding roads, not for proving that one works.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from securetrain.cluster_files import Manifest
from securetrain.detours import BINDS, ENTERS, EVERYTHING, ROLE, STARTS, moves
from securetrain.pod_security import pods
from securetrain.rbac import (
    READS,
    Grant,
    Request,
    Subject,
    accounts,
    direct,
    grants,
    held_by,
    roles,
    rules,
)

NOT_FOLLOWED = "certificates, persistent volumes, validating webhooks"


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
    if any(pod.secrets for pod in here):
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
    names = {
        name
        for grant in held
        if any(grant.covers(grant.namespace, one) for one in BINDS)
        for name in grant.names
    }
    return [
        Grant(Subject(ROLE, role.name, place), place, rule, f"{role}", role.where())
        for role in all_roles
        if role.name in names
        for place in places
        if role.namespace in ("", place)
        for rule in rules(role, all_roles)
    ]


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
        mine = held_by(subject, held)
        if last := _all(subject, namespace) or _plainly(mine, namespace, asked):
            return Way(start, (*steps, last), not steps)
        if last := _mounting(mine, namespace, asked, entries):
            return Way(start, (*steps, last), False)
        for other, step in moves(subject, mine, known, places):
            if other not in seen:
                seen.add(other)
                waiting.append((other, (*steps, step)))
    return None


def _all(subject: Subject, namespace: str) -> str:
    """Return what somebody says who can do everything here, "" for others."""
    here = subject.kind == EVERYTHING and subject.namespace in ("", namespace)
    return f"may do everything in {subject.namespace or 'the cluster'}" if here else ""


def _plainly(mine: Sequence[Grant], namespace: str, asked: Sequence[Request]) -> str:
    """Return by which grant one of the requests is allowed, "" where by none."""
    for grant in direct(mine, namespace, asked):
        what = next(one for one in asked if grant.covers(namespace, one))
        only = f" {', '.join(grant.names)}" if grant.names else ""
        return f"may {what}{only} ({grant.role}, {grant.where})"
    return ""


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
