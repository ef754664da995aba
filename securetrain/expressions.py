"""Expressions of GitHub's workflows, `${{ … }}`: read, traced and worked out.

A runner puts an expression's value into a script as text, before any shell sees it. So
whoever decides the value writes the script. Here an expression becomes a tree; `flows`
says which contexts can reach its value; expression_values.py works it out.

Source: GitHub Docs, "Evaluate expressions in workflows and actions"
"""

from __future__ import annotations

import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:0x[0-9a-fA-F]+|[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?))"
    r"|(?P<text>'(?:[^']|'')*')|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\].,*]))"
)
LONGEST, DEEPEST = 21_000, 50  # GitHub's own limits
WORDS = {"true": True, "false": False, "null": None, "nan": float("nan")}
ANSWERS = {"contains", "startswith", "endswith", "success", "failure", "always"}
ANSWERS |= {"cancelled", "hashfiles"}  # true, false or a hash: none carries text on
LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="))
Tree = tuple  # ("literal", v) ("name", n) ("index", tree, tree) ("all", tree) …
Path = tuple[str, ...]


class ExpressionError(ValueError):
    """What is no expression; GitHub would refuse the whole workflow."""


# --- Reading -----------------------------------------------------------------------


def parts(text: str) -> list[str | Tree]:
    """Return a text's pieces: plain text as it is, each expression as a tree.

    Raises ExpressionError for one that does not end or cannot be read.
    """
    found: list[str | Tree] = []
    place = 0
    while (start := text.find("${{", place)) >= 0:
        found.append(text[place:start])
        end = _end(text, start + 3)
        found.append(parse(text[start + 3 : end]))
        place = end + 2
    return [*found, text[place:]]


def trees(text: str) -> list[Tree]:
    """Return the expressions in a text; raises as `parts` does."""
    return [part for part in parts(text) if isinstance(part, tuple)]


def condition(text: str) -> list[Tree]:
    """Return the expressions of an `if`, which needs no `${{ }}` around it."""
    return trees(text) if "${{" in text else [parse(text)]


def alone(text: str) -> Tree | None:
    """Return the tree of an `if` that is one expression, with no text around it.

    Text beside `${{ }}`, were it the line's end, makes a text, which is always true.
    """
    if "${{" not in text:
        return parse(text)
    found = parts(text)
    one = len(found) == 3 and found[0] == found[2] == ""
    return found[1] if one and isinstance(found[1], tuple) else None


def _end(text: str, place: int) -> int:
    """Return where the `}}` of an expression stands: not inside one of its texts."""
    quoted = False
    for index in range(place, len(text)):
        quoted ^= text[index] == "'"
        if not quoted and text.startswith("}}", index):
            return index
    raise ExpressionError(f"an expression has no end: {text[place - 3 :]:.60}")


def parse(text: str) -> Tree:
    """Return an expression's tree; names of contexts and keys in small letters.

    Raises ExpressionError, also for what is longer or deeper than GitHub allows.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression of {len(text)} letters is too long")
    tokens, place = [], 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if not match:
            raise ExpressionError(f"no expression: {text.strip():.60}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    reader = _Reader(tokens, text.strip())
    tree = reader.level(0, 0)
    if reader.tokens:
        raise ExpressionError(f"no expression: {text.strip():.60}")
    return tree


class _Reader:
    """Reads tokens from the left."""

    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens, self.text = tokens, text

    def fail(self) -> ExpressionError:
        return ExpressionError(f"no expression: {self.text:.60}")

    def take(self, *signs: str) -> str:
        """Take the next token away when it is one of these signs, else return ""."""
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return ""

    def level(self, level: int, depth: int) -> Tree:
        """Read operators that bind as tightly as this level, or tighter."""
        if depth > DEEPEST:
            raise ExpressionError(f"nested too deeply: {self.text:.60}")
        if level == len(LEVELS):
            if self.take("!"):
                return ("not", self.level(level, depth + 1))
            return self.access(depth)
        tree = self.level(level + 1, depth)
        while sign := self.take(*LEVELS[level]):
            tree = (sign, tree, self.level(level + 1, depth))
        return tree

    def access(self, depth: int) -> Tree:
        """Read a value and what is picked out of it."""
        tree = self.simple(depth)
        while sign := self.take(".", "["):
            if self.take("*"):
                tree = ("all", tree)
            elif sign == "[":
                tree = ("index", tree, self.level(0, depth + 1))
            elif self.tokens and self.tokens[0][0] == "name":
                tree = ("index", tree, ("literal", self.tokens.pop(0)[1].lower()))
            else:
                raise self.fail()
            if sign == "[" and not self.take("]"):
                raise self.fail()
        return tree

    def simple(self, depth: int) -> Tree:
        """Read a literal, a context, a call or something in parentheses."""
        if self.take("("):
            tree = self.level(0, depth + 1)
            if not self.take(")"):
                raise self.fail()
            return tree
        if not self.tokens or self.tokens[0][0] == "sign":
            raise self.fail()
        kind, token = self.tokens.pop(0)
        if kind == "text":
            return ("literal", token[1:-1].replace("''", "'"))
        if kind == "number":
            return ("literal", float(int(token, 0) if "x" in token else token))
        if self.take("("):
            return ("call", token.lower(), *self.arguments(depth))
        if token.lower() in WORDS:
            return ("literal", WORDS[token.lower()])
        return ("name", token.lower())

    def arguments(self, depth: int) -> Iterator[Tree]:
        if self.take(")"):
            return
        yield self.level(0, depth + 1)
        while self.take(","):
            yield self.level(0, depth + 1)
        if not self.take(")"):
            raise self.fail()


# --- Tracing -----------------------------------------------------------------------


def flows(tree: Tree) -> list[Path]:
    """Return the contexts whose text can come out as this expression's value.

    What is only compared, counted or hashed does not. ("github", "event", "*") means
    every key, and so does a key that is worked out at run time.
    """
    kind = tree[0]
    if kind in ("name", "index", "all"):
        base = _base(tree)  # fromJSON(…).key: a key says nothing of what is inside
        return [_path(tree)] if base[0] == "name" else flows(base)
    if kind == "call":
        args = () if tree[1] in ANSWERS else tree[2:]
        return [path for arg in args for path in flows(arg)]
    if kind == "&&":  # when the left side is the answer, it is false or empty
        return flows(tree[2])
    return [*flows(tree[1]), *flows(tree[2])] if kind == "||" else []


def _base(tree: Tree) -> Tree:
    """Return what keys are picked out of."""
    return _base(tree[1]) if tree[0] in ("index", "all") else tree


def _path(tree: Tree) -> Path:
    """Return the keys that lead to a value, from the context's name on."""
    if tree[0] == "name":
        return (tree[1],)
    if tree[0] == "all":
        return (*_path(tree[1]), "*")
    key = tree[2][1] if tree[2][0] == "literal" else "*"
    key = key.lower() if isinstance(key, str) else "*"
    return (*_path(tree[1]), key)


def names(tree: Tree) -> list[Path]:
    """Return every context that an expression looks at, compared ones included."""
    if tree[0] in ("name", "index", "all"):
        inner = names(tree[2]) if tree[0] == "index" else []
        base = _base(tree)
        return [*([_path(tree)] if base[0] == "name" else names(base)), *inner]
    return [p for part in tree[1:] if isinstance(part, tuple) for p in names(part)]
