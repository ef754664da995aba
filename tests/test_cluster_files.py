"""Manifests that the cluster would read otherwise are errors with file and line."""

import re

import pytest

from securetrain import cluster_files, cluster_schemas
from securetrain.cluster_files import ClusterError

POD = """apiVersion: v1
kind: Pod
metadata: {name: a, namespace: n}
spec:
  containers:
    - {name: a, image: x}
"""


def problems(text: str | bytes) -> str:
    with pytest.raises(ClusterError) as caught:
        cluster_files.parse(text, "a.yaml")
    return str(caught.value)


def test_a_pod_is_read_with_its_lines():
    (pod,) = cluster_files.parse(POD, "a.yaml")
    assert (pod.kind, pod.name, pod.namespace, pod.group) == ("Pod", "a", "n", "")
    assert pod.where("spec", "containers", 0, "image") == "a.yaml:6"
    assert cluster_schemas.tool().startswith("kubernetes-validate ")
    assert cluster_files.parse(POD.replace("\n", "\r\n"))[0].name == "a"


def test_lists_are_unfolded():
    inner = POD.replace("\n", "\n    ").strip()
    text = f"apiVersion: v1\nkind: List\nitems:\n  - {inner}\n"
    (pod,) = cluster_files.parse(text, "a.yaml")
    assert (pod.name, pod.where("spec")) == ("a", "a.yaml:8")
    bare = "kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a, namespace: n}"
    assert cluster_files.parse(bare)[0].kind == "Pod"
    nested = (
        f"kind: List\napiVersion: v1\nitems:\n- kind: List\n  items: [{{{'kind: 1'}}}]"
    )
    assert "apiVersion" in problems(nested)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("- 1", r"a.yaml:1: expected an object, got a list"),
        ("just text", r"a.yaml:1: expected an object"),
        ("kind: Pod", r"a.yaml:1: expected a text under apiVersion"),
        ("kind: [Pod]\napiVersion: v1", r"a.yaml:1: expected a text under kind"),
        (POD.replace("kind: Pod", "kind: pod"), r"a.yaml:2: .* has no v1 pod"),
        (POD.replace("kind: Pod", "kind: PodSpec"), r"has no v1 PodSpec"),
        (POD.replace("Pod", "Kustomization"), r"render it first"),
        (POD.replace("v1", "../../v1"), r"has no"),
        (POD.replace("v1", "evil.io/v1"), r"has no evil.io/v1 Pod"),
        (POD.replace(", namespace: n", ""), r"a.yaml:3: .*namespace.*-n would decide"),
        (POD.replace("name: a, namespace", "generateName: a, namespace"), r"name"),
        (POD.replace("{name: a, namespace: n}", "[a]"), r"a.yaml:3: .* a mapping"),
        (POD.replace("image: x", "imag: x"), r"a.yaml:6: .*imag"),
        (POD.replace("image: x", "image: [x]"), r"a.yaml:6: .*image"),
        (POD.replace("spec:", "spec: 3\nstatus:"), r"a.yaml:4: spec"),
        (POD + "---\n" + POD, r"a.yaml:8: Pod a in n stands at a.yaml:1, too"),
        ("kind: List\napiVersion: v1\nitems: 3", r"a.yaml:3: expected a list"),
        ("kind: List\napiVersion: v1\nitems:\n- 3", r"a.yaml:4: expected an object"),
        (POD + "spec: {}", r"a.yaml:7: .*second time"),
        (POD.replace("name: a,", "name: &a a, <<: *a,"), r"merge key"),
        ("a: b: c", r"a.yaml:1: not YAML"),
        (b"\xff\xfe", r"UTF-8"),
        ("x" * 1_000_001, r"at most 1,000,000 bytes"),
        ("[" * 90, r"nested deeper"),
    ],
)
def test_what_is_refused(wrong, says):
    assert re.search(says, problems(wrong)), problems(wrong)


def test_every_problem_is_named_at_once():
    text = POD.replace("image: x", "imag: x") + "---\nkind: 3\n---\n- 4\n"
    assert len(problems(text).splitlines()) == 3


def test_folders(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yml").write_text(POD)
    (tmp_path / "README.md").write_text("no manifest")
    (tmp_path / "b.json").write_text(
        '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}'
    )
    assert {one.kind for one in cluster_files.read(tmp_path)} == {"Pod", "Namespace"}
    (tmp_path / "c.YAML").write_text(POD)
    (tmp_path / "d.yaml").symlink_to(tmp_path / "sub" / "a.yml")
    with pytest.raises(ClusterError) as caught:
        cluster_files.read(tmp_path)
    assert "kubectl reads no .YAML" in str(caught.value)
    assert "d.yaml: expected a file, found a link" in str(caught.value)
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(ClusterError):
            cluster_files.read(path)


def test_plain_data_is_judged_alike():
    good = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "n"},
    }
    assert cluster_files.take([good])[0].where() == "objects:1"
    wrongs = (
        None, 3, {}, [None], [3], ["a"], [[]], [{}], [good, good],
        [good | {"kind": None}], [good | {"metadata": None}],
        [good | {"metadata": {"name": 3, "namespace": "n"}}],
        [good | {"data": {"a": 3}}],
        [good | {"metadata": {"name": "", "namespace": ""}}],
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ClusterError):
            cluster_files.take(wrong)


def test_a_missing_tool_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kubernetes_validate", None)
    for cached in (cluster_schemas._schemas, cluster_schemas._definitions):
        cached.cache_clear()
    cluster_schemas._validator.cache_clear()
    try:
        with pytest.raises(cluster_schemas.NoTool, match="pip install"):
            cluster_files.parse(POD)
    finally:
        cluster_schemas._schemas.cache_clear()


def test_a_template_has_no_ephemeral_containers():
    one = {"name": "c", "image": "c"}
    spec = {"containers": [one], "restartPolicy": "Never", "ephemeralContainers": [one]}
    job = {"apiVersion": "batch/v1", "kind": "Job"}
    job["metadata"] = {"name": "j", "namespace": "n"}
    job["spec"] = {"template": {"spec": spec}}
    with pytest.raises(ClusterError, match="not to a template"):
        cluster_files.take([job])
    del spec["ephemeralContainers"]
    assert cluster_files.take([job])
