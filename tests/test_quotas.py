"""How much a namespace lets one job take, and whether it still lets it in."""

from fractions import Fraction

import pytest

from securetrain import quotas
from securetrain.quotas import admit, needs, quantity


def pod(*containers, init=()):
    def made(one):
        limits, requests, *more = one
        resources = {"limits": limits, "requests": requests}
        return {"name": "c", "resources": resources} | (more[0] if more else {})

    return {
        "containers": [made(one) for one in containers],
        "initContainers": [made(one) for one in init],
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("2", 2),
        (2, 2),
        (0.5, Fraction(1, 2)),
        ("1Gi", 1024**3),
        ("1G", 10**9),
        ("1e3", 1000),
        ("1.5Ki", 1536),
        (".5", Fraction(1, 2)),
        ("100n", Fraction(1, 10**7)),
        ("1E", 10**18),
    ],
)
def test_quantities(text, value):
    assert quantity(text) == value


WRONG = ["", "-1", "1 Gi", "1gi", "Gi", None, True, -1, "1e", [], "0x1", "1K", "9e999"]


@pytest.mark.parametrize("wrong", [*WRONG, float("nan")])
def test_wrong_quantities(wrong):
    with pytest.raises(ValueError, match="quantity"):
        quantity(wrong)


def test_needs():
    one = pod(({"cpu": "1"}, {"memory": "1Ki"}), ({"cpu": "2"}, {}))
    found = needs(one)
    assert found["limits.cpu"] == found["requests.cpu"] == 3  # a limit is a request
    assert found["requests.memory"] == 1024 and "limits.memory" not in found
    one["initContainers"] = [{"name": "i", "resources": {"requests": {"cpu": "9"}}}]
    assert needs(one)["requests.cpu"] == 9
    one["initContainers"][0]["restartPolicy"] = "Always"  # a sidecar stays
    assert needs(one)["requests.cpu"] == 12


CPU = {name: ({}, {"cpu": name}) for name in ("1", "2", "4", "10")}


def sidecar(cpu):
    return ({}, {"cpu": cpu}, {"restartPolicy": "Always"})


@pytest.mark.parametrize(
    ("init", "cpu"),
    [
        ((sidecar("4"), CPU["10"]), 14),  # it runs beside what comes after it
        ((CPU["10"], sidecar("4")), 10),
        ((sidecar("4"), CPU["1"], sidecar("2")), 7),
        ((sidecar("4"), sidecar("2"), CPU["4"]), 10),
        ((CPU["10"], sidecar("4"), CPU["4"], sidecar("10")), 15),
        ((), 1),
    ],
)
def test_a_sidecar_runs_beside_the_init_containers_after_it(init, cpu):
    one = pod(CPU["1"], init=init)
    assert needs(one)["requests.cpu"] == cpu
    hard = [{"hard": {"requests.cpu": str(cpu)}}]
    assert admit(one, hard, []).admitted
    less = [{"hard": {"requests.cpu": f"{1000 * cpu - 1}m"}}]
    assert not admit(one, less, []).admitted


def test_a_quota_wants_what_it_counts_to_be_named():
    hard = [{"hard": {"limits.memory": "1Gi"}}]
    verdict = admit(pod(({}, {})), hard, [])
    assert not verdict.admitted and "names none" in verdict.why
    ranges = [{"limits": [{"type": "Container", "default": {"memory": "512Mi"}}]}]
    assert admit(pod(({}, {})), hard, ranges).admitted
    assert not admit(pod(({}, {}), ({}, {}), ({}, {})), hard, ranges).admitted
    gpu = [{"hard": {"requests.nvidia.com/gpu": "0"}}]
    assert admit(pod(({}, {})), gpu, []).admitted
    assert not admit(pod(({"nvidia.com/gpu": 1}, {})), gpu, []).admitted


def test_what_runs_counts():
    one = pod(({"cpu": "1"}, {}))
    for key in ("pods", "cpu", "requests.cpu", "limits.cpu", "count/pods"):
        hard = [{"hard": {key: "2"}}]
        assert admit(one, hard, [], [one]).admitted, key
        assert not admit(one, hard, [], [one, one]).admitted, key
    other = [{"hard": {"count/jobs.batch": "0", "services": "0"}}]
    assert admit(one, other, [], [one]).admitted


def test_ranges_bound_a_container():
    ranges = [
        {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}}]}
    ]
    assert admit(pod(({"cpu": "2"}, {"cpu": "1"})), [], ranges).admitted
    assert not admit(pod(({"cpu": "3"}, {})), [], ranges).admitted
    assert not admit(pod(({"cpu": "2"}, {"cpu": "500m"})), [], ranges).admitted
    bare = quotas.with_defaults(pod(({}, {})), ranges)[0]
    assert bare == {"limits": {"cpu": 2}, "requests": {"cpu": 2}}  # max is the default
    other = [{"limits": [{"type": "Pod", "max": {"cpu": "1m"}}]}]
    assert admit(pod(({"cpu": "2"}, {})), [], other).admitted
    above = admit(pod(({"cpu": "1"}, {"cpu": "2"})), [], [])
    assert not above.admitted and "above its limit" in above.why


def test_wrong_values_are_errors():
    for wrong in ({"memory": "a lot"}, {"memory": -1}):
        with pytest.raises(ValueError, match="quantity"):
            admit(pod((wrong, {})), [], [])
    with pytest.raises(ValueError, match="quantity"):
        admit(pod(({"cpu": 1}, {})), [{"hard": {"cpu": "many"}}], [])
