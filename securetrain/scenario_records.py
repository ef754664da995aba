"""Evidence of a drill that is text: keys and where they lie, a registry, logs of runs.

Every fault comes from an attack of an earlier lesson; beside it stand honest things
that look odd. What was done is returned as the truth; the folder does not say it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from securetrain import (
    audit_log,
    gate,
    gate_attacks,
    leaks,
    manifests,
    notebooks,
    run_facts,
    runlog,
)
from securetrain.leaks import Mock
from securetrain.manifests import canonical
from securetrain.provenance import Release
from securetrain.scenario_folder import put
from securetrain.scenarios import Plan

Truth = dict[str, Any]
USES = ("training", "tracking", "registry", "run logs", "cameras", "backup")
PLACES = {
    "notebook output": "explore.ipynb",
    "git history": "repository",
    "checkpoint config": "checkpoint.pt",
    "optimiser state": "checkpoint.pt",
    "tensor view": "checkpoint.pt",
    "training log": "train.log",
}
WAYS = {
    name: [way for way in PLACES if PLACES[way] == name] for name in PLACES.values()
}
DAYS = (20, 30, 40, 50)  # until the owner's lists expire; the last is a renewal
LOGS = ("signs", "digits", "weekly")
STEPS = (4, 8, 12)  # lines between a log's three heads, one more or less


# --- Keys ---------------------------------------------------------------------------


def fingerprint(value: str) -> str:
    """Return what the vault's list shows of a key; SHA-256, 16 digits of it."""
    return sha256(value.encode()).hexdigest()[:16]


def secrets(plan: Plan, folder: Path) -> Truth:
    """Write the vault's list of keys, and four things that a training left behind.

    Each holds something like a key; one may hold a key of the vault that is active.
    """
    rng, fault = plan.seed.rng("keys"), plan.fault("leaked-secret")
    keys = [_mock(rng) for _ in USES]
    order = rng.sample(range(len(keys)), len(keys))
    live = USES.index(opened(plan)) if opened(plan) else order[0]
    old = next(n for n in order if n != live)
    rows = [_key(plan, number, key, number == old) for number, key in enumerate(keys)]
    put(folder / "keys.json", rows)
    rng = plan.seed.rng("left behind")
    way = {name: rng.choice(ways) for name, ways in WAYS.items()}
    held = {name: _mock(rng) for name in WAYS}  # of no vault of ours
    if fault:
        name = PLACES[fault.vector]
        way[name], held[name] = fault.vector, keys[live]
    past = [keys[old], held["repository"]]
    rng.shuffle(past)
    _leave(plan, folder / "files", held, past, way["checkpoint.pt"])
    if not fault:
        return {}
    return {"item": f"key-{live + 1}", "places": [PLACES[fault.vector]]}


def opened(plan: Plan) -> str:
    """Return what this month's leaked key is for, where another fault came by it."""
    uses = {
        "tampered-log": "run logs",
        "forged-registry": "registry",
        "drifting-service": "cameras",
    }
    leak = plan.fault("leaked-secret")
    caused = [f for f in plan.row.faults if leak and f.cause == leak.id]
    return uses[caused[0].kind] if caused else ""


def _key(plan: Plan, number: int, key: Mock, retired: bool) -> dict[str, str]:
    state = {"state": "retired", "since": plan.at(-24 * 9).isoformat()}
    used = {"state": "active", "since": plan.at(-24 * (20 + number)).isoformat()}
    facts = {"id": f"key-{number + 1}", "for": USES[number]}
    return facts | {"sha256": fingerprint(key.value)} | (state if retired else used)


def _mock(rng: Random) -> Mock:
    return leaks.mock(rng.choice(leaks.KINDS), rng.randrange(10**9))


