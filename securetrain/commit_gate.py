"""May this commit come in? Every check that needs no human, at every commit.

The attacker sends a pull request: poisoned data with a manifest to match, a key, a
model that runs code, a workflow that hands our token out, or a change of these very
rules. The rules are therefore read from the commit before, and no commit may both
change them and be judged by them.

Whether data or a model that its owner signed is good, no check here can say.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from securetrain import gate, key_scanners, manifests, provenance, workflow_files
from securetrain.archives import Refused
from securetrain.commits import Commit
from securetrain.provenance import Release, Seen, Trust
from securetrain.provenance_command import MANIFEST, SIGNATURE
from securetrain.workflows import check, is_workflow

POLICY = ".securetrain/policy.toml"


@dataclass(frozen=True)
class Guarded:
    """A folder whose files must be as the owner of a key signed them.

    release: the folder of their manifest and its signature, outside `folder`
    """

    folder: str
    release: str
    name: str
    key: bytes


@dataclass(frozen=True)
class Policy:
    """What this repository demands of a commit.

    data, models: folders that are signed, None where there are none
    actions: action -> commits that somebody has read; None: any commit will do
    """

    data: Guarded | None = None
    models: Guarded | None = None
    actions: Mapping[str, tuple[str, ...]] | None = None


def read_policy(content: bytes, source: str = POLICY) -> Policy:
    """Return a policy. Raises ValueError that names what is wrong with it.

    [data]
    folder = "data"
    release = "release/data"
    name = "signs"
    signer = "64 hex digits: the public key of whoever signs"

    [models]                # the same four

    [actions]
    "actions/checkout" = ["40 hex digits: a commit that somebody has read"]
    """
    try:
        tree = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{source}: not TOML: {error}") from None
    if unknown := tree.keys() - {"data", "models", "actions"}:
        raise ValueError(f"{source}: unknown: {', '.join(sorted(unknown))}")
    parts = {
        kind: _guarded(tree[kind], f"{source}: [{kind}]")
        for kind in ("data", "models")
        if kind in tree
    }
    return Policy(**parts, actions=_actions(tree.get("actions"), source))


def _guarded(table: Any, where: str) -> Guarded:
    wanted = {"folder", "release", "name", "signer"}
    if not isinstance(table, dict) or table.keys() != wanted:
        raise ValueError(f"{where}: expected {', '.join(sorted(wanted))}")
    if not all(isinstance(text, str) and text.strip("/") for text in table.values()):
        raise ValueError(f"{where}: expected texts that are not empty")
    try:
        key = bytes.fromhex(table["signer"])
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError(f"{where}: signer: expected 64 hex digits")
    folder, release = (table[name].strip("/") for name in ("folder", "release"))
    if f"{release}/".startswith(f"{folder}/"):
        raise ValueError(f"{where}: the release must lie outside the folder")
    return Guarded(folder, release, table["name"], key)


def _actions(table: Any, source: str) -> dict[str, tuple[str, ...]] | None:
    if table is None:
        return None
    where = f"{source}: [actions]"
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table")
    for name, commits in table.items():
        if not isinstance(commits, list) or not all(
            isinstance(one, str)
            and len(one) == 40
            and set(one) <= set("0123456789abcdef")
            for one in commits
        ):
            raise ValueError(f"{where}: {name}: expected commits of 40 hex digits")
    return {name: tuple(commits) for name, commits in table.items()}


# --- The gate ----------------------------------------------------------------------


def decide(commit: Commit, policy: Policy, gitleaks: bool = False) -> list[str]:
    """Return why a commit is refused, one line each; nothing when it may come in.

    gitleaks: ask that tool for its forms of key, too; a missing one refuses
    A check that raises an error which nobody foresaw refuses, too.
    """
    found: list[str] = []
    more = (_gitleaks,) if gitleaks else ()
    for ask in (_rules, _names, _workflows, _secrets, *more, _data, _models):
        try:
            found += ask(commit, policy)
        except Refused as refused:
            found.append(f"{refused.check}: {refused}")
        except Exception as error:  # fail closed, whatever it was
            found.append(f"{ask.__name__[1:]}: {type(error).__name__}: {error}")
    return found


def _rules(commit: Commit, policy: Policy) -> Iterator[str]:
    home = POLICY.partition("/")[0]
    if commit.touches(home) and POLICY in commit.before:
        yield f"{POLICY}:1: policy: a commit that changes the rules needs their owner"


def _names(commit: Commit, policy: Policy) -> Iterator[str]:
    for path in sorted(commit.changed & commit.odd.keys()):
        submodule = commit.odd[path] == "a submodule"
        if submodule or is_workflow(path) or path.lower().startswith(".github"):
            yield f"{path}:1: names: {commit.odd[path]} brings files that nobody read"


def _workflows(commit: Commit, policy: Policy) -> Iterator[str]:
    for path in sorted(commit.changed & set(commit.files)):
        if is_workflow(path):
            try:
                file = workflow_files.read(commit.files[path], path)
                yield from map(str, check([file], policy.actions))
            except workflow_files.WorkflowError as error:
                yield f"{error} (unreadable, so refused)"


def _secrets(commit: Commit, policy: Policy) -> Iterator[str]:
    signatures = {
        f"{one.release}/{SIGNATURE}" for one in (policy.data, policy.models) if one
    }
    for path in sorted(commit.changed & set(commit.files)):
        content = commit.files[path]
        if path in signatures and len(content) == 64:
            continue  # random bytes, which may start as an archive does by chance
        try:
            for value in key_scanners.find(content):
                line = _line(content, value)
                yield f"{path}:{line}: secret: {value[:4]}… looks like a key"
        except key_scanners.Unread as error:
            yield f"{path}:1: secret: cannot be scanned: {error}"


def _gitleaks(commit: Commit, policy: Policy) -> Iterator[str]:
    """Yield what gitleaks finds.

    Its settings in the repository, and its word to look away, count for nothing here.
    """
    changed = sorted(commit.changed & set(commit.files))
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        for number, path in enumerate(changed):
            text = commit.files[path].replace(b"gitleaks:allow", b"gitleaks-allow")
            Path(scratch, f"{number}.txt").write_bytes(text)
        for value in key_scanners.gitleaks(Path(scratch)):
            for path in changed:
                if value.encode() in commit.files[path]:
                    line = _line(commit.files[path], value)
                    yield f"{path}:{line}: secret: gitleaks: {value[:4]}…"
                    break
            else:
                yield f"{changed[0]}:1: secret: gitleaks: a key in one of the files"


def _line(content: bytes, value: str) -> int:
    place = content.find(value.encode("latin-1", "replace"))
    return content.count(b"\n", 0, max(place, 0)) + 1


def _data(commit: Commit, policy: Policy) -> Iterator[str]:
    yield from _signed(commit, policy.data, "data", models=False)


def _models(commit: Commit, policy: Policy) -> Iterator[str]:
    yield from _signed(commit, policy.models, "model", models=True)


def _signed(
    commit: Commit, guarded: Guarded | None, what: str, models: bool
) -> Iterator[str]:
    """Yield why the files of a guarded folder are not as their owner signed them."""
    if guarded is None or not commit.touches(guarded.folder, guarded.release):
        return
    release = _release(commit.files, guarded)
    trust = Trust(guarded.name, guarded.key)
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        folder = Path(scratch, "files")
        folder.mkdir()
        try:
            for name, path in commit.under(guarded.folder).items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(commit.files[path])
            if not release.signature:
                raise Refused("signature", "it has no signature")
            seen = _seen(commit, guarded)
            if models:
                found = gate.trial(folder, release, gate.Rules(trust), seen)
                if not found.deploy:
                    raise Refused(found.check, found.why)
            else:
                provenance.look(folder, release, trust, seen)
        except Refused as refused:
            where = f"{guarded.release}/{MANIFEST}:1"
            yield f"{where}: {what} ({refused.check}): {refused}"


def _release(files: Mapping[str, bytes], guarded: Guarded) -> Release:
    paths = [f"{guarded.release}/{name}" for name in (MANIFEST, SIGNATURE)]
    return Release(*(files.get(path, b"") for path in paths))


def _seen(commit: Commit, guarded: Guarded) -> Seen | None:
    """Return what the commit before had, if its owner signed that."""
    release = _release(commit.before, guarded)
    try:
        manifests.check_signature(release.manifest, release.signature, guarded.key)
        version = manifests.read_manifest(release.manifest).version
    except Refused:
        return None
    return Seen(version, sha256(release.manifest).hexdigest())
