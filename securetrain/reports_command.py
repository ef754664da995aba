"""`securetrain reports`: what a long check found, signed with the hash of the files.

    securetrain provenance key scanner
    securetrain reports write --kind poison-scan --of data --result scan.json \\
        --key scanner.key --to reports
    securetrain reports check --of data --in reports --need poison-scan --key 64_HEX

`write` takes the result of a check as JSON: `passed`, `reasons` and `numbers`, as the
gate for labels writes it. `check` asks for a report of each `--need` that says passed,
about exactly the files of `--of` (a folder, or the manifest.json that lists them), and
signed by the key. It reads what is staged, so that a file that git does not know is no
report; with `--plain` it reads the folders themselves, outside of git.

Exit status: 0 every report is there; 1 one is missing, or about others; 2 wrong use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from securetrain import commits, manifests, reports, terminals
from securetrain.archives import Refused
from securetrain.manifests import File
from securetrain.runs_command import public_key


def write(options: argparse.Namespace) -> int:
    """Sign what a check found."""
    private = manifests.read_private_key(options.key)
    about = reports.fingerprint(_files(options.of))
    report = reports.of_result(options.kind, about, options.result.read_bytes())
    parts = reports.write(report, private)
    options.to.mkdir(parents=True, exist_ok=True)
    for end, content in zip(("json", "sig"), parts, strict=True):
        (options.to / f"{options.kind}.{end}").write_bytes(content)
    said = "passed" if report.passed else "did not pass"
    print(f"{options.kind}: {said}, about {about[:12]}… ({options.of})")
    return 0


def _files(of: Path) -> Mapping[str, File]:
    """Return the files of a folder, or those that a manifest lists."""
    if of.is_file():
        return manifests.read_manifest(of.read_bytes()).files
    if not of.is_dir():
        raise ValueError(f"--of {of}: expected a folder, or a manifest")
    return manifests.describe(of)


def check(options: argparse.Namespace) -> int:
    """Ask for a report of each kind that is needed."""
    if options.plain:
        files = _files(options.of)
        found = {kind: _read(options.where, kind) for kind in options.need}
    else:
        commit = commits.staged(Path("."))
        files = _staged(commit, options.of.as_posix())
        found = {
            kind: tuple(
                commit.files.get(f"{options.where.as_posix()}/{kind}.{end}", b"")
                for end in ("json", "sig")
            )
            for kind in options.need
        }
    reports.check(options.need, reports.fingerprint(files), found, options.key)
    print(f"{options.of}: {', '.join(options.need)}: passed, about these files")
    return 0


def _staged(commit: commits.Commit, of: str) -> Mapping[str, File]:
    """Return the files of a folder as staged, or those that a staged manifest lists."""
    if of in commit.files:
        return manifests.read_manifest(commit.files[of]).files
    paths = commit.under(of)
    if not paths:
        raise ValueError(f"--of {of}: nothing of it is in the next commit")
    return manifests.describe({n: commit.files[p] for n, p in paths.items()})


def _read(folder: Path, kind: str) -> tuple[bytes, bytes]:
    paths = [folder / f"{kind}.{end}" for end in ("json", "sig")]
    text, signature = (p.read_bytes() if p.is_file() else b"" for p in paths)
    return text, signature


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain reports",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="write | check")
    one = parts.add_parser("write", help="sign what a check found")
    one.add_argument(
        "--kind", required=True, help=f"such as {', '.join(reports.KINDS)}"
    )
    one.add_argument("--of", required=True, type=Path, help="what was looked at")
    one.add_argument("--result", required=True, type=Path, help="JSON with `passed`")
    one.add_argument("--key", required=True, type=Path, help="the private key's file")
    one.add_argument("--to", required=True, type=Path, help="folder of the reports")
    one.set_defaults(do=write)
    one = parts.add_parser("check", help="refuse files without their reports")
    one.add_argument("--of", required=True, type=Path, help="folder or manifest")
    one.add_argument("--in", dest="where", required=True, type=Path, metavar="FOLDER")
    one.add_argument("--need", required=True, action="append", metavar="KIND")
    says = "public key of whoever scans, 64 hex digits"
    one.add_argument("--key", required=True, help=says)
    one.add_argument("--plain", action="store_true", help="read folders, not git")
    one.set_defaults(do=check)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when a report is missing or is about something else."""
    options = parser().parse_args(argv)
    if options.do is check:
        options.key = public_key(options.key)
    try:
        return options.do(options)
    except Refused as refused:
        print(terminals.lines(f"refused ({refused.check}): {refused}"), file=sys.stderr)
        return 1
