"""Who reaches whom: Kubernetes' semantics, and a simulator that shares part of them."""

import random

import pytest

from securetrain import cluster_files, netpol, pod_security
from securetrain.netpol import Endpoint, Policy

SPACES = {"a": {"team": "x"}, "b": {"team": "y"}}
WEB = Endpoint("web", "a", {"app": "web"})
JOB = Endpoint("job", "a", {"app": "job", "tier": "gpu"})
FAR = Endpoint("far", "b", {"app": "job"}, ports={("s3", "TCP"): 9000})
OUT = Endpoint("out", ip="203.0.113.9")


def policy(spec, namespace="a"):
    return Policy("p", namespace, {"podSelector": {}} | spec)


def ask(rules, source, target, port=80, protocol="TCP"):
    return netpol.allowed(rules, SPACES, source, target, port, protocol)


def test_default_is_to_allow():
    assert ask([], JOB, FAR) and ask([], JOB, OUT) and ask([], OUT, JOB)
    other = policy({"podSelector": {"matchLabels": {"app": "web"}}})
    assert ask([other], WEB, JOB) and not ask([other], JOB, WEB)


def test_types_that_are_left_out_follow_from_the_rules():
    both = policy({"egress": [{}], "ingress": []})
    assert both.types == ("Ingress", "Egress")
    one = policy({})
    assert one.types == ("Ingress",)
    assert ask([one], JOB, FAR) and not ask([one], FAR, JOB)
    empty = policy({"policyTypes": ["Egress"], "egress": []})
    assert not ask([empty], JOB, FAR) and ask([empty], FAR, JOB)


def test_empty_means_all_for_rules_and_none_for_lists():
    assert ask([policy({"ingress": [{}]})], OUT, JOB)
    assert ask([policy({"ingress": [{"from": [], "ports": []}]})], OUT, JOB)
    assert not ask([policy({"ingress": []})], FAR, JOB)
    assert not ask([policy({"ingress": None})], FAR, JOB)


def test_policies_add():
    deny = policy({"policyTypes": ["Ingress"]})
    allow = policy({"ingress": [{"ports": [{"port": 80}]}]})
    assert not ask([deny], WEB, JOB)
    assert ask([deny, allow], WEB, JOB) and not ask([deny, allow], WEB, JOB, 81)


def test_both_ends_must_agree():
    out = policy({"policyTypes": ["Egress"], "egress": [{}]})
    closed = policy({"policyTypes": ["Ingress"]}, "b")
    assert not ask([out, closed], JOB, FAR)


def peers(*to):
    return [policy({"policyTypes": ["Egress"], "egress": [{"to": list(to)}]})]


def test_peers():
    job = {"matchLabels": {"app": "job"}}
    assert not ask(peers({"podSelector": job}), WEB, FAR)  # its own namespace only
    assert ask(peers({"podSelector": job}), WEB, JOB)
    space = {"matchLabels": {"team": "y"}}
    assert ask(peers({"namespaceSelector": space}), JOB, FAR)
    assert not ask(peers({"namespaceSelector": space}), JOB, WEB)
    both = {"namespaceSelector": space, "podSelector": {"matchLabels": {"app": "no"}}}
    assert not ask(peers(both), JOB, FAR)
    either = ({"namespaceSelector": space}, {"podSelector": {}})
    assert ask(peers(*either), JOB, WEB) and ask(peers(*either), JOB, FAR)
    named = {"matchLabels": {netpol.NAME: "b"}}
    assert ask(peers({"namespaceSelector": named}), JOB, FAR)
    assert ask(peers({"namespaceSelector": {}}), JOB, FAR)
    assert not ask(peers({"namespaceSelector": {}}), JOB, OUT)
    assert not ask(peers({}), JOB, FAR)


def test_a_namespaces_name_cannot_be_claimed_by_a_label():
    spaces = {"evil": {netpol.NAME: "b"}}
    rules = peers({"namespaceSelector": {"matchLabels": {netpol.NAME: "b"}}})
    evil = Endpoint("pod", "evil", {"app": "job"})
    assert not netpol.allowed(rules, spaces, JOB, evil, 80)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
        ({"key": "app", "operator": "In", "values": ["job", "x"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["job"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["job"]}, True),
        ({"key": "none", "operator": "In", "values": ["job"]}, False),
    ],
)
def test_expressions(expression, holds):
    rules = peers({"podSelector": {"matchExpressions": [expression]}})
    assert ask(rules, WEB, JOB) is holds
    wrong = {"matchExpressions": [{"key": "a", "operator": "x"}]}
    with pytest.raises(ValueError, match="operator"):
        ask(peers({"podSelector": wrong}), WEB, JOB)


