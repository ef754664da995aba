"""Every command that reads YAML refuses what cannot be read, with file and line."""

import random
import re
from pathlib import Path

import pytest

from securetrain import cli

LIBRARY = Path(cli.__file__).parent

COMMANDS = {
    "cluster": ("cluster check", "cluster/pod.yaml"),
    "workflows": ("workflows check", ".github/workflows/train.yaml"),
    "cloud": ("cloud check", "job.yaml"),
    "serving": ("serving check", "service.yaml"),
    "alerts": ("alerts check", "rules.yaml"),
}
BAD = {
    "nothing": b"",
    "only a comment": b"# later\n",
    "not YAML": b"a: [1, 2\nb: }\n",
    "a tab": b"a:\n\t- b\n",
    "no mapping": b"- a\n- b\n",
    "a word": b"hello\n",
    "a number": b"12\n",
    "not UTF-8": b"a: \xff\xfe\n",
    "UTF-16": "a: b\n".encode("utf-16"),
    "binary": bytes(range(256)) * 8,
    "a key twice": b"kind: Pod\nkind: Secret\n",
    "a tag": b"a: !!python/object/apply:os.system ['true']\n",
    "a merge key": b"a: &a {b: c}\nd: {<<: *a}\n",
    "an unclear number": b"kind: 0777\n",
    "an alias without anchor": b"a: *b\n",
    "a bomb": b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + b"".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n".encode()
        for n in range(1, 9)
    ),
    "deep": b"[" * 5000,
    "enormous": b"a: " + b"x" * 2_000_000,
    "unknown kind": b"apiVersion: v9\nkind: Surprise\nmetadata: {name: a}\n",
    "Windows line ends": b"apiVersion: v9\r\nkind: Surprise\r\n",
    "a second document": b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n"
    b"kind: Surprise\n",
}


def answer(command: str, folder: Path, content: bytes, capsys) -> tuple[int, str]:
    """Return a command's exit status for one file, and all that it said."""
    words, name = COMMANDS[command]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        status = cli.main([*words.split(), str(path)])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    return status, said.out + said.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_read_never_passes(command, what, tmp_path, capsys):
    status, said = answer(command, tmp_path, BAD[what], capsys)
    name = Path(COMMANDS[command][1]).name
    assert status in (1, 2), said
    assert re.search(rf"{re.escape(name)}(:\d+)?: ", said), said
    assert "Traceback" not in said and len(said) < 5000


VALID = {
    "cluster": b"""\
apiVersion: v1
kind: Pod
metadata: {name: train, namespace: training, labels: {app: train}}
spec:
  serviceAccountName: train
  automountServiceAccountToken: false
  containers:
  - name: train
    image: registry.example/train@sha256:%s
    command: [python, train.py]
    securityContext: {runAsNonRoot: true, capabilities: {drop: [ALL]}}
    resources: {limits: {cpu: "2", memory: 4Gi}}
  volumes:
  - name: data
    emptyDir: {}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: training}
rules:
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
"""
    % (b"0" * 64),
    "workflows": b"""\
name: train
on:
  pull_request:
  push: {branches: [main]}
permissions: {contents: read}
jobs:
  train:
    runs-on: ubuntu-24.04
    env: {SEED: "0"}
    steps:
    - uses: actions/checkout@%s # v4
      with: {persist-credentials: false}
    - run: |
        python train.py
      if: github.event_name == 'push'
"""
    % (b"0" * 40),
    "cloud": b"""\
TrainingJobName: train
EnableNetworkIsolation: true
RoleArn: arn:aws:iam::123456789012:role/train
AlgorithmSpecification:
  TrainingImage: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/t@sha256:%s
  TrainingInputMode: File
HyperParameters: {epochs: "4"}
InputDataConfig:
- ChannelName: train
  DataSource: {S3DataSource: {S3Uri: "s3://data/train"}}
OutputDataConfig: {S3OutputPath: "s3://out", KmsKeyId: key}
VpcConfig: {Subnets: [a], SecurityGroupIds: [b]}
ResourceConfig: {InstanceCount: 1}
"""
    % (b"0" * 64),
    "serving": (LIBRARY / "service.yaml").read_bytes(),
    "alerts": (LIBRARY / "training_alerts.yaml").read_bytes(),
}
VALUES = [b"null", b"true", b"-1", b"[]", b"{}", b"''", b"[[]]", b"{a: [{b: 1}]}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_type_anywhere_is_answered_and_never_an_accident(
    command, tmp_path, capsys
):
    """Any value may be of any type; an exception would end the test."""
    rng, valid = random.Random(0), VALID[command]
    places = [m.span(1) for m in re.finditer(rb"(?:: |- )([^\n#]+)", valid)]
    for _ in range(120):
        start, end = rng.choice(places)
        content = valid[:start] + rng.choice(VALUES) + valid[end:]
        status, said = answer(command, tmp_path, content, capsys)
        assert status in (0, 1, 2), said
        assert "Traceback" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_cut_off_is_answered(command, tmp_path, capsys):
    valid = VALID[command]
    for end in range(0, len(valid), 23):
        status, said = answer(command, tmp_path, valid[:end], capsys)
        assert status in (0, 1, 2), said
