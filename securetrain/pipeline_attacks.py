"""Pull requests that run code on a build machine, each as a small repository.

The payload does one harmless thing: it makes an empty marker file in a temporary
folder. Every workflow is clean but for the one hole that it shows, so an alarm is an
alarm about that hole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from securetrain import runner, workflow_files
from securetrain.runner import Done, Event
from securetrain.runner_actions import Host
from securetrain.runner_shell import git

WORKFLOW = ".github/workflows/greet.yml"
ACTION = ".github/actions/greet/action.yml"
CHECKOUT = "actions/checkout@" + "3d3c42e5aac5ba805825da76410c181273ba90b1"
TITLE = "${{ github.event.pull_request.title }}"
TOOL = "data-team/greet"  # an action of others
HONEST = ("honest", "honest, an action pinned")
REMOTE = ("a moved tag", "a fork's commit", HONEST[1])


@dataclass(frozen=True)
class Attack:
    """A repository's workflow and other files, and the event that hits it.

    second: a workflow that runs after the first one
    """

    name: str
    files: Mapping[str, str]
    event: Event
    second: Event | None = None
    untrusted: Mapping[str, str] = field(default_factory=dict)


def _workflow(steps: str, on: str = "pull_request_target", job: str = "") -> str:
    lines = "".join(f"      {line}\n" for line in steps.splitlines())
    return (
        f"name: greet\non: {on}\npermissions: {{}}\njobs:\n  greet:\n"
        f"    runs-on: ubuntu-24.04\n{job}    steps:\n{lines}"
    )


def title(marker: Path, rng: Random) -> str:
    """Return a title that ends a quoted text, runs a command and begins another."""
    command = rng.choice((f"touch {marker}", f": > {marker}", f"printf '' > {marker}"))
    return f'{rng.choice(("Fix labels", "Better data"))}"; {command}; echo "'


def attacks(marker: Path, seed: int) -> list[Attack]:
    """Return the attacks and two honest repositories; another seed, other words."""
    rng = Random(seed)
    var = rng.choice(("TITLE", "PR_TITLE", "subject"))
    words = title(marker, rng)
    env = f"env:\n    {var}: {TITLE}\n"
    carry = f'- id: read\n  {env}  run: echo "title=${var}" >> "$GITHUB_OUTPUT"\n'
    steps = {
        "honest": f'- {env}  run: echo "Thanks for ${var}"',
        "title in `run`": f'- run: echo "Thanks for {TITLE}"',
        "silenced by a comment": f'- run: echo "Thanks for {TITLE}"'
        " # zizmor: ignore[template-injection]",
        "through `env`": f'- {env}  run: echo "Thanks for ${{{{ env.{var} }}}}"',
        "through an output": carry
        + '- run: echo "Thanks for ${{ steps.read.outputs.title }}"',
        "`eval` in the script": f'- {env}  run: eval "echo \\"${var}\\""',
        "`bash -c` in the script": f'- {env}  run: bash -c "echo \\"${var}\\""',
    }
    found = []
    for name, text in steps.items():
        # An honest team would not need this trigger: here, only the hole differs.
        found.append(_simple(name, {WORKFLOW: _workflow(text, "pull_request")}, words))
    jobs = _workflow(carry, "pull_request", "    outputs:\n"
                     "      title: ${{ steps.read.outputs.title }}\n")  # fmt: skip
    jobs += "  thank:\n    needs: greet\n    runs-on: ubuntu-24.04\n    steps:\n"
    jobs += '      - run: echo "Thanks for ${{ needs.greet.outputs.title }}"\n'
    found.append(_simple("through a second job", {WORKFLOW: jobs}, words))
    found += [
        _inside(words),
        _environment(marker),
        _checkout(marker),
        _artifact(marker),
    ]
    return found + _borrowed()


def _simple(name: str, files: Mapping[str, str], words: str) -> Attack:
    pull = {"title": words, "number": 7, "body": ""}
    event = Event("pull_request", {"pull_request": pull}, head="better", fork=True)
    return Attack(name, files, event)


def _inside(words: str) -> Attack:
    """The expression stands in an action of our own, not in the workflow."""
    action = "name: greet\ndescription: says thanks\ninputs:\n  title:\n"
    action += "    description: of the pull request\n    required: true\n"
    action += "runs:\n  using: composite\n  steps:\n    - shell: bash\n"
    action += '      run: echo "Thanks for ${{ inputs.title }}"\n'
    steps = f"- uses: {CHECKOUT} # v7.0.1\n  with:\n    persist-credentials: false\n"
    steps += f"- uses: ./.github/actions/greet\n  with:\n    title: {TITLE}"
    files = {WORKFLOW: _workflow(steps, "pull_request"), ACTION: action}
    return _simple("hidden in an action", files, words)


def _environment(marker: Path) -> Attack:
    """Bash expands BASH_ENV before it runs the next script."""
    steps = "- env:\n    BODY: ${{ github.event.pull_request.body }}\n"
    steps += '  run: echo "BODY=$BODY" >> "$GITHUB_ENV"\n- run: ls'
    pull = {"title": "x", "number": 7, "body": f"Hello\nBASH_ENV=$(touch {marker})"}
    event = Event("pull_request", {"pull_request": pull}, head="better", fork=True)
    return Attack(
        "through GITHUB_ENV", {WORKFLOW: _workflow(steps, "pull_request")}, event
    )


def _checkout(marker: Path) -> Attack:
    """The stranger's commit is checked out and run beside our rights."""
    steps = f"- uses: {CHECKOUT} # v7.0.1\n  with:\n    persist-credentials: false\n"
    steps += "    ref: ${{ github.event.pull_request.head.sha }}\n"
    steps += "- run: python3 train.py"
    evil = {"train.py": f"open({str(marker)!r}, 'w').close()\n"}
    pull = {"title": "x", "number": 7, "body": "", "head": {"sha": "refs/pull/7/head"}}
    event = Event("pull_request_target", {"pull_request": pull}, fork=True)
    files = {WORKFLOW: _workflow(steps)}
    return Attack("a stranger's commit", files, event, untrusted=evil)


