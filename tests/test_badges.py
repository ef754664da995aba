"""Badges: what the standard asks for, and every forgery that we could think of."""

import base64
import hashlib
import hmac
import json
import re
import stat
import threading
import time
import uuid
import xml.etree.ElementTree as xml
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from securetrain import (
    badge_awards,
    badge_command,
    badge_svg,
    badge_tokens,
    badges,
    catalogue,
    cli,
    manifests,
    own_files,
)
from securetrain.archives import Refused
from securetrain.badge_awards import Holder, Judgement

PRIVATE, OTHER = (bytes([n]) * 32 for n in (1, 2))
PUBLIC, STRANGER = (
    Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    for key in (PRIVATE, OTHER)
)
NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
TOPIC = "13-poisoning"


def claims(key=TOPIC, holder=None, until=None, public=PUBLIC, since=NOW):
    """Return a credential of a topic, or of a role."""
    made = badge_awards.role if key in catalogue.roles() else badge_awards.topic
    award = made(key)
    basis = Judgement(0.7, {unit.topic: "ab" * 32 for unit in award.labs})
    issuer = ("A school", public)
    return badge_awards.make(
        award, basis, holder or Holder("adam"), issuer, since, until
    )


@pytest.fixture(scope="module")
def badge():
    """Return a badge's bytes."""
    return badge_awards.issue(claims(), PRIVATE)


def look(data, now=NOW, keys=(PUBLIC,), **more):
    return badges.verify(data, keys, now, **more)


def refused(data, check, **how):
    with pytest.raises(Refused) as caught:
        look(data, **how)
    assert caught.value.check == check, str(caught.value)
    return str(caught.value)


def coded(data):
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def signed(head, payload, key=PRIVATE):
    """Return a token with any header, really signed."""
    said = f"{coded(head)}.{coded(payload)}"
    signature = Ed25519PrivateKey.from_private_bytes(key).sign(said.encode())
    return f"{said}.{coded(signature)}"


def head(**more):
    return {"alg": "EdDSA", "kid": badge_tokens.key_id(PUBLIC), "typ": "JWT"} | more


def carry(badge, token):
    """Return a badge with another token in it."""
    return badge.replace(badges.extract(badge).encode(), token.encode())


# --- What the standard asks for ------------------------------------------------


def test_a_key_is_its_own_name_as_the_did_method_writes_it():
    """The method's own example: the key of a seed of 32 zeros."""
    zero = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    did = badge_tokens.did_key(zero.public_bytes_raw())
    method, _, name = did.rpartition(":")
    assert method == "did:key"
    assert name == "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
    with pytest.raises(ValueError, match="32 bytes"):
        badge_tokens.did_key(b"short")


def test_hashes_are_the_standards():
    """Its example: the address a@example.com with the salt Kosher."""
    wanted = "b5809d8a92f8858436d7e6b87c12ebc0ae1eac4baecc2c0b913aee2c922ef399"
    assert badges.identity_hash("a@example.com", "Kosher") == f"sha256${wanted}"


# What the specification's data models require: class -> property -> type.
MODEL = {
    "AchievementCredential": {
        "@context": list, "id": str, "type": list, "issuer": "Profile",
        "validFrom": str, "credentialSubject": "AchievementSubject", "image": "Image",
    },
    "Profile": {"id": str, "type": list},
    "Image": {"id": str, "type": str},
    "AchievementSubject": {
        "id": str, "type": list, "achievement": "Achievement",
        "identifier": ["IdentityObject"],
    },
    "Achievement": {
        "id": str, "type": list, "criteria": "Criteria", "description": str,
        "name": str,
    },
    "Criteria": {"narrative": str},
    "IdentityObject": {
        "type": str, "hashed": bool, "identityHash": str, "identityType": str,
    },
}  # fmt: skip


def conforms(value, model):
    if isinstance(model, list):
        assert value, "an empty list is left out"
        return [conforms(one, model[0]) for one in value]
    if not isinstance(model, str):
        assert isinstance(value, model)
        return None
    for name, wanted in MODEL[model].items():
        conforms(value[name], wanted)
    assert None not in value.values()
    return None


