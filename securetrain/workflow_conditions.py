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
    left = [tree] if tree else []
    while left:
        tree = left.pop()
        if tree[0] == "&&":
            left += tree[1:]
        elif tree[0] == "==" and {_spelled(tree[1]), _spelled(tree[2])} in OWN_RUN:
            return True
    return False


def _spelled(tree: expressions.Tree) -> str:
    """Return a chain of keys, or a text in its quotes; "" for all else."""
    if tree[0] == "name":
        return tree[1]
    if tree[0] == "index" and tree[2][0] == "literal":
        inner = _spelled(tree[1])
        return f"{inner}.{str(tree[2][1]).lower()}" if inner else ""
    return f"'{tree[1].lower()}'" if isinstance(tree[1], str) and (
        tree[0] == "literal") else ""  # fmt: skip
