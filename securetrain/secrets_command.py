"""`securetrain secrets`: keys in files, and what a vault's audit log tells.

    securetrain secrets scan [--fingerprint] FILE …
    securetrain secrets audit LOG --path secret/data/signs

`scan` reads each file to the bottom (archives, checkpoints, base64) for three forms of
key: cloud access keys, passwords in addresses (behind scheme://user:), and hex behind
a name such as token. No find says nothing of other forms. It shows the first
four letters. `audit` names who read which secret.

Exit status: 0 nothing found; 1 something looks like a key, or the log shows a secret
in clear; 2 something could not be read, or there was nothing to read: no clean bill.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path

from securetrain import key_scanners, plain_files, terminals, vault_audit
from securetrain.archives import Refused


def scan(options: argparse.Namespace) -> int:
    """Scan files and folders by form."""
    files = [
        path
        for given in options.files
        for path in (sorted(given.rglob("*")) if given.is_dir() else [given])
        if path.is_file() or not path.is_dir()
    ]
    status = read = 0
    for path in files:
        try:
            found = key_scanners.find(plain_files.read(path, key_scanners.MOST))
        except (OSError, key_scanners.Unread, Refused) as error:
            missing = isinstance(error, FileNotFoundError)
            why = "no such file" if missing else f"not scanned: {error}"
            print(terminals.shown(f"{path}: {why}"), file=sys.stderr)
            status = 2
            continue
        read += 1
        for value in found:
            where = terminals.shown(str(path))
            says = f"{value[:4]}… ({len(value)} letters) looks like a key"
            mark = sha256(value.encode()).hexdigest()[:16]
            print(f"{where}: {says}" + f", sha256:{mark}" * options.fingerprint)
        status = max(status, int(bool(found)))
    print(f"{read} files scanned for {len(key_scanners.FORMS)} forms of key")
    return status if read else 2


def audit(options: argparse.Namespace) -> int:
    """Read an audit log."""
    log = vault_audit.entries(options.log)
    for read in vault_audit.reads(log, options.path):
        came = f"refused: {read.why}" if read.why else "read"
        who = f"{read.who} ({read.accessor})"
        print(terminals.shown(f"{read.time[:19]}  {who}  {read.path}  {came}"))
    known = [line for line in sys.stdin.read().split() if line] if options.known else []
    shown = vault_audit.in_clear(log, known)
    for where in shown[:20]:
        print(terminals.shown(str(where)), file=sys.stderr)
    print(f"{len(log)} entries, {len(shown)} with a secret in clear")
    return int(bool(shown))


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain secrets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="scan | audit")
    one = parts.add_parser("scan", help="look for keys in files, to the bottom")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE")
    says = "also print 16 digits of each key's SHA-256, to compare with a vault's list"
    one.add_argument("--fingerprint", action="store_true", help=says)
    one.set_defaults(do=scan)
    one = parts.add_parser("audit", help="who read which secret, and is any in clear")
    one.add_argument("log", type=Path)
    one.add_argument("--path", default="", help="only reads of this secret")
    one.add_argument(
        "--known", action="store_true", help="read known secrets from standard input"
    )
    one.set_defaults(do=audit)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 for a find, 2 for what could not be read."""
    options = parser().parse_args(argv)
    return options.do(options)