@pytest.mark.parametrize("award", badge_awards.everything(), ids=lambda a: a.key)
def test_every_badge_of_the_catalogue_conforms_and_verifies(award):
    made = claims(award.key, Holder("adam", "Adam Ö. O'Neil"), NOW + timedelta(days=9))
    conforms(made, "AchievementCredential")
    assert made["@context"][0] == "https://www.w3.org/ns/credentials/v2"
    assert re.fullmatch(
        r"https://purl\.imsglobal\.org/spec/ob/v3p0/context(-3\.\d\.\d)*\.json",
        made["@context"][1],
    )
    assert {"VerifiableCredential", "OpenBadgeCredential"} == set(made["type"])
    found = look(badge_awards.issue(made, PRIVATE))
    assert found.name == award.title and found.holder == "Adam Ö. O'Neil"
    assert found.until == NOW + timedelta(days=9)
    for unit in award.labs:
        assert f"{unit.title} ({unit.topic}, sha256:{'ab' * 32})" in found.criteria
    assert "70 %" in found.criteria
    assert ("not graded" in found.criteria) == award.role


def test_there_is_a_badge_for_each_graded_topic_and_each_path_with_labs():
    graded = {unit.topic for unit in catalogue.units() if unit.kind == "lab"}
    everything = badge_awards.everything()
    assert {award.key for award in everything if not award.role} == graded
    assert all(award.labs for award in everything)
    with pytest.raises(ValueError, match="no topic with a graded lab.*13-poisoning"):
        badge_awards.topic("01-risk-map")
    with pytest.raises(ValueError, match="no graded lab"):
        badge_awards.role("leader")
    with pytest.raises(ValueError, match="No role 'wizard'"):
        badge_awards.role("wizard")


def test_the_token_is_one_that_another_library_verifies(badge):
    token = badges.extract(badge)
    assert json.loads(decoded(token.split(".")[0])) == head()
    key = Ed25519PublicKey.from_public_bytes(PUBLIC)
    options = {"verify_nbf": False}  # NOW may lie ahead
    said = jwt.decode(token, key, algorithms=["EdDSA"], options=options)
    assert (said["iss"], said["jti"]) == (said["issuer"]["id"], said["id"])
    assert said["sub"] == said["credentialSubject"]["id"]
    since = said["validFrom"].replace("Z", "+00:00")
    assert said["nbf"] == datetime.fromisoformat(since).timestamp()
    with pytest.raises(jwt.InvalidSignatureError):
        stranger = Ed25519PublicKey.from_public_bytes(STRANGER)
        jwt.decode(token, stranger, algorithms=["EdDSA"], options=options)


def test_the_picture_is_baked_as_the_standard_says(badge):
    root = xml.fromstring(badge)
    svg = "{http://www.w3.org/2000/svg}"
    name = "{https://purl.imsglobal.org/ob/v3p0}credential"
    assert root.tag == f"{svg}svg"
    assert root[0].tag == name and root[0].attrib == {"verify": badges.extract(badge)}
    assert len(root.findall(f".//{name}")) == 1
    assert b'xmlns:openbadges="https://purl.imsglobal.org/ob/v3p0"' in badge[:300]


@pytest.mark.parametrize("award", badge_awards.everything(), ids=lambda a: a.key)
def test_a_picture_is_shapes_and_text_and_says_in_words_what_it_shows(award):
    made = claims(award.key, Holder("x", 'Zoë <script> & "Co"'))
    picture = base64.b64decode(made["image"]["id"].partition(",")[2])
    root = xml.fromstring(picture)
    kinds = {node.tag.rpartition("}")[2] for node in root.iter()}
    assert kinds == {"svg", "title", "desc", "g", "polygon", "path", "text"}
    names = {name for node in root.iter() for name in node.attrib}
    assert not {n for n in names if n.startswith("on") or "href" in n or n == "style"}
    assert b"url(" not in picture and picture.count(b"http") == 1
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == made["image"]["caption"]
    shown = " ".join("".join(node.itertext()) for node in root.iter() if "text" in
                     node.tag)  # fmt: skip
    assert award.title in shown and award.kind in shown and "1 December 2026" in shown
    assert 'Zoë <script> & "Co"' in shown


