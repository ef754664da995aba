"""Deliveries for a gate: one honest model, and what an attacker makes of it.

The attacker sits between the publisher and the service. They can change, add and leave
out files, replay old releases and sign with keys of their own. One delivery comes from
the publisher: signed and approved, and nobody knew what was in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random

from securetrain import gate, manifests
from securetrain.provenance import Release, Seen, Trust

NAME, SOURCE = "signs", "training run"
PASSES = ("honest", "honest update", "signed backdoor")


@dataclass(frozen=True)
class Delivery:
    """A model's files, what came with them, and what the gate knows beforehand."""

    files: Mapping[str, bytes]
    release: Release
    rules: gate.Rules
    seen: Seen


def sign(files: Mapping[str, bytes], version: int, private_key: bytes) -> Release:
    """Return the signed manifest of a model's files."""
    listed = manifests.describe(files)
    text = manifests.write_manifest(listed, NAME, version, SOURCE)
    return Release(text, manifests.sign(text, private_key))


def deliveries(
    files: Mapping[str, bytes],
    checkpoint: bytes,
    backdoor: bytes,
    now: datetime,
    rng: Random,
) -> dict[str, Delivery]:
    """Return deliveries by name: those in `PASSES` pass the gate, no other may.

    files: of an honest model, with one .safetensors file; checkpoint: a pickle with
    the same weights; backdoor: the bytes of another .safetensors file
    """
    (private, public), (owner, owner_key) = manifests.new_key(), manifests.new_key()
    weights = next(name for name in files if name.endswith(".safetensors"))
    notes = {"NOTES.md": b"trained longer"}
    changed = bytearray(files[weights])
    changed[-1 - rng.randrange(1000)] ^= 1 << rng.randrange(8)
    runs = {name: files[name] for name in files if name != weights}

    version = rng.randrange(2, 100)
    old = sign(files, version - 1, private)
    now_deployed = sign(files, version, private)
    update = sign({**files, **notes}, version + 1, private)
    pickled = sign({**runs, "model.pt": checkpoint}, version + 1, private)
    poisoned = sign({**files, weights: backdoor}, version + 1, private)
    stranger = sign(files, version + 1, manifests.new_key()[0])

    approved = (old, now_deployed, update, pickled, poisoned, stranger)
    names = {sha256(r.manifest).hexdigest(): NAME for r in approved}
    soon, past = now + timedelta(days=7), now - timedelta(hours=1)
    rules = gate.Rules(
        Trust(NAME, public), *gate.write_registry(names, soon, owner), owner_key
    )
    del names[sha256(update.manifest).hexdigest()]
    withdrawn = gate.write_registry(names, soon, owner)
    expired = gate.write_registry(names, past, owner)

    seen = Seen(version, sha256(now_deployed.manifest).hexdigest())
    good = Delivery(files, now_deployed, rules, seen)
    newer = replace(good, files={**files, **notes}, release=update)
    return {
        "honest": good,
        "honest update": newer,
        "unsigned": replace(newer, release=replace(update, signature=b"")),
        "one bit changed": replace(good, files={**files, weights: bytes(changed)}),
        "extra file": replace(good, files={**files, "load.py": b"import os"}),
        "missing file": replace(good, files={weights: files[weights]}),
        "stranger's key": replace(good, release=stranger),
        "pickle": replace(
            good, files={**runs, "model.pt": checkpoint}, release=pickled
        ),
        "rollback": replace(good, release=old),
        "withdrawn": replace(newer, rules=_listing(rules, withdrawn)),
        "expired registry": replace(good, rules=_listing(rules, expired)),
        "signed backdoor": replace(
            good, files={**files, weights: backdoor}, release=poisoned
        ),
    }


def _listing(rules: gate.Rules, signed: tuple[bytes, bytes]) -> gate.Rules:
    return replace(rules, registry=signed[0], registry_signature=signed[1])
