"""A cluster is asked only when its owner named it; a stand-in takes notes."""

import os

from securetrain import kubectl


def stand_in(folder, monkeypatch, script):
    path = folder / "kubectl"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{script}\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_without_a_name_nobody_is_asked(tmp_path, monkeypatch):
    monkeypatch.delenv(kubectl.NAMED, raising=False)
    stand_in(tmp_path, monkeypatch, "exit 0")
    cluster, why = kubectl.connect()
    assert cluster is None and kubectl.NAMED in why
    assert not (tmp_path / "asked").exists()


def test_without_kubectl(monkeypatch):
    monkeypatch.setenv(kubectl.NAMED, "here")
    monkeypatch.setattr(kubectl, "tool", lambda name: None)
    assert kubectl.connect() == (None, "kubectl is not installed")


def test_what_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv(kubectl.NAMED, "here")
    answer = """case "$*" in
    *version*) echo '{"clientVersion": {}, "serverVersion": {"is": "v1.33.1"}}';;
    *can-i*) echo no; exit 1;;
    *) echo refused >&2; exit 1;; esac"""
    stand_in(tmp_path, monkeypatch, answer)
    cluster, why = kubectl.connect()
    assert (str(cluster), why) == ("the cluster here, v1.33.1", "")
    assert kubectl.can(cluster, "n", "list", "secrets", "who") is False
    assert kubectl.dry_run(cluster, tmp_path / "a.yaml") == "refused"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert all(line.startswith("--context=here ") for line in asked)
    assert "--as=system:serviceaccount:n:who" in asked[1]
    assert "--dry-run=server" in asked[2]


def test_a_cluster_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv(kubectl.NAMED, "here")
    stand_in(tmp_path, monkeypatch, "echo gone >&2; exit 1")
    assert kubectl.connect() == (None, "here does not answer: gone")
