"""Badges that anyone can check: a signed Open Badge 3.0 inside its own picture.

The attacker holds a badge, or none, and wants one that says more: another picture, a
changed credential, one signed with a key of their own, one that was taken back. They
know the public key and this code. Whoever has the issuer's private key, or hands in
another's answers, is not stopped.

The picture is signed, too: it stands in the credential, and the file must be this
picture with the token in it, byte for byte. So no XML of a stranger's is ever parsed.

Source: 1EdTech, Open Badges Specification 3.0: documents, proofs, verification; W3C,
Verifiable Credentials Data Model 2.0
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from securetrain import badge_tokens, manifests, pages, paths, plain_files
from securetrain.archives import Refused

CONTEXT = ("https://www.w3.org/ns/credentials/v2",)
CONTEXT += ("https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",)
TYPES = ["VerifiableCredential", "OpenBadgeCredential"]
NAMESPACE = "https://purl.imsglobal.org/ob/v3p0"
PICTURE = "data:image/svg+xml;base64,"
LIMIT = 64 * 1024  # bytes of a file; ours have about 12 KiB
TIME = "%Y-%m-%dT%H:%M:%SZ"
ELEMENT = re.compile(rb'<openbadges:credential verify="([\w.-]*)">', re.ASCII)


@dataclass(frozen=True)
class Badge:
    """What a verified credential says.

    id: of the credential; name, description, criteria: of what was achieved
    issuer, issuer_key: the issuer's name and did:key; since, until: UTC, until may be
    None; holder: a name in the clear, or ""; picture: the SVG; caption: in words
    """

    id: str
    name: str
    description: str
    criteria: str
    issuer: str
    issuer_key: str
    since: datetime
    until: datetime | None
    holder: str
    picture: bytes
    caption: str
    identifiers: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Revoked:
    """A signed list of badges that were taken back: id -> reason, as of a time."""

    issuer_key: str
    since: datetime
    badges: Mapping[str, str]


def bake(picture: bytes, token: str) -> bytes:
    """Return an SVG with a token in it, first in the `svg` element.

    Raises ValueError for a picture that does not begin with `<svg` and one attribute.
    """
    head, closed, rest = picture.partition(b">")
    if not (head.startswith(b"<svg ") and closed) or head.endswith(b"/"):
        raise ValueError("expected a picture that begins with <svg …>")
    element = f'<openbadges:credential verify="{token}"></openbadges:credential>'
    name = f' xmlns:openbadges="{NAMESPACE}"'
    return head + name.encode() + b">" + element.encode() + rest


def extract(data: bytes) -> str:
    """Return the one token in a picture; nothing about it is checked yet.

    Raises Refused when the file is too large, or holds none or several.
    """
    if len(data) > LIMIT:
        raise Refused("file", f"more than {LIMIT // 1024} KiB: no badge of this course")
    found = ELEMENT.findall(data)
    number = data.count(b"<openbadges:credential")
    if number != 1:
        why = f"no badge: the picture holds {number} credentials, expected one. A "
        why += "screenshot or a re-saved picture loses it; ask for the original file"
        raise Refused("file", why)
    if len(found) != 1:
        raise Refused("file", "no badge: the credential in it is not as we write it")
    return found[0].decode("ascii")


def verify(
    data: bytes,
    keys: Sequence[bytes],
    now: datetime | None = None,
    revoked: Revoked | None = None,
) -> Badge:
    """Return what a baked SVG says, or raise Refused.

    keys: public keys that the reader trusts, 32 bytes each; now: default, this moment
    revoked: the issuer's list, if there is one
    """
    token = extract(data)
    claims, key = badge_tokens.read(token, badge_tokens.BADGE, keys)
    try:
        badge = _badge(claims, badge_tokens.did_key(key))
        whole = bake(badge.picture, token)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        why = f"{type(error).__name__}: {error}"
        raise Refused("credential", f"not an Open Badge 3.0 of ours: {why}") from None
    if whole != data:
        why = "the file is not the picture that was signed, with its credential"
        raise Refused("picture", why)
    check_time(badge, now or datetime.now(UTC))
    if revoked and revoked.issuer_key != badge.issuer_key:
        raise Refused("revoked", "the list of revocations is another issuer's")
    if revoked and badge.id in revoked.badges:
        raise Refused("revoked", f"taken back: {revoked.badges[badge.id]}")
    return badge


def _badge(claims: dict, issuer_key: str) -> Badge:
    """Return what a credential says; raise ValueError where claims contradict it."""
    _check_claims(claims, issuer_key)
    achieved, image = claims["credentialSubject"]["achievement"], claims["image"]
    known = tuple(claims["credentialSubject"]["identifier"])
    names = [one["identityHash"] for one in known if one["hashed"] is False]
    until = claims.get("validUntil")
    return Badge(
        id=claims["id"],
        name=achieved["name"],
        description=achieved["description"],
        criteria=achieved["criteria"]["narrative"],
        issuer=claims["issuer"]["name"],
        issuer_key=issuer_key,
        since=when(claims["validFrom"]),
        until=when(until) if until else None,
        holder=str(names[0]) if names else "",
        picture=base64.b64decode(image["id"].removeprefix(PICTURE), validate=True),
        caption=image["caption"],
        identifiers=known,
    )


def _check_claims(claims: dict, issuer_key: str) -> None:
    """Raise ValueError unless a token's claims and its credential say the same."""
    issuer, subject = claims["issuer"], claims["credentialSubject"]
    achieved, image = subject["achievement"], claims["image"]
    same = {
        "@context": (claims["@context"], list(CONTEXT)),
        "type": (sorted(claims["type"]), sorted(TYPES)),
        "issuer": ((issuer["id"], claims["iss"]), (issuer_key, issuer_key)),
        "jti": (claims["jti"], claims["id"]),
        "sub": (claims["sub"], subject["id"]),
        "nbf": (claims["nbf"], _seconds(claims["validFrom"])),
        "exp": (claims.get("exp"), _seconds(claims.get("validUntil"))),
    }
    for name, (one, other) in same.items():
        if one != other:
            raise ValueError(f"its '{name}' does not fit")
    texts = [claims["id"], achieved["name"], achieved["description"], issuer["name"]]
    texts += [achieved["criteria"]["narrative"], image["caption"], image["id"]]
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("a text is missing")
    if not image["id"].startswith(PICTURE):
        raise ValueError("its image is not in it")


