"""Secrets in the settings of a run: taken out before they are written anywhere.

A log that only grows never forgets, and so a secret must not enter it. Three rules
each know something else: the name of a setting, the form of a key, a secret's value.

Whoever cuts a key in two, or writes it under an odd name, passes, as `dbPass` does;
and an honest `pad_token` is taken for a secret.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Sequence
from random import Random

from securetrain import key_scanners
from securetrain.three_faults import new_key

REMOVED = "<removed>"
WORDS = "passw(?:or)?d|passphrase|pwd|secret|token"
WORDS += "|(?:api|access|private|secret)[_. -]?key"
SECRET_NAME = re.compile(rf"(?i)(?:^|[_.\-/ ])(?:{WORDS})$")


def by_name(name: str, value: str) -> str:
    """Return a setting's value, or REMOVED where its name ends as a secret's does."""
    return REMOVED if SECRET_NAME.search(name) else value


def by_form(name: str, value: str) -> str:
    """Return a setting's value without keys of the three forms of `key_scanners`."""
    if key_scanners.find(value.encode()):
        cleaned = "\n".join(key_scanners.scrub([value]))
        hidden = set(key_scanners.find(cleaned.encode())) - {REMOVED}
        return REMOVED if hidden else cleaned  # in base64 nothing can be cut out
    line = f"{name}={value}"  # one form asks for a name before the key
    return REMOVED if key_scanners.find(line.encode()) else value


def by_value(name: str, value: str, known: Sequence[str]) -> str:
    """Return a setting's value, or REMOVED where one of the known secrets is in it.

    known: secrets of 8 letters or more, as their vault has them; found in base64, in
    hex, backwards and split by punctuation, too
    """
    data = value.encode()
    held = any(key_scanners.holds(data, secret) for secret in known)
    return REMOVED if held else value


def redact(name: str, value: str, known: Sequence[str] = ()) -> str:
    """Return a setting's value as it may be written, by all three rules.

    Raises ValueError for an archive in the value that cannot be read to its end, and
    for a known secret of fewer than 8 letters.
    """
    return by_value(name, by_form(name, by_name(name, value)), known)


def planted(rng: Random) -> dict[str, tuple[dict[str, str], str]]:
    """Return settings that hold a mock secret, and the secret, by where it hides."""
    key, word = new_key(rng.getrandbits(64)), secrets.token_urlsafe(18)
    hexed, other = secrets.token_hex(20), f"hf_{secrets.token_hex(12)}x"
    settings = {"user": "trainer", "key": key}
    hidden = base64.b64encode(json.dumps(settings).encode()).decode()
    return {
        "cloud key": ({"storage": key}, key),
        "address": ({"database": f"postgresql://trainer:{word}@db/runs"}, word),
        "hex token": ({"registry": f"token={hexed}"}, hexed),
        "base64": ({"config": hidden}, key),
        "own name": ({"db_password": word}, word),
        "command line": ({"command": f"train.py --pass {word}"}, word),
        "nested": ({"optimizer": str({"lr": 0.1, "hub": other})}, other),
        "cut in two": ({"part_1": key[:10], "part_2": key[10:]}, key),
    }


def honest(rng: Random) -> dict[str, str]:
    """Return settings in which nothing is secret, though some look so."""
    digest = f"{rng.getrandbits(256):064x}"
    return {
        "learning_rate": "0.1",
        "max_tokens": "512",
        "optimizer": str({"lr": 0.1, "momentum": 0.9}),
        "data": "https://data.example.org/digits.csv",
        "commit": digest[:40],
        "data_sha256": digest,
        "tokenizer_sha256": digest,  # "token", and hex behind it
        "pad_token": "[PAD]",
    }