def test_blocks():
    block = {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/30"]}}
    assert not ask(peers(block), JOB, OUT)
    assert ask(peers(block), JOB, Endpoint("x", ip="203.0.113.20"))
    assert not ask(peers(block), JOB, Endpoint("x", ip="203.0.114.20"))
    six = {"ipBlock": {"cidr": "2001:db8::/32"}}
    assert ask(peers(six), JOB, Endpoint("x", ip="2001:db8::1"))
    assert not ask(peers(six), JOB, OUT)
    assert not ask(peers({"ipBlock": {"cidr": "0.0.0.0/0"}}), JOB, FAR)


def test_ports():
    def ports(*some):
        return [policy({"policyTypes": ["Egress"], "egress": [{"ports": list(some)}]})]

    assert ask(ports({"port": 80}), JOB, FAR)
    assert not ask(ports({"port": 80, "protocol": "UDP"}), JOB, FAR)
    assert ask(ports({"protocol": "UDP"}), JOB, FAR, 53, "UDP")
    assert not ask(ports({"protocol": "UDP"}), JOB, FAR)
    span = ports({"port": 8000, "endPort": 8010})
    assert [ask(span, JOB, FAR, p) for p in (7999, 8000, 8010, 8011)] == [0, 1, 1, 0]
    assert ask(ports({"port": "s3"}), JOB, FAR, 9000)
    assert not ask(ports({"port": "s3"}), JOB, FAR, 9001)
    assert not ask(ports({"port": "s3", "protocol": "UDP"}), JOB, FAR, 9000, "UDP")
    assert not ask(ports({"port": "s3"}), JOB, WEB, 9000)


def test_the_nodes_network_is_beyond_policies():
    node = Endpoint("node", "a", {"app": "job"}, host_network=True)
    deny = [policy({"policyTypes": ["Ingress", "Egress"]})]
    assert ask(deny, node, FAR) and ask(deny, node, JOB)
    assert not ask(deny, JOB, node)


def test_a_pod_reaches_itself():
    assert ask([policy({"policyTypes": ["Ingress", "Egress"]})], JOB, JOB)


def test_wrong_questions():
    for port, protocol in ((0, "TCP"), (65536, "TCP"), (80, "ICMP"), (80, "tcp")):
        with pytest.raises(ValueError, match="expected a port"):
            ask([], JOB, FAR, port, protocol)


def test_endpoints_from_manifests():
    text = """apiVersion: v1
kind: Pod
metadata: {name: p, namespace: n, labels: {app: x}}
spec:
  hostNetwork: true
  containers:
    - {name: c, image: i, ports: [{name: s3, containerPort: 9000}, {containerPort: 1}]}
"""
    (pod,) = pod_security.pods(cluster_files.parse(text))
    found = netpol.endpoint(pod)
    assert found.ports == {("s3", "TCP"): 9000} and found.host_network
    assert found.labels == {"app": "x"}
    assert netpol.namespaces(cluster_files.parse(text)) == {"n": {}}


# --- kube-netpol -------------------------------------------------------------------


def random_policy(rng):
    """Return a policy of the kind that both readers understand alike."""

    def selector():
        return rng.choice([{}, {"matchLabels": {"app": rng.choice("wj")}}])

    def rule(key):
        made = {}
        if rng.random() < 0.8:
            choices = [{"podSelector": selector()}, {"namespaceSelector": {}}]
            made[key] = rng.sample(choices, rng.randint(1, 2))
        if rng.random() < 0.6:
            made["ports"] = [{"port": rng.choice((80, 443)), "protocol": "TCP"}]
        return made

    types = rng.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
    spec = {"podSelector": selector(), "policyTypes": types}
    for kind, key in (("ingress", "from"), ("egress", "to")):
        if kind.capitalize() in types:
            spec[kind] = [rule(key) for _ in range(rng.randint(0, 2))]
    return Policy(f"p{rng.random()}", rng.choice("ab"), spec)


def test_the_simulator_agrees_where_it_can():
    rng = random.Random(1)
    pods = [Endpoint(f"{n}{a}", n, {"app": a}) for n in "ab" for a in "wjx"]
    seen = set()
    for _ in range(40):
        rules = [random_policy(rng) for _ in range(rng.randint(1, 5))]
        asked = [
            (s, t, port, "TCP")
            for s in pods
            for t in pods
            if s != t
            for port in (80, 443)
        ]
        ours = [ask(rules, *one) for one in asked]
        assert netpol.second_opinion(rules, asked) == ours
        seen |= set(ours)
    assert seen == {True, False}


def test_the_simulator_disagrees_where_we_say_so():
    team = {"z": {"matchLabels": {"team": "z"}}, "y": {"matchLabels": {"team": "y"}}}
    tier = {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    by_tier = policy({"podSelector": tier, "policyTypes": ["Egress"]})
    out, back = (JOB, FAR, 80, "TCP"), (FAR, JOB, 80, "TCP")
    cases = (
        (peers({"namespaceSelector": team["z"], "podSelector": {}}), out, False),
        (peers({"namespaceSelector": team["y"]}), out, True),
        ([by_tier], (WEB, FAR, 80, "TCP"), True),
        ([policy({})], back, False),
    )
    for rules, one, right in cases:
        assert ask(rules, *one) is right
        assert netpol.second_opinion(rules, [one]) == [not right]
    assert netpol.tool() == "kube-netpol 1.0.0"
