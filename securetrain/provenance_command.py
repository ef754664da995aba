"""`securetrain provenance`: sign a data set, and refuse one that is not as signed.

    securetrain provenance key publisher
    securetrain provenance write DATA --name signs --version 1 --source URL \\
        --key publisher.key --to release
    securetrain provenance verify DATA --from release --name signs \\
        --key publisher.pub --seen signs.seen

DATA is a folder or a plain tar file. `verify` exits with 1 when the data is refused, so
it serves as a hook; with `--into FOLDER` it leaves a private copy to train on, which
nobody can change between the check and the training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from securetrain import manifests, provenance, terminals
from securetrain.archives import Refused
from securetrain.provenance import Release, Trust

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


def key(options: argparse.Namespace) -> None:
    """Write a new private key, for the owner's eyes only, and its public key."""
    secret, known = manifests.write_new_key(options.file)
    print(f"{secret} stays with you; give {known} to those who check")


def write(options: argparse.Namespace) -> None:
    """Write a release's manifest and signature beside the data, not into it."""
    if options.to.resolve().is_relative_to(options.data.resolve()):
        raise ValueError(f"{options.to} lies inside the data that it describes")
    private = manifests.read_private_key(options.key)
    files = manifests.describe(options.data)
    facts = options.name, options.version, options.source
    manifest = manifests.write_manifest(files, *facts)
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / MANIFEST).write_bytes(manifest)
    (options.to / SIGNATURE).write_bytes(manifests.sign(manifest, private))
    print(f"{options.name} {options.version}: {len(files)} files signed")


def verify(options: argparse.Namespace) -> None:
    """Check a release, and remember it."""
    public = manifests.read_public_key(options.key)
    parts = [(options.release / name).read_bytes() for name in (MANIFEST, SIGNATURE)]
    release, trust = Release(*parts), Trust(options.name, public)
    seen = provenance.recall(options.seen)
    if options.into:
        found = provenance.stage(options.data, release, trust, options.into, seen=seen)
    else:
        found = provenance.look(options.data, release, trust, seen)
    provenance.remember(found, options.seen)
    if seen is None:
        print("first release seen here: nothing to compare its version with")
    print(f"{options.name} {found.version}: every file is as signed")


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain provenance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="key | write | verify")
    one = parts.add_parser("key", help="make FILE.key and FILE.pub")
    one.add_argument("file", type=Path)
    one.set_defaults(do=key)
    one = parts.add_parser("write", help="write and sign a manifest")
    one.add_argument("data", type=Path)
    one.add_argument("--name", required=True)
    one.add_argument("--version", required=True, type=int)
    one.add_argument("--source", required=True)
    one.add_argument("--key", required=True, type=Path, help="the private key's file")
    one.add_argument("--to", required=True, type=Path, help="folder of the manifest")
    one.set_defaults(do=write)
    one = parts.add_parser("verify", help="refuse data that is not as signed")
    one.add_argument("data", type=Path)
    one.add_argument("--from", dest="release", required=True, type=Path)
    one.add_argument("--name", required=True)
    one.add_argument("--key", required=True, type=Path, help="the public key's file")
    one.add_argument("--seen", required=True, type=Path, help="what was seen last")
    one.add_argument("--into", type=Path, help="leave a copy to train on")
    one.set_defaults(do=verify)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when data is refused."""
    options = parser().parse_args(argv)
    try:
        options.do(options)
    except Refused as refusal:
        print(terminals.lines(f"refused ({refusal.check}): {refusal}"), file=sys.stderr)
        return 1
    return 0
