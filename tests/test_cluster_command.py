"""`securetrain cluster` on files of another repository, and as a hook on a commit."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from securetrain import (
    cli,
    cluster_check,
    cluster_files,
    escalation,
    netpol,
    pod_security,
    quotas,
    rbac,
)
from securetrain.cluster_attacks import CARELESS, HARDENED

ROOT = Path(cluster_files.__file__).parents[1]


def test_careless_is_refused_with_file_and_line(capsys):
    assert cli.main(["cluster", "check", str(CARELESS)]) == 1
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) > 20
    assert all(line.startswith(f"{CARELESS}:") for line in lines)
    assert {line.split(": ")[1] for line in lines} == set(cluster_check.LAYERS)
    assert "kubernetes-validate 1." in said.out and "regopy 1." in said.out


def test_hardened_passes_and_can_do_its_work(capsys):
    assert cli.main(["cluster", "check", str(HARDENED)]) == 0
    assert " 0 found" in capsys.readouterr().out
    manifests = cluster_files.read(HARDENED)
    pods = {pod.manifest.name: pod for pod in pod_security.pods(manifests)}
    ends = {name: netpol.endpoint(pod) for name, pod in pods.items()}
    rules, spaces = netpol.policies(manifests), netpol.namespaces(manifests)
    assert netpol.allowed(rules, spaces, ends["train"], ends["store"], 9000)
    dns = netpol.Endpoint("dns", "kube-system", {"k8s-app": "kube-dns"})
    assert netpol.allowed(rules, spaces, ends["train"], dns, 53, "UDP")
    limits = quotas.specs(manifests, "ResourceQuota", "training")
    ranges = quotas.specs(manifests, "LimitRange", "training")
    assert quotas.admit(pods["train"].spec, limits, ranges).admitted
    ways = escalation.who(manifests, "training", rbac.request("read", "secrets"))
    assert [str(way.subject) for way in ways] == ["Group operators"]


def test_who(capsys):
    words = ["cluster", "who", "read", "secrets", "-n", "training"]
    assert cli.main([*words, str(CARELESS)]) == 1
    said = capsys.readouterr().out
    assert "ServiceAccount training/trainer: may get secrets" in said
    assert "by a detour: Group interns" in said
    assert "roads not followed: certificates, persistent volumes" in said
    assert cli.main([*words, str(HARDENED)]) == 1
    assert cli.main([*words, str(HARDENED), "--except", "Group operators"]) == 0
    assert cli.main([*words, str(HARDENED), "--except", "Group nobody"]) == 1
    assert "cannot anyway: Group nobody" in capsys.readouterr().out
    words = ["cluster", "who", "create", "pods/exec", "-n", "storage", str(HARDENED)]
    assert cli.main(words) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check", "no-such-folder"], "expected a file or folder"),
        (["who", "read", "secret", "-n", "a", str(HARDENED)], "unknown resource"),
        (["who", "read", "secrets", "-n", "a", "no-such-folder"], "expected a file"),
        (["who", "raed", "secrets", "-n", "training", str(HARDENED)], "unknown verb"),
    ],
)
def test_wrong_use(words, says, capsys):
    assert cli.main(["cluster", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_path_named_twice(capsys):
    assert cli.main(["cluster", "check", str(HARDENED), str(HARDENED)]) == 2
    assert "named twice" in capsys.readouterr().err


@pytest.mark.parametrize("space", ["trainning", ""])
def test_a_namespace_that_no_manifest_has(space, capsys):
    words = ["cluster", "who", "read", "secrets", "-n", space, str(HARDENED)]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert f"no manifest is in {space!r}; known: storage, training" in said


def test_one_problem_is_one(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("kind: Pod")
    assert cli.main(["cluster", "check", str(tmp_path)]) == 1
    assert "\n1 problem: nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["check"], ["who", "read"], ["check", "--level", "x", "a"]]
)
def test_wrong_words(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["cluster", *words])
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    "broken",
    ["{{ .Values.a }}: {{ x }}", "kind: Pod", "", "\x00", "a: &a [*a]", "? [a]\n: b"],
)
def test_what_cannot_be_read_never_passes(broken, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(broken)
    if broken:
        shutil.copy(HARDENED, tmp_path / "b.yaml")
    status = cli.main(["cluster", "check", str(tmp_path)])
    said = capsys.readouterr()
    assert status == 1 and ("a.yaml" if broken else "no object") in said.err


def test_a_missing_engine_is_no_pass(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "regopy", None)
    pod_security._engine.cache_clear()
    try:
        assert cli.main(["cluster", "check", str(HARDENED)]) == 2
    finally:
        monkeypatch.undo()
        pod_security._engine.cache_clear()
    assert "pip install regopy" in capsys.readouterr().err


def test_the_command_is_light():
    text = "import sys; from securetrain.cli import main; main(sys.argv[1:]);"
    text += "assert not {'torch', 'IPython', 'numpy'} & set(sys.modules)"
    line = [sys.executable, "-c", text, "cluster", "check", str(HARDENED)]
    subprocess.run(line, check=True, capture_output=True, cwd=ROOT)
