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
LOGS = ("signs", "digits", "weekly")
HEADS = (8, 16, 24)  # lines at which a witness kept a head


# --- Keys ---------------------------------------------------------------------------


def fingerprint(value: str) -> str:
    """Return what the vault's list shows of a key; SHA-256, 16 digits of it."""
    return sha256(value.encode()).hexdigest()[:16]


def secrets(plan: Plan, folder: Path) -> Truth:
    """Write the vault's list of keys, and four things that a training left behind."""
    rng, fault = plan.seed.rng("keys"), plan.fault("leaked-secret")
    keys = [leaks.mock(rng.choice(leaks.KINDS), rng.randrange(10**9)) for _ in USES]
    order = rng.sample(range(len(keys)), len(keys))
    live = USES.index(opened(plan)) if opened(plan) else order[0]
    old = next(n for n in order if n != live)
    rotated = "rotated key" in plan.row.noise
    rows = [
        _key(plan, number, key, number == old and rotated)
        for number, key in enumerate(keys)
    ]
    put(folder / "keys.json", rows)
    leaked = {fault.vector: keys[live]} if fault else {}
    _leave(plan, folder / "files", leaked, [keys[old]] if rotated else [])
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


def _leave(
    plan: Plan, folder: Path, leaked: Mapping[str, Mock], old: Sequence[Mock]
) -> None:
    """Write a notebook, a repository, a checkpoint and a log, some with a key."""
    calm = leaks.harmless(40, plan.seed.number("harmless"))
    folder.mkdir(parents=True)
    shown = leaked.get("notebook output")
    page = leaks.notebook(shown.line if shown else calm[0])
    notebooks.write(folder / "explore.ipynb", page)
    past = [key.line for key in old]
    if key := leaked.get("git history"):
        past.append(key.line)
    when = plan.at(-24 * 10).isoformat()
    made = leaks.repository(folder / "repository", "\n".join(past or calm[1:2]), when)
    shutil.rmtree(made / ".git" / "hooks", ignore_errors=True)  # git's own examples
    place = next((p for p in leaked if PLACES[p] == "checkpoint.pt"), "")
    line = leaked[place].line if place else ""
    (folder / "checkpoint.pt").write_bytes(leaks.checkpoint(line, place))
    lines = calm[2:]
    if key := leaked.get("training log"):
        lines.insert(len(lines) // 2, leaks.encoded(key)[1].decode().strip())
    (folder / "train.log").write_text("\n".join(lines) + "\n", "utf-8")


# --- The registry -------------------------------------------------------------------


def registry(plan: Plan, folder: Path) -> Truth:
    """Write releases, the registry's lists as they were signed, and the one served."""
    fault, publisher = plan.fault("forged-registry"), plan.seed.bytes("publisher")
    rng = plan.seed.rng("registry")
    first = rng.randrange(3, 40)
    weights = [rng.randbytes(64) for _ in range(4)]
    if "registered again" in plan.row.noise:
        weights[2] = weights[1]
    files = [{"model.safetensors": one} for one in weights]
    releases = {
        f"signs-{first + n}": gate_attacks.sign(files[n], first + n, publisher)
        for n in range(3)
    }
    old, now, new = releases
    lists = [_list(plan, releases, (old,), 20), _list(plan, releases, (old, now), 30)]
    lists.append(_list(plan, releases, (now, new), 40))
    if "renewed registry" in plan.row.noise:
        lists.append(_list(plan, releases, (now, new), 50))
    served, signer, item = lists[-1], "owner", ""
    last = f"signs-{first + 3}"  # a candidate that nobody approved, or what was forged
    releases[last] = gate_attacks.sign(files[3], first + 3, publisher)
    if fault and fault.vector == "rollback":
        served, item = lists[1], old
    elif fault:
        twice = fault.vector == "twice"
        item = last
        key = publisher if twice else plan.seed.bytes("stranger")
        releases[item] = gate_attacks.sign(files[3], first + 3 - twice, key)
        served = _list(plan, releases, (now, new, item), 45)
        signer = "stranger" if fault.vector == "forged list" else "owner"
    _write_registry(plan, folder, releases, lists, (served, plan.seed.bytes(signer)))
    honest = [sha256(releases[name].manifest).hexdigest() for name in (now, new)]
    return {"item": item, "approved": sorted(honest)} if fault else {}


def _list(plan: Plan, releases: Mapping, names: Sequence[str], days: int) -> bytes:
    """Return the text of a list that approves these releases."""
    digests = {sha256(releases[n].manifest).hexdigest(): "signs" for n in names}
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
    for name in LOGS:
        key, rng = plan.seed.bytes(f"log {name}"), plan.seed.rng(f"runs {name}")
        said = story(rng, "failed run" in plan.row.noise and name == LOGS[0])
        lines = written(plan, name, said, key)
        log = runlog.read(_text(lines), name, manifests.public_key(key))
        kept = {size: _head(log, size, key) for size in HEADS}
        if name == bad:
            lines, truth = tampered(plan, name, said, lines)
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


def story(rng: Any, failed: bool) -> list[dict[str, Any]]:
    """Return what is said of four runs and the start of a fifth, 26 to 29 lines.

    failed: one of the four ends badly, honestly
    """
    said: list[dict[str, Any]] = []
    for number in range(5):
        run, bad = f"{rng.randrange(16**8):08x}", failed and number == 2
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
    return said[: rng.randint(HEADS[-1] + 2, len(said) - 1)]


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
    plan: Plan, name: str, said: Sequence[Mapping], lines: Sequence[bytes]
) -> tuple[list[bytes], Truth]:
    """Return a log as the attacker left it, and the truth: the last line to trust."""
    vector, rng = plan.fault("tampered-log").vector, plan.seed.rng("tampered")
    steps = [n for n, one in enumerate(said) if one["do"] == "metric"]
    steps = [n for n in steps if HEADS[0] < n < HEADS[-1]]  # a witness saw the truth
    at = rng.choice([n for n in steps if n not in HEADS])  # from 0: the line that lies
    better = [dict(one) for one in said]
    better[at]["value"] = run_facts.number(0.9 + rng.random() / 11)
    if vector == "cut":
        end = rng.randrange(HEADS[1] + 1, HEADS[-1])
        return list(lines[:end]), {"item": name, "last": [end, end]}
    if vector == "edited":
        old, new = (canonical(one[at]["value"]) for one in (said, better))
        changed = lines[at].replace(old, new, 1)
        return [*lines[:at], changed, *lines[at + 1 :]], _last(name, at, at)
    forked = vector == "forked"
    key = plan.seed.bytes(f"log {name}" if forked else "stranger")
    proven = max(size for size in (0, *HEADS) if size <= at)
    return written(plan, name, better[at:], key, lines[:at]), _last(
        name, proven if forked else at, at
    )


def _last(name: str, low: int, high: int) -> Truth:
    return {"item": name, "last": [low, high]}
