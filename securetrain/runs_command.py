"""`securetrain runs`: check the signed log of training runs, hand out its head, repair.

    securetrain runs check --name digits --key 64_HEX_DIGITS runs.jsonl …
    securetrain runs head --name digits --private runs.key runs.jsonl > head.json
    securetrain runs repair --name digits --private runs.key runs.jsonl

`check` reads each log to its end: chained, every line signed, no fact said twice. It
cannot see that lines are missing at the end, unless it is told what there was: give
heads that somebody kept (`--kept head.json`), and `--git`, which asks that the log
begins with what the newest commit has under this name. `head` signs how many lines
there are, and their hash: publish it where the log's keeper cannot write. `repair` is
for a last line that a crash tore: its bytes go into a file beside the log, and a signed
line says so. It refuses every other fault, and a log without one.

Exit status: 0 every log is whole; 1 one is not; 2 wrong use, or nothing to read.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from securetrain import commits, manifests, runlog, terminals
from securetrain.archives import Refused


def check(options: argparse.Namespace) -> int:
    """Check every log; 1 when one is not whole."""
    key = public_key(options.key)
    kept = [runlog.read_head(path) for path in options.kept]
    status = 0
    for path in options.logs:
        if not path.is_file():
            raise ValueError(f"{path}: expected a file")
        try:
            log = runlog.verify(path, options.name, key, kept)
            if options.git:
                check_git(path, log)
        except Refused as refused:
            torn = "cut off while being written" in str(refused)
            help_ = "; see `securetrain runs repair`" if torn else ""
            print(
                terminals.lines(f"{path}: refused: {refused}{help_}"), file=sys.stderr
            )
            status = 1
            continue
        lines = f"{len(log.lines)} lines, {len(log.runs)} runs, all signed"
        many = f"{log.torn} torn line{'s were' if log.torn > 1 else ' was'} set aside"
        print(f"{path}: {lines}{f'; {many}' if log.torn else ''}")
    return status


def public_key(digits: str) -> bytes:
    """Return a public key, 32 bytes; ValueError unless these are 64 hex digits."""
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise ValueError(f"--key {digits!r:.70}: expected 64 hex digits")
    return bytes.fromhex(digits)


def check_git(path: Path, log: runlog.Log) -> None:
    """Raise Refused unless a log begins with what the newest commit has of it.

    A log that no commit has had yet passes. Raises ValueError outside of git.
    """
    if path.is_symlink():  # git keeps where it leads to, not what is there
        raise Refused("run log", "it is a link: keep the file itself in git")
    folder = path.resolve().parent
    if not commits.git(folder, "rev-list", "--all", "--max-count=1"):
        return  # before the first commit
    listed = commits.git(folder, "ls-tree", "-z", "HEAD", "--", path.name)
    if not listed:
        if commits.git(folder, "rev-list", "--all", "--max-count=1", "--", path.name):
            raise Refused("run log", "an older commit has it, the newest has not")
        return
    old = commits.git(folder, "show", f"HEAD:./{path.name}")
    if not b"".join(line + b"\n" for line in log.lines).startswith(old):
        why = "it does not begin with the lines that the newest commit has"
        raise Refused("run log", f"{why}: lines are missing, or others")


def head(options: argparse.Namespace) -> int:
    """Print the signed head of a log that is whole."""
    private_key = manifests.read_private_key(options.private)
    log = runlog.verify(options.log, options.name, manifests.public_key(private_key))
    sys.stdout.write(runlog.head_text(runlog.publish(log, private_key)))
    return 0


def repair(options: argparse.Namespace) -> int:
    """Set the torn last line of a log aside."""
    private_key = manifests.read_private_key(options.private)
    aside = runlog.repair(options.log, options.name, private_key)
    size = aside.stat().st_size
    print(f"{options.log}: {size} bytes set aside in {aside.name}; a line says so")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="check | head | repair")
    one = parts.add_parser("check", help="refuse logs that were changed")
    one.add_argument("logs", type=Path, nargs="+", metavar="LOG")
    one.add_argument("--name", required=True, help="which log this is")
    one.add_argument("--key", required=True, help="its public key, 64 hex digits")
    says = "a head that was kept; may be given again"
    one.add_argument("--kept", type=Path, action="append", default=[], help=says)
    says = "the log must begin with what the newest commit has"
    one.add_argument("--git", action="store_true", help=says)
    one.set_defaults(do=check)
    both = {head: "sign how long a log is, and its hash"}
    both[repair] = "set a torn last line aside"
    for do, says in both.items():
        one = parts.add_parser(do.__name__, help=says)
        one.add_argument("log", type=Path, metavar="LOG")
        one.add_argument("--name", required=True, help="which log this is")
        says = "its key, 32 bytes"
        one.add_argument("--private", type=Path, required=True, help=says)
        one.set_defaults(do=do)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when a log is not whole."""
    options = parser().parse_args(argv)
    try:
        return options.do(options)
    except Refused as refused:
        print(terminals.lines(f"securetrain runs: {refused}"), file=sys.stderr)
        return 1
