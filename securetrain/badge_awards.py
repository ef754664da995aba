"""What badges there are, and their credentials: from the catalogue and a judgement.

There is one for each topic with a graded lab, and one for each role whose path has
graded labs. A badge says what was judged and what was not. It names nobody unless it
is told to: a salted hash lets its holder show that it is theirs, and anybody who
guesses the id can check the guess.

Source: 1EdTech, Open Badges Specification 3.0, data models
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from securetrain import badge_svg, badge_tokens, badges, catalogue, role_paths
from securetrain.catalogue import Unit

COURSE = "Secure AI Training"
URN = "urn:securetrain:badge:"
NAME = 60  # characters of a name in the clear


@dataclass(frozen=True)
class Award:
    """What a badge is for: a topic's lab, or every lab of a role's path.

    key: a topic, or a role; role: whether it is one
    """

    key: str
    title: str
    labs: tuple[Unit, ...]
    role: bool = False

    @property
    def kind(self) -> str:
        """What was done, in a short line."""
        return "every lab of the path passed" if self.role else "graded lab passed"


@dataclass(frozen=True)
class Judgement:
    """What a gradebook's owner vouches for.

    minimum: share of a lab's points, above 0 and at most 1
    versions: topic -> SHA-256 of the lab with its hidden tests, hexadecimal
    """

    minimum: float
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Holder:
    """Whose badge it is: an id in the gradebook, hashed; a name in the clear, or ""."""

    student: str
    name: str = ""


def topic(key: str) -> Award:
    """Return a topic's badge; a ValueError names the topics with a graded lab."""
    graded = [unit for unit in catalogue.units() if unit.kind == "lab"]
    labs = tuple(unit for unit in graded if unit.topic == key)
    if not labs:
        known = ", ".join(dict.fromkeys(unit.topic for unit in graded))
        raise ValueError(f"{key}: no topic with a graded lab; there are: {known}")
    return Award(key, catalogue.topics()[key], labs)


def role(key: str) -> Award:
    """Return a role's badge; a ValueError when it is unknown or its path has no lab."""
    labs = tuple(unit for unit in role_paths.path(key) if unit.kind == "lab")
    if not labs:
        raise ValueError(f"{key}: its path has no graded lab, so nothing to prove")
    return Award(key, catalogue.roles()[key], labs, role=True)


def everything() -> list[Award]:
    """Return every badge that there is: topics, then roles."""
    graded = dict.fromkeys(u.topic for u in catalogue.units() if u.kind == "lab")
    paths = {key: role_paths.path(key) for key in catalogue.roles()}
    roles = [key for key, units in paths.items() if any(u.kind == "lab" for u in units)]
    return [*map(topic, graded), *map(role, roles)]


def narrative(award: Award, judged: Judgement) -> str:
    """Return what was judged, and what was not."""
    labs = "; ".join(
        f"{unit.title} ({unit.topic}, sha256:{judged.versions[unit.topic]})"
        for unit in award.labs
    )
    which = "every graded lab of the path" if award.role else "the graded lab"
    said = (
        f"At least {100 * judged.minimum:g} % of the points of {which} in the issuer's "
        "gradebook on the day of issue, after penalties for lateness. Functions were "
        "judged by hidden tests on inputs of their own, outside the learner's process; "
        f"answers in words by a person. Labs, with their version on that day: {labs}. "
    )
    if award.role:
        said += (
            "Lessons of the path are not graded, and this badge does not count them. "
        )
    return said + (
        "The labs' solutions are public, and nobody watched who wrote the answers."
    )


