"""Resource quotas and limit ranges: how much of the cluster one job can take.

The attacker, or an endless loop, starts pods until nobody else gets a machine. A
ResourceQuota caps a namespace, a LimitRange each container. Together they may also turn
every honest job away: both sides are judged here, as the API server does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from securetrain.cluster_files import Manifest

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
UNITS |= {"E": 10**18, "m": Fraction(1, 1000), "u": Fraction(1, 10**6)}
UNITS |= {"n": Fraction(1, 10**9)}
UNITS |= {f"{p}i": 1024**n for n, p in enumerate("KMGTPE", 1)}
QUANTITY = re.compile(r"\+?(\d+\.?\d*|\.\d+)(?:([eE][-+]?\d{1,2})|([a-zA-Z]{0,2}))")
RESOURCES = ("cpu", "memory", "ephemeral-storage")
COUNTS = {  # the keys by which a quota bounds all pods of a namespace
    "pods": ("pods", "count/pods"),
    "memory": ("memory", "requests.memory", "limits.memory"),
}
# Kubernetes is made for 150,000 pods on 5,000 nodes ("Considerations for large
# clusters"); the largest machine that a cloud rents out has 32 TiB.
LARGEST = {"pods": 150_000, "memory": 5_000 * 32 * 1024**4}


@dataclass(frozen=True)
class Verdict:
    """Whether the API server admits a pod; why is "" where it does."""

    admitted: bool
    why: str = ""


def quantity(value: Any) -> Fraction:
    """Return a quantity as a number: "500m" is 1/2, "1Ki" is 1024.

    Raises ValueError for what is no quantity, or less than zero.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return Fraction(str(value))
    match = QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if not match or (match[3] or "") not in UNITS:
        raise ValueError(f"expected a quantity such as 500m or 2Gi, got {value!r:.40}")
    if match[2]:
        return Fraction(match[1] + match[2])
    return Fraction(match[1]) * UNITS[match[3] or ""]


def with_defaults(
    pod: Mapping[str, Any], ranges: Sequence[Mapping[str, Any]]
) -> list[dict[str, dict[str, Fraction]]]:
    """Return requests and limits of each container, the range's defaults filled in.

    pod: its spec; ranges: specs of LimitRanges. Containers first, then the init
    containers in their order. A limit without a request is a request, too.
    """
    rules = [one for r in ranges for one in r.get("limits") or []]
    rules = [one for one in rules if one.get("type") == "Container"]
    every = [*(pod.get("containers") or []), *_before(pod)]
    return [_filled(container, rules) for container in every]


def _before(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return pod.get("initContainers") or []


def _stays(container: Mapping[str, Any]) -> bool:
    """Say whether an init container is a sidecar, which runs on beside the rest."""
    return container.get("restartPolicy") == "Always"


def _filled(
    container: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Fraction]]:
    asked = container.get("resources") or {}
    limits = {k: quantity(v) for k, v in (asked.get("limits") or {}).items()}
    requests = {k: quantity(v) for k, v in (asked.get("requests") or {}).items()}
    requests = {**limits, **requests}
    for rule in rules:
        default, least = rule.get("default") or {}, rule.get("defaultRequest") or {}
        # The API server fills a range's own blanks: max is the default limit.
        default = {**(rule.get("max") or {}), **default}
        least = {**(rule.get("min") or {}), **default, **least}
        for name, value in least.items():
            requests.setdefault(name, quantity(value))
        for name, value in default.items():
            limits.setdefault(name, quantity(value))
    return {"requests": requests, "limits": limits}


def needs(
    pod: Mapping[str, Any], ranges: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Fraction]:
    """Return what a pod counts for in a quota, as requests.cpu, limits.memory, pods.

    Init containers run one after the other, before the rest, each beside the sidecars
    that came before it: the largest moment counts.
    What a pod asks for as a whole (`resources` beside its containers) is not read.
    Source: KEP-753, "Sidecar containers"
    """
    whole = with_defaults(pod, ranges)
    many = len(whole) - len(_before(pod))
    stays = [_stays(one) for one in _before(pod)]
    found = {"pods": Fraction(1)}
    for kind in ("requests", "limits"):
        for name in {name for one in whole for name in one[kind]}:
            values = [one[kind].get(name, Fraction(0)) for one in whole]
            found[f"{kind}.{name}"] = _most(values[:many], values[many:], stays)
    return found


