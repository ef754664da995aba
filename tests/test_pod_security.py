"""The policy in Rego against pods of which one value was changed, rule by rule."""

from copy import deepcopy

import pytest

from securetrain import cluster_files, pod_security

DROPPED = {"drop": ["ALL"]}


def container(name: str) -> dict:
    context = {"allowPrivilegeEscalation": False, "capabilities": DROPPED}
    return deepcopy({"name": name, "image": "a@sha256:0", "securityContext": context})


def good_pod() -> dict:
    """Return a pod that the level restricted lets through, with all kinds in it."""
    seccomp = {"type": "RuntimeDefault"}
    return {
        "metadata": {"name": "train"},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": seccomp},
            "containers": [container("main"), container("aside")],
            "initContainers": [container("first")],
            "ephemeralContainers": [container("debug")],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }


def change(pod: dict, path: tuple, value: object) -> dict:
    """Return a copy of a pod with one value set; None takes it out."""
    pod = deepcopy(pod)
    place = pod
    for key in path[:-1]:
        place = place[key] if isinstance(place, list) else place.setdefault(key, {})
    if value is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return pod


def ports(host: int) -> list[dict]:
    return [{"containerPort": 80, "hostPort": host}]


def probe(host: str) -> dict:
    return {"httpGet": {"path": "/", "port": 80, "host": host}}


POD, BASELINE, RESTRICTED = ("spec", "securityContext"), "baseline", "restricted"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/main"
# Of the pod: what is set, the rule that forbids it, and from which level on.
OF_A_POD = [
    (("spec", "hostNetwork"), True, "hostNamespaces", BASELINE),
    (("spec", "hostPID"), True, "hostNamespaces", BASELINE),
    (("spec", "hostIPC"), True, "hostNamespaces", BASELINE),
    (("spec", "volumes"), [{"name": "n", "hostPath": {"path": "/"}}],
     "hostPathVolumes", BASELINE),
    (("spec", "volumes"), [{"name": "n", "nfs": {"server": "s", "path": "/"}}],
     "restrictedVolumes", RESTRICTED),
    ((*POD, "sysctls"), [{"name": "kernel.msgmax", "value": "1"}], "sysctls", BASELINE),
    ((*POD, "seLinuxOptions"), {"type": "spc_t"}, "seLinuxOptions", BASELINE),
    ((*POD, "seLinuxOptions"), {"user": "u"}, "seLinuxOptions", BASELINE),
    ((*POD, "seLinuxOptions"), {"role": "r"}, "seLinuxOptions", BASELINE),
    ((*POD, "seccompProfile"), {"type": "Unconfined"},
     "seccompProfile_baseline", BASELINE),
    ((*POD, "seccompProfile"), None, "seccompProfile_restricted", RESTRICTED),
    ((*POD, "appArmorProfile"), {"type": "Unconfined"}, "appArmorProfile", BASELINE),
    (("metadata", "annotations"), {APPARMOR: "unconfined"}, "appArmorProfile",
     BASELINE),
    ((*POD, "windowsOptions"), {"hostProcess": True}, "windowsHostProcess", BASELINE),
    ((*POD, "runAsNonRoot"), False, "runAsNonRoot", RESTRICTED),
    ((*POD, "runAsNonRoot"), None, "runAsNonRoot", RESTRICTED),
    ((*POD, "runAsUser"), 0, "runAsUser", RESTRICTED),
]  # fmt: skip
# Of any of its containers, below securityContext unless the path begins with "".
OF_A_CONTAINER = [
    (("privileged",), True, "privileged", BASELINE),
    (("procMount",), "Unmasked", "procMount", BASELINE),
    (("capabilities",), DROPPED | {"add": ["SYS_ADMIN"]}, "capabilities_baseline",
     BASELINE),
    (("capabilities",), DROPPED | {"add": ["CHOWN"]}, "capabilities_restricted",
     RESTRICTED),
    (("capabilities",), {"drop": ["NET_RAW"]}, "capabilities_restricted", RESTRICTED),
    (("capabilities",), None, "capabilities_restricted", RESTRICTED),
    (("allowPrivilegeEscalation",), True, "allowPrivilegeEscalation", RESTRICTED),
    (("allowPrivilegeEscalation",), None, "allowPrivilegeEscalation", RESTRICTED),
    (("runAsNonRoot",), False, "runAsNonRoot", RESTRICTED),
    (("runAsUser",), 0, "runAsUser", RESTRICTED),
    (("seccompProfile",), {"type": "Unconfined"}, "seccompProfile_baseline", BASELINE),
    (("seLinuxOptions",), {"type": "spc_t"}, "seLinuxOptions", BASELINE),
    (("appArmorProfile",), {"type": "Unconfined"}, "appArmorProfile", BASELINE),
    (("", "ports"), ports(80), "hostPorts", BASELINE),
    (("", "livenessProbe"), probe("10.0.0.1"), "hostProbesAndHostLifecycle", BASELINE),
    (("", "lifecycle"), {"preStop": probe("10.0.0.1")}, "hostProbesAndHostLifecycle",
     BASELINE),
]  # fmt: skip
PLACES = [("containers", 0), ("containers", 1), ("initContainers", 0),
          ("ephemeralContainers", 0)]  # fmt: skip


