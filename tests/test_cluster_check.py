"""What manifests give an attacker: each layer finds its own, and says where."""

import pytest

from securetrain import (
    cluster_attacks,
    cluster_check,
    cluster_files,
    netpol,
    pod_security,
)


def test_every_change_is_seen_but_those_that_none_can_see():
    for name in cluster_attacks.CHANGES:
        try:
            manifests = cluster_files.take(cluster_attacks.changed(name))
            found = bool(cluster_check.findings(manifests))
        except cluster_files.ClusterError:
            found = True
        assert found is (name not in cluster_attacks.PASSES), name


def found(change):
    """Return what is found in the hardened manifests after a change."""
    objects = cluster_attacks.hardened()
    change(objects)
    manifests = cluster_files.take(objects)
    return [str(one) for one in cluster_check.findings(manifests)]


def policy(objects, name="train-reaches-store"):
    return cluster_attacks.get(objects, "NetworkPolicy", name)["spec"]


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {}},
        {"podSelector": {}, "policyTypes": ["Egress"]},
        {
            "podSelector": {"matchLabels": {"app": "train"}},
            "policyTypes": ["Ingress", "Egress"],
        },
    ],
)
def test_what_starts_besides_must_be_held_as_well(spec):
    def change(objects):
        before = policy(objects, "deny-all")
        before.clear()
        before.update(spec)

    (*_, last) = found(change)
    assert "of every pod in training" in last or "no policy restricts" in last


@pytest.mark.parametrize(
    ("cidr", "outside"),
    [
        ("198.51.100.7/32", True),
        ("0.0.0.0/1", True),
        ("::/0", True),
        ("2001:db8::/32", True),
        ("8.0.0.0/5", True),
        ("10.1.0.0/16", False),
        ("fd00::/8", False),
    ],
)
def test_address_blocks_that_are_nobodys_own(cidr, outside):
    def change(objects):
        policy(objects)["egress"].append({"to": [{"ipBlock": {"cidr": cidr}}]})

    assert any("has addresses outside" in one for one in found(change)) is outside


def test_exceptions_do_not_make_a_block_ours():
    block = {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24", "169.254.0.0/16"]}

    def change(objects):
        policy(objects)["egress"].append({"to": [{"ipBlock": block}]})

    assert "has addresses outside" in found(change)[0]


@pytest.mark.parametrize("operator", ["Exists", "NotIn", "DoesNotExist"])
def test_selectors_that_take_namespaces_of_any_name(operator):
    key = netpol.NAME if operator != "DoesNotExist" else "closed"
    one = {"key": key, "operator": operator}
    one |= {"values": ["kube-system"]} if operator == "NotIn" else {}

    def change(objects):
        peer = policy(objects)["egress"][0]["to"][0]
        peer["namespaceSelector"] = {"matchExpressions": [one]}

    assert "of other names" in found(change)[0]


def test_ingress_without_from():
    def change(objects):
        policy(objects, "deny-all")["ingress"] = [{}]

    assert "from everywhere" in found(change)[0]


def test_cluster_admin_is_given_to_somebody():
    def change(objects):
        one = cluster_attacks.get(objects, "RoleBinding", "operators-store-key")
        one["roleRef"] |= {"kind": "ClusterRole", "name": "cluster-admin"}

    assert "Group operators gets cluster-admin in training" in found(change)[0]


def test_a_token_by_a_volume():
    source = {"serviceAccountToken": {"path": "token"}}
    volume = {"name": "t", "projected": {"sources": [source]}}

    def change(objects):
        pod = cluster_attacks.get(objects, "Job", "train")["spec"]["template"]["spec"]
        pod["volumes"].append(volume)

    assert "the volume t holds a token of" in found(change)[0]


def test_secrets_of_other_namespaces():
    def change(objects):
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["watch"]}
        cluster_attacks._role(objects, rule)
        for one in objects[-2:]:
            one["metadata"] = {"name": "trainer", "namespace": "kube-system"}

    assert "can read the secrets of kube-system" in found(change)[0]


# --- Guards that do not hold ------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("latest", False), ("v1.37", False), ("v1.40", False), ("v1.36", True),
        ("v1.9", True), ("1.37", True), ("newest", True),
    ],
)  # fmt: skip
def test_a_namespace_that_judges_by_old_rules(version, old):
    def change(objects):
        labels = cluster_attacks.get(objects, "Namespace", "training")["metadata"]
        labels["labels"][f"{pod_security.LABEL}enforce-version"] = version

    lines = found(change)
    assert len(lines) == old
    assert not old or f": pods: training is judged by {version}" in lines[0]


