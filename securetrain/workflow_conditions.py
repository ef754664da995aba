"""Does a job run only after a run of our own branches? Its `if`, read as a tree.

The attacker's pull request starts a run, and a second workflow follows with our
rights. A condition that mentions the right names and asks nothing must not count.
"""

from __future__ import annotations

from securetrain import expressions
from securetrain.workflow_files import File, needed

OWN_RUN = [
    {"github.event.workflow_run.head_repository.full_name", one}
    for one in ("github.repository", "github.event.workflow_run.repository.full_name")
]
OWN_RUN += [{"github.event.workflow_run.event", "'push'"}]


def asks_whose(file: File, name: str, behind: tuple[str, ...] = ()) -> bool:
    """Say whether a job runs only after a run of our own branches.

    Without an `if` it is skipped when a job that it needs is.
    """
    job = file.jobs[name]
    if "if" not in job:
        asked = [n for n in needed(job) if n in file.jobs and n not in behind]
        return any(asks_whose(file, n, (*behind, name)) for n in asked)
    tree = expressions.alone(job["if"]) if isinstance(job["if"], str) else None
    return bool(tree) and _asks(tree, True)


def _asks(tree: expressions.Tree, truth: bool) -> bool:
    """Say whether a condition can have this truth only for a run of our own."""
    kind = tree[0]
    if kind == "not":
        return _asks(tree[1], not truth)
    if kind in ("&&", "||"):  # both parts hold, or one of them does
        both = any if (kind == "&&") == truth else all
        return both(_asks(part, truth) for part in tree[1:])
    asked = kind == ("==" if truth else "!=")
    return asked and {_spelled(tree[1]), _spelled(tree[2])} in OWN_RUN


def _spelled(tree: expressions.Tree) -> str:
    """Return a chain of keys, or a text in its quotes; "" for all else."""
    if tree[0] == "name":
        return tree[1]
    if tree[0] == "index" and tree[2][0] == "literal":
        inner = _spelled(tree[1])
        return f"{inner}.{str(tree[2][1]).lower()}" if inner else ""
    return f"'{tree[1].lower()}'" if isinstance(tree[1], str) and (
        tree[0] == "literal") else ""  # fmt: skip