def everywhere() -> list[tuple[tuple, object, str, str]]:
    """Return the changes of a pod, and those of a container in each place for one."""
    inside = [
        (("spec", *place, *(path[1:] if path[0] == "" else ("securityContext", *path))),
         value, rule, level)
        for place in PLACES
        for path, value, rule, level in OF_A_CONTAINER
    ]  # fmt: skip
    return OF_A_POD + inside


def rules(pod: dict, level: str) -> set[str]:
    return {one.rule for one in pod_security.violations(pod, level)}


def test_a_good_pod_passes_every_level():
    assert rules(good_pod(), RESTRICTED) == rules(good_pod(), BASELINE) == set()


@pytest.mark.parametrize(("path", "value", "rule", "level"), everywhere())
def test_one_wrong_value_is_named_from_its_level_on(path, value, rule, level):
    pod = change(good_pod(), path, value)
    assert rule in rules(pod, RESTRICTED)
    assert (rule in rules(pod, BASELINE)) is (level == BASELINE)
    assert rules(pod, "privileged") == set()
    leads = [one.path for one in pod_security.violations(pod) if one.rule == rule]
    common = path[: 4 if path[1] in {place[0] for place in PLACES} else 2]
    if value is not None and rule not in ("runAsNonRoot", "seccompProfile_restricted"):
        assert all(one[: len(common)] == common for one in leads), leads


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*POD, "sysctls"), [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]),
        ((*POD, "seLinuxOptions"), {"type": "container_t"}),
        ((*POD, "seccompProfile"), {"type": "Localhost", "localhostProfile": "p"}),
        ((*POD, "appArmorProfile"), {"type": "RuntimeDefault"}),
        (("metadata", "annotations"), {APPARMOR: "localhost/train"}),
        ((*POD, "runAsUser"), 1000),
        (("spec", "hostNetwork"), False),
        (("spec", "volumes"), [{"name": "n"}]),
        (("spec", "volumes"), [{"name": "n", "persistentVolumeClaim": {}}]),
        (("spec", "containers", 0, "ports"), ports(0)),
        (("spec", "containers", 0, "livenessProbe"), probe("")),
        (("spec", "containers", 0, "securityContext", "capabilities"),
         DROPPED | {"add": ["NET_BIND_SERVICE"]}),
        (("spec", "containers", 0, "securityContext", "procMount"), "Default"),
    ],
)  # fmt: skip
def test_what_is_allowed_passes(path, value):
    assert rules(change(good_pod(), path, value), RESTRICTED) == set()


def test_a_container_may_set_what_the_pod_leaves_out():
    pod = change(good_pod(), POD, {})
    assert rules(pod, RESTRICTED) == {"runAsNonRoot", "seccompProfile_restricted"}
    own = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for kind, number in PLACES:
        pod["spec"][kind][number]["securityContext"] |= own
    assert rules(pod, RESTRICTED) == set()


def test_paths_lead_to_the_value():
    text = """apiVersion: batch/v1
kind: CronJob
metadata: {name: a, namespace: n}
spec:
  schedule: "0 0 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          serviceAccountName: who
          containers:
            - name: a
              securityContext:
                privileged: true
"""
    (pod,) = pod_security.pods(cluster_files.parse(text, "a.yaml"))
    assert (pod.service_account, pod.namespace) == ("who", "n")
    (one,) = pod_security.violations(pod.data, "baseline")
    assert pod.where(*one.path) == "a.yaml:14"
    assert "privileged" in str(one)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"spec": None},
        {"spec": {"containers": None}},
        {"spec": {"containers": [{"name": "a", "securityContext": None}]}},
        {"spec": {"containers": [{"name": "a"}], "volumes": None}},
    ],
)
def test_odd_pods_do_not_crash(odd):
    pod_security.violations(odd)


def test_text_is_no_switch_and_does_not_harden():
    context = {"allowPrivilegeEscalation": "false", "runAsNonRoot": "true"}
    context |= {"capabilities": {"drop": "ALL"}, "seccompProfile": "RuntimeDefault"}
    pod = {"spec": {"containers": [{"name": "a", "securityContext": context}]}}
    assert len(pod_security.violations(pod)) == 4


def test_wrong_use():
    with pytest.raises(ValueError, match="unknown level"):
        pod_security.violations({}, "strict")
    with pytest.raises(ValueError, match="mapping"):
        pod_security.violations([])
    assert pod_security.violations({"spec": {"hostPID": True}}, "privileged") == []


def test_the_label_decides_what_is_enforced():
    for labels, level in (
        ({}, "privileged"),
        ({"enforce": "restricted"}, "restricted"),
        ({"warn": "restricted"}, "privileged"),
        ({"enforce": "Restricted"}, "privileged"),
    ):
        labels = {f"pod-security.kubernetes.io/{k}": v for k, v in labels.items()}
        space = {"apiVersion": "v1", "kind": "Namespace"}
        space["metadata"] = {"name": "n", "labels": labels}
        (one,) = cluster_files.take([space])
        assert pod_security.enforced(one) == level
    assert pod_security.enforced(None) == "privileged"