def when(text: str) -> datetime:
    """Return the time that a credential's text says, UTC to the second."""
    return datetime.strptime(text, TIME).replace(tzinfo=UTC)


def _seconds(text: str | None) -> int | None:
    return None if text is None else int(when(text).timestamp())


def check_time(badge: Badge, now: datetime) -> None:
    """Raise Refused before a badge is valid, and after."""
    if now < badge.since:
        raise Refused("time", f"valid from {badge.since:{TIME}}; it is {now:{TIME}}")
    if badge.until and now >= badge.until:
        raise Refused("time", f"expired at {badge.until:{TIME}}")


def identity_hash(identity: str, salt: str) -> str:
    """Return an identity as Open Badges hash it: SHA-256 of it and the salt."""
    digest = hashlib.sha256((identity + salt).encode("utf-8")).hexdigest()
    return f"sha256${digest}"


def belongs_to(badge: Badge, identity: str) -> bool:
    """Say whether a badge is this person's: an id in the gradebook, or a name."""
    for one in badge.identifiers:
        salt = str(one.get("salt", ""))
        said = identity_hash(identity, salt) if one["hashed"] is True else identity
        if one["identityHash"] == said:
            return True
    return False


def read_revoked(token: str, keys: Sequence[bytes]) -> Revoked:
    """Return a list of revocations, or raise Refused."""
    claims, key = badge_tokens.read(token.strip(), badge_tokens.LIST, keys)
    try:
        reasons = {str(id): str(why) for id, why in claims["revoked"].items()}
        found = Revoked(
            badge_tokens.did_key(key),
            datetime.fromtimestamp(claims["iat"], UTC),
            reasons,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise Refused("revoked", "not a list of revocations") from None
    return found


# --- The home page -------------------------------------------------------------


def section() -> str:
    """Return the learner's badges as HTML, "" when there are none.

    Badges are `work/badges/*.svg`; what they are checked with are the public keys
    beside them, `*.pub`, as the learner got them from the course's instructor.
    """
    folder = paths.work() / "badges"
    files, pins = sorted(folder.glob("*.svg")), sorted(folder.glob("*.pub"))
    if not files:
        return ""
    keys, good, bad = [], [], []
    for path in pins:
        try:
            keys.append(manifests.read_public_key(path))
        except (OSError, ValueError):
            bad.append(f"{path.name}: no public key, which has 64 hex digits")
    for path in files if keys else ():
        try:
            good.append(_item(verify(plain_files.read(path, LIMIT), keys)))
        except (OSError, ValueError) as error:
            bad.append(f"{path.name}: not accepted: {error}")
    if not keys:
        bad.append(
            f"{len(files)} in work/badges not checked: no key is pinned. Save your "
            "instructor's published key there as issuer.pub. Take it from the course's "
            "own page, never from whoever sent the badge."
        )
    notes = "".join(f"<li>{pages.text(line)}</li>" for line in bad)
    return (
        '<section class="st-badges" aria-labelledby="st-badges">'
        '<h2 id="st-badges">Your badges</h2>'
        + (
            f'<ul class="st-badge-list" role="list">{"".join(good)}</ul>'
            if good
            else ""
        )
        + (f'<ul class="st-quiet">{notes}</ul>' if notes else "")
        + "</section>"
    )


def _item(badge: Badge) -> str:
    """Return one badge: its picture as an image, where no script runs, and words."""
    source = PICTURE + base64.b64encode(badge.picture).decode()
    return (
        f'<li><img src="{source}" width="160" height="160" '
        f'alt="{pages.text(badge.caption)}"><br>{pages.text(badge.name)}<br>'
        f'<span class="st-quiet">{pages.text(badge.issuer)}<br>'
        f"{badge.since.day} {badge.since:%B %Y}</span></li>"
    )