@pytest.mark.parametrize("award", badge_awards.everything(), ids=lambda a: a.key)
def test_no_line_of_a_title_leaves_the_octagon(award):
    """In a wide font a bold letter is about 0.7 of its size."""
    lines, size = badge_svg.fit(award.title)
    assert max(map(len, lines)) * size * 0.7 <= 400 and len(lines) <= 3


def test_nobody_is_named_unless_asked_for(badge):
    made = claims(holder=Holder("adam.smith@example.org"))
    assert "adam" not in json.dumps(made)
    again = claims(holder=Holder("adam.smith@example.org"))
    for name in ("id", "jti", "sub"):
        assert made[name] != again[name], "two badges of one person cannot be joined"
    ids = [one["credentialSubject"]["identifier"][0] for one in (made, again)]
    assert ids[0]["identityHash"] != ids[1]["identityHash"]
    found = look(badge_awards.issue(made, PRIVATE))
    assert badges.belongs_to(found, "adam.smith@example.org")
    assert not badges.belongs_to(found, "zoe@example.org")
    assert not badges.belongs_to(found, ids[0]["identityHash"])
    assert found.holder == ""


@pytest.mark.parametrize(
    "name", ["x" * 61, "a\nb", "\N{RIGHT-TO-LEFT OVERRIDE}nimda", "\x1b[2J"]
)
def test_a_name_that_cannot_be_shown_as_it_is_makes_no_badge(name):
    with pytest.raises(ValueError, match="printable"):
        claims(holder=Holder("x", name))


def test_a_judgement_or_a_time_that_cannot_be_makes_no_badge():
    award = badge_awards.topic(TOPIC)
    for share in (0, -1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="share"):
            basis = Judgement(share, {TOPIC: "ab"})
            badge_awards.make(award, basis, Holder("x"), ("A", PUBLIC), NOW)
    with pytest.raises(ValueError, match="end after"):
        claims(until=NOW)


# --- Forgeries -----------------------------------------------------------------


def test_another_picture_around_the_same_credential_is_refused(badge):
    assert look(badge).name == "Poisoned training data"
    refused(badge.replace(b">Poisoned<", b">Everything<"), "picture")
    swapped = badge_awards.issue(claims("junior-developer"), PRIVATE)
    refused(carry(swapped, badges.extract(badge)), "picture")


ADDED = [
    b"<script>alert(1)</script>",
    b'<image href="http://127.0.0.1/x.png"/>',
    b"<!-- a comment -->",
    b" ",
    b"<credential/>",
]


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("where", ["before", "inside", "behind"])
def test_nothing_can_be_added_anywhere(badge, added, where):
    body = badge.replace(b"</svg>", added + b"</svg>")
    data = {"before": added + badge, "inside": body, "behind": badge + added}[where]
    refused(data, "picture")


def test_a_badge_with_one_byte_changed_is_refused_wherever_it_is(badge):
    rng = Random(0)
    for place in [*range(40), *rng.sample(range(len(badge)), 300)]:
        changed = bytearray(badge)
        changed[place] ^= 1 << rng.randrange(8)
        with pytest.raises(Refused):
            look(bytes(changed))
        with pytest.raises(Refused):
            look(badge[:place] + badge[place + 1 :])


@pytest.mark.parametrize("junk", [b"\n", b"\0", b"</svg>", b"PK\x03\x04"])
def test_trailing_bytes_are_refused(badge, junk):
    refused(badge + junk, "picture")


def test_other_encodings_of_the_same_text_are_refused(badge):
    refused(b"\xef\xbb\xbf" + badge, "picture")
    refused(badge.decode().encode("utf-16"), "file")
    refused(b'<?xml version="1.0" encoding="UTF-7"?>' + badge, "picture")
    refused(badge.replace(b"\n", b"\r\n"), "picture")


