"""Who can read secrets: by roles, by groups, by detours; and who cannot."""

import pytest

from securetrain import cluster_files, escalation, rbac
from securetrain.cluster_files import ClusterError
from securetrain.rbac import Request, Subject

GROUP = "rbac.authorization.k8s.io"
READ = rbac.request("read", "secrets")


def role(name, *rules, namespace="", labels=None, select=None):
    kind = "Role" if namespace else "ClusterRole"
    made = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}}
    made["metadata"] |= {"namespace": namespace} if namespace else {}
    made["metadata"] |= {"labels": labels} if labels else {}
    if select:
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": select}]}
    return made | {"rules": list(rules)}


def rule(verbs, resources, groups="", names=()):
    made = {"verbs": verbs.split(), "resources": resources.split()}
    made["apiGroups"] = groups.split() or [""]
    return made | ({"resourceNames": list(names)} if names else {})


def bind(name, who, namespace="", kind="ClusterRole"):
    """Bind a role to `User:eve`, `Group:ops` or `namespace/account`."""
    made = {"apiVersion": f"{GROUP}/v1", "metadata": {"name": f"{name}-{who[-1]}"}}
    made["kind"] = "RoleBinding" if namespace else "ClusterRoleBinding"
    made["metadata"] |= {"namespace": namespace} if namespace else {}
    made["metadata"]["name"] = f"{name}-{who.replace(':', '-').replace('/', '-')}"
    made["roleRef"] = {"apiGroup": GROUP, "kind": kind, "name": name}
    if ":" in who and "/" not in who:
        sort, label = who.split(":", 1)
        subject = {"apiGroup": GROUP, "kind": sort, "name": label}
    else:
        space, label = who.split("/")
        subject = {"kind": "ServiceAccount", "name": label, "namespace": space}
    return made | {"subjects": [subject]}


def account(name, namespace="training"):
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


VOLUME = {"volumes": [{"name": "v", "secret": {"secretName": "key"}}]}
PROJECTED = {"sources": [{"secret": {"name": "key"}}]}
FROM_KEY = {"secretKeyRef": {"name": "key", "key": "k"}}


def pod(more, namespace="training", **container):
    metadata = {"name": "train", "namespace": namespace}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    one = {"name": "c", "image": "c"} | container
    return made | {"spec": {"containers": [one]} | more}


def ways(*objects, namespace="training", asked=READ):
    manifests = cluster_files.take(list(objects))
    return {str(w.subject): w for w in escalation.who(manifests, namespace, asked)}


def direct(*objects, **more):
    return {name for name, way in ways(*objects, **more).items() if way.direct}


def test_a_role_holds_in_its_namespace_only():
    objects = [
        role("r", rule("get", "secrets"), namespace="training"),
        bind("r", "User:eve", "training", "Role"),
    ]
    assert direct(*objects) == {"User eve"}
    assert ways(*objects, namespace="other") == {}


def test_a_binding_in_a_namespace_narrows_a_cluster_role():
    objects = [role("r", rule("list", "secrets")), bind("r", "User:eve", "training")]
    assert direct(*objects) == {"User eve"}
    assert ways(*objects, namespace="other") == {}
    objects = [role("r", rule("list", "secrets")), bind("r", "User:eve")]
    assert direct(*objects, namespace="other") == {"User eve"}


@pytest.mark.parametrize(
    ("one", "reads"),
    [
        (rule("*", "*", "*"), True),
        (rule("*", "secrets"), True),
        (rule("watch", "*"), True),
        (rule("get", "secrets", "*"), True),
        (rule("get", "secrets", "apps"), False),
        (rule("delete create update patch", "secrets"), False),
        (rule("get list", "configmaps pods"), False),
        (rule("get", "secrets/status"), False),
        (rule("get", "*/secrets"), False),
        (rule("get", "secrets", names=["one"]), True),
        (rule("list", "secrets", names=["one"]), True),  # by a field selector
        (rule("watch", "secrets", names=["one"]), True),
        (rule("create deletecollection", "secrets", names=["one"]), False),
        (rule("GET", "secrets"), False),
        (rule("get", "secret"), False),
    ],
)
def test_rules(one, reads):
    objects = [role("r", one), bind("r", "User:eve", "training")]
    assert ("User eve" in direct(*objects)) is reads


