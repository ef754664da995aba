"""`securetrain badge`: issue badges after grading, and check them anywhere.

    securetrain badge key ~/issuer
    securetrain badge issue 13-poisoning --key ~/issuer.key --issuer "Your school"
    securetrain badge issue --role ml-engineer --key ~/issuer.key --issuer "Your school"
    securetrain badge verify badge.svg --key issuer.pub
    securetrain badge revoke badge.svg --key ~/issuer.key --list revoked.jwt --new \\
        --reason "a mistake in the gradebook"

`verify` needs no network, no gradebook and no course: a badge, and the issuer's public
key from where the issuer publishes it. What it prints comes from the signed credential.
`issue` reads the gradebook and needs the extra `grading`; its --help says more.

Exit status: 0 done, every badge is as issued; 1 one is refused, or somebody was left
out; 2 wrong use, or nothing to read.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from securetrain import (
    badge_awards,
    badge_tokens,
    badges,
    manifests,
    own_files,
    plain_files,
    terminals,
)
from securetrain.archives import Refused
from securetrain.badges import Badge, Revoked

LIST = 1 << 20  # bytes of a list of revocations


def key(options: argparse.Namespace) -> int:
    """Make a key pair."""
    secret, known = manifests.write_new_key(options.file)
    name = badge_tokens.did_key(manifests.read_public_key(known))
    print(f"{secret} signs badges: keep it outside every repository, with a copy")
    print(f"{known} checks them: publish it where learners and employers look")
    print(f"as others name it: {name}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Check badges; 1 when one is refused."""
    keys = [manifests.read_public_key(path) for path in options.key]
    revoked = _list(options.revoked, keys) if options.revoked else None
    status = 0
    for path in options.badges:
        try:
            data = plain_files.read(path, badges.LIMIT)
            badge = badges.verify(data, keys, revoked=revoked)
            if options.holder and not badges.belongs_to(badge, options.holder):
                raise Refused("holder", f"it is not {options.holder}'s")
        except Refused as refused:
            why = terminals.lines(f"{path}: refused ({refused.check}): {refused}")
            print(why, file=sys.stderr)
            status = 1
            continue
        print(f"{path}: as it was issued\n{describe(badge, revoked, options.holder)}")
    return status


def describe(badge: Badge, revoked: Revoked | None = None, holder: str = "") -> str:
    """Return what a verified credential says, and what was not looked at."""
    whose = badge.holder or "pseudonymous; --holder ID says whether it is somebody's"
    ends = f" until {badge.until:%Y-%m-%d %H:%M} UTC" if badge.until else ""
    rows = [
        ("badge", f"{badge.name}. {badge.description}"),
        ("criteria", badge.criteria),
        ("issuer", f"{badge.issuer}, as the owner of {badge.issuer_key} says"),
        ("issued", f"{badge.since:%Y-%m-%d %H:%M} UTC{ends}"),
        ("holder", f"{holder}, as you asked" if holder else whose),
        ("id", badge.id),
        (
            "revoked",
            f"not in the issuer's list of {revoked.since:%Y-%m-%d}"
            if revoked
            else "not looked at; --revoked FILE takes the issuer's list",
        ),
    ]
    return "\n".join(
        textwrap.fill(
            terminals.shown(text),
            width=80,
            initial_indent=f"  {name:<9} ",
            subsequent_indent=" " * 12,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, text in rows
    )


def _list(path: Path, keys: list[bytes]) -> Revoked:
    try:
        text = plain_files.read(path, LIST).decode("ascii")
        return badges.read_revoked(text, keys)
    except (Refused, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no list of this issuer's: {error}") from None


def revoke(options: argparse.Namespace) -> int:
    """Add badges to the issuer's signed list, or begin one."""
    private = private_key(options.key)
    public = manifests.public_key(private)
    badge_awards.check_name(options.reason)
    ids = [_id(word, public) for word in options.badges]
    reasons = dict.fromkeys(ids, options.reason)
    if options.new:
        if not own_files.create(options.list, _signed(reasons, private)):
            raise ValueError(f"{options.list}: is there already; leave --new out")
    else:
        reasons = _add(options.list, reasons, private)
    print(f"{options.list}: taken back: {len(reasons)}; publish the list again")
    return 0


def _add(path: Path, reasons: dict[str, str], private: bytes) -> dict[str, str]:
    """Put more badges into a list while nobody else can, and return all of them."""
    try:
        with own_files.locked(path):
            before = _list(path, [manifests.public_key(private)]).badges
            own_files.replace(path, _signed({**before, **reasons}, private))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such list; --new begins one") from None
    return {**before, **reasons}


def _signed(reasons: dict[str, str], private: bytes) -> bytes:
    public, now = manifests.public_key(private), datetime.now(UTC)
    return f"{badge_awards.revoke(reasons, private, public, now)}\n".encode("ascii")


def _id(word: str, public: bytes) -> str:
    """Return the id of a badge: the word itself, or that of the file it names."""
    if word.startswith("urn:"):
        badge_awards.check_id(word)
        return word
    try:
        token = badges.extract(plain_files.read(Path(word), badges.LIMIT))
        claims, _ = badge_tokens.read(token, badge_tokens.BADGE, [public])
    except Refused as refused:
        raise ValueError(f"{word}: not a badge of this key: {refused}") from None
    return str(claims["id"])


def private_key(path: Path) -> bytes:
    """Return the issuer's private key, and warn when others can read it."""
    found = manifests.read_private_key(path)
    if os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        print(f"{path}: others can read this key; chmod 600 it", file=sys.stderr)
    return found


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line, but for `issue`."""
    whole = argparse.ArgumentParser(
        prog="securetrain badge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="key | issue | verify | revoke")
    one = parts.add_parser("key", help="make FILE.key and FILE.pub")
    one.add_argument("file", type=Path)
    one.set_defaults(do=key)
    parts.add_parser("issue", help="badges for what the gradebook holds")
    one = parts.add_parser("verify", help="refuse badges that are not as issued")
    one.add_argument("badges", type=Path, nargs="+", metavar="BADGE.svg")
    one.add_argument(
        "--key", type=Path, action="append", required=True, help="an issuer's NAME.pub"
    )
    one.add_argument("--revoked", type=Path, metavar="FILE", help="the issuer's list")
    one.add_argument("--holder", metavar="ID", help="refuse what is not this person's")
    one.set_defaults(do=verify)
    one = parts.add_parser("revoke", help="take badges back, in a signed list")
    one.add_argument("badges", nargs="+", metavar="BADGE.svg | urn:uuid:…")
    one.add_argument("--key", type=Path, required=True, help="the issuer's NAME.key")
    one.add_argument("--list", type=Path, required=True, metavar="FILE")
    one.add_argument("--new", action="store_true", help="begin the list")
    one.add_argument("--reason", required=True, help="public, up to 60 characters")
    one.set_defaults(do=revoke)
    return whole


def main(argv: list[str]) -> int:
    """Run the command."""
    if argv[:1] == ["issue"]:
        return _issue(argv[1:])
    options = parser().parse_args(argv)
    return options.do(options)


def _issue(argv: list[str]) -> int:
    """Run the instructor's part, which the base install does without."""
    try:
        from graders import badge

        return badge.main(argv)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"issuing reads nbgrader's gradebook, and {error.name} is not installed: "
            "pip install -e .[grading]"
        ) from None
