"""What manifests give an attacker: each layer finds its own, and says where."""

import pytest

from securetrain import cluster_attacks, cluster_check, cluster_files, netpol


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
