"""Commits for a team's repository: honest ones, bad ones, and ways round its hooks."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from securetrain import commit_attacks, policies, production, replay
from securetrain.policies import CONFIG, RULES
from securetrain.policy_trial import OLD_MODEL, TREE, Team
from securetrain.provenance import Release

# What no hook reads: it looks like any other change.
UNREAD = ("code that steals", "poison, signed and scanned")


def key(team: Team) -> str:
    """Return a key that opens nothing."""
    letters = team.rng.choices("ABCDEFGHJKLMNPQR234567", k=16)
    return "AK" + "IA" + "".join(letters)


def honest(team: Team) -> dict[str, TREE]:
    """Return commits that colleagues make on good days."""
    signed = team.origin.signed
    data = signed("data", {"labels.csv": commit_attacks.CLEAN + b"3,stop\n"}, 3)
    weights = {"m.safetensors": team.origin.weights()}
    return {
        "code": {"train.py": b"print('trained again')\n"},
        "new data, signed and scanned": data | team.scanned(data),
        "a new model, signed": signed("models", weights, 3),
        "one more run": {
            "runs.jsonl": team.runs("FINISHED", after=team.files["runs.jsonl"])
        },
    }


def bad(team: Team) -> dict[str, TREE]:
    """Return commits that must not come in: name -> what they change."""
    here, files = team.origin, team.files
    poison = here.signed("data", {"labels.csv": commit_attacks.POISON}, 3)
    hole = commit_attacks.HONEST + '      - run: echo "${{ github.head_ref }}"\n'
    pods = files["deploy/training.yaml"]
    service, alerts = files["deploy/service.yaml"], files["alerts/training.yaml"]
    steals = b"import os, urllib.request\nprint(os.environ.get('TOKEN'))\n"
    open_job = json.dumps(team.job | {"EnableNetworkIsolation": False}).encode()
    return {
        "a key in the code": {"notes.md": f"use {key(team)}\n".encode()},
        "data without a signature": {"data/labels.csv": commit_attacks.POISON},
        "signed data, not scanned": poison,
        "a package without a hash": {"requirements.lock": b"numpy==2.2.0\n"},
        "a pod with all rights": {
            "deploy/training.yaml": pods.replace(
                b"allowPrivilegeEscalation: false", b"privileged: true", 1
            )
        },
        "a job with open network": {"jobs/train.json": open_job},
        "a workflow with a hole": {commit_attacks.WORKFLOW: hole.encode()},
        "an edited log of runs": {"runs.jsonl": team.runs("FINISHED", "FINISHED")},
        "an alert that cannot ring": {
            "alerts/training.yaml": alerts.replace(b"monitor_score", b"monitor_scores")
        },
        "a model that runs code": {"weights/new.pt": pickle.dumps([0.5])},
        "a service for everybody": {
            "deploy/service.yaml": service.replace(b"127.0.0.1", b"0.0.0.0")
        },
        "a hook taken out": {CONFIG: team.config(without=("model-files",))},
        UNREAD[0]: {"train.py": steals},
        UNREAD[1]: poison | team.scanned(poison),
    }


@dataclass(frozen=True)
class Detour:
    """A way round the hooks: commits one after another, and how they are made.

    model: the file that somebody then wants to deploy, "" for none
    """

    commits: tuple[TREE, ...]
    flags: tuple[str, ...] = ()
    skip: str = ""
    installed: bool = True
    model: str = ""


def detours(team: Team) -> dict[str, Detour]:
    """Return what a colleague in a hurry tries; most want one unsigned model in."""
    file, pickled = "weights/new.pt", pickle.dumps([0.5])
    model = ({file: pickled},)
    noticing = ("model-files", "policy", "commit-gate")
    shadow = {file: pickled, "pre_commit.py": b"raise SystemExit(0)\n"}
    out = {file: pickled, CONFIG: team.config(without=("model-files",))}
    all_out = {file: pickled, CONFIG: team.config(without=noticing)}
    secret = f"use {key(team)}\n".encode()
    weights = team.origin.signed("models", {"m.safetensors": team.origin.weights()}, 3)
    verify = ("--no-verify",)
    return {
        "git commit --no-verify": Detour(model, verify, model=file),
        "SKIP=model-files": Detour(model, skip="model-files", model=file),
        "hooks never installed": Detour(model, installed=False, model=file),
        "a file pre_commit.py": Detour((shadow,), model=file),
        "the hook taken out": Detour((out,), model=file),
        "… and those that notice": Detour((all_out,), model=file),
        "another ending: .dat": Detour(
            ({"weights/new.dat": pickled},), model="weights"
        ),
        "a key in, and out again": Detour(
            ({"notes.md": secret}, {"notes.md": None}), verify
        ),
        "a key written backwards": Detour(({"notes.md": secret[::-1]},)),
        "wrong weights, signed": Detour((weights,), model="models"),
    }


def excepted(team: Team, granted: int, expires: int) -> TREE:
    """Return what the owner commits to let OLD_MODEL in for a while.

    granted, expires: days from today; the exception and the configuration agree
    """
    pattern = policies.exclude([OLD_MODEL])
    files = {CONFIG: team.config(model_files=pattern)}
    rules = team.rules(team.files | files, team.waiver(granted, expires))
    return files | {RULES: rules}


# --- Who stops it ------------------------------------------------------------------


def stopped_at_commit(team: Team, detour: Detour) -> bool:
    """Make a detour's commits, even one that a hook stops; say whether one did.

    Whoever is stopped here would take another detour, so that CI is asked anyway.
    """
    if not detour.installed:
        team.uninstall()
    stopped = False
    for changes in detour.commits:
        more = {"SKIP": detour.skip} if detour.skip else {}
        if not team.commit(changes, *detour.flags, **more).made:
            stopped = True
            team.commit({}, "--no-verify")
    return stopped


def stopped_in_ci(team: Team) -> bool:
    """Make the commits again as CI does; say whether one was refused.

    The same files in the same order get the same answer, which is asked for once.
    """
    asked = team.git("log", "--format=%T", f"{team.base}..HEAD").stdout
    if asked in team.answers:
        return team.answers[asked]
    made = replay.commits_since(team.folder, team.base, team.today, team.env)
    team.answers[asked] = any([not outcome.passed for outcome in made])
    return team.answers[asked]


def stopped_at_gate(team: Team, detour: Detour) -> str:
    """Try to deploy a detour's model with the signature that lies there.

    Returns why it is refused, "" when it is deployed or there is no model.
    """
    if not detour.model:
        return ""
    rules = policies.read((team.folder / RULES).read_bytes())
    names = ("manifest.json", "manifest.sig")
    parts = [(team.folder / "release/models" / name).read_bytes() for name in names]
    with tempfile.TemporaryDirectory() as scratch:
        here, model = Path(scratch), team.folder / detour.model
        shutil.copytree(model if model.is_dir() else model.parent, here / "model")
        decision = production.deploy(
            rules.production, here / "model", Release(*parts), here / "deployed",
            here / "audit.jsonl", here / "seen",
        )  # fmt: skip
    return f"{decision.check}: {decision.why}" if decision.check else ""
