"""`securetrain gate`: deploy a model only when every check says so, and record it.

    securetrain provenance key publisher
    securetrain provenance key owner
    securetrain provenance write MODEL --name signs --version 2 --source training \\
        --key publisher.key --to release
    securetrain gate approve release/manifest.json --name signs --days 7 \\
        --key owner.key --to registry
    securetrain gate check MODEL --from release --name signs --key publisher.pub \\
        --registry registry --registry-key owner.pub --seen signs.seen \\
        --log audit.jsonl --into deployed
    securetrain gate verify audit.jsonl --head HASH
    securetrain gate look FILE...

MODEL is a folder or a plain tar file. `check` exits with 1 when the model is refused;
what it accepts lies in the folder of `--into`: load it from there. `approve` replaces
the whole list. `look` asks only whether files are of a kind that cannot run code, as a
hook does before a commit.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from securetrain import audit_log, checkpoints, gate, manifests, terminals
from securetrain.archives import Refused
from securetrain.provenance import Release, Trust
from securetrain.provenance_command import MANIFEST, SIGNATURE

REGISTRY = "registry.json", "registry.sig"


def approve(options: argparse.Namespace) -> None:
    """Write and sign the list of the releases that may run, and until when."""
    private = manifests.read_private_key(options.key)
    if options.days < 1:
        raise ValueError(f"--days {options.days}: expected 1 or more")
    approved = {}
    for path in options.manifest:
        text = path.read_bytes()
        name = manifests.read_manifest(text).name
        if name != options.name:
            raise ValueError(f"{path} is of {name!r}, expected {options.name!r}")
        approved[sha256(text).hexdigest()] = name
    expires = datetime.now(UTC) + timedelta(days=options.days)
    parts = gate.write_registry(approved, expires, private)
    options.to.mkdir(parents=True, exist_ok=True)
    for name, content in zip(REGISTRY, parts, strict=True):
        (options.to / name).write_bytes(content)
    many = f"{len(approved)} release{'' if len(approved) == 1 else 's'}"
    print(f"{many} approved until {expires:%Y-%m-%d %H:%M} UTC")


def check(options: argparse.Namespace) -> None:
    """Decide about a model, and record the decision.

    Raises ValueError for a path that the caller must have mistyped: the model was not
    looked at, and nothing is recorded.
    """
    if os.path.lexists(options.into):
        raise ValueError(f"--into {options.into}: it exists; name a new folder")
    if not options.model.exists():
        raise ValueError(f"{options.model}: expected a folder or tar file")
    for option, path in (("--from", options.release), ("--registry", options.registry)):
        if path and not path.is_dir():
            raise ValueError(f"{option} {path}: expected a folder, found none")
    parts = [_content(options.release / name) for name in (MANIFEST, SIGNATURE)]
    decision, head = gate.deploy(
        options.model, Release(*parts), _rules(options), options.into, options.log,
        options.seen,
    )  # fmt: skip
    print(f"{options.log}: this decision has the hash {head}")
    if not decision.deploy:
        raise Refused(decision.check, decision.why)
    kinds = ", ".join(f"{name} ({kind})" for name, kind in decision.kinds.items())
    kinds = kinds or "software, its formats not asked"
    print(f"deploy {options.name} {decision.seen.version} from {options.into}: {kinds}")


def _content(path: Path) -> bytes:
    """Return a file's content, nothing when it is not there: that is refused later."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _rules(options: argparse.Namespace) -> gate.Rules:
    """Return the demands of the command line. Raises ValueError for half of one."""
    registry, owner = (b"", b""), b""
    if bool(options.registry) != bool(options.registry_key):
        raise ValueError("--registry and --registry-key belong together")
    if options.registry:
        registry = tuple(_content(options.registry / name) for name in REGISTRY)
        owner = manifests.read_public_key(options.registry_key)
    keys = bool(options.openssf_key) + bool(options.openssf_root)
    if keys != bool(options.openssf):
        raise ValueError("--openssf wants either --openssf-key or --openssf-root")
    return gate.Rules(
        Trust(options.name, manifests.read_public_key(options.key)),
        *registry,
        owner,
        options.openssf,
        options.openssf_key,
        options.openssf_root,
        options.torch,
        options.software,
    )