def test_entities_are_never_expanded(badge):
    bomb = b'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    refused(bomb + badge, "picture")
    outside = b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    refused(outside + badge, "picture")
    token = badges.extract(badge).encode()
    refused(badge.replace(token, b"&a;"), "file")


def test_a_second_credential_is_refused(badge):
    token = badges.extract(badge)
    element = f'<openbadges:credential verify="{token}"></openbadges:credential>'
    refused(badge.replace(b"</svg>", element.encode() + b"</svg>"), "file")
    other = badges.extract(badge_awards.issue(claims("21-secrets"), PRIVATE))
    refused(badge.replace(b"</svg>", element.replace(token, other).encode()), "file")
    odd = b"<openbadges:credential\n verify='x'/>"
    refused(badge.replace(b"</svg>", odd + b"</svg>"), "file")
    refused(badge.replace(element.encode(), b""), "file")


def test_a_huge_badge_is_refused_before_it_is_parsed(badge):
    refused(badge + b" " * badges.LIMIT, "file")


def test_a_changed_credential_is_refused(badge):
    first, payload, last = badges.extract(badge).split(".")
    changed = decoded(payload).replace(b"Poisoned", b"Excellent")
    refused(carry(badge, f"{first}.{coded(changed)}.{last}"), "signature")
    flipped = ("B" if last[0] == "A" else "A") + last[1:]
    refused(carry(badge, f"{first}.{payload}.{flipped}"), "signature")
    refused(carry(badge, f"{first}.{payload}."), "signature")
    refused(carry(badge, f"{first}.{payload}"), "header")
    refused(carry(badge, f"{first}.{payload}.{last}.{last}"), "header")


def test_a_token_says_its_bytes_one_way_only(badge):
    """Base64 with other last bits, or padded, would be the same signature."""
    token = badges.extract(badge)
    *_, last = token.split(".")
    for end in {"w", "x", "A", "Q", "g"} - {last[-1]}:
        refused(carry(badge, token[:-1] + end), "signature")
    refused(carry(badge, token + "_"), "signature")


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, 0, ["EdDSA"]])
def test_no_algorithm_is_refused(badge, alg):
    payload = decoded(badges.extract(badge).split(".")[1])
    for last in ("", coded(b"x" * 64)):
        token = f"{coded(head(alg=alg))}.{coded(payload)}.{last}"
        assert "expected EdDSA" in refused(carry(badge, token), "header")


def test_the_public_key_is_no_secret_of_another_algorithm(badge):
    payload = decoded(badges.extract(badge).split(".")[1])
    for secret in (
        PUBLIC,
        PUBLIC.hex().encode(),
        badge_tokens.did_key(PUBLIC).encode(),
    ):
        said = f"{coded(head(alg='HS256'))}.{coded(payload)}"
        tag = hmac.new(secret, said.encode(), hashlib.sha256).digest()
        refused(carry(badge, f"{said}.{coded(tag)}"), "header")
        said = f"{coded(head())}.{coded(payload)}"
        tag = hmac.new(secret, said.encode(), hashlib.sha256).digest()
        refused(carry(badge, f"{said}.{coded(tag)}"), "signature")


