"""No model in production but by the policy: what a gate demands stands in a file.

A gate that is told its demands by whoever calls it can be told less. Here name, keys
and reports come from the team's policy, so that nobody who deploys chooses them. The
attacker has a model without a signature, or one whose reports are about another.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from securetrain import audit_log, gate, manifests, reports
from securetrain.archives import Refused
from securetrain.policies import Production
from securetrain.provenance import Release, Trust


def rules(
    production: Production, registry: tuple[bytes, bytes] = (b"", b"")
) -> gate.Rules:
    """Return what the gate demands. registry: the signed list and its signature."""
    trust = Trust(production.model, production.publisher)
    return gate.Rules(trust, *registry, production.registry)


def deploy(
    production: Production,
    model: Path,
    release: Release,
    into: Path,
    log: Path,
    memory: Path,
    *,
    registry: tuple[bytes, bytes] = (b"", b""),
    found: Mapping[str, tuple[bytes, bytes]] | None = None,
    now: datetime | None = None,
) -> gate.Decision:
    """Let a model in, as `gate.deploy` does, when its reports have passed, too.

    found: kind of report -> text and signature; the rest as for `gate.deploy`
    Every refusal is written into the log.
    """
    demands = rules(production, registry)
    try:
        check_reports(production, release, found or {})
    except Refused as refused:
        decision = gate.Decision(refused.check, str(refused))
        audit_log.append(log, gate.event(decision, release, demands), now)
        return decision
    decision, _ = gate.deploy(model, release, demands, into, log, memory, now)
    return decision


def check_reports(
    production: Production, release: Release, found: Mapping[str, tuple[bytes, bytes]]
) -> None:
    """Raise Refused unless each report that the policy needs is about this model."""
    if not release.signature:
        raise Refused("signature", "the model is not signed")
    if not production.reports:
        return
    manifests.check_signature(release.manifest, release.signature, production.publisher)
    about = reports.fingerprint(manifests.read_manifest(release.manifest).files)
    reports.check(production.reports, about, found, production.reporter)