def _most(
    containers: Sequence[Fraction], before: Sequence[Fraction], stays: Sequence[bool]
) -> Fraction:
    """Return the most that a pod takes at once; stays: which of `before` run on."""
    most = sidecars = Fraction(0)
    for value, sidecar in zip(before, stays, strict=True):
        most = max(most, sidecars + value)
        sidecars += value if sidecar else 0
    return max(most, sum(containers, sidecars))


def unbounded(quotas: Iterable[Mapping[str, Any]], what: str) -> str:
    """Return why no quota bounds the pods of a namespace, "" where one does.

    quotas: specs of ResourceQuotas; what: a key of COUNTS. One with scopes bounds some
    pods only, and their author decides which; one beyond any cluster bounds none.
    Raises ValueError for a wrong quantity.
    """
    why = f"no quota on its {what}"
    for quota in quotas:
        hard = quota.get("hard") or {}
        for value in (hard[key] for key in COUNTS[what] if key in hard):
            if scoped(quota):
                why = f"the quota on its {what} has scopes, and counts some pods only"
            elif quantity(value) > LARGEST[what]:
                why = f"a quota on {what} of {value} is more than any cluster has"
            else:
                return ""
    return why


def scoped(quota: Mapping[str, Any]) -> bool:
    """Return whether a quota (its spec) counts some pods only."""
    return bool(quota.get("scopes") or quota.get("scopeSelector"))


def admit(
    pod: Mapping[str, Any],
    quotas: Sequence[Mapping[str, Any]],
    ranges: Sequence[Mapping[str, Any]],
    running: Sequence[Mapping[str, Any]] = (),
) -> Verdict:
    """Return whether a pod is admitted beside those that run.

    pod, running: specs of pods; quotas, ranges: specs of what the namespace has.
    Quotas with scopes are not asked. Raises ValueError for a wrong quantity.
    """
    if why := _out_of_range(pod, ranges):
        return Verdict(False, why)
    wants = needs(pod, ranges)
    used = [needs(one, ranges) for one in running]
    for quota in quotas:
        for key, hard in ({} if scoped(quota) else quota.get("hard") or {}).items():
            name = _counted(key)
            if name is None:
                continue
            if name not in wants and name != "pods":
                if not name.startswith(("requests.", "limits.")):
                    continue
                if name.split(".", 1)[1] not in RESOURCES:
                    continue  # a pod that asks for no GPU takes none
                return Verdict(False, f"the quota counts {key}, and the pod names none")
            total = wants[name] + sum(one.get(name, Fraction(0)) for one in used)
            if total > quantity(hard):
                return Verdict(False, f"more {key} than the quota's {hard}")
    return Verdict(True)


def _counted(key: str) -> str | None:
    """Return what of a pod a quota's key counts; None where it counts no pods."""
    if key in ("cpu", "memory", "ephemeral-storage"):
        return f"requests.{key}"
    if key in ("pods", "count/pods"):
        return "pods"
    return key if key.startswith(("requests.", "limits.")) else None


def _out_of_range(pod: Mapping[str, Any], ranges: Sequence[Mapping[str, Any]]) -> str:
    """Return which bound of a LimitRange a container breaks, "" where none."""
    whole = with_defaults(pod, ranges)
    for rule in [one for r in ranges for one in r.get("limits") or []]:
        if rule.get("type") != "Container":
            continue
        for one in whole:
            for name, bound in (rule.get("max") or {}).items():
                if one["limits"].get(name, quantity(bound)) > quantity(bound):
                    return f"a container's limit of {name} is above {bound}"
            for name, bound in (rule.get("min") or {}).items():
                if one["requests"].get(name, quantity(bound)) < quantity(bound):
                    return f"a container's request of {name} is below {bound}"
    for one in whole:
        for name, limit in one["limits"].items():
            if one["requests"].get(name, limit) > limit:
                return f"a container's request of {name} is above its limit"
    return ""


def specs(manifests: Iterable[Manifest], kind: str, namespace: str) -> list[Any]:
    """Return the specs of one kind in a namespace."""
    return [
        one.data.get("spec") or {}
        for one in manifests
        if one.kind == kind and one.namespace == namespace
    ]
