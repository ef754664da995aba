"""What can happen to a data set on its way, and which layer refuses it.

A delivery is what arrives: files, and the release that should describe them. Each
attack changes one honest delivery; each layer is a set of checks that somebody runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random

from securetrain import manifests, provenance, translog
from securetrain.archives import Refused, pack, refusal
from securetrain.provenance import Release, Seen, Trust

Files = dict[str, bytes]
KINDS = ("bit", "append", "cut", "empty", "swap", "rename", "move", "add", "remove")


# --- Changing files ---------------------------------------------------------------


def tamper(files: Mapping[str, bytes], rng: Random, kind: str = "") -> Files:
    """Return a copy of a data set with one thing changed; never an equal one.

    files: at least two that are not empty and not alike; kind: one of KINDS, any if ""
    """
    kind = kind or rng.choice(KINDS)
    if kind not in KINDS:
        raise ValueError(f"no tampering {kind!r}; there are: {', '.join(KINDS)}")
    found = dict(files)
    one = rng.choice(sorted(name for name in files if files[name]))
    content = bytearray(files[one])
    place = rng.randrange(len(content))
    if kind == "bit":
        content[place] ^= 1 << rng.randrange(8)
    elif kind == "append":
        content += rng.randbytes(rng.randint(1, 9))
    elif kind == "cut":
        del content[place:]
    elif kind == "empty":
        content.clear()
    elif kind == "swap":
        two = rng.choice(sorted(n for n in files if files[n] != files[one]))
        content, found[two] = files[two], files[one]
    elif kind == "add":
        found[f"{one}.{rng.randrange(1000)}"] = b""
    elif kind == "remove":
        del found[one]
    else:
        name = f"{one}~" if kind == "rename" else f"{rng.randrange(1000)}/{one}"
        found[name] = found.pop(one)
    if one in found:
        found[one] = bytes(content)
    return found


def update(files: Mapping[str, bytes], rng: Random) -> Files:
    """Return the next honest release: most files as before, some changed, one new."""
    found = {
        name: content if rng.random() < 0.6 else rng.randbytes(len(content) + 1)
        for name, content in files.items()
    }
    return found | {f"new/{rng.randrange(10**9)}": rng.randbytes(rng.randrange(50))}


def some_files(rng: Random) -> Files:
    """Return a small data set of random bytes, one of its files empty."""
    names = [f"part {i}/{rng.randrange(1000)}.bin" for i in range(rng.randint(3, 7))]
    files = {name: rng.randbytes(rng.randint(2, 200)) for name in names}
    return files | {"empty": b""}


# --- Deliveries --------------------------------------------------------------------


@dataclass(frozen=True)
class Delivery:
    """What arrives, and what the one who receives it knows.

    each: a signature of every single file, path -> signature
    """

    files: Files
    release: Release
    each: dict[str, bytes]
    trust: Trust
    seen: Seen


@dataclass(frozen=True)
class Story:
    """Three releases of one publisher, all in one log; the second was seen last."""

    releases: list[Files]
    log: list[bytes]
    key: bytes
    log_key: bytes
    trust: Trust

    def manifest(self, files: Files, version: int) -> bytes:
        """Return a manifest as the publisher writes it."""
        rows = manifests.describe(files)
        return manifests.write_manifest(rows, "story", version, "its publisher")

    def delivery(
        self, files: Files, version: int, log: list[bytes] | None = None
    ) -> Delivery:
        """Return an honest delivery of a release that stands in the log."""
        log = log or self.log
        manifest = self.manifest(files, version)
        seen_manifest = self.manifest(self.releases[1], 2)
        known = log.index(seen_manifest) + 1
        leaves = [translog.leaf_hash(entry) for entry in log]
        index = log.index(manifest)
        release = Release(
            manifest,
            manifests.sign(manifest, self.key),
            head=translog.sign_head(leaves, self.log_key),
            index=index,
            inclusion=translog.inclusion(leaves, index),
            consistency=translog.consistency(leaves, known),
        )
        digest = sha256(seen_manifest).hexdigest()
        seen = Seen(2, digest, translog.sign_head(leaves[:known], self.log_key))
        return Delivery(files, release, sign_each(files, self.key), self.trust, seen)


def story(rng: Random) -> Story:
    """Return a new publisher with new keys; other entries stand in the log, too."""
    (key, public), (log_key, log_public) = manifests.new_key(), manifests.new_key()
    releases = [some_files(rng)]
    releases += [update(releases[0], rng)]
    releases += [update(releases[1], rng)]
    trust = Trust("story", public, log_key=log_public)
    told = Story(releases, [], key, log_key, trust)
    for number, files in enumerate(releases, 1):
        others = [rng.randbytes(40) for _ in range(rng.randrange(4))]
        told.log.extend([*others, told.manifest(files, number)])
    return told


def sign_each(files: Files, key: bytes) -> dict[str, bytes]:
    """Return a signature for every single file: over its path and content."""
    return {
        path: manifests.sign(path.encode() + b"\0" + content, key)
        for path, content in files.items()
    }


# --- Attacks -----------------------------------------------------------------------


def swapped(told: Story, rng: Random) -> Delivery:
    """The newest release with its files tampered with."""
    honest = told.delivery(told.releases[2], 3)
    return replace(honest, files=tamper(honest.files, rng))


def rehashed(told: Story, rng: Random) -> Delivery:
    """Tampered files, and a manifest that fits, signed with the attacker's own key."""
    this, (own, _) = swapped(told, rng), manifests.new_key()
    manifest = told.manifest(this.files, 3)
    release = replace(
        this.release, manifest=manifest, signature=manifests.sign(manifest, own)
    )
    return replace(this, release=release, each=sign_each(this.files, own))