def make(
    award: Award,
    judged: Judgement,
    holder: Holder,
    issuer: tuple[str, bytes],
    since: datetime,
    until: datetime | None = None,
) -> dict:
    """Return a credential with the claims of its token.

    issuer: a name, and the public key, 32 bytes; since, until: with a time zone
    Raises ValueError for a share, a name or a time that cannot be.
    """
    if not 0 < judged.minimum <= 1:
        raise ValueError(f"minimum {judged.minimum:g}: expected a share up to 1")
    for name in (holder.name, issuer[0]):
        check_name(name)
    if not issuer[0] or (until and until <= since):
        raise ValueError("expected an issuer's name, and an end after the beginning")
    did = badge_tokens.did_key(issuer[1])
    credential, subject = uuid.uuid4().urn, uuid.uuid4().urn
    return {
        "@context": list(badges.CONTEXT),
        "id": credential,
        "type": badges.TYPES,
        "name": f"{COURSE}: {award.title}",
        "issuer": {"id": did, "type": ["Profile"], "name": issuer[0]},
        "image": _image(award, holder, since),
        "credentialSubject": {
            "id": subject,
            "type": ["AchievementSubject"],
            "identifier": identifiers(holder),
            "achievement": _achievement(award, judged),
        },
        "iss": did,
        "jti": credential,
        "sub": subject,
        **_times("validFrom", "nbf", since),
        **_times("validUntil", "exp", until),
    }


def _times(name: str, claim: str, time: datetime | None) -> dict:
    """Return a time as the credential says it, and as the token's claim."""
    if time is None:
        return {}
    return {name: f"{time.astimezone(UTC):{badges.TIME}}", claim: int(time.timestamp())}


def _achievement(award: Award, judged: Judgement) -> dict:
    threats = sorted({id for unit in award.labs for id in unit.atlas + unit.owasp})
    goals = " ".join(unit.goal for unit in award.labs)
    return {
        "id": f"{URN}{'role' if award.role else 'topic'}:{award.key}",
        "type": ["Achievement"],
        "achievementType": "Achievement",
        "name": award.title,
        "description": f"{COURSE}: {award.kind}. {goals}",
        "criteria": {"narrative": narrative(award, judged)},
        "inLanguage": "en-GB",
        **({"tag": threats} if threats else {}),
    }


def _image(award: Award, holder: Holder, since: datetime) -> dict:
    stage = "" if award.role else award.labs[0].stage
    title, kind = award.title, award.kind
    picture, words = badge_svg.draw(title, kind, stage, since, COURSE, holder.name)
    text = badges.PICTURE + base64.b64encode(picture).decode()
    return {"id": text, "type": "Image", "caption": words}


def identifiers(holder: Holder) -> list[dict]:
    """Return how a credential knows its holder: a salted hash, and a name if asked."""
    salt = secrets.token_hex(16)
    hashed = badges.identity_hash(holder.student, salt)
    found = [_identity(True, hashed, "systemId") | {"salt": salt}]
    return found + [_identity(False, holder.name, "name")] * bool(holder.name)


def _identity(hashed: bool, value: str, kind: str) -> dict:
    said = {"hashed": hashed, "identityHash": value, "identityType": kind}
    return {"type": "IdentityObject", **said}


def check_name(name: str) -> None:
    """Raise ValueError for a name that a picture or a terminal cannot show as it is."""
    if len(name) > NAME or not name.isprintable():
        raise ValueError(f"{name!a:.90}: expected up to {NAME} printable characters")


def check_id(text: str) -> None:
    """Raise ValueError for what cannot be the id of a badge."""
    try:
        known = uuid.UUID(text).urn == text
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{text!a:.90}: expected urn:uuid: and a UUID, as badges have")


def issue(claims: Mapping, private_key: bytes) -> bytes:
    """Return a credential signed and baked into its picture."""
    token = badge_tokens.sign(claims, badge_tokens.BADGE, private_key)
    image = claims["image"]["id"].removeprefix(badges.PICTURE)
    return badges.bake(base64.b64decode(image), token)


def revoke(
    reasons: Mapping[str, str], private_key: bytes, public_key: bytes, now: datetime
) -> str:
    """Return the signed list of badges that were taken back: id -> reason."""
    claims = {"iss": badge_tokens.did_key(public_key), "iat": int(now.timestamp())}
    claims["revoked"] = dict(reasons)
    return badge_tokens.sign(claims, badge_tokens.LIST, private_key)
