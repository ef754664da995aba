"""May this model be deployed? Every check between a registry and a running service.

The attacker can put files into a model's folder, serve an old release, or sign with a
key that is not the publisher's. They want the service to load it. The gate copies what
it has checked, so that nothing can be exchanged between the check and the loading.

It asks who vouches for the files and whether they can run code. Whether the model is
good, no check here can say: a backdoor that was signed is signed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from securetrain import audit_log, checkpoints, manifests, provenance
from securetrain.archives import Refused
from securetrain.manifests import canonical
from securetrain.provenance import Release, Seen, Trust

REGISTRY = "securetrain-registry-1"
CONTEXT = b"securetrain registry v1\n"


@dataclass(frozen=True)
class Registry:
    """Which releases may run: a list that its owner signs anew before it expires.

    approved: SHA-256 of a manifest -> name of the model; withdrawing is leaving out
    """

    approved: Mapping[str, str]
    expires: datetime


@dataclass(frozen=True)
class Rules:
    """What this gate demands of every model, decided before any arrives.

    trust: name and key of the publisher; registry, registry_key: the signed list in
    which a release must stand, and its owner's key; signature, public_key or root:
    of OpenSSF model signing; torch: the version that will load checkpoints, "" when
    only safetensors are welcome; software: this is no model but a release of software,
    which is code by nature, so that its files may be of any kind
    """

    trust: Trust
    registry: bytes = b""
    registry_signature: bytes = b""
    registry_key: bytes = b""
    signature: Path | None = None
    public_key: Path | None = None
    root: Path | None = None
    torch: str = ""
    software: bool = False


@dataclass(frozen=True)
class Decision:
    """What the gate decided: `check` and `why` say what refused, "" when nothing did.

    seen: what to remember of an accepted release
    """

    check: str = ""
    why: str = ""
    seen: Seen | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def deploy(self) -> bool:
        return self.seen is not None


# --- The registry ------------------------------------------------------------------


def write_registry(
    approved: Mapping[str, str], expires: datetime, private_key: bytes
) -> tuple[bytes, bytes]:
    """Return a list of approved manifests, and its signature, 64 bytes.

    approved: SHA-256 of a manifest -> name of the model; expires: with its time zone
    """
    if expires.tzinfo is None:
        raise ValueError(f"expected a time with its time zone, got {expires}")
    for digest in approved:
        manifests.check_digest(digest)
    when = expires.astimezone(UTC).isoformat(timespec="seconds")
    tree = {"format": REGISTRY, "expires": when, "approved": dict(approved)}
    text = canonical(tree)
    return text, manifests.sign(text, private_key, CONTEXT)


def read_registry(data: bytes, signature: bytes, public_key: bytes) -> Registry:
    """Return a signed list; Refused unless its owner signed it as a registry."""
    try:
        manifests.check_signature(data, signature, public_key, CONTEXT)
        tree = json.loads(data.decode("ascii"))
        if canonical(tree) != data or tree["format"] != REGISTRY:
            raise ValueError("another format")
        when = datetime.fromisoformat(tree["expires"])
        return Registry(dict(tree["approved"]), when)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused("registry", f"no registry that we trust: {error}") from None


def check_registry(rules: Rules, manifest: bytes, now: datetime) -> None:
    """Raise Refused unless a fresh registry approves this manifest, if one is set."""
    if not rules.registry_key:
        return
    found = read_registry(rules.registry, rules.registry_signature, rules.registry_key)
    if now > found.expires:
        why = f"the registry expired on {found.expires:%Y-%m-%d %H:%M}: fetch it anew"
        raise Refused("registry", why)
    name = found.approved.get(sha256(manifest).hexdigest())
    if name != rules.trust.name:
        why = f"{rules.trust.name!a}: this release is not approved, or was withdrawn"
        raise Refused("registry", why)


# --- The gate ----------------------------------------------------------------------


def check(
    model: Path,
    release: Release,
    rules: Rules,
    into: Path,
    *,
    seen: Seen | None = None,
    now: datetime | None = None,
) -> Decision:
    """Decide about a model; leave the checked files in `into` when it may be deployed.

    model: a folder or a plain tar file, from anybody; into: a folder that does not
    exist yet: load the model from there, never from `model`
    An error that no check foresaw refuses, too.
    """
    now = datetime.now(UTC) if now is None else now
    staged = False
    try:
        if not release.signature:
            raise Refused("signature", "the model is not signed")
        found = provenance.stage(model, release, rules.trust, into, seen=seen, now=now)
        staged = True
        check_registry(rules, release.manifest, now)
        kinds = {} if rules.software else check_formats(into, rules.torch)
        check_openssf(into, rules)
        return Decision(seen=found, kinds=kinds)
    except Exception as error:  # fail closed, whatever it was
        if staged:
            shutil.rmtree(into)
        return _refusal(error)


def _refusal(error: Exception) -> Decision:
    if isinstance(error, Refused):
        return Decision(error.check, str(error))
    return Decision("reading", f"{type(error).__name__}: {error}")


def check_formats(model: Path, torch_version: str = "") -> dict[str, str]:
    """Return the kind of each file; Refused unless all are safe and some hold weights.

    model: a private folder; torch_version: as `checkpoints.check` takes it
    """
    kinds = {
        path.relative_to(model).as_posix(): checkpoints.check(path, torch_version)
        for path in sorted(model.rglob("*"))
        if path.is_file()
    }
    if not {"safetensors", "pickle"} & set(kinds.values()):
        raise Refused("format", "no file of weights in this model")
    return kinds


def check_openssf(model: Path, rules: Rules) -> None:
    """Raise Refused unless the OpenSSF signature holds, if one is demanded."""
    if rules.signature is None:
        return
    from securetrain import signatures

    signatures.check(model, rules.signature, rules.public_key, rules.root)


def deploy(
    model: Path,
    release: Release,
    rules: Rules,
    into: Path,
    log: Path,
    memory: Path,
    now: datetime | None = None,
) -> tuple[Decision, str]:
    """Check a model against what was deployed last, and record the decision.

    log: the audit log; memory: the file that remembers the newest release
    Returns the decision and the hash of its line in the log. When it cannot be
    recorded, `into` is removed and Refused raised: nothing is deployed.
    """
    fresh = not into.exists()
    try:
        decision = _decide(model, release, rules, into, memory, now)
        head = audit_log.append(log, event(decision, release, rules), now)
        return decision, head
    except BaseException:
        if fresh:
            shutil.rmtree(into, ignore_errors=True)
        raise


def _decide(
    model: Path,
    release: Release,
    rules: Rules,
    into: Path,
    memory: Path,
    now: datetime | None,
) -> Decision:
    """Check a model and remember it; what cannot be remembered is refused."""
    try:
        seen = provenance.recall(memory)
    except Refused as refused:
        return _refusal(refused)
    decision = check(model, release, rules, into, seen=seen, now=now)
    if decision.seen:
        try:
            provenance.remember(decision.seen, memory)
        except OSError as error:
            shutil.rmtree(into)
            why = f"{memory} cannot be written: {error.strerror}"
            return Decision("version", why)
    return decision


def event(decision: Decision, release: Release, rules: Rules) -> dict[str, Any]:
    """Return what the audit log keeps of a decision."""
    return {
        "decision": "deploy" if decision.deploy else "refuse",
        "check": decision.check,
        "why": decision.why,
        "name": rules.trust.name,
        "version": decision.seen.version if decision.seen else 0,
        "manifest": sha256(release.manifest).hexdigest(),
    } | ({"kind": "software"} if rules.software else {})


def trial(
    model: Path, release: Release, rules: Rules, seen: Seen | None = None
) -> Decision:
    """Decide about a model and keep nothing, neither its files nor the decision."""
    with tempfile.TemporaryDirectory() as folder:
        return check(model, release, rules, Path(folder) / "model", seen=seen)
