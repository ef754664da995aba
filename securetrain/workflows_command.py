"""`securetrain workflows`: what is wrong with a pipeline, and a gate for every commit.

    securetrain workflows check .
    securetrain workflows check .github/workflows/test.yml
    securetrain workflows gate
    securetrain workflows gate --since origin/main

`check` reads workflows and actions made of steps. `gate` judges the staged commit, or
each commit since another: workflows, keys, signed data, signed models. Its rules are
.securetrain/policy.toml as the commit before has them (`--since`: that commit); or
those of `--policy FILE`. Without a policy it looks at workflows and keys alone. Keys
are of three forms, as for `securetrain secrets scan`; `--gitleaks` asks for many more.

The policy, of which every part may be left out:

    [data]
    folder = "data"
    release = "release/data"
    name = "signs"
    signer = "64 hex digits: the public key of whoever signs"

    [models]
    folder = "models"
    release = "release/models"
    name = "detector"
    signer = "64 hex digits"

    [actions]
    "actions/checkout" = ["40 hex digits: a commit that somebody has read"]

`release` is the folder of manifest.json and manifest.sig, outside `folder`.

Exit status: 0 nothing found; 1 something is refused; 2 wrong use, or unreadable.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from securetrain import commit_gate, commits, terminals, workflows
from securetrain.commit_gate import POLICY, Policy


def check(options: argparse.Namespace) -> int:
    """Check workflows and actions."""
    reviewed = None
    if options.policy:
        content = options.policy.read_bytes()
        reviewed = commit_gate.read_policy(content, str(options.policy)).actions
    found, unread = workflows.check_paths(options.paths, reviewed)
    for line in [*found, *unread]:
        print(terminals.lines(str(line)), file=sys.stderr)
    print(f"{len(found)} findings, {len(unread)} files could not be read")
    return 2 if unread else int(bool(found))


def gate(options: argparse.Namespace) -> int:
    """Judge the staged commit, or each commit since another."""
    repository = options.repository
    if options.since:
        asked = commits.since(repository, options.since)
        if not asked:
            print(f"no commit since {options.since}: nothing to judge")
            return 0
        first = commits.one(repository, options.since).files
    else:
        asked = [commits.staged(repository)]
        first = asked[0].before
    policy = _policy(options.policy, first.get(POLICY))
    refused = 0
    for commit in asked:
        found = commit_gate.decide(commit, policy, options.gitleaks)
        refused += bool(found)
        for line in found:
            print(terminals.lines(line), file=sys.stderr)
        many = f"{len(commit.changed)} changed file" + "s" * (len(commit.changed) != 1)
        print(f"{commit.name}: {'refused' if found else 'passed'} ({many})")
    return int(bool(refused))


def _policy(path: Path | None, content: bytes | None) -> Policy:
    if path:
        return commit_gate.read_policy(path.read_bytes(), str(path))
    if content is None:
        print(f"no {POLICY} in the commit before: only workflows and keys are judged")
        return Policy()
    return commit_gate.read_policy(content)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain workflows",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="check | gate")
    one = parts.add_parser("check", help="what is wrong with workflows and actions")
    one.add_argument("paths", nargs="+", type=Path, metavar="FOLDER|FILE")
    one.add_argument("--policy", type=Path, help="only actions that it lists may run")
    one.set_defaults(do=check)
    one = parts.add_parser("gate", help="judge the staged commit, or those since one")
    one.add_argument("--since", default="", metavar="COMMIT")
    one.add_argument("--policy", type=Path, help="rules kept outside the repository")
    one.add_argument("--gitleaks", action="store_true", help="ask gitleaks, too")
    one.add_argument("--repository", type=Path, default=Path("."))
    one.set_defaults(do=gate)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when something is refused, 2 when it could not be read."""
    options = parser().parse_args(argv)
    return options.do(options)
