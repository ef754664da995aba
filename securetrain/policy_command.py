"""`securetrain policy`: hold a repository to its own rules, and review them.

    securetrain policy init --owner "ML platform"
    securetrain policy check
    securetrain policy replay --since origin/main
    securetrain policy deploy MODEL --from release --reports reports \\
        --seen signs.seen --log audit.jsonl --into deployed
    securetrain policy print --html checklist.html
    securetrain policy review
    securetrain policy pin ATLAS.yaml

`init` writes .securetrain/rules.toml to begin with. `check` asks whether what is staged
keeps it: hooks configured as the rules need them, files as pinned, exceptions within
their days. `replay` makes each commit since another again, with the rules and hooks of
that one: run it in CI, from a checkout that has both. `deploy` is the gate, with its
demands from [production]. `print` writes the course's checklist as one page. `review`
says what changed between two pinned versions of MITRE ATLAS; `pin` takes a new one from
a downloaded file.

Exit status: 0 all is well; 1 something is refused; 2 wrong use, or a file that cannot
be read. `review` ends with 1 while an id is new and nobody has decided about it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from securetrain import commits, policies, policy_check, terminals
from securetrain.policies import CONFIG, RULES

if TYPE_CHECKING:
    from securetrain import atlas


def init(options: argparse.Namespace) -> int:
    """Write rules to begin with; never over others."""
    path = options.repository / RULES
    if not options.owner.isprintable() or set('"\\') & set(options.owner):
        raise ValueError(f"--owner {options.owner!r}: expected a name without quotes")
    text = policies.TEMPLATE.read_text("utf-8").replace("@OWNER@", options.owner)
    review = _today() + timedelta(days=90)
    text = text.replace("@REVIEW@", review.isoformat())
    rules = policies.read(text.encode()).rules
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
    print(f"{path}: {len(rules)} rules; take out what is not about you")
    print("then `git add` it, and `securetrain policy check` says what is missing")
    return 0


def _today() -> date:
    return datetime.now(UTC).date()


def check(options: argparse.Namespace) -> int:
    """Hold what is staged to the rules."""
    files = commits.staged(options.repository).files
    if RULES not in files:
        raise ValueError(_not_staged(options.repository / RULES))
    policy = policies.read(files[RULES])
    found = policy_check.problems(policy, files, _today())
    _print(found)
    by_hand = [rule.id for rule in policy.rules if not rule.checks]
    print(f"{len(policy.rules)} rules, {len(found)} findings")
    if by_hand:
        print(f"no machine checks: {', '.join(by_hand)}")
    if policy.hooks and CONFIG in files and CONFIG not in policy.pinned:
        print(f"[pinned] lacks {CONFIG}; it has {sha256(files[CONFIG]).hexdigest()}")
    return int(bool(found))


def _not_staged(path: Path) -> str:
    """Return why there are no rules in the next commit, and what to do."""
    if path.is_symlink():
        return f"{path} is a link; expected a regular file"
    if path.exists():
        return f"{path} is there, but not staged as a regular file: `git add {RULES}`"
    return f"{RULES} is not in the next commit: `securetrain policy init`"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(terminals.lines(line), file=sys.stderr)


def replay(options: argparse.Namespace) -> int:
    """Make each commit again; 1 when one is refused."""
    from securetrain import replay

    refused = made = 0
    for outcome in replay.commits_since(options.repository, options.since, _today()):
        made += 1
        refused += not outcome.passed
        print(f"{outcome.name}: {'passed' if outcome.passed else 'refused'}")
        if not outcome.passed:
            _print(outcome.said.splitlines())
    print(f"{made} commits since {options.since} made again, {refused} refused")
    return int(bool(refused))


def deploy(options: argparse.Namespace) -> int:
    """Decide about a model by the policy, and record the decision."""
    from securetrain import gate_command, production
    from securetrain.provenance import Release

    policy = policies.read(options.policy.read_bytes(), str(options.policy))
    if policy.production is None:
        raise ValueError(f"{options.policy}: no [production]: nothing is demanded")
    if options.into.exists() or not options.model.exists():
        why = "expected a model, and a folder of --into that is not there yet"
        raise ValueError(f"{options.model}, {options.into}: {why}")
    folders = {kind: options.reports for kind in policy.production.reports}
    found = {
        kind: (_content(folder, f"{kind}.json"), _content(folder, f"{kind}.sig"))
        for kind, folder in folders.items()
    }
    parts = (gate_command.MANIFEST, gate_command.SIGNATURE)
    release = Release(*(_content(options.release, name) for name in parts))
    registry = tuple(_content(options.registry, n) for n in gate_command.REGISTRY)
    decision = production.deploy(
        policy.production, options.model, release, options.into, options.log,
        options.seen, registry=registry, found=found,
    )  # fmt: skip
    if not decision.deploy:
        _print([f"refused ({decision.check}): {decision.why}"])
        return 1
    print(f"deploy {policy.production.model} {decision.seen.version} {options.into}")
    return 0


def _content(folder: Path | None, name: str) -> bytes:
    """Return a file's content, nothing when it is not there: that is refused later."""
    path = folder / name if folder else None
    return path.read_bytes() if path and path.is_file() else b""