def test_a_name_narrows_a_list_and_stops_what_names_nothing():
    for verb in ("get", "list", "watch", "delete"):
        one = rule(verb, "secrets", names=["key"])
        assert rbac.allows(one, Request(verb, "secrets"))
        assert rbac.allows(one, Request(verb, "secrets", name="key"))
        assert not rbac.allows(one, Request(verb, "secrets", name="other"))
    for verb in ("create", "deletecollection"):
        assert not rbac.allows(
            rule(verb, "secrets", names=["key"]), Request(verb, "secrets")
        )


def test_subresources():
    asked = rbac.request("create", "pods/exec")
    for resource, wanted in (("pods/exec", True), ("pods", False), ("*/exec", True)):
        objects = [role("r", rule("create", resource)), bind("r", "User:eve")]
        assert bool(ways(*objects, asked=asked)) is wanted, resource


def test_aggregated_roles_collect_by_label():
    label = {"to": "readers"}
    objects = [
        role("readers", rule("get", "pods"), select=label),
        role("part", rule("get", "secrets"), labels=label),
        bind("readers", "Group:staff"),
    ]
    assert direct(*objects) == {"Group staff"}
    assert ways(*objects, asked=rbac.request("get", "pods")) == {}  # overwritten
    objects[1]["metadata"]["labels"] = {"to": "others"}
    assert ways(*objects) == {}


def test_a_label_adds_to_kubernetes_own_roles():
    label = {f"{GROUP}/aggregate-to-view": "true"}
    objects = [bind("view", "Group:interns")]
    assert ways(*objects) == {}
    for own in ("view", "edit", "admin"):
        objects = [
            role("part", rule("get", "secrets"), labels=label),
            bind(own, "Group:interns"),
        ]
        assert direct(*objects) == {"Group interns"}, own


def test_aggregation_in_a_circle_ends():
    objects = [
        role("a", labels={"x": "1"}, select={"x": "2"}),
        role("b", rule("get", "secrets"), labels={"x": "2"}, select={"x": "1"}),
        role("c", rule("get", "secrets"), labels={"x": "1"}),
        bind("a", "User:eve"),
    ]
    assert direct(*objects) == {"User eve"}


def test_kubernetes_own_roles():
    for own, reads in (
        ("cluster-admin", True),
        ("admin", True),
        ("edit", True),
        ("view", False),
    ):
        assert bool(ways(bind(own, "User:eve", "training"))) is reads, own


def test_a_role_that_is_nowhere_is_an_error():
    with pytest.raises(ClusterError, match="ClusterRole ghost is in no file"):
        ways(bind("ghost", "User:eve"))
    here = role("r", rule("get", "secrets"), namespace="other")
    with pytest.raises(ClusterError, match="Role r is in no file"):
        ways(here, bind("r", "User:eve", "training", "Role"))


def test_groups_that_service_accounts_are_in():
    for group in (
        "system:serviceaccounts",
        "system:serviceaccounts:training",
        "system:authenticated",
    ):
        objects = [
            account("loader"),
            role("r", rule("get", "secrets")),
            bind("r", f"Group:{group}", "training"),
            role("t", rule("create", "serviceaccounts/token")),
            bind("t", "User:eve", "training"),
        ]
        found = ways(*objects)
        assert found[f"Group {group}"].direct
        assert found["User eve"].direct is (group == "system:authenticated")
    assert Subject("Group", "g").groups == ()
    user = Subject("User", "system:anonymous")
    assert user.groups == (Subject("Group", "system:unauthenticated"),)


def test_a_users_name_may_be_a_service_account():
    objects = [role("r", rule("get", "secrets"))]
    objects.append(bind("r", "User:system:serviceaccount:training:loader"))
    assert direct(*objects) == {"ServiceAccount training/loader"}


