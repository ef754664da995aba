"""Does a repository keep its own rules? Its hooks, workflows, pins and exceptions.

What is asked can be read off files: that a hook is configured as it must be, not that
somebody installed it. So the same hooks run again in CI; `replay.py` does that. Whose
repository a hook comes from, no address says: it is refused until the file is pinned,
since somebody reads a file before they pin it. Which arguments a command has and which
branches a workflow is for, only such a pin covers, and nobody is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from hashlib import sha256
from typing import Any

from securetrain import checklist, plain_yaml, policies
from securetrain.policies import CONFIG, RULES, Policy

GATE = ".securetrain/policy.toml"  # without it `commit-gate` asks about less
COMMIT = re.compile("[0-9a-f]{40}")
RUNS = {"python", "system", "unsupported"}  # languages that run the entry
KINDS = ("types", "types_or", "exclude_types")  # no hook of the course chooses by these
MOVED = {"opened", "synchronize"}  # when a pull request has new commits
HELP = {"-h", "--help"}  # with it a command ends well and checks nothing


def problems(policy: Policy, files: Mapping[str, bytes], today: date) -> list[str]:
    """Return what in a repository does not keep a policy, `file: what` for each.

    files: path -> content of every file of the next commit
    """
    found = [*_days(policy, today), *_pins(policy, files)]
    hooks, wrong = configured(files.get(CONFIG))
    found += wrong
    runs = list(_runs(files)) if any(_ci(rule.checks) for rule in policy.rules) else []
    for rule in policy.rules:
        for check in rule.checks:
            kind, _, name = check.partition(" ")
            if kind == "hook":
                why = _hook(hooks.get(name), name, policies.waived(policy, name))
                if not why and CONFIG not in policy.pinned:
                    why = _unread(hooks[name], name)
                if name == "commit-gate" and GATE not in files:
                    why = why or f"without {GATE} it asks about no data and no model"
            else:
                ran = any(_is(script, name) for script in runs)
                why = (
                    "" if ran else "no workflow is sure to run it, in a step of its own"
                )
            if why:
                found.append(f"{RULES}: {rule.id}: {check}: {why}")
    return list(dict.fromkeys(found))


def _ci(checks: tuple[str, ...]) -> bool:
    return any(check.startswith("ci ") for check in checks)


def _days(policy: Policy, today: date) -> Iterator[str]:
    if today > policy.review:
        yield f"{RULES}: the review was due on {policy.review}: {policy.owner} looks"
    for waiver in policies.ended(policy, today):
        what = f"{waiver.hook} leaves out {', '.join(waiver.paths)}"
        days = f"from {waiver.granted} to {waiver.expires}"
        yield f"{RULES}: an exception outside its days: {what} ({waiver.owner}, {days})"


def _pins(policy: Policy, files: Mapping[str, bytes]) -> Iterator[str]:
    for path, digest in policy.pinned.items():
        if path not in files:
            yield f"{path}: it is gone, and {RULES} pins it"
        elif (now := sha256(files[path]).hexdigest()) != digest:
            yield f"{path}: not as {RULES} pins it; it has {now}"


# --- Hooks -------------------------------------------------------------------------


def configured(content: bytes | None) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the hooks of a configuration, id -> settings, and what is wrong with all.

    The settings of a hook have `rev` beside them where its repository has one.
    """
    if content is None:
        return {}, [f"{CONFIG}: there is none"]
    try:
        documents = plain_yaml.read(content, CONFIG)
    except plain_yaml.YamlError as error:
        return {}, [str(error)]
    tree = documents[0].data if len(documents) == 1 else None
    if not isinstance(tree, dict) or not isinstance(tree.get("repos"), list):
        return {}, [f"{CONFIG}: expected one document with `repos`"]
    wrong = [
        f"{CONFIG}: {key}: it holds for every hook; say it beside one"
        for key in ("exclude", "files", "default_stages", "fail_fast")
        if tree.get(key) not in (None, "", False, [])
    ]
    found: dict[str, dict[str, Any]] = {}
    for repo in tree["repos"]:
        hooks = repo.get("hooks") if isinstance(repo, dict) else None
        for hook in hooks if isinstance(hooks, list) else []:
            id = hook.get("id") if isinstance(hook, dict) else None
            if not isinstance(id, str):
                wrong.append(f"{CONFIG}: a hook without an id")
            elif id in found:
                wrong.append(f"{CONFIG}: hook '{id}' stands twice")
            else:
                found[id] = hook | {"repo": repo.get("repo"), "rev": repo.get("rev")}
    return found, wrong


