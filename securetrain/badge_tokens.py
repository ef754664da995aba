"""Tokens of badges: a short text, signed with Ed25519, that says which key signed it.

The attacker writes the token's header: another algorithm, none, a key of their own, an
address to fetch one from. So the header may name algorithm and key and nothing else,
and the key comes from the reader. A key's name is the key itself (did:key): nothing is
ever fetched.

The algorithm is called "EdDSA", which RFC 9864 has replaced with "Ed25519": those who
read badges know the old name, and with a pinned Ed25519 key the two mean the same.

Source: RFC 7515; 1EdTech, Open Badges Specification 3.0, "JSON Web Token Proof Format";
W3C CCG, The did:key Method
"""

from __future__ import annotations

import base64
import binascii
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OKPKey

from securetrain import manifests, plain_json
from securetrain.archives import Refused

ALGORITHM = "EdDSA"
BADGE, LIST = "JWT", "revoked+jwt"  # what a token is: one never passes for the other
DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # base58btc


def did_key(public_key: bytes) -> str:
    """Return a public Ed25519 key, 32 bytes, as a did:key: a name that is the key.

    Source: W3C CCG, did:key: multibase base58btc of the multicodec 0xed01 and the key
    """
    if len(public_key) != 32:
        raise ValueError(f"expected a key of 32 bytes, got {len(public_key)}")
    number, digits = int.from_bytes(b"\xed\x01" + public_key), ""
    while number:
        number, rest = divmod(number, 58)
        digits = DIGITS[rest] + digits
    return f"did:key:z{digits}"


def key_id(public_key: bytes) -> str:
    """Return what a token's header calls a key: its did:key, and in it the one key."""
    did = did_key(public_key)
    return f"{did}#{did.removeprefix('did:key:')}"


def sign(claims: Mapping[str, Any], kind: str, private_key: bytes) -> str:
    """Return a token of claims; kind: BADGE or LIST; private_key: 32 bytes."""
    public = manifests.public_key(private_key)
    head = {"alg": ALGORITHM, "kid": key_id(public), "typ": kind}
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _text(public), "d": _text(private_key)}
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # for EdDSA's old name
        return jws.serialize_compact(head, payload, OKPKey.import_key(jwk), [ALGORITHM])


def read(token: str, kind: str, keys: Sequence[bytes]) -> tuple[dict, bytes]:
    """Return a token's payload, and which of the pinned keys signed it.

    kind: BADGE or LIST; keys: 32 bytes each. The key decides the algorithm; a header
    that says more than kind, algorithm and name of the key is refused.
    """
    head = _header(token)
    named = {key_id(key): key for key in keys}
    if head.keys() != {"alg", "kid", "typ"}:
        raise Refused("header", f"expected alg, kid and typ, got {_some(head)}")
    if (head["alg"], head["typ"]) != (ALGORITHM, kind):
        says = f"{head['alg']!a:.30} and {head['typ']!a:.30}"
        raise Refused("header", f"expected {ALGORITHM} and {kind}, got {says}")
    if not isinstance(head["kid"], str) or head["kid"] not in named:
        who = str(head["kid"]).partition("#")[0]
        raise Refused("key", f"signed with {who!a:.80}, which is no key you pinned")
    key = named[head["kid"]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # for EdDSA's old name
            found = jws.deserialize_compact(token, _public(key), [ALGORITHM])
    except (JoseError, ValueError):
        raise Refused("signature", "not the pinned key's over this token") from None
    return _object(found.payload, "credential"), key


def _public(key: bytes) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _text(key)})


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _header(token: str) -> dict:
    parts = token.split(".")
    if len(parts) != 3 or len(parts[0]) > 1000:
        raise Refused("header", "not a token of three parts")
    try:
        data = base64.b64decode(parts[0] + "=" * (-len(parts[0]) % 4), b"-_", True)
    except binascii.Error:
        raise Refused("header", "not base64") from None
    return _object(data, "header")


def _object(data: bytes, check: str) -> dict:
    try:
        found = plain_json.read(data)
    except ValueError as error:
        raise Refused(check, str(error)) from None
    if not isinstance(found, dict):
        raise Refused(check, "expected a JSON object")
    return found


def _some(names: Mapping[str, Any]) -> str:
    return ", ".join(f"{name!a:.30}" for name in sorted(names)[:6]) or "nothing"