def test_another_key_under_the_pinned_ones_name_is_refused(badge):
    payload = decoded(badges.extract(badge).split(".")[1])
    refused(carry(badge, signed(head(), payload, OTHER)), "signature")
    own = badge_awards.issue(claims(public=STRANGER), OTHER)
    assert badge_tokens.did_key(STRANGER) in refused(own, "key")
    assert look(own, keys=(PUBLIC, STRANGER)).issuer == "A school"
    pretends = badge_awards.issue(claims(public=PUBLIC), OTHER)
    refused(pretends, "credential", keys=(PUBLIC, STRANGER))


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": coded(STRANGER)}},
        {"jku": "https://127.0.0.1/keys"},
        {"x5u": "https://127.0.0.1/keys"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
        {"cty": "JWT"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_header_that_brings_its_own_key_or_more_is_refused(badge, more):
    payload = decoded(badges.extract(badge).split(".")[1])
    for key in (OTHER, PRIVATE):  # even the issuer's own says no more
        refused(carry(badge, signed(head(**more), payload, key)), "header")


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"kid": "did:key:z6Mk#z6Mk"}, "key"),
        ({"kid": None}, "key"),
        ({"kid": ["a"]}, "key"),
        ({"kid": badge_tokens.did_key(PUBLIC)}, "key"),
        ({"kid": badge_tokens.key_id(PUBLIC) + " "}, "key"),
        ({"typ": "jwt"}, "header"),
        ({"typ": badge_tokens.LIST}, "header"),
        ({"alg": "Ed25519"}, "header"),
    ],
)
def test_a_header_that_names_another_key_or_kind_is_refused(badge, change, check):
    payload = decoded(badges.extract(badge).split(".")[1])
    refused(carry(badge, signed(head(**change), payload)), check)


def test_a_key_that_stands_twice_is_refused(badge):
    first, payload, _ = badges.extract(badge).split(".")
    text = decoded(payload)
    twice = text[:-1] + b',"jti":"urn:uuid:0"}'
    said = refused(carry(badge, signed(head(), twice)), "credential")
    assert "stands twice" in said
    doubled = decoded(first)[:-1] + b',"alg":"none"}'
    assert "twice" in refused(carry(badge, signed(doubled, text)), "header")


@pytest.mark.parametrize(
    "payload", [b"[]", b"1", b"null", b"{", b"\xff", b"[" * 20_000, b'{"a":NaN}', b"{}"]
)
def test_a_payload_that_is_no_credential_is_refused(badge, payload):
    refused(carry(badge, signed(head(), payload)), "credential")
    if payload != b"{}":
        token = signed(payload[:600], b"{}")
        refused(carry(badge, token), "header")


def altered(path, value):
    """Return a really signed badge of which one place says something else."""
    made = json.loads(json.dumps(claims()))
    *way, last = path.split("/")
    place = made
    for name in way:
        place = place[int(name) if name.isdigit() else name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    token = badge_tokens.sign(made, badge_tokens.BADGE, PRIVATE)
    whole = badge_awards.issue(claims(), PRIVATE)
    return carry(whole, token)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("iss", "did:key:z6Mk"),
        ("issuer/id", "did:key:z6Mk"),
        ("issuer", "did:key:z6Mk"),
        ("sub", "urn:uuid:0"),
        ("credentialSubject/id", "urn:uuid:0"),
        ("jti", "urn:uuid:0"),
        ("nbf", 0),
        ("nbf", True),
        ("nbf", "2026"),
        ("validFrom", "2026-12-01"),
        ("validFrom", "2026-12-01T09:30:00+01:00"),
        ("exp", 1),
        ("validUntil", "2030-01-01T00:00:00Z"),
        ("@context", ["https://www.w3.org/2018/credentials/v1"]),
        ("type", ["VerifiableCredential"]),
        ("credentialSubject/achievement/name", 7),
        ("credentialSubject/achievement/criteria", {}),
        ("credentialSubject/identifier", None),
        ("credentialSubject", []),
        ("image", None),
        ("image/id", "https://127.0.0.1/badge.svg"),
        ("image/id", "data:image/svg+xml;base64,???"),
        ("image/id", "data:image/svg+xml;base64,"),
    ],
)
def test_a_credential_whose_claims_do_not_fit_is_refused(path, value):
    refused(altered(path, value), "credential")


def test_a_picture_must_say_what_it_is(badge):
    picture = base64.b64encode(look(badge).picture).decode()
    for kind in ("", "data:image/png;base64,"):
        refused(altered("image/id", kind + picture), "credential")