def quota(objects):
    return cluster_attacks.get(objects, "ResourceQuota", "training")["spec"]


SCOPED = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}


@pytest.mark.parametrize(
    "scope",
    [
        {"scopes": ["BestEffort"]},
        {"scopes": ["NotTerminating"]},
        {"scopeSelector": {"matchExpressions": [SCOPED]}},
    ],
)
def test_a_quota_with_scopes_holds_some_pods_only(scope):
    def add(objects):
        quota(objects).update(scope)

    assert len(found(add)) == 2
    assert all(": quota: training: " in one and "scopes" in one for one in found(add))

    def beside(objects):
        one = cluster_attacks.get(objects, "ResourceQuota", "training")
        more = one | {"metadata": {"name": "more", "namespace": "training"}}
        objects.append(more | {"spec": {"hard": {"pods": "0"}} | scope})

    assert found(beside) == []


@pytest.mark.parametrize(
    ("key", "hard", "bound"),
    [
        ("pods", "150000", True),
        ("pods", "150001", False),
        ("count/pods", "1e9", False),
        ("limits.memory", "160000Ti", True),
        ("limits.memory", "1Ei", False),
    ],
)
def test_a_quota_beyond_any_cluster_bounds_nothing(key, hard, bound):
    def change(objects):
        names = {"pods", "count/pods"}
        names = names if key in names else {"limits.memory", "requests.memory"}
        kept = {k: v for k, v in quota(objects)["hard"].items() if k not in names}
        quota(objects)["hard"] = kept | {key: hard}

    lines = found(change)
    assert len(lines) == (not bound)
    assert bound or f"{hard} is more than any cluster has" in lines[0]


def test_a_quota_that_is_no_number():
    def change(objects):
        quota(objects)["hard"]["pods"] = "many"

    assert "expected a quantity" in found(change)[0]


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ({"hostPath": {"path": "/"}}, True),
        ({"nfs": {"server": "files.example", "path": "/a"}}, False),
    ],
)
def test_a_volume_that_is_a_folder_of_the_node(source, wrong):
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]} | source
    one = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "runs"}}

    lines = found(lambda objects: objects.append(one | {"spec": spec}))
    assert len(lines) == wrong
    assert not wrong or "PersistentVolume runs" in lines[0]


def hook(kind, client, **more):
    one = {"name": "a.example.org", "clientConfig": client, "sideEffects": "None"}
    one |= {"admissionReviewVersions": ["v1"]} | more
    made = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind}
    return made | {"metadata": {"name": "ours"}, "webhooks": [one]}


OURS = {"service": {"name": "guard", "namespace": "guard"}}
MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"


@pytest.mark.parametrize(
    ("kind", "client", "more", "says"),
    [
        (MUTATING, OURS, {}, ""),
        (VALIDATING, OURS, {"failurePolicy": "Fail"}, ""),
        (VALIDATING, OURS, {"failurePolicy": "Ignore"}, "failurePolicy: Fail"),
        (MUTATING, OURS, {"failurePolicy": "Ignore"}, ""),
        (MUTATING, {"url": "https://hooks.example.org/a"}, {}, "hooks.example.org"),
        (MUTATING, {"url": "https://203.0.113.9:8443/a"}, {}, "203.0.113.9"),
        (VALIDATING, {"url": "https://[2001:db8::1]/a"}, {}, "2001:db8::1"),
        (MUTATING, {"url": "https://guard.svc.example.org/a"}, {}, "guard.svc.exam"),
        (MUTATING, {"url": "https://not-localhost/a"}, {}, "not-localhost"),
        (MUTATING, {"url": "https://"}, {}, "to https://,"),
        (MUTATING, {"url": "https://[/a"}, {}, "to https://[/a,"),
        (MUTATING, {"url": "https://127.0.0.1:8443/a"}, {}, ""),
        (MUTATING, {"url": "https://localhost/a"}, {}, ""),
        (MUTATING, {"url": "https://10.0.0.9/a"}, {}, ""),
        (VALIDATING, {"url": "https://guard.guard.svc/a"}, {}, ""),
        (VALIDATING, {"url": "https://guard.guard.svc.cluster.local:443"}, {}, ""),
    ],
)
def test_webhooks(kind, client, more, says):
    lines = found(lambda objects: objects.append(hook(kind, client, **more)))
    assert len(lines) == bool(says)
    assert not says or f"{kind} ours" in lines[0] and says in lines[0]


# --- Rights over what holds a pod ---------------------------------------------------

NET, ADMISSION = "networking.k8s.io", "admissionregistration.k8s.io"


