"""What of a workflow's contexts a stranger writes, and how it came to be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from securetrain import expressions
from securetrain.expressions import ExpressionError, Path, Tree
from securetrain.workflow_files import WorkflowError

# Of what an event brings, these leaves cannot hold words: numbers, hashes, dates, names
# that are letters, digits and hyphens. All the rest is the stranger's.
SAFE_LEAVES = {"number", "id", "node_id", "sha", "before", "after", "action", "login"}
SAFE_LEAVES |= {"merged", "draft", "state", "created_at", "updated_at", "event"}
SAFE_LEAVES |= {"full_name", "html_url", "clone_url", "conclusion", "run_number"}
SAFE_LEAVES |= {"merge_commit_sha", "head_sha", "workflow_id", "fork", "private"}
SAFE_LEAVES |= {"author_association", "size", "type", "changed_files", "additions"}
SAFE_LEAVES |= {"deletions", "comments", "review_comments", "run_attempt", "locked"}
# Parts of an event that only we can write.
OURS = [("repository",), ("organization",), ("inputs",), ("pull_request", "base")]
OURS += [("workflow_run", "repository")]
STRANGER = {
    "head_ref",
    "ref",
    "ref_name",
    "workflow_ref",
    "event_path",
}  # of `github`, besides its event


@dataclass
class Taint:
    """What a place in a workflow knows of a stranger's words: name -> how they came."""

    inputs: str = ""  # how strange the inputs are, "" when they are not
    typed: set[str] = field(default_factory=set)  # inputs that cannot hold words
    env: dict[str, str] = field(default_factory=dict)
    outputs: dict[tuple[str, str], str] = field(default_factory=dict)  # step, name
    needs: dict[tuple[str, str], str] = field(default_factory=dict)  # job, name
    matrix: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)  # that hold such words

    def of(self, path: Path) -> str:
        """Return how a stranger's words come to be in a context, "" when not."""
        name, rest = path[0], path[1:]
        dotted = ".".join(path)
        if name == "github":
            return dotted if _strange(rest) else ""
        if name == "env":
            every = rest[:1] in ((), ("*",))
            names = list(self.env) if every else [rest[0], "*"]
            return _via(dotted, [self.env.get(name, "") for name in names])
        if name == "steps":
            return _via(dotted, _matching(self.outputs, rest))
        if name == "needs":
            return _via(dotted, _matching(self.needs, rest))
        if name == "inputs":
            return _via(dotted, [self.inputs]) if rest[:1] not in self.known() else ""
        return _via(dotted, self.varied(rest)) if name == "matrix" else ""

    def known(self) -> list[Path]:
        return [(name,) for name in self.typed]

    def varied(self, rest: Path) -> list[str]:
        """Return what is known of `matrix.NAME`, or of all of it."""
        every = rest[:1] in ((), ("*",))
        asked = list(self.matrix) if every else [rest[0], "*"]
        return [self.matrix.get(name, "") for name in asked]

    def tree(self, tree: Tree) -> str:
        """Return how a stranger's words come out of an expression, "" when not."""
        return next((how for p in expressions.flows(tree) if (how := self.of(p))), "")

    def text(self, text: Any, where: str) -> str:
        """Return the same for a text with expressions in it."""
        if not isinstance(text, str):
            return ""
        return next((how for t in trees(text, where) if (how := self.tree(t))), "")


def trees(text: str, where: str) -> list[Tree]:
    """Return a text's expressions. Raises WorkflowError with the place."""
    try:
        return expressions.trees(text)
    except ExpressionError as error:
        raise WorkflowError(f"{where}: {error}") from None


def _strange(rest: Path) -> bool:
    if not rest or rest[0] == "*":  # toJSON(github): everything at once
        return True
    if rest[0] != "event":
        return rest[0] in STRANGER
    if any(rest[1 : 1 + len(ours)] == ours for ours in OURS):
        return False
    if rest[-2:] == ("pull_request", "commits"):
        return False  # their number; those of a push are words
    return len(rest) == 1 or rest[-1] not in SAFE_LEAVES


def _via(name: str, hows: Any) -> str:
    how = next((how for how in hows if how), "")
    return f"{name}, from {how}" if how else ""


def _matching(known: Mapping[tuple[str, str], str], rest: Path) -> list[str]:
    """Return what is known of `steps.ID.outputs.NAME` or `needs.JOB.outputs.NAME`."""
    who = rest[0] if rest else "*"
    name = rest[2] if len(rest) > 2 else "*"
    if rest[1:2] not in ((), ("outputs",), ("*",)):
        return []
    return [
        how
        for (owner, output), how in known.items()
        if who in (owner, "*") and ("*" in (name, output) or name == output)
    ]
