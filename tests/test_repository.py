"""The course's own checklist, held against the course's own repository."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import GROUPS

from securetrain import cli

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted([*ROOT.glob("*.lock"), *ROOT.glob("tests/bench/*.lock")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def git(*args: str) -> str:
    """Return what git says about this repository."""
    done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def tracked(pattern: str = "*") -> list[Path]:
    """Return the tracked files whose names fit, those deleted since left out."""
    names = git("ls-files", "-z", "--", pattern).split("\0")
    return [path for name in names if (path := ROOT / name).is_file() and name]


def pins(lock: str) -> dict[str, set[str]]:
    """Return the pinned versions of each package of a lock."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"(?m)^([\w.-]+)==([\w.+-]+)", lock):
        found.setdefault(name, set()).add(version)
    return found


# Locks


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_a_hash_and_no_lock_names_an_index(path):
    lock = path.read_text()
    blocks = re.findall(r"(?m)^[^\s#].*\n(?:\s+.*\n)*", lock)
    assert blocks
    for block in blocks:
        assert re.match(r"[\w.-]+==\S+", block), f"{path.name}: not a pin: {block[:60]}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block[:60]
    assert "://" not in lock and "--index" not in lock.split("\n", 2)[2]


def test_every_direct_dependency_is_locked():
    extras = PROJECT["optional-dependencies"]
    learner, dev = (
        pins((ROOT / name).read_text())
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    for extra, wants in extras.items():
        for want in wants:
            name = re.match(r"[\w.-]+", want)[0]
            assert name in dev, f"{name} of [{extra}] is not in requirements-dev.lock"
            learners = extra in ("course", "grading")
            assert not learners or name in learner, f"{name}: not in the learner's"


def test_the_developers_lock_holds_the_learners_pins():
    learner, dev = (
        pins((ROOT / name).read_text())
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    other = {name: (versions, dev.get(name)) for name, versions in learner.items()
             if dev.get(name) != versions}  # fmt: skip
    assert not other, f"run `make lock`: {other}"


def test_what_is_installed_fits_together():
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


# Actions

ACTION = re.compile(r"(?m)^\s*(?:- )?uses:\s*(\S+)(.*)$")


def test_every_action_is_pinned_by_commit():
    workflows = tracked(".github/workflows/*")
    uses = [use for path in workflows for use in ACTION.findall(path.read_text())]
    assert len(uses) >= 2
    for action, comment in uses:
        if action.startswith("./"):  # of this commit, as the workflow that calls it
            assert (ROOT / action).is_file(), f"{action}: not here"
            continue
        assert re.search(r"@[0-9a-f]{40}$", action), f"{action}: not a commit"
        assert re.match(r"\s+# v\d", comment), f"{action}: which version is it?"


def test_workflows_may_only_read():
    for path in tracked(".github/workflows/*"):
        text = path.read_text()
        assert "\npermissions:\n  contents: read\n" in text, path.name
        assert text.count("persist-credentials: false") == text.count(
            "actions/checkout@"
        )
        assert "secrets." not in text and "pull_request_target" not in text


# Secrets

SECRET = re.compile(
    rb"AKIA[0-9A-Z]{16}"
    rb"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    rb"|gh[pousr]_[A-Za-z0-9]{36}"
    rb"|github_pat_[A-Za-z0-9_]{60}"
    rb"|glpat-[A-Za-z0-9_-]{20}"
    rb"|\bsk-[A-Za-z0-9_-]{32}"
    rb"|xox[baprs]-[0-9]{10}"
    rb"|AIza[0-9A-Za-z_-]{35}"
    rb"|hv[sb]\.[A-Za-z0-9_-]{24}"
    rb"|pypi-[A-Za-z0-9_-]{60}"
)


@pytest.mark.parametrize(
    "secret",
    ["AKIA" + "Q" * 16, "-----BEGIN RSA PRIVATE " + "KEY-----", "ghp_" + "a" * 36],
)
def test_a_secret_would_be_seen(secret):
    assert SECRET.search(f"token = '{secret}'".encode())


def test_no_tracked_file_holds_a_secret():
    found = {
        str(path.relative_to(ROOT)): match[0][:12]
        for path in tracked()
        if (match := SECRET.search(path.read_bytes()))
    }
    assert not found


def test_no_version_in_history_holds_a_secret():
    """Reads every version of every file once; a deleted secret is still public."""
    objects = git("rev-list", "--objects", "--all")
    names = dict(line.split(" ", 1) for line in objects.splitlines() if " " in line)
    done = subprocess.run(
        ["git", "cat-file", "--batch", "--buffer"],
        cwd=ROOT,
        input="\n".join(names).encode() + b"\n",
        capture_output=True,
        check=True,
    )
    assert not SECRET.findall(done.stdout), "search with: git log -p -G PATTERN --all"


# Files

LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("path", tracked("*.md"), ids=lambda path: path.name)
def test_links_lead_to_files(path):
    for link in LINK.findall(path.read_text()):
        if not re.match(r"[a-z]+:|#", link):
            target = path.parent / link.partition("#")[0]
            assert target.exists(), f"{path.name}: {link} leads nowhere"


def test_no_tracked_file_is_large():
    large = [path.name for path in tracked() if path.stat().st_size > 1_000_000]
    assert not large


def test_what_is_made_or_written_by_a_learner_is_not_tracked():
    folders = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert not folders & {"work", "build", ".venv"}
    assert not tracked("graders/workspace/*")


# What the documents name exists


def documents() -> str:
    return "\n".join((ROOT / f"{n}.md").read_text() for n in ("README", "CONTRIBUTING"))


def test_every_make_target_in_the_documents_exists():
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    named = set(re.findall(r"(?m)(?:`|^)(?:CPU=1 )?make ([a-z]+)", documents()))
    assert {"lab", "test"} <= named <= targets


def test_every_command_in_the_documents_exists():
    named = set(re.findall(r"securetrain(?: |`, `)([a-z]+)(?=[ `])", documents()))
    assert named
    assert [name for name in named if cli.find(name) is None] == []


def test_every_test_in_the_documents_exists():
    named = set(re.findall(r"`(tests/[\w/]+(?:\.py)?)/?`", documents()))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_hooks_run_commands_that_the_lock_installs():
    entries = re.findall(
        r"entry: (\S+)", (ROOT / ".pre-commit-config.yaml").read_text()
    )
    assert entries
    scripts = {path.name for path in Path(sys.executable).parent.iterdir()}
    assert {entry.removeprefix(".venv/bin/") for entry in entries} <= scripts


# The base install is light


@pytest.mark.parametrize("module", ["catalogue", "cli", "clips", "notebooks", "paths"])
def test_light_modules_import_neither_torch_nor_jupyter(module):
    heavy = "{'torch', 'numpy', 'jupyterlab', 'nbformat', 'nbgrader', 'IPython'}"
    code = f"import sys, securetrain.{module}; print(*{heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_versions_of_python_agree():
    assert (ROOT / "binder" / "runtime.txt").read_text().strip() == "python-3.11"
    assert PROJECT["requires-python"] == ">=3.11"
    assert '"3.11"' in (ROOT / ".github" / "workflows" / "test.yml").read_text()


def test_every_file_that_runs_with_others_exists():
    missing = [stem for stem in GROUPS if not (ROOT / "tests" / f"{stem}.py").is_file()]
    assert not missing, f"expected in tests/, see TOGETHER in conftest.py: {missing}"