def rolled_back(told: Story, rng: Random) -> Delivery:
    """The first release, every signature genuine, after the second was seen."""
    return told.delivery(told.releases[0], 1)


def mixed(told: Story, rng: Random) -> Delivery:
    """The newest manifest with some files of the release before, each genuine."""
    honest, old = told.delivery(told.releases[2], 3), told.releases[1]
    both = [name for name in old if old[name] != honest.files[name]]
    if not both:
        return mixed(story(rng), rng)
    chosen = rng.sample(both, rng.randint(1, len(both)))
    files = honest.files | {name: old[name] for name in chosen}
    return replace(honest, files=files, each=sign_each(files, told.key))


def stolen_key(told: Story, rng: Random) -> Delivery:
    """Tampered files signed with the stolen key, kept out of the public log."""
    this = swapped(told, rng)
    manifest = told.manifest(this.files, 3)
    release = replace(
        this.release, manifest=manifest, signature=manifests.sign(manifest, told.key)
    )
    return replace(this, release=release, each=sign_each(this.files, told.key))


def signed_poison(told: Story, rng: Random) -> Delivery:
    """A fourth release, bad before its honest publisher signed and logged it."""
    files = tamper(told.releases[2], rng)
    return told.delivery(files, 4, [*told.log, told.manifest(files, 4)])


ATTACKS: dict[str, Callable[[Story, Random], Delivery]] = {
    "honest update": lambda told, rng: told.delivery(told.releases[2], 3),
    "files changed": swapped,
    "and hashed again": rehashed,
    "old release": rolled_back,
    "two releases mixed": mixed,
    "stolen key": stolen_key,
    "signed poison": signed_poison,
}


# --- Layers ------------------------------------------------------------------------


def hashes(this: Delivery) -> None:
    """A list of hashes beside the data, which nobody signed."""
    manifest = manifests.read_manifest(this.release.manifest)
    if manifests.describe(this.files) != manifest.files:
        raise Refused("files", "not the files of the list")


def each_file(this: Delivery) -> None:
    """A signature of every file on its own."""
    for path, content in this.files.items():
        message = path.encode() + b"\0" + content
        signature = this.each.get(path, b"")
        manifests.check_signature(message, signature, this.trust.key)


def signed_manifest(this: Delivery) -> None:
    """One signed manifest over the whole set."""
    trust = replace(this.trust, log_key=b"")
    provenance.verify_before_training(pack(this.files), this.release, trust)


def with_memory(this: Delivery) -> None:
    """The same, and the highest version seen so far."""
    trust = replace(this.trust, log_key=b"")
    seen = replace(this.seen, head=None)
    provenance.verify_before_training(pack(this.files), this.release, trust, seen=seen)


def with_log(this: Delivery) -> None:
    """The same, and the public log that every release must stand in."""
    data, seen = pack(this.files), this.seen
    provenance.verify_before_training(data, this.release, this.trust, seen=seen)


LAYERS: dict[str, Callable[[Delivery], None]] = {
    "hashes": hashes,
    "each file\nsigned": each_file,
    "manifest\nsigned": signed_manifest,
    "+ version\nmemory": with_memory,
    "+ public\nlog": with_log,
}


def refusal_rates(tries: int, seed: int) -> list[list[float]]:
    """Return the share of deliveries refused: a row an attack, a column a layer."""
    rng, rates = Random(seed), []
    for attack in ATTACKS.values():
        made = [attack(story(rng), rng) for _ in range(tries)]
        rates.append(
            [
                sum(bool(refusal(layer, one)) for one in made) / tries
                for layer in LAYERS.values()
            ]
        )
    return rates


def rewrites_refused(leaves: list[bytes], tries: int, seed: int) -> float:
    """Return the share of logs with a changed past that a kept root gives away.

    leaves: hashes of a log's entries. Each time somebody kept the root of a random
    size; then an entry before it changes, and the best proof there is gets checked.
    """
    rng, refused = Random(seed), 0
    for _ in range(tries):
        size, other = rng.randint(1, len(leaves)), list(leaves)
        other[rng.randrange(size)] = translog.leaf_hash(rng.randbytes(8))
        kept, now = translog.root(leaves[:size]), translog.root(other)
        best = translog.consistency(other, size)
        check = translog.check_consistency
        refused += bool(refusal(check, size, kept, len(other), now, best))
    return refused / tries