def test_times_are_kept(badge):
    until = NOW + timedelta(days=30)
    short = badge_awards.issue(claims(until=until), PRIVATE)
    assert look(short, now=until - timedelta(seconds=1)).until == until
    assert "expired" in refused(short, "time", now=until)
    assert "valid from" in refused(badge, "time", now=NOW - timedelta(seconds=1))
    assert look(badge, now=NOW + timedelta(days=9999)).until is None


# --- Taken back ----------------------------------------------------------------


def listed(*ids, key=PRIVATE, public=PUBLIC):
    reasons = dict.fromkeys(ids, "a mistake")
    return badge_awards.revoke(reasons, key, public, NOW)


def test_a_badge_that_was_taken_back_is_refused(badge):
    id = look(badge).id
    empty = badges.read_revoked(listed("urn:uuid:0"), [PUBLIC])
    assert look(badge, revoked=empty).id == id
    revoked = badges.read_revoked(listed("urn:uuid:0", id), [PUBLIC])
    assert "a mistake" in refused(badge, "revoked", revoked=revoked)
    others = badges.read_revoked(listed(id, key=OTHER, public=STRANGER), [STRANGER])
    assert "another issuer" in refused(badge, "revoked", revoked=others)


def test_a_list_is_no_badge_and_a_badge_no_list(badge):
    with pytest.raises(Refused, match="revoked"):
        badges.read_revoked(badges.extract(badge), [PUBLIC])
    refused(carry(badge, listed("urn:uuid:0")), "header")
    with pytest.raises(Refused, match="no key you pinned"):
        badges.read_revoked(listed("x", key=OTHER, public=STRANGER), [PUBLIC])
    for said in ({}, {"revoked": [], "iat": 1}, {"revoked": {}, "iat": 1e300}):
        token = badge_tokens.sign(said, badge_tokens.LIST, PRIVATE)
        with pytest.raises(Refused, match="not a list"):
            badges.read_revoked(token, [PUBLIC])


# --- The command ---------------------------------------------------------------