def show(options: argparse.Namespace) -> int:
    """Write the checklist as one page; over another file only with --force."""
    from securetrain import checklist_page

    text = checklist_page.page()
    try:
        with open(options.html, "w" if options.force else "x", encoding="utf-8") as f:
            f.write(text)
    except FileExistsError:
        why = "is there already; choose another name, or --force to replace it"
        raise ValueError(f"{options.html} {why}") from None
    print(f"{options.html}: the checklist on one page; nothing in it is fetched")
    return 0


def review(options: argparse.Namespace) -> int:
    """Say what changed between two versions of ATLAS; 1 while an id is undecided."""
    from securetrain import atlas

    given = [one for one in (options.old, options.new) if one]
    read = [_version(one) for one in given]
    if len(given) == 1 or (not given and len(atlas.pinned()) < 2):
        raise ValueError(
            "expected two versions: --old and --new, or two that are pinned"
        )
    old, new = read or atlas.pinned()[-2:]
    change = atlas.compare(old, new)
    uses, known = atlas.used(), atlas.decisions()
    print(
        f"ATLAS {old.number} to {new.number}: {len(change.added)} new, "
        f"{len(change.removed)} removed, {len(change.renamed)} renamed"
    )
    kinds = [("new", i, n) for i, n in change.added.items()]
    kinds += [("removed", i, n) for i, n in change.removed.items()]
    kinds += [("renamed", i, f"{a} -> {b}") for i, (a, b) in change.renamed.items()]
    waiting = 0
    for what, id, name in kinds:
        verdict, why = atlas.standing(id, uses, known)
        waiting += verdict == "undecided"
        print(f"{what:8} {id:14} {name}\n{'':8} {verdict}: {why}")
    print(f"{waiting} wait for a decision in {atlas.DECISIONS.name}")
    return int(bool(waiting))


def _version(given: str) -> atlas.Version:
    """Return a pinned version by its number, or another from its file."""
    from securetrain import atlas

    known = {one.number: one for one in atlas.pinned()}
    if given in known:
        return known[given]
    if not Path(given).exists():
        there = " and ".join(known)
        raise ValueError(
            f"{given}: no pinned version; there are {there}, or give a file"
        )
    return atlas.read(Path(given).read_bytes(), given)


def pin(options: argparse.Namespace) -> int:
    """Pin a downloaded version; never over another."""
    from securetrain import atlas

    version = atlas.from_yaml(options.file)
    path = (options.to or atlas.FOLDER) / f"{version.number}.toml"
    with open(path, "x", encoding="utf-8") as file:
        file.write(atlas.write(version))
    print(f"{path}: {len(version.names)} ids of ATLAS {version.number}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = "init | check | replay | deploy | print | review | pin"
    parts = whole.add_subparsers(required=True, metavar=names)

    def add(name: str, do, says: str) -> argparse.ArgumentParser:
        one = parts.add_parser(name, help=says)
        one.set_defaults(do=do)
        return one

    one = add("init", init, "write rules to begin with")
    one.add_argument("--owner", required=True, help="who answers for them")
    one.add_argument("--repository", type=Path, default=Path("."))
    one = add("check", check, "does what is staged keep the rules?")
    one.add_argument("--repository", type=Path, default=Path("."))
    one = add("replay", replay, "make each commit again, with the hooks of a base")
    one.add_argument("--since", required=True, metavar="COMMIT")
    one.add_argument("--repository", type=Path, default=Path("."))
    one = add("deploy", deploy, "let a model in when it meets [production]")
    one.add_argument("model", type=Path, help="folder or tar file")
    one.add_argument("--policy", type=Path, default=Path(RULES))
    one.add_argument("--from", dest="release", type=Path, required=True)
    one.add_argument("--registry", type=Path, help="folder of the signed list")
    one.add_argument("--reports", type=Path, help="folder of the signed reports")
    for name in ("seen", "log", "into"):
        one.add_argument(f"--{name}", type=Path, required=True)
    one = add("print", show, "the checklist as one page")
    one.add_argument("--html", type=Path, required=True, metavar="FILE")
    one.add_argument("--force", action="store_true", help="replace a file")
    either = "a pinned version, such as 5.3.0, or a file"
    one = add("review", review, "what changed between two versions of ATLAS")
    one.add_argument("--old", metavar="VERSION", help=either)
    one.add_argument(
        "--new", metavar="VERSION", help=f"{either}; without both, the two newest pins"
    )
    one = add("pin", pin, "pin a downloaded version")
    one.add_argument("file", type=Path, metavar="ATLAS.yaml")
    one.add_argument("--to", type=Path, metavar="FOLDER")
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when something is refused."""
    options = parser().parse_args(argv)
    return options.do(options)
