"""Commits that somebody sends to a repository, honest and not, as plain data.

Payloads are harmless: a changed label, a key made here that opens nothing, a pickle
that holds a number.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from random import Random

import numpy as np
from safetensors.numpy import save

from securetrain import manifests
from securetrain.commit_gate import POLICY, read_policy
from securetrain.commits import Commit
from securetrain.provenance_command import MANIFEST, SIGNATURE

WORKFLOW = ".github/workflows/train.yml"
PINNED = "3d3c42e5aac5ba805825da76410c181273ba90b1"
HONEST = f"""\
on: pull_request
permissions:
  contents: read
jobs:
  train:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@{PINNED} # v7.0.1
        with:
          persist-credentials: false
      - run: python train.py
"""
HONEST_COMMITS = ("code changes", "data, signed anew", "model, signed anew")
PASSES = ("poison, signed by the owner", "code that steals")  # and no check can know
CLEAN = b"id,label\n1,stop\n2,yield\n"
POISON = CLEAN.replace(b"stop", b"speed")


class Repository:
    """Signed data, a signed model, a workflow, and the rules for what comes in."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.owner, public = manifests.new_key()
        tables = "".join(
            f'[{kind}]\nfolder = "{kind}"\nrelease = "release/{kind}"\n'
            f'name = "signs"\nsigner = "{public.hex()}"\n'
            for kind in ("data", "models")
        )
        policy = f'{tables}[actions]\n"actions/checkout" = ["{PINNED}"]\n'
        self.files = {"train.py": b"print('trained')\n", WORKFLOW: HONEST.encode()}
        self.files |= {POLICY: policy.encode()}
        self.files |= self.signed("data", {"labels.csv": CLEAN}, 2)
        self.files |= self.signed("models", {"m.safetensors": self.weights()}, 2)
        self.policy = read_policy(policy.encode())

    def weights(self) -> bytes:
        return save({"w": np.full(4, self.rng.random(), "float32")})

    def signed(
        self, folder: str, files: Mapping[str, bytes], version: int, key: bytes = b""
    ) -> dict[str, bytes]:
        """Return files and their release, signed with `key` or the owner's."""
        facts = manifests.describe(files), "signs", version, "ours"
        text = manifests.write_manifest(*facts)
        found = {f"{folder}/{name}": content for name, content in files.items()}
        home = f"release/{folder}"
        signature = manifests.sign(text, key or self.owner)
        return found | {f"{home}/{MANIFEST}": text, f"{home}/{SIGNATURE}": signature}

    def commit(self, changes: Mapping[str, bytes], **odd: str) -> Commit:
        """Return a commit that brings these files."""
        links = {"data/labels.csv": odd["link"]} if odd else {}
        files = {p: c for p, c in (self.files | changes).items() if p not in links}
        return Commit(files, frozenset(changes) | links.keys(), links, self.files)


def commits(repository: Repository) -> dict[str, Commit]:
    """Return honest commits, attacks, and two that no check can know (PASSES)."""
    here, rng = repository, repository.rng
    letters = rng.choices("ABCDEFGHJKLMNPQR234567", k=16)
    key = ("AK" + "IA" + "".join(letters)).encode()
    stranger = manifests.new_key()[0]
    hole = HONEST + '      - run: echo "${{ github.head_ref }}"\n'
    forged = here.signed("data", {"labels.csv": POISON}, 3, stranger)
    unsigned = {p: c for p, c in forged.items() if not p.endswith(SIGNATURE)}
    weights = {"m.safetensors": here.weights()}
    steals = b"import os, urllib.request\nprint(os.environ.get('TOKEN'))\n"
    rules = here.files[POLICY].replace(b"[actions]", b"[actions]\n# more")
    found = {
        "code changes": {"train.py": b"print('trained again')\n"},
        "data, signed anew": here.signed("data", {"labels.csv": CLEAN + b"3,a\n"}, 3),
        "model, signed anew": here.signed("models", weights, 3),
        "poisoned data": {"data/labels.csv": POISON},
        "… with a manifest to match": unsigned,
        "… signed by a stranger": forged,
        "old data again": here.signed("data", {"labels.csv": CLEAN}, 1),
        "a key": {"notes.md": b"use " + key},
        "a key in base64": {"notes.md": base64.b64encode(b"our key is " + key)},
        "a model that runs code": here.signed(
            "models", weights | {"m.pkl": pickle.dumps(1)}, 3
        ),
        "a workflow with a hole": {WORKFLOW: hole.encode()},
        "an action by its tag": {WORKFLOW: HONEST.replace(PINNED, "v7").encode()},
        "its own rules": {POLICY: rules},
        "poison, signed by the owner": here.signed("data", {"labels.csv": POISON}, 3),
        "code that steals": {"train.py": steals},
    }
    made = {name: here.commit(changes) for name, changes in found.items()}
    made["a link for a file"] = here.commit({}, link="a symbolic link")
    return {n: c for n, c in made.items() if n not in PASSES} | {
        name: made[name] for name in PASSES
    }
