"""Each hook that other repositories can use blocks a bad commit and passes a good one.

Real commits in a repository of its own, through pre-commit. The hooks run as this
environment's commands, so that nothing is fetched, with no more modules than a light
install has; all else is .pre-commit-hooks.yaml.
"""

import json
import os
import pickle
import secrets
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from random import Random

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from securetrain import cloud_requests, manifests, plain_yaml, reports, runlog

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
(document,) = plain_yaml.read_file(ROOT / ".pre-commit-hooks.yaml")
HOOKS = {hook["id"]: hook for hook in document.data}


@dataclass(frozen=True)
class Demonstration:
    """Files of a good commit, the change that makes it bad, and what must be said."""

    good: dict[str, bytes]
    bad: dict[str, bytes]
    says: str
    arguments: tuple[str, ...] = field(default=())


def safetensors() -> bytes:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return len(header).to_bytes(8, "little") + header + bytes(4)


def cloud_arguments() -> tuple[str, ...]:
    ours = cloud_requests.site(Random(0)).rules
    named = [("account", ours.accounts), ("bucket", ours.buckets)]
    named += [("registry", ours.registries)]
    return tuple(f"--{key}={one}" for key, many in named for one in sorted(many))


def mock_key() -> str:
    return "AKIA" + "".join(secrets.choice("ABCDEFGH234567") for _ in range(16))


def written_runs() -> tuple[bytes, str]:
    """Return a log of two lines, and the public key that it is signed with."""
    private, public = manifests.new_key()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.jsonl"
        for said in ({"do": "start"}, {"do": "end", "status": "FINISHED"}):
            runlog.append(path, "digits", said | {"run": "a"}, private)
        return path.read_bytes(), public.hex()


LOCK = f"numpy==2.2.0 --hash=sha256:{'0' * 64}\n".encode()
MANIFESTS = (ROOT / "securetrain" / "clusters" / "hardened.yaml").read_bytes()
WORKFLOW = b"""\
name: train
on: {pull_request: {}}
permissions: {contents: read}
jobs:
  train:
    runs-on: ubuntu-24.04
    env: {TITLE: "${{ github.event.pull_request.title }}"}
    steps:
      - run: echo "$TITLE"
"""
INJECTED = WORKFLOW.replace(b'"$TITLE"', b"${{ github.event.pull_request.title }}")
SERVICE = (ROOT / "securetrain" / "service.yaml").read_bytes()
ALERTS = (ROOT / "securetrain" / "training_alerts.yaml").read_bytes()
CLOUD = cloud_requests.approved(cloud_requests.site(Random(0)))


def job(**changes: object) -> dict[str, bytes]:
    return {"jobs/train.json": json.dumps(CLOUD | changes, indent=1).encode()}


RUNS, RUNS_KEY = written_runs()
DATA, REPORTER = {"data/a.csv": b"1,stop\n"}, manifests.new_key()


def scanned() -> dict[str, bytes]:
    """Return data and a signed report about it."""
    files = {name.removeprefix("data/"): content for name, content in DATA.items()}
    about = reports.fingerprint(manifests.describe(files))
    parts = reports.write(reports.Report("poison-scan", about, True), REPORTER[0])
    names = ("reports/poison-scan.json", "reports/poison-scan.sig")
    return DATA | dict(zip(names, parts, strict=True))


def rules(days: int) -> bytes:
    """Return rules that want the hook `policy`, to be reviewed in so many days."""
    review = datetime.now(UTC).date() + timedelta(days)
    rule = {"id": "kept", "says": "Rules MUST be kept.", "owner": "A"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in rule.items()]
    head = f'[policy]\nname = "ours"\nowner = "A"\nreview = {review}\n[[rules]]\n'
    return "\n".join([head, *lines, 'checks = ["hook policy"]\n']).encode()


DEMONSTRATIONS = {
    "dependencies": lambda: Demonstration(
        {"requirements.lock": LOCK},
        {"requirements.lock": LOCK.partition(b" ")[0] + b"\n"},
        "requirements.lock:1: no-hash",
    ),
    "alert-rules": lambda: Demonstration(
        {"alerts/training.yaml": ALERTS},
        {"alerts/training.yaml": ALERTS.replace(b"monitor_peak", b"monitor_peaks")},
        "alerts/training.yaml:6: nothing exports training_monitor_peaks",
    ),
    "scan-reports": lambda: Demonstration(
        scanned(),
        {"data/a.csv": b"1,speed\n"},
        "poison-scan: it is about other files",
        (
            *("--of", "data", "--in", "reports", "--need", "poison-scan"),
            *("--key", REPORTER[1].hex()),
        ),
    ),
    "policy": lambda: Demonstration(
        {".securetrain/rules.toml": rules(30)},
        {".securetrain/rules.toml": rules(-2)},
        "the review was due",
    ),
    "cluster": lambda: Demonstration(
        {"deploy/training.yaml": MANIFESTS},
        {
            "deploy/training.yaml": MANIFESTS.replace(
                b"allowPrivilegeEscalation: false", b"privileged: true", 1
            )
        },
        "deploy/training.yaml:44: ",
        ("deploy",),
    ),
    "workflows": lambda: Demonstration(
        {".github/workflows/train.yml": WORKFLOW},
        {".github/workflows/train.yml": INJECTED},
        ".github/workflows/train.yml:9",
    ),
    "commit-gate": lambda: Demonstration(
        {".github/workflows/train.yml": WORKFLOW},
        {".github/workflows/train.yml": INJECTED},
        "train.yml:9",
    ),
    "cloud-jobs": lambda: Demonstration(
        job(),
        job(EnableNetworkIsolation=False),
        "jobs/train.json:",
        cloud_arguments(),
    ),
    "run-log": lambda: Demonstration(
        {"runs.jsonl": RUNS},
        {"runs.jsonl": RUNS.replace(b"FINISHED", b"FAILED")},
        "runs.jsonl: refused: line 2 of the log",
        ("--name", "digits", "--key", RUNS_KEY),
    ),
    "service-settings": lambda: Demonstration(
        {"deploy/service.yaml": SERVICE},
        {"deploy/service.yaml": SERVICE.replace(b"127.0.0.1", b"0.0.0.0")},
        "deploy/service.yaml:4: host: ",
    ),
    "secrets": lambda: Demonstration(
        {"train.py": b"import os\nkey = os.environ['KEY']\n"},
        {"train.py": f"key = '{mock_key()}'\n".encode()},
        "train.py: AKIA",
    ),
    "model-files": lambda: Demonstration(
        {"model.safetensors": safetensors()},
        {"model.pt": pickle.dumps({"weights": [0.0]})},
        "model.pt: refused (format)",
    ),
}