def _artifact(marker: Path) -> Attack:
    """A workflow with rights runs what a run without any has left."""
    first = "- run: echo 'ls' > report.sh\n"
    first += "- uses: actions/upload-artifact@" + "b" * 40 + " # v4.6.2\n"
    first += "  with:\n    name: report\n    path: report.sh"
    first = first.replace("'ls'", f"'touch {marker}'")
    then = "- uses: actions/download-artifact@" + "c" * 40 + " # v4.3.0\n"
    then += (
        "  with:\n    name: report\n    run-id: ${{ github.event.workflow_run.id }}\n"
    )
    then += "    github-token: ${{ github.token }}\n- run: bash report.sh"
    # The stranger's pull request changes the first workflow, which has no rights.
    on = "\n  workflow_run:\n    workflows: [test]\n    types: [completed]"
    files = {WORKFLOW: _workflow(then, on)}
    untrusted = {".github/workflows/test.yml": _workflow(first, "pull_request")}
    event = Event("workflow_run", {"workflow_run": {"id": 1}}, fork=True)
    pull = Event("pull_request", {"pull_request": {"number": 7}}, fork=True)
    return Attack("a stranger's artifact", files, pull, event, untrusted)


def _borrowed() -> list[Attack]:
    """Three uses of an action of others; `host` fills the commits in."""
    found = []
    for name, version in zip(REMOTE, ("v1", "EVIL", "GOOD"), strict=True):
        comment = "" if version == "v1" else " # v1.0.0"
        steps = f"- uses: {TOOL}@{version}{comment}"
        files = {WORKFLOW: _workflow(steps, "pull_request")}
        found.append(_simple(name, files, "Better data"))
    return found


# --- A place to run them -------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A repository of ours, and the one of an action that we borrow.

    good, evil: the action's own commit, and one that only a fork of it has
    """

    folder: Path
    action: Path
    good: str
    evil: str


def place(folder: Path, attack: Attack, marker: Path) -> Place:
    """Make both repositories below a new folder; the tag v1 has been moved."""
    action, ours = folder / "action", folder / "ours"
    good, evil = _action(action, marker)
    files = {p: text.replace("GOOD", good).replace("EVIL", evil)
             for p, text in attack.files.items()}  # fmt: skip
    _commit(ours, {"train.py": "print('trained')\n", **files})
    if attack.untrusted:
        git(ours, "checkout", "--quiet", "--detach")
        sha = _commit(ours, attack.untrusted)
        git(ours, "update-ref", "refs/pull/7/head", sha)
        git(ours, "checkout", "--quiet", "--force", "main")
    return Place(ours, action, good, evil)


def _action(folder: Path, marker: Path) -> tuple[str, str]:
    text = "name: greet\nruns:\n  using: composite\n  steps:\n    - shell: bash\n"
    good = _commit(folder, {"action.yml": f"{text}      run: echo Thanks\n"})
    git(folder, "checkout", "--quiet", "--detach")
    evil = _commit(folder, {"action.yml": f"{text}      run: touch {marker}\n"})
    git(folder, "update-ref", "refs/pull/1/head", evil)
    git(folder, "checkout", "--quiet", "--force", "main")
    # Whoever has the account moves the tag, to a commit that is not the fork's.
    moved = git(folder, "commit-tree", f"{evil}^{{tree}}", "-m", "v1").decode().strip()
    git(folder, "tag", "v1", moved)
    return good, evil


def _commit(folder: Path, files: Mapping[str, str]) -> str:
    if not folder.exists():
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "work")
    return git(folder, "rev-parse", "HEAD").decode().strip()


def run(attack: Attack, here: Place, store: Path) -> list[Done]:
    """Let the event happen, and return the steps that ran."""
    host = Host(here.folder, {TOOL: here.action}, {}, store)
    own = workflow_files.load(here.folder / WORKFLOW)
    if not attack.second:
        return runner.run(own, attack.event, host)
    text = attack.untrusted[".github/workflows/test.yml"]
    before = runner.run(workflow_files.read(text), attack.event, host)
    return before + runner.run(own, attack.second, host)