def _leave(
    plan: Plan, folder: Path, held: Mapping[str, Mock], past: Sequence[Mock], way: str
) -> None:
    """Write a notebook, a repository, a checkpoint and a log, each with a key.

    past: what the repository's history holds; way: where in the checkpoint
    """
    folder.mkdir(parents=True)
    notebooks.write(
        folder / "explore.ipynb", leaks.notebook(held["explore.ipynb"].line)
    )
    when, text = plan.at(-24 * 10).isoformat(), "\n".join(key.line for key in past)
    made = leaks.repository(folder / "repository", text, when)
    shutil.rmtree(made / ".git" / "hooks", ignore_errors=True)  # git's own examples
    line = held["checkpoint.pt"].line
    (folder / "checkpoint.pt").write_bytes(leaks.checkpoint(line, way))
    lines = leaks.harmless(38, plan.seed.number("harmless"))
    shown = leaks.encoded(held["train.log"])[1].decode().strip()
    lines.insert(len(lines) // 2, shown)
    (folder / "train.log").write_text("\n".join(lines) + "\n", "utf-8")


# --- The registry -------------------------------------------------------------------


def registry(plan: Plan, folder: Path) -> Truth:
    """Write releases, the registry's lists as they were signed, and the one served.

    A release's folder is named by its manifest's hash; its number was given when it was
    trained. Neither tells what was approved.
    """
    fault, publisher = plan.fault("forged-registry"), plan.seed.bytes("publisher")
    vector = fault.vector if fault else ""
    rng = plan.seed.rng("registry")
    weights = [rng.randbytes(64) for _ in range(4)]
    weights[2] = weights[1]  # registered again, for good reason
    numbers = rng.sample(range(10, 100), 4)
    if vector == "twice":
        numbers[3] = numbers[2]
    signers = [publisher] * 4
    if vector in ("stranger", "forged list"):
        signers[3] = plan.seed.bytes("stranger")
    old, now, new, last = (  # last: a candidate that nobody approved, or what is forged
        gate_attacks.sign({"model.safetensors": one}, number, key)
        for one, number, key in zip(weights, numbers, signers, strict=True)
    )
    approved = ((old,), (old, now), (now, new), (now, new))
    lists = [_list(plan, one, days) for one, days in zip(approved, DAYS, strict=True)]
    served, item, signer = lists[-1], last, "owner"
    if vector == "rollback":
        served, item = lists[1], old
    elif fault:  # in the place of an honest one: a list that grew is seen by its size
        served = _list(plan, (rng.choice((now, new)), last), 45)
        signer = "stranger" if vector == "forged list" else "owner"
    releases = {_name(one): one for one in (old, now, new, last)}
    _write_registry(plan, folder, releases, lists, (served, plan.seed.bytes(signer)))
    honest = sorted(_digest(one) for one in (now, new))
    return {"item": _name(item), "approved": honest} if fault else {}


def _digest(release: Release) -> str:
    return sha256(release.manifest).hexdigest()


def _name(release: Release) -> str:
    return f"signs-{_digest(release)[:8]}"


def _list(plan: Plan, releases: Sequence[Release], days: int) -> bytes:
    """Return the text of a list that approves these releases."""
    digests = {_digest(one): "signs" for one in releases}
    expires = plan.alarm + timedelta(days=days)
    return gate.write_registry(digests, expires, plan.seed.bytes("owner"))[0]


def _write_registry(
    plan: Plan, folder: Path, releases: Mapping, lists: Sequence[bytes], served: tuple
) -> None:
    owner = plan.seed.bytes("owner")
    signed = {f"history/{n}": (text, owner) for n, text in enumerate(lists, 1)}
    for name, (text, key) in (signed | {"current": served}).items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        path.with_suffix(".sig").write_bytes(manifests.sign(text, key, gate.CONTEXT))
    for name, release in releases.items():
        path = folder / "releases" / name
        path.mkdir(parents=True)
        (path / "manifest.json").write_bytes(release.manifest)
        (path / "manifest.sig").write_bytes(release.signature)
    withdrawn = {"withdrawn": [next(iter(releases))], "lists signed": len(lists)}
    put(folder / "announced.json", withdrawn)
    for name in ("publisher", "owner"):
        public = manifests.public_key(plan.seed.bytes(name)).hex()
        (folder / f"{name}.pub").write_text(public + "\n", "ascii")


# --- Logs of runs ---------------------------------------------------------------------


def runs(plan: Plan, folder: Path) -> Truth:
    """Write three logs of runs, their public keys, and heads that a witness kept."""
    fault, truth = plan.fault("tampered-log"), {}
    bad = plan.seed.rng("log").choice(LOGS) if fault else ""
    steps = plan.seed.rng("steps").sample(STEPS, len(LOGS))  # a cut log is no shorter
    for name, step in zip(LOGS, steps, strict=True):
        key, rng = plan.seed.bytes(f"log {name}"), plan.seed.rng(f"runs {name}")
        step += rng.randint(-1, 1)
        heads = step, 2 * step, 3 * step
        said = story(rng, name == LOGS[0], 3 * step + rng.randint(2, 5))
        lines = written(plan, name, said, key)
        log = runlog.read(_text(lines), name, manifests.public_key(key))
        kept = {size: _head(log, size, key) for size in heads}
        if name == bad:
            lines, truth = tampered(plan, name, said, lines, heads)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl").write_bytes(_text(lines))
        public = manifests.public_key(key).hex()
        (folder / f"{name}.pub").write_text(public + "\n", "ascii")
        for size, head in kept.items():
            path = folder / "kept" / f"{name}-{size:02}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(head, "ascii")
    return truth


def _head(log: runlog.Log, size: int, key: bytes) -> str:
    part = runlog.Log(log.lines[:size], {})
    return runlog.head_text(runlog.publish(part, key))


def _text(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def story(rng: Random, failed: bool, size: int) -> list[dict[str, Any]]:
    """Return so many lines of what is said of runs, of which the last goes on.

    failed: the first ends badly, honestly
    """
    said: list[dict[str, Any]] = []
    while len(said) < size:
        run, bad = f"{rng.randrange(16**8):08x}", failed and not said
        said += [
            {"do": "start", "run": run},
            {
                "do": "param",
                "run": run,
                "key": "epochs",
                "value": str(rng.randint(3, 9)),
            },
        ]
        for step in range(3):
            value = round((0.1 if bad else 0.8) + rng.random() / 10, 4)
            where = {"run": run, "key": "accuracy", "step": step}
            said.append({"do": "metric", **where, "value": run_facts.number(value)})
        said.append(
            {"do": "end", "run": run, "status": "FAILED" if bad else "FINISHED"}
        )
    return said[:size]


def written(
    plan: Plan,
    name: str,
    said: Sequence[Mapping[str, Any]],
    key: bytes,
    before: Sequence[bytes] = (),
) -> list[bytes]:
    """Return a log's lines: those before, and what is said, chained and signed."""
    lines = list(before)
    for one in said:
        previous = audit_log.hash_of(lines[-1]) if lines else audit_log.FIRST
        number = len(lines) + 1
        time = plan.at(-24 * 6 + number * 4).isoformat()
        text = runlog.statement(name, number, previous, time, one)
        signature = manifests.sign(text, key, runlog.CONTEXT).hex()
        event = {"log": name, "said": dict(one), "signature": signature}
        lines.append(audit_log.entry(number, previous, time, event))
    return lines


def tampered(
    plan: Plan,
    name: str,
    said: Sequence[Mapping],
    lines: Sequence[bytes],
    heads: Sequence[int],
) -> tuple[list[bytes], Truth]:
    """Return a log as the attacker left it, and the truth: the last line to trust.

    heads: lines at which a witness kept a head
    """
    vector, rng = plan.fault("tampered-log").vector, plan.seed.rng("tampered")
    steps = [n for n, one in enumerate(said) if one["do"] == "metric"]
    steps = [n for n in steps if heads[0] < n < heads[-1]]  # a witness saw the truth
    at = rng.choice([n for n in steps if n not in heads])  # from 0: the line that lies
    better = [dict(one) for one in said]
    better[at]["value"] = run_facts.number(round(0.9 + rng.random() / 11, 4))
    if vector == "cut":
        end = heads[-1] - rng.randint(1, 3 if heads[0] > 3 else 2)
        return list(lines[:end]), {"item": name, "last": [end, end]}
    if vector == "edited":
        old, new = (canonical(one[at]["value"]) for one in (said, better))
        changed = lines[at].replace(old, new, 1)
        return [*lines[:at], changed, *lines[at + 1 :]], _last(name, at, at)
    forked = vector == "forked"
    key = plan.seed.bytes(f"log {name}" if forked else "stranger")
    proven = max(size for size in (0, *heads) if size <= at)
    return written(plan, name, better[at:], key, lines[:at]), _last(
        name, proven if forked else at, at
    )


def _last(name: str, low: int, high: int) -> Truth:
    return {"item": name, "last": [low, high]}