@pytest.fixture
def desk(tmp_path, monkeypatch, badge):
    """Be in a folder with a badge of this moment and its issuer's keys; return it."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["badge", "key", "issuer"]) == 0
    private = Path("issuer.key").read_bytes()
    public = bytes.fromhex(Path("issuer.pub").read_text())
    made = claims(public=public, since=datetime.now(UTC).replace(microsecond=0))
    Path("badge.svg").write_bytes(badge_awards.issue(made, private))
    return tmp_path


def test_a_key_is_its_owners_and_never_overwritten(desk, capsys):
    assert (desk / "issuer.key").stat().st_mode & 0o077 == 0
    before = (desk / "issuer.key").read_bytes()
    assert cli.main(["badge", "key", "issuer"]) == 2
    (desk / "issuer.key").unlink()
    assert cli.main(["badge", "key", "issuer"]) == 2  # a public key is there
    assert "issuer.pub: File exists" in capsys.readouterr().err
    assert not (desk / "issuer.key").exists() and len(before) == 32


def test_verify_prints_what_the_credential_says(desk, capsys):
    words = ["badge", "verify", "badge.svg", "--key", "issuer.pub"]
    capsys.readouterr()
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    for part in ("Poisoned training data", "70 %", "A school", "did:key:z6Mk"):
        assert part in said
    assert "not looked at; --revoked" in said and "pseudonymous" in said
    assert cli.main([*words, "--holder", "adam"]) == 0
    assert cli.main([*words, "--holder", "eve"]) == 1
    assert "refused (holder)" in capsys.readouterr().err


def test_verify_tells_refusals_from_wrong_use(desk, capsys):
    Path("fake.svg").write_bytes(Path("badge.svg").read_bytes() + b" ")
    words = ["badge", "verify", "fake.svg", "badge.svg", "--key", "issuer.pub"]
    assert cli.main(words) == 1
    said = capsys.readouterr()
    assert "fake.svg: refused (picture)" in said.err and "badge.svg: as it" in said.out
    assert cli.main(["badge", "verify", "none.svg", "--key", "issuer.pub"]) == 2
    assert cli.main(["badge", "verify", ".", "--key", "issuer.pub"]) == 2
    assert cli.main(["badge", "verify", "badge.svg", "--key", "issuer.key"]) == 2
    assert "64 hex digits" in capsys.readouterr().err


def test_what_is_printed_cannot_steer_a_terminal():
    made = claims()
    made["issuer"]["name"] = "A\x1b[2Jschool\N{RIGHT-TO-LEFT OVERRIDE}"
    shown = badge_command.describe(look(badge_awards.issue(made, PRIVATE)))
    assert "\x1b" not in shown and "\N{RIGHT-TO-LEFT OVERRIDE}" not in shown


REVOKE = ["badge", "revoke", "--key", "issuer.key", "--list", "revoked.jwt"]
REVOKE += ["--reason", "graded by mistake"]
ONE, TWO, THREE = (uuid.UUID(int=n, version=4).urn for n in (10, 11, 12))


def test_revoking_adds_to_the_list_and_verify_heeds_it(desk, capsys):
    check = ["badge", "verify", "badge.svg", "--key", "issuer.pub"]
    check += ["--revoked", "revoked.jwt"]
    assert cli.main([*REVOKE, "--new", ONE]) == 0
    assert cli.main(check) == 0
    assert "not in the issuer's list" in capsys.readouterr().out
    assert cli.main([*REVOKE, "badge.svg"]) == 0
    assert "taken back: 2" in capsys.readouterr().out
    assert cli.main(check) == 1
    assert "graded by mistake" in capsys.readouterr().err
    Path("fake.svg").write_bytes(badge_awards.issue(claims(), PRIVATE))
    assert cli.main([*REVOKE, "fake.svg"]) == 2
    before = Path("revoked.jwt").read_bytes()
    Path("revoked.jwt").write_bytes(before[:-9])
    assert cli.main(check) == 2
    assert cli.main([*REVOKE, TWO]) == 2
    assert Path("revoked.jwt").read_bytes() == before[:-9], "a damaged list stays"


def taken():
    """Return the ids that the list on the desk names."""
    public = manifests.read_public_key(Path("issuer.pub"))
    return set(badges.read_revoked(Path("revoked.jwt").read_text(), [public]).badges)


def test_a_list_is_begun_only_when_asked_for_and_only_once(desk, capsys):
    """A mistyped name must not end in a second list that knows nothing of the first."""
    assert cli.main([*REVOKE, ONE]) == 2
    assert "revoked.jwt: no such list; --new begins one" in capsys.readouterr().err
    assert not Path("revoked.jwt").exists()
    assert cli.main([*REVOKE, "--new", ONE]) == 0
    assert cli.main([*REVOKE, "--new", TWO]) == 2
    assert "revoked.jwt: is there already" in capsys.readouterr().err
    assert taken() == {ONE}


@pytest.mark.parametrize(
    "id",
    ["urn:uuid:1", "urn:uuid:", f"{ONE}0", f"{ONE} ", f"urn:{ONE}", "urn:isbn:1",
     f"urn:uuid:{ONE[9:].upper()}", f"urn:uuid:{{{ONE[9:]}}}", ONE.replace("-", "")],
)  # fmt: skip
def test_an_id_that_no_badge_has_is_not_taken_back(desk, capsys, id):
    assert cli.main([*REVOKE, "--new", ONE]) == 0
    assert cli.main([*REVOKE, TWO, id]) == 2
    assert "expected urn:uuid: and a UUID" in capsys.readouterr().err
    assert taken() == {ONE}


def test_two_who_revoke_at_once_lose_nothing(desk):
    """One has read the list and not yet put the new one there; the other waits."""
    assert cli.main([*REVOKE, "--new", ONE]) == 0
    list_, private = Path("revoked.jwt"), Path("issuer.key").read_bytes()
    public = manifests.public_key(private)
    both = badge_awards.revoke({ONE: "one", TWO: "two"}, private, public, NOW)
    other = threading.Thread(target=cli.main, args=([*REVOKE, THREE],))
    with own_files.locked(list_):
        other.start()
        time.sleep(0.3)
        own_files.replace(list_, both.encode())
    other.join()
    assert taken() == {ONE, TWO, THREE}


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_list_keeps_its_mode_and_leaves_no_scratch(desk, mode):
    assert cli.main([*REVOKE, "--new", ONE]) == 0
    Path("revoked.jwt").chmod(mode)
    before = set(desk.iterdir())
    assert cli.main([*REVOKE, TWO]) == 0
    assert stat.S_IMODE(Path("revoked.jwt").stat().st_mode) == mode
    assert set(desk.iterdir()) == before


def test_a_key_that_others_can_read_is_mentioned(desk, capsys):
    Path("issuer.key").chmod(0o644)
    assert cli.main([*REVOKE, "--new", ONE]) == 0
    assert "others can read this key" in capsys.readouterr().err


# --- The home page -------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Return the learner's folder of badges."""
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path))
    (tmp_path / "badges").mkdir()
    return tmp_path / "badges"