def verify(options: argparse.Namespace) -> None:
    """Check that a log is whole."""
    count, head = audit_log.verify(options.log, options.head)
    print(f"{count} decisions, none changed; the newest has the hash {head}")
    if not options.head:
        print("whether lines are missing at the end, only a hash kept elsewhere says")


def look(options: argparse.Namespace) -> int:
    """Check the format of every file; 1 when one of them may run code."""
    refused = 0
    for path in options.files:
        try:
            print(f"{path}: passed ({checkpoints.check(path, options.torch)})")
        except Refused as refusal:
            refused = 1
            print(
                terminals.lines(f"{path}: refused ({refusal.check}): {refusal}"),
                file=sys.stderr,
            )
    return refused


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="approve|check|verify|look")
    says = "sign the list of releases that may run"
    more = f"{says.capitalize()}. It replaces the list in --to: what is not named "
    more += "again is withdrawn."
    one = parts.add_parser("approve", help=says, description=more)
    says = "of each release that may run; none withdraws all"
    one.add_argument("manifest", nargs="*", type=Path, help=says)
    one.add_argument("--name", required=True)
    one.add_argument("--days", required=True, type=int, help="until it expires")
    one.add_argument("--key", required=True, type=Path, help="the private key's file")
    one.add_argument("--to", required=True, type=Path, help="folder of the registry")
    one.set_defaults(do=approve)
    _add_check(parts.add_parser("check", help="decide whether a model may be deployed"))
    one = parts.add_parser("verify", help="check that an audit log is whole")
    one.add_argument("log", type=Path)
    one.add_argument("--head", default="", help="a hash that was kept elsewhere")
    one.set_defaults(do=verify)
    one = parts.add_parser("look", help="refuse files that may run code when loaded")
    one.add_argument("files", nargs="+", type=Path)
    _add_torch(one)
    one.set_defaults(do=look)
    return whole


def _add_check(one: argparse.ArgumentParser) -> None:
    one.add_argument("model", type=Path)
    one.add_argument("--from", dest="release", required=True, type=Path)
    one.add_argument("--name", required=True)
    one.add_argument("--key", required=True, type=Path, help="the public key's file")
    one.add_argument("--seen", required=True, type=Path, help="what was deployed last")
    one.add_argument("--log", required=True, type=Path, help="the audit log")
    one.add_argument("--into", required=True, type=Path, help="new folder to load from")
    one.add_argument("--registry", type=Path, help="folder of the signed list")
    one.add_argument("--registry-key", type=Path, help="its owner's public key")
    one.add_argument("--openssf", type=Path, help="a signature of model-signing")
    one.add_argument("--openssf-key", type=Path, help="public key, PEM")
    one.add_argument("--openssf-root", type=Path, help="root certificate, PEM")
    _add_torch(one)
    says = "a release of software, not of a model: its files may be of any kind"
    one.add_argument("--software", action="store_true", help=says)
    one.set_defaults(do=check)


def _add_torch(one: argparse.ArgumentParser) -> None:
    floor = ".".join(map(str, checkpoints.TORCH_FLOOR))
    says = f"welcome checkpoints, too, for this version of PyTorch (from {floor})"
    one.add_argument("--torch", default="", metavar="VERSION", help=says)


def main(argv: list[str]) -> int:
    """Run the command; 1 when a model, a file or a log is refused."""
    options = parser().parse_args(argv)
    try:
        return options.do(options) or 0
    except Refused as refusal:
        print(terminals.lines(f"refused ({refusal.check}): {refusal}"), file=sys.stderr)
        return 1
