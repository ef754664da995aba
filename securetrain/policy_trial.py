"""A team's repository, what somebody commits to it, and the ways round its hooks.

A real git repository with real hooks, in a folder of its own. Payloads are harmless:
changed labels, a key made here that opens nothing, a pickle that holds a number.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random

import yaml

from securetrain import (
    checklist,
    cloud_requests,
    commit_attacks,
    manifests,
    policies,
    reports,
    runlog,
)
from securetrain.policies import CONFIG, RULES

HERE = Path(__file__).parent
WORKFLOW = ".github/workflows/rules.yml"
OLD_MODEL = "weights/old.pt"
TREE = dict[str, bytes | None]  # path -> content; None: the file goes
# Which files a hook reads; the others read all, or ask git themselves.
FILES = {
    "model-files": r"\.(safetensors|pt|pth|pkl|ckpt|bin|onnx)$",
    "dependencies": r"requirements.*\.(txt|lock)$",
    "workflows": r"^\.github/workflows/",
    "cloud-jobs": r"(^|/)jobs?/[^/]+\.(yaml|yml|json)$",
    "run-log": r"(^|/)runs\.jsonl$",
    "service-settings": r"(^|/)service\.(yaml|yml|json)$",
    "alert-rules": r"(^|/)alerts?/[^/]+\.ya?ml$",
    "cluster": r"^deploy/.*\.ya?ml$",
}
ALONE = ("cluster", "commit-gate", "scan-reports", "policy")  # take no file names


@dataclass(frozen=True)
class Tried:
    """What became of a commit. refused: the hooks that stopped it; said: all words."""

    made: bool
    refused: tuple[str, ...]
    said: str


class Team:
    """A repository that keeps its rules, and the keys of those who sign in it."""

    def __init__(self, folder: Path, seed: int, today: date | None = None) -> None:
        self.folder, self.rng = folder, Random(seed)
        self.answers: dict[str, bool] = {}  # what CI said of a branch's trees
        self.today = today or datetime.now(UTC).date()
        self.origin = commit_attacks.Repository(seed)
        self.scanner, self.scanner_public = manifests.new_key()
        self.logger, self.logger_public = manifests.new_key()
        self.site = cloud_requests.site(Random(seed))
        self.job = cloud_requests.approved(self.site)
        self.env = os.environ | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "PRE_COMMIT_HOME": str(folder.parent / "pre-commit"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        self.files = self._files()
        self.files |= {CONFIG: self.config()}
        self.files |= {RULES: self.rules(self.files)}
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write(self.files)
        self.git("add", "--all")
        self.git("commit", "-q", "--no-verify", "-m", "the team's repository")
        self.base = self.git("rev-parse", "HEAD").stdout.strip()
        self.install()
        self.installed = self.hook.read_bytes()

    def git(self, *args: str, **more: str) -> subprocess.CompletedProcess:
        """Run git in the repository, which knows no settings but these."""
        own = ("user.name=A", "user.email=a@example.org", "maintenance.auto=false")
        settings = [word for one in own for word in ("-c", one)]
        return subprocess.run(
            ["git", *settings, *args], cwd=self.folder, env=self.env | more,
            capture_output=True, text=True,
        )  # fmt: skip

    def install(self) -> None:
        """Install the hooks, as each colleague must once."""
        done = subprocess.run(
            [sys.executable, "-m", "pre_commit", "install"], cwd=self.folder,
            env=self.env, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    @property
    def hook(self) -> Path:
        """The file that git runs before a commit."""
        return self.folder / ".git/hooks/pre-commit"

    def uninstall(self) -> None:
        """Take the hooks away, as in a fresh clone."""
        self.hook.unlink(missing_ok=True)

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Write files into the working tree; None removes one."""
        for name, content in changes.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)

    def commit(self, changes: TREE, *flags: str, **more: str) -> Tried:
        """Try to commit changes; more: variables of the environment, such as SKIP."""
        self.write(changes)
        self.git("add", "--all")
        done = self.git("commit", "-m", "work", *flags, **more)
        said = done.stdout + done.stderr
        lines = said.splitlines()
        ids = [line.partition("....")[0] for line in lines if line.endswith("Failed")]
        return Tried(done.returncode == 0, tuple(ids), said)

    def back(self, base: str = "") -> None:
        """Go back to where the repository was, with its hooks."""
        self.git("reset", "-q", "--hard", base or self.base)
        self.git("clean", "-q", "-f", "-d")
        self.hook.write_bytes(self.installed)
        self.hook.chmod(0o755)

    # What is in it

    def scanned(self, data: Mapping[str, bytes], passed: bool = True) -> TREE:
        """Return a signed report of a scan for poison about these files of data/."""
        files = {
            path.removeprefix("data/"): content
            for path, content in data.items()
            if path.startswith("data/")
        }
        about = reports.fingerprint(manifests.describe(files))
        report = reports.Report("poison-scan", about, passed)
        text, signature = reports.write(report, self.scanner)
        folder = "reports/poison-scan"
        return {f"{folder}.json": text, f"{folder}.sig": signature}

    def runs(self, *statuses: str, after: bytes = b"") -> bytes:
        """Return a signed log, `after` and then runs that ended with these statuses."""
        path = self.folder.parent / "runs.jsonl"
        path.write_bytes(after)
        for number, status in enumerate(statuses):
            run = {"run": f"r{len(after)}-{number}"}
            runlog.append(path, "signs", run | {"do": "start"}, self.logger)
            end = run | {"do": "end", "status": status}
            runlog.append(path, "signs", end, self.logger)
        return path.read_bytes()

    def _files(self) -> TREE:
        pinned = f"numpy==2.2.0 --hash=sha256:{'0' * 64}\n"
        rules_run = commit_attacks.HONEST.replace(
            "run: python train.py",
            'run: securetrain policy replay --since "origin/$GITHUB_BASE_REF"',
        )
        return {
            **self.origin.files,
            **self.scanned(self.origin.files),
            WORKFLOW: rules_run.encode(),
            "requirements.lock": pinned.encode(),
            "deploy/training.yaml": (HERE / "clusters/hardened.yaml").read_bytes(),
            "jobs/train.json": json.dumps(self.job, indent=1).encode(),
            "runs.jsonl": self.runs("FINISHED", "FAILED"),
            "deploy/service.yaml": (HERE / "service.yaml").read_bytes(),
            "alerts/training.yaml": (HERE / "training_alerts.yaml").read_bytes(),
        }

    def arguments(self, hook: str) -> list[str]:
        """Return the arguments that a hook needs here."""
        ours = self.site.rules
        named = [("account", ours.accounts), ("bucket", ours.buckets)]
        named += [("registry", ours.registries)]
        scan = ["--of", "data", "--in", "reports", "--need", "poison-scan"]
        return {
            "cluster": ["deploy/training.yaml"],
            "cloud-jobs": [f"--{k}={one}" for k, many in named for one in sorted(many)],
            "run-log": ["--name", "signs", "--key", self.logger_public.hex()],
            "scan-reports": [*scan, "--key", self.scanner_public.hex()],
        }.get(hook, [])

    def config(self, without: tuple[str, ...] = (), **exclude: str) -> bytes:
        """Return the configuration of all hooks but some; exclude: hook -> pattern."""
        hooks = []
        for id, entry in checklist.hooks().items():
            hook = {"id": id, "name": id, "entry": entry, "language": "system"}
            hook |= {"args": self.arguments(id)} if self.arguments(id) else {}
            hook |= {"files": FILES[id]} if id in FILES else {}
            hook |= {"pass_filenames": False} if id in ALONE else {}
            hook |= {"always_run": True} if id in ALONE[1:] else {}
            pattern = exclude.get(id.replace("-", "_"))
            hook |= {"exclude": pattern} if pattern else {}
            hooks += [hook] if id not in without else []
        tree = {"repos": [{"repo": "local", "hooks": hooks}]}
        return yaml.safe_dump(tree, sort_keys=False).encode()

    def rules(self, files: TREE, waiver: str = "") -> bytes:
        """Return the team's rules, which pin configuration and workflow of `files`."""
        text = policies.TEMPLATE.read_text("utf-8")
        review = self.today + timedelta(days=60)
        text = text.replace("@OWNER@", "Ada").replace("@REVIEW@", review.isoformat())
        text = text.replace('checks = ["ci securetrain policy deploy"]', DEPLOYED)
        pins = {path: sha256(files[path]).hexdigest() for path in (CONFIG, WORKFLOW)}
        lines = [f'"{path}" = "{digest}"' for path, digest in pins.items()]
        key = self.origin.policy.models.key.hex()
        made = f'[production]\nmodel = "signs"\npublisher = "{key}"\n'
        return "\n".join([text, waiver, "[pinned]", *lines, made]).encode()

    def waiver(self, granted: int, expires: int) -> str:
        """Return an exception for OLD_MODEL; days are counted from today."""
        days = (self.today + timedelta(days=n) for n in (granted, expires))
        texts = {"hook": "model-files", "why": "the converter is late"}
        texts |= {"owner": "Ada", "approved": "Grace"}
        lines = [f'{key} = "{text}"' for key, text in texts.items()]
        lines += [f'paths = ["{OLD_MODEL}"]', f"granted = {next(days)}"]
        return "\n".join(["[[waivers]]", *lines, f"expires = {next(days)}"])


DEPLOYED = 'hand = "the deployment runs `securetrain policy deploy`"'