@pytest.mark.parametrize(
    "one",
    [
        rule("create", "pods"),
        rule("create", "jobs", "batch"),
        rule("patch", "deployments", "apps"),
        rule("update", "cronjobs", "*"),
        rule("create", "pods/exec"),
        rule("get", "pods/exec"),
        rule("patch", "pods/ephemeralcontainers"),
        rule("create", "pods/attach"),
        rule("patch", "pods", names=["train"]),
        rule("bind create", "clusterroles rolebindings", GROUP),
        rule("bind patch", "roles rolebindings", GROUP),
        rule("escalate update", "roles", GROUP),
    ],
)
def test_detours_in_a_namespace(one):
    objects = [role("r", one), bind("r", "User:eve", "training"), pod(VOLUME)]
    (way,) = ways(*objects).values()
    assert not way.direct and "eve" in str(way)
    assert ways(*objects, namespace="other") == {}


@pytest.mark.parametrize(
    "one",
    [
        rule("impersonate", "users"),
        rule("impersonate", "groups"),
        rule("impersonate", "groups", names=["system:masters"]),
        rule("create", "nodes/proxy"),
        rule("patch", "mutatingwebhookconfigurations", "admissionregistration.k8s.io"),
        rule("bind create", "clusterroles clusterrolebindings", GROUP),
        rule("escalate patch", "clusterroles", GROUP),
    ],
)
def test_detours_through_the_cluster(one):
    objects = [role("r", one), bind("r", "User:eve")]
    assert not ways(*objects)["User eve"].direct


@pytest.mark.parametrize(
    "one",
    [
        rule("get list watch delete", "pods pods/log configmaps"),
        rule("create", "jobs", "apps"),
        rule("create", "pods/portforward"),
        rule("create", "jobs", "batch", names=["train"]),
        rule("create update patch", "rolebindings roles", GROUP),
        rule("impersonate", "users", names=["nobody"]),
        rule("bind", "clusterroles roles", GROUP),
        rule("bind create", "clusterroles roles", GROUP),
        rule("escalate", "clusterroles roles", GROUP),
        rule("escalate create", "rolebindings", GROUP),
        rule("create", "serviceaccounts/token", names=["nobody"]),
    ],
)
def test_what_is_no_detour(one):
    objects = [role("r", one), bind("r", "User:eve"), account("loader")]
    assert ways(*objects) == {}


def test_bind_and_what_it_writes_may_come_from_two_grants():
    objects = [role("b", rule("bind", "clusterroles", GROUP)), bind("b", "User:eve")]
    assert ways(*objects) == {}
    for resource in ("rolebindings", "clusterrolebindings"):
        more = role("w", rule("create", resource, GROUP))
        found = ways(*objects, more, bind("w", "Group:system:authenticated"))
        assert not found["User eve"].direct, resource
    here = bind("w", "User:eve", "elsewhere")
    assert ways(*objects, role("w", rule("create", "rolebindings", GROUP)), here) == {}


@pytest.mark.parametrize(
    ("one", "has"),
    [
        (pod(VOLUME), True),
        (pod({"volumes": [{"name": "v", "projected": PROJECTED}]}), True),
        (pod({}, envFrom=[{"secretRef": {"name": "key"}}]), True),
        (pod({}, env=[{"name": "K", "valueFrom": FROM_KEY}]), True),
        (pod({}, env=[{"name": "K", "value": "1"}]), False),
        (pod({"volumes": [{"name": "v", "emptyDir": {}}]}), False),
        (pod(VOLUME, "elsewhere"), False),
    ],
)
def test_entering_pods_shows_the_secrets_that_they_have(one, has):
    objects = [role("r", rule("create", "pods/exec")), bind("r", "User:eve"), one]
    assert bool(ways(*objects)) is has


def test_entering_a_pod_is_being_its_account():
    objects = [
        role("r", rule("create", "pods/exec")),
        bind("r", "User:eve"),
        pod({"serviceAccountName": "loader"}),
        role("key", rule("get", "secrets")),
        bind("key", "training/loader", "training"),
    ]
    steps = ways(*objects)["User eve"].steps
    assert "enter pods in training that run as" in steps[0] and len(steps) == 2