def give(rule, namespace="training", subject=None):
    """Return a change that gives a rule to the trainer, "" everywhere."""

    def change(objects):
        cluster_attacks._role(objects, rule)
        role, binding = objects[-2:]
        place = {"name": "more", "namespace": namespace}
        role["metadata"] = binding["metadata"] = place if namespace else {"name": "m"}
        if not namespace:
            role["kind"], binding["kind"] = "ClusterRole", "ClusterRoleBinding"
        name = {"kind": role["kind"], "name": role["metadata"]["name"]}
        binding["roleRef"] |= name
        binding["subjects"] = [subject] if subject else binding["subjects"]

    return change


def rule(verb, resource, group="", **more):
    return {"verbs": [verb], "resources": [resource], "apiGroups": [group]} | more


@pytest.mark.parametrize(
    ("one", "namespace", "says"),
    [
        (rule("delete", "networkpolicies", NET), "training", "whom pods reach"),
        (rule("create", "networkpolicies", NET), "storage", "whom pods reach"),
        (rule("deletecollection", "networkpolicies", NET), "", "whom pods reach"),
        (rule("patch", "networkpolicies", NET), "kube-system", "whom pods reach"),
        (rule("get", "networkpolicies", NET), "training", ""),
        (rule("delete", "networkpolicies", "apps"), "training", ""),
        (rule("patch", "namespaces"), "", "which pods are let in"),
        (rule("patch", "namespaces"), "training", "which pods are let in"),
        (rule("update", "namespaces", resourceNames=["storage"]), "",
         "which pods are let in"),
        (rule("update", "namespaces", resourceNames=["storage"]), "training", ""),
        (rule("list", "namespaces"), "", ""),
        (rule("patch", "resourcequotas"), "training", "how much pods take"),
        (rule("delete", "limitranges"), "training", "how much pods take"),
        (rule("create", "resourcequotas"), "training", ""),
        (rule("create", "pods/exec"), "kube-system", "the cluster's own pods"),
        (rule("patch", "pods/ephemeralcontainers"), "kube-system", "own pods"),
        (rule("get", "pods/log"), "kube-system", ""),
        (rule("create", "persistentvolumes"), "", "the node's folders"),
        (rule("create", "persistentvolumes"), "training", ""),
        (rule("delete", "validatingwebhookconfigurations", ADMISSION), "",
         "what the API server refuses"),
        (rule("delete", "validatingwebhookconfigurations", ADMISSION), "training", ""),
    ],
)  # fmt: skip
def test_a_job_that_may_take_its_guards_away(one, namespace, says):
    lines = found(give(one, namespace))
    assert len(lines) == bool(says), lines
    where = f" in {namespace or 'the whole cluster'} "
    assert not says or says in lines[0] and where in lines[0]
    assert found(give(one, namespace, PEOPLE)) == []


PEOPLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "ops"}
ALL_OF = PEOPLE | {"name": "system:serviceaccounts:training"}


def test_what_is_given_to_all_accounts_of_a_namespace_is_given_to_the_job():
    lines = found(give(rule("delete", "networkpolicies", NET), subject=ALL_OF))
    assert len(lines) == 1 and "ServiceAccount training/trainer" in lines[0]
    lines = found(give(rule("list", "secrets"), subject=ALL_OF))
    assert len(lines) == 1 and "can read the secrets of training" in lines[0]


ANNOTATION = {"kubernetes.io/service-account.name": "deployer"}
HOLDS = {"secretKeyRef": {"name": "deploy", "key": "token"}}


@pytest.mark.parametrize(
    ("how", "kind", "seen"),
    [
        ("volume", "kubernetes.io/service-account-token", True),
        ("env", "kubernetes.io/service-account-token", True),
        ("nothing", "kubernetes.io/service-account-token", False),
        ("volume", "Opaque", False),
    ],
)
def test_a_token_of_another_account_in_a_secret(how, kind, seen):
    place = {"name": "deploy", "namespace": "training", "annotations": ANNOTATION}

    def change(objects):
        secret = {"apiVersion": "v1", "kind": "Secret", "type": kind}
        objects.append(secret | {"metadata": place})
        pod = cluster_attacks.get(objects, "Job", "train")["spec"]["template"]["spec"]
        if how == "volume":
            pod["volumes"].append({"name": "t", "secret": {"secretName": "deploy"}})
        if how == "env":
            pod["containers"][0]["env"] = [{"name": "T", "valueFrom": HOLDS}]

    lines = found(change)
    assert len(lines) == seen, lines
    assert not seen or "a token of ServiceAccount training/deployer" in lines[0]