def test_the_home_page_shows_what_the_pinned_key_vouches_for(shelf, badge):
    assert badges.section() == ""
    since = datetime(2026, 1, 5, tzinfo=UTC)
    good = badge_awards.issue(claims(since=since), PRIVATE)
    (shelf / "good.svg").write_bytes(good)
    page = badges.section()
    assert "no key is pinned" in page and "<img" not in page
    (shelf / "issuer.pub").write_text(PUBLIC.hex())
    page = badges.section()
    assert page.count("<img") == 1 and "no key is pinned" not in page
    picture = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)[1]
    assert base64.b64decode(picture) == look(good).picture
    assert 'alt="Badge of Secure AI Training: Poisoned training data' in page
    assert "A school<br>5 January 2026" in page


@pytest.mark.parametrize("number", [0, 2])
def test_a_picture_without_its_credential_is_no_badge(badge, number):
    start, end = badge.index(b"<openbadges"), badge.index(b"</openbadges:credential>")
    part = badge[start : end + len(b"</openbadges:credential>")]
    picture = badge.replace(part, part * number)
    says = f"no badge: the picture holds {number} credentials, expected one. A screen"
    with pytest.raises(Refused, match=says):
        badges.verify(picture, [PUBLIC])


def test_a_private_key_given_for_a_public_one_is_said(tmp_path):
    secret, known = manifests.write_new_key(tmp_path / "issuer")
    assert len(manifests.read_public_key(known)) == 32
    with pytest.raises(ValueError, match=r"a private key: give NAME\.pub, and never"):
        manifests.read_public_key(secret)
    other = tmp_path / "other"
    other.write_bytes(bytes(31))
    with pytest.raises(ValueError, match="other: expected 64 hex digits$"):
        manifests.read_public_key(other)


def test_the_home_page_names_what_it_does_not_accept(shelf, badge):
    (shelf / "issuer.pub").write_text(STRANGER.hex())
    (shelf / "other<b>.svg").write_bytes(badge)
    (shelf / "pipe.svg").symlink_to("/dev/zero")
    (shelf / "broken.pub").write_text("no key")
    page = badges.section()
    assert "<img" not in page and "<b>" not in page
    assert "other&lt;b&gt;.svg: not accepted: signed with" in page
    assert "pipe.svg: not accepted" in page
    assert "broken.pub: no public key" in page


def test_a_picture_on_the_home_page_runs_nothing(shelf):
    """Even an issuer's own script: it stands in an image, where none runs."""
    made = claims(since=datetime(2026, 1, 5, tzinfo=UTC))
    evil = b"<svg role='img'><script>alert(1)</script></svg>"
    made["image"]["id"] = badges.PICTURE + base64.b64encode(evil).decode()
    made["image"]["caption"] = '"><script>alert(2)</script>'
    (shelf / "issuer.pub").write_text(PUBLIC.hex())
    (shelf / "evil.svg").write_bytes(badge_awards.issue(made, PRIVATE))
    page = badges.section()
    assert page.count("<img") == 1 and "<script" not in page