def git(folder: Path, *args: str) -> subprocess.CompletedProcess:
    """Run git in a repository that knows no settings but its own.

    Its hooks find what lies in `bin` beside it first.
    """
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    own |= {"PRE_COMMIT_HOME": str(folder.parent / "pre-commit")}
    places = [str(folder.parent / "bin"), str(BIN), os.environ["PATH"]]
    own |= {"PATH": os.pathsep.join(places)}
    settings = ("user.name=A", "user.email=a@example.org", "maintenance.auto=false")
    words = [word for one in settings for word in ("-c", one)]
    return subprocess.run(
        ["git", *words, *args],
        cwd=folder, env=os.environ | own, capture_output=True, text=True,
    )  # fmt: skip


def commit(folder: Path, files: dict[str, bytes]) -> tuple[bool, str]:
    """Commit files; return whether the commit was made, and what was said."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert git(folder, "add", "--all").returncode == 0
    done = git(folder, "commit", "-m", "work")
    return done.returncode == 0, done.stdout + done.stderr


def configuration(hook: str, arguments: tuple[str, ...]) -> str:
    """Return a configuration with one hook, as this environment's command."""
    settings = HOOKS[hook] | {"language": "system", "args": list(arguments)}
    settings.pop("additional_dependencies", None)  # this environment has them
    return yaml.safe_dump({"repos": [{"repo": "local", "hooks": [settings]}]})


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> bytes:
    """Return what `pre-commit install` writes; it names no repository."""
    folder = tmp_path_factory.mktemp("installed")
    assert git(folder, "init", "-q").returncode == 0
    done = subprocess.run(
        [BIN / "pre-commit", "install"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / ".git/hooks/pre-commit").read_bytes()


# `securetrain` of a light install: whatever else is imported is not there.
LIGHT = """
import sys
from importlib.abc import MetaPathFinder

class Only(MetaPathFinder):
    allowed = {*sys.stdlib_module_names, "securetrain", "cryptography", "yaml"}
    allowed |= {"packaging", "cffi", "_cffi_backend"}  # the last two of cryptography
    allowed |= set(EXTRA)
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.allowed:
            raise ModuleNotFoundError(f"not in the light install: {name}")

sys.meta_path.insert(0, Only())
from securetrain import cli
sys.exit(cli.main())
"""


def brought(extras: list[str]) -> set[str]:
    """Return the modules that extras of ours bring, with all that those ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    waiting = [
        want
        for extra in extras
        for want in project["optional-dependencies"][extra.strip(".[]")]
    ]
    names: set[str] = set()
    while waiting:
        want = Requirement(waiting.pop())
        asked = not want.marker or want.marker.evaluate({"extra": ""})
        name = canonicalize_name(want.name)
        if asked and name not in names:
            names.add(name)
            waiting += requires(want.name) or []
    by_module = packages_distributions() if names else {}
    return {
        module
        for module, owners in by_module.items()
        if names & set(map(canonicalize_name, owners))
    }


@pytest.fixture
def repository(tmp_path, installed):
    """Return a function that makes a repository with one hook, in a light install."""

    def make(hook: str, arguments: tuple[str, ...]) -> Path:
        folder, command = tmp_path / "repository", tmp_path / "bin/securetrain"
        command.parent.mkdir()
        extra = sorted(brought(HOOKS[hook].get("additional_dependencies", [])))
        command.write_text(f"#!{sys.executable}\nEXTRA = {extra}\n{LIGHT}")
        folder.mkdir()
        text = configuration(hook, arguments)
        (folder / ".pre-commit-config.yaml").write_text(text)
        assert git(folder, "init", "-q").returncode == 0
        runs = folder / ".git/hooks/pre-commit"
        runs.write_bytes(installed)
        for file in (runs, command):
            file.chmod(0o755)
        return folder

    return make


def test_every_hook_has_its_demonstration():
    assert set(HOOKS) == set(DEMONSTRATIONS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_good_commit_passes_and_a_bad_one_is_blocked(hook, repository):
    shown = DEMONSTRATIONS[hook]()
    folder = repository(hook, shown.arguments)
    made, said = commit(folder, shown.good)
    assert made and "Passed" in said, said
    made, said = commit(folder, shown.bad)
    assert not made and shown.says in said and "exit code: 1\n" in said, said
    assert git(folder, "rev-list", "--count", "HEAD").stdout.strip() == "1"


def test_what_is_not_in_the_light_install_stops_a_hook(repository):
    folder = repository("secrets", ())
    command = folder.parent / "bin/securetrain"
    command.write_text(command.read_text().replace('"yaml"', '"numpy"'))
    (folder / ".pre-commit-config.yaml").write_text(configuration("policy", ()))
    made, said = commit(folder, DEMONSTRATIONS["policy"]().good)
    assert not made and "not in the light install: yaml" in said, said