def _hook(hook: dict[str, Any] | None, id: str, exclude: str) -> str:
    """Return why a hook does not do what a rule asks of it, "" when it does."""
    if hook is None:
        return f"{CONFIG} does not have it"
    if hook["repo"] != "local" and not COMMIT.fullmatch(str(hook["rev"])):
        return f"rev {hook['rev']!r:.40}: expected a commit, 40 hex digits"
    asked = checklist.hooks().get(id)
    entry = str(hook.get("entry", asked)).split()
    if asked and entry[:1] and entry[0].rpartition("/")[2] != "securetrain":
        return f"entry {hook['entry']!r:.60}: expected {asked!r}"
    if asked and entry[1:] != asked.split()[1:]:
        return f"entry {hook['entry']!r:.60}: expected {asked!r}"
    if asked and hook.get("language", "python") not in RUNS:
        return f"language {hook['language']!r:.40}: it does not run the entry"
    if HELP & set(map(str, hook.get("args") or [])):
        return "args ask for help, and nothing is checked"
    stages = hook.get("stages")
    if stages and not {"pre-commit", "commit"} & set(stages):
        return f"stages {stages}: it does not run before a commit"
    if (hook.get("exclude") or "") != exclude:
        return _excluded(hook.get("exclude"), exclude)
    return ""


def _unread(hook: dict[str, Any], id: str) -> str:
    """Return what of a hook somebody must have read, "" when all is as shipped.

    Its repository may be anybody's; it may read fewer files than the one shipped.
    """
    if hook["repo"] != "local":
        return f"repo {hook['repo']!r:.60}: whose it is, only a pin of {CONFIG} says"
    for key in KINDS:
        if hook.get(key) not in (None, [], ["file"] if key == "types" else []):
            return f"{key} {hook[key]!r:.60}: expected none, or pin {CONFIG}"
    shipped = checklist.files().get(id)
    if hook.get("files") not in (None, "", shipped):
        expected = "none" if shipped is None else repr(shipped)
        return f"files {hook['files']!r:.60}: expected {expected}, or pin {CONFIG}"
    return ""


def _excluded(is_so: Any, allowed: str) -> str:
    if not allowed:
        return f"exclude {is_so!r:.60}: no exception allows it"
    return f"exclude {is_so!r:.60}: its exceptions allow {allowed!r} and no other"


# --- CI ----------------------------------------------------------------------------


def _runs(files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield each step's script that runs whenever commits come in, or CI fails.

    Such a workflow starts for every push or pull request, whatever files changed. Job
    and step have no condition, are no trial, name no shell; a job waits for such jobs.
    """
    for path in sorted(files):
        if not re.fullmatch(r"\.github/workflows/[^/]+\.ya?ml", path):
            continue
        try:
            documents = plain_yaml.read(files[path], path)
        except plain_yaml.YamlError:
            continue  # the hook `workflows` says so
        for document in documents:
            yield from _scripts(document.data)


def _scripts(workflow: Any) -> Iterator[str]:
    if not isinstance(workflow, dict) or not _starts(workflow.get("on")):
        return
    jobs = workflow.get("jobs")
    if not isinstance(jobs, dict) or "defaults" in workflow:
        return
    for name, job in jobs.items():
        steps = job.get("steps") if _waits(jobs, name) else None
        for step in steps if isinstance(steps, list) else []:
            if _sure(step) and isinstance(step.get("run"), str):
                yield step["run"].strip()


def _starts(on: Any) -> bool:
    """Say whether a workflow starts with every push, or with every pull request."""
    on = [on] if isinstance(on, str) else on
    events = on if isinstance(on, dict) else {}
    if isinstance(on, list):
        events = {event: None for event in on if isinstance(event, str)}
    for event in {"push", "pull_request"} & events.keys():
        how = {} if events[event] is None else events[event]
        if not isinstance(how, dict) or how.keys() - {"branches", "types"}:
            continue
        types = how.get("types", list(MOVED))
        if isinstance(types, list) and all(one in types for one in MOVED):
            return True
    return False


def _waits(jobs: Mapping[str, Any], name: Any, after: tuple = ()) -> bool:
    """Say whether a job always runs, and so does every job that it waits for."""
    if not isinstance(name, str) or name in after or not _sure(jobs.get(name)):
        return False
    needs = jobs[name].get("needs") or []
    needs = [needs] if isinstance(needs, str) else needs
    if not isinstance(needs, list):
        return False
    return all(_waits(jobs, one, (*after, name)) for one in needs)


def _is(script: str, command: str) -> bool:
    """Say whether a script is this command, its arguments, and no more."""
    first, gap, rest = script.partition(" ")
    line = first.rpartition("/")[2] + gap + rest
    alone = not set("|;&#<>`()\n\\") & set(line) and not HELP & set(line.split())
    return alone and (line == command or line.startswith(f"{command} "))


def _sure(part: Any) -> bool:
    """Say whether a job or a step always runs, and fails when it fails."""
    unsure = {"if", "continue-on-error", "shell", "defaults"}
    return isinstance(part, dict) and not unsure & part.keys()
