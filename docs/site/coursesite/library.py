"""The library reference, read from the source: signatures and docstrings.

Nothing is imported, so the pages need neither PyTorch nor a kernel. A module stands
under the stage whose notebooks use it, directly or through another module.
"""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from securetrain import catalogue, notebooks
from securetrain.catalogue import Unit
from securetrain.notebook_rules import source

PACKAGE = "securetrain"
SEVERAL, OTHER = "several", "other"
FIELD = re.compile(r"([\w*]+(?:, [\w*]+)*): (.*)")
SPECIAL = re.compile(r"([\\*_<>\[\]$#|~])")
PROSE = ("Raises", "Source", "Returns", "Note", "Environment")


@dataclass(frozen=True)
class Module:
    """One file of the library: its docstring, and what it offers, by ast."""

    name: str
    tree: ast.Module

    @property
    def doc(self) -> str:
        """The module's docstring, "" for none."""
        return ast.get_docstring(self.tree) or ""

    @property
    def title(self) -> str:
        """The docstring's first sentence, or line."""
        return re.split(r"(?<=\.)\s|\n\n", self.doc + "\n\n", maxsplit=1)[0].strip()

    def public(self) -> Iterator[ast.FunctionDef | ast.ClassDef]:
        """Yield the functions and classes whose names others may use."""
        for node in self.tree.body:
            kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
            if isinstance(node, kinds) and not node.name.startswith("_"):
                yield node


class _Qualified(ast.NodeTransformer):
    """Writes the library's types in full, so that each leads to its own page."""

    def __init__(self, module: Module) -> None:
        own = f"{PACKAGE}.{module.name}"
        self.names = {
            node.name: f"{own}.{node.name}"
            for node in module.tree.body
            if isinstance(node, ast.ClassDef)
        }
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                f"{PACKAGE}."
            ):
                for name in node.names:
                    self.names[name.asname or name.name] = f"{node.module}.{name.name}"

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.names:
            return node
        return ast.parse(self.names[node.id], mode="eval").body


def modules(folder: Path) -> dict[str, Module]:
    """Return every module of the library by its name."""
    return {
        path.stem: Module(path.stem, ast.parse(path.read_text("utf-8")))
        for path in sorted(folder.glob("*.py"))
        if path.stem != "__init__"
    }


def used(tree: ast.AST) -> set[str]:
    """Return the library's modules that code imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            f"{PACKAGE}."
        ):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            parts = [name.name.split(".") for name in node.names]
            found |= {part[1] for part in parts if part[0] == PACKAGE and part[1:]}
    return found


def groups(known: dict[str, Module], root: Path) -> dict[str, list[Module]]:
    """Return the modules by stage: a digit, SEVERAL or OTHER -> its modules.

    A module stands under the stage of most units that use it, if of more than half.
    """
    users = {name: set() for name in known}
    for unit in catalogue.units():
        for cell in notebooks.read(root / unit.source)["cells"]:
            if cell["cell_type"] == "code":
                for name in used(_parsed(source(cell))) & known.keys():
                    users[name].add(unit)
    _spread(users, known)
    found: dict[str, list[Module]] = {d: [] for d in catalogue.stages()}
    found |= {SEVERAL: [], OTHER: []}
    for name, module in known.items():
        stages = Counter(unit.stage for unit in users[name])
        most, count = next(iter(stages.most_common(1)), (OTHER, 0))
        few = 0 < 2 * count <= len(users[name])
        found[SEVERAL if few else most].append(module)
    return {key: members for key, members in found.items() if members}


def _spread(users: dict[str, set[Unit]], known: dict[str, Module]) -> None:
    """Let those who use a module use what it imports, too, unless others do already."""
    direct = {name for name, units in users.items() if units}
    behind = {
        name: used(one.tree) & known.keys() - direct for name, one in known.items()
    }
    changed = True
    while changed:
        changed = False
        for name, others in behind.items():
            for other in others:
                if new := users[name] - users[other]:
                    users[other] |= new
                    changed = True


def _parsed(code: str) -> ast.AST:
    """Return a cell's code without its magics."""
    lines = [line for line in code.splitlines() if not line.startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


def page(module: Module) -> str:
    """Return a module's page: its docstring, then what it offers, in its order."""
    name = f"{PACKAGE}.{module.name}"
    parts = ["---\norphan: true\n---", f"# {module.name}".replace("_", "\\_")]
    parts.append(f"[The library](index.html) · `from {PACKAGE} import {module.name}`")
    parts += [prose(module.doc), f"```{{py:module}} {name}\n```"]
    types = _Qualified(module)
    for node in module.public():
        parts.append(f"## {node.name}".replace("_", "\\_"))
        parts.append(_described(node, 3, types))
    return "\n\n".join(parts) + "\n"


def _described(node: ast.AST, level: int, types: _Qualified) -> str:
    """Return a directive with signature and docstring; methods stand inside."""
    mark = "`" * (9 - level)
    kind = "py:class" if isinstance(node, ast.ClassDef) else "py:function"
    kind = "py:method" if level > 3 else kind
    signature, options = node.name, ""
    inner = [prose(ast.get_docstring(node) or "")]
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        signature += f"({bases})" if bases else ""
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                inner.append(_described(part, level + 1, types))
    else:
        signature += _signature(node, types, level > 3)
        if level > 3 and "property" in map(ast.unparse, node.decorator_list):
            kind, signature = "py:property", node.name
            options = f":type: {_type(node.returns, types)}\n" if node.returns else ""
    body = "\n\n".join(part for part in inner if part)
    return f"{mark}{{{kind}}} {signature}\n{options}\n{body}\n{mark}"


def _signature(node: ast.FunctionDef, types: _Qualified, method: bool) -> str:
    """Return a function's arguments and what it returns."""
    given = copy.deepcopy(node.args)
    for part in ast.walk(given):
        if isinstance(part, ast.arg) and part.annotation:
            part.annotation = types.visit(part.annotation)
    arguments = ast.unparse(given)
    if method:
        arguments = re.sub(r"^(self|cls)(, )?", "", arguments)
    returns = f" -> {_type(node.returns, types)}" if node.returns else ""
    return f"({arguments}){returns}"


def _type(node: ast.expr, types: _Qualified) -> str:
    return ast.unparse(types.visit(copy.deepcopy(node)))


def prose(doc: str) -> str:
    """Return a docstring as Markdown: lines `name: meaning` become a list."""
    blocks = [_block(block) for block in re.split(r"\n\s*\n", doc.strip()) if block]
    return "\n\n".join(blocks)


def _block(block: str) -> str:
    lines = block.split("\n")
    if all(line.startswith(("    ", "\t")) for line in lines):
        return "```text\n" + "\n".join(lines) + "\n```"
    out: list[str] = []
    listing = False
    for line in lines:
        field = FIELD.fullmatch(line)
        if field and not line.startswith(PROSE):
            out += [""] * (not listing) + [f"- `{field[1]}`: {plain(field[2])}"]
            listing = True
        elif listing and not line[:1].isupper():
            out.append("  " + plain(line.strip()))
        else:  # a sentence, or what is raised, returned or cited: its own paragraph
            out += [""] * (listing or line.startswith(PROSE)) + [plain(line.strip())]
            listing = False
    return "\n".join(out).strip()


def plain(words: str) -> str:
    """Return words for Markdown: code in backticks stays, signs mean themselves."""
    parts = re.split(r"(`[^`]*`)", words)
    parts[::2] = [SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