def test_mounting_a_secret_reads_it_and_does_no_more():
    objects = [role("r", rule("create", "pods")), bind("r", "User:eve"), pod(VOLUME)]
    for verb, can in (("watch", True), ("delete", False), ("create", False)):
        assert bool(ways(*objects, asked=rbac.request(verb, "secrets"))) is can


def test_steps_in_a_row():
    objects = [
        account("loader"),
        role("key", rule("get", "secrets", names=["key"]), namespace="training"),
        bind("key", "training/loader", "training", "Role"),
        role("be", rule("impersonate", "serviceaccounts", names=["loader"])),
        bind("be", "User:bob"),
        role("bob", rule("impersonate", "users", names=["bob"])),
        bind("bob", "Group:help"),
    ]
    found = ways(*objects)
    assert set(found) == {"ServiceAccount training/loader", "User bob", "Group help"}
    assert [len(found[k].steps) for k in ("User bob", "Group help")] == [2, 3]
    assert "get secrets key" in found["Group help"].steps[-1]


def test_roles_handed_out_by_name():
    objects = [
        role("reader", rule("get", "secrets")),
        role("view", rule("get", "pods")),
        role(
            "hand",
            rule("bind", "clusterroles", GROUP, names=["reader"]),
            rule("create", "rolebindings", GROUP),
        ),
        role(
            "harmless",
            rule("bind", "clusterroles", GROUP, names=["view"]),
            rule("create", "rolebindings", GROUP),
        ),
        bind("hand", "User:eve", "training"),
        bind("harmless", "User:bob", "training"),
    ]
    assert set(ways(*objects)) == {"User eve"}
    assert not ways(*objects)["User eve"].direct
    assert ways(*objects, namespace="other") == {}


def test_only_accounts_that_exist_can_be_become():
    objects = [
        account("loader", "elsewhere"),
        role("start", rule("create", "pods"), namespace="training"),
        bind("start", "User:eve", "training", "Role"),
        role("r", rule("get", "secrets"), namespace="elsewhere"),
        bind("r", "elsewhere/loader", "elsewhere", "Role"),
    ]
    assert "User eve" not in ways(*objects, namespace="elsewhere")


def test_questions():
    assert rbac.request("get", "secrets") == [Request("get", "secrets")]
    assert len(rbac.request("read", "deployments.apps")) == 3
    assert rbac.request("get", "pods/log")[0] == Request("get", "pods/log")
    assert rbac.request("get", "workflows.argoproj.io")[0].group == "argoproj.io"
    for wrong in ("secret", "Secrets", "", "pod/exec", "workflows"):
        with pytest.raises(ValueError, match="unknown resource"):
            rbac.request("get", wrong)


def test_questions_that_nobody_meant():
    for verb, resource in (("raed", "secrets"), ("*", "pods"), ("", "pods")):
        with pytest.raises(ValueError, match="unknown verb"):
            rbac.request(verb, resource)
    for resource in ("secrets.v1", "jobs.apps", "pods/exec.apps"):
        with pytest.raises(ValueError, match="is not of the API group"):
            rbac.request("get", resource)
    assert rbac.request("get", "jobs.batch.volcano.sh")[0].group == "batch.volcano.sh"
    assert rbac.request("bind", "clusterroles")


def test_lines_name_the_binding():
    text = f"""apiVersion: {GROUP}/v1
kind: ClusterRoleBinding
metadata: {{name: b}}
roleRef: {{apiGroup: {GROUP}, kind: ClusterRole, name: edit}}
subjects:
  - {{apiGroup: {GROUP}, kind: User, name: a}}
  - {{apiGroup: {GROUP}, kind: User, name: b}}
"""
    manifests = cluster_files.parse(text, "r.yaml")
    found = escalation.who(manifests, "n", READ)
    assert ["r.yaml:6" in found[0].steps[0], "r.yaml:7" in found[1].steps[0]] == [1, 1]


def test_a_binding_needs_its_accounts_namespace():
    one = bind("view", "training/loader")
    del one["subjects"][0]["namespace"]
    with pytest.raises(ClusterError, match="without its namespace"):
        ways(one)
