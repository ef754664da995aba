"""Read YAML as plain data that every reader reads alike, with the line of each value.

An attacker writes a file that the check reads one way and the cluster another: a key
twice, `yes` for true, 010 for eight, a merge key, an anchor that unfolds to gigabytes.
What two parsers read differently is refused here, with file and line, and never passes.
"""

import math
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000  # with every alias unfolded
MAX_DEPTH = 50
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where built

# The words of YAML 1.2's core schema; all other plain scalars are text.
WORDS = {"": None, "~": None} | {
    spelled: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelled in (word, word.capitalize(), word.upper())
}
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Numbers to one parser and text, or another number, to the next.
UNCLEAR = re.compile(
    r"[-+]?(0[0-9_]+|0[xXoObB][0-9a-fA-F_]+|[0-9][0-9_]*_[0-9_]*|[0-9]+(:[0-5]?[0-9])+"
    r"|\.(inf|Inf|INF))|\.(nan|NaN|NAN)"
)
TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq")}


class YamlError(ValueError):
    """A file that cannot be read as plain data; the message says where and why."""


@dataclass(frozen=True)
class Document:
    """One document of a file: its data, and the line that each value starts on."""

    data: Any
    source: str
    lines: dict[tuple, int]  # path of keys and indices -> line, counted from 1

    def line(self, *path: Hashable) -> int:
        """Return the line of the value at `path`, or of the nearest part above it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def where(self, *path: Hashable) -> str:
        """Return `file:line` of the value at `path`."""
        return f"{self.source}:{self.line(*path)}"


@dataclass
class _Node:
    """A collection that is being read, or a finished value."""

    line: int
    value: Any = None
    children: dict[Hashable, "_Node"] = field(default_factory=dict)
    size: int = 1  # values in it, aliases unfolded
    depth: int = 1
    key: Any = None  # of a mapping: the key whose value comes next
    has_key: bool = False


def read(content: str | bytes, source: str = "input") -> list[Document]:
    """Return the documents of a YAML file, empty ones left out.

    Mappings, lists, text, whole numbers, finite floats, booleans and null, read as
    YAML 1.2 does: `on` and `yes` are text. Keys are text or whole numbers.

    Raises YamlError with `source` and the line when the text is not YAML, is larger
    than MAX_BYTES, MAX_VALUES or MAX_DEPTH, or holds what parsers read differently:
    a key twice, a merge key, a tag, a number such as 010 or 0x1F without quotes.
    """
    text = _text(content, source)
    try:
        return list(_documents(text, source))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise YamlError(f"{source}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        why = getattr(error, "reason", None) or str(error)
        raise YamlError(f"{source}: not YAML: {why}") from None


def read_file(path: str | Path) -> list[Document]:
    """Return the documents of a file. Raises YamlError; see `read`."""
    try:
        with open(path, "rb") as file:
            return read(file.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        raise YamlError(f"{path}: cannot be read: {error.strerror}") from None


def _text(content: str | bytes, source: str) -> str:
    """Return the text, its byte order mark taken off."""
    size = len(content)
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise YamlError(f"{source}:{line}: expected UTF-8 text") from None
    if size > MAX_BYTES or len(content.encode("utf-8", "replace")) > MAX_BYTES:
        raise YamlError(f"{source}: expected at most {MAX_BYTES:,} bytes; it has more")
    return content.removeprefix("\ufeff")


def _documents(text: str, source: str) -> Iterator[Document]:
    """Yield each document, built from the parser's events without recursion."""
    stack: list[_Node] = []
    anchors: dict[str, _Node] = {}
    seen = 0
    for event in yaml.parse(text, Loader=LOADER):
        line = event.start_mark.line + 1
        where = f"{source}:{line}"
        if isinstance(event, yaml.DocumentStartEvent):
            stack, anchors = [_Node(line, [])], {}
        elif isinstance(event, yaml.DocumentEndEvent):
            (root,) = stack[0].value
            if root.value is not None:
                yield Document(root.value, source, dict(_lines(root)))
        elif isinstance(event, yaml.CollectionStartEvent):
            _check_tag(event.tag, where)
            node = _Node(line, {} if isinstance(event, yaml.MappingStartEvent) else [])
            stack.append(node)
            if event.anchor:
                anchors[event.anchor] = node
            if len(stack) > MAX_DEPTH + 1:
                raise YamlError(f"{where}: nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            node = stack.pop()
            _add(stack, node, where)
        elif isinstance(event, yaml.AliasEvent):
            node = anchors.get(event.anchor)
            if node is None or any(node is open_node for open_node in stack):
                raise YamlError(f"{where}: *{event.anchor} stands before its anchor")
            seen += node.size
            _add(stack, node, where)
        elif isinstance(event, yaml.ScalarEvent):
            seen += 1
            _check_tag(event.tag, where)
            node = _Node(line, _scalar(event, where))
            if event.anchor:
                anchors[event.anchor] = node
            _add(stack, node, where)
        if seen > MAX_VALUES:
            raise YamlError(f"{where}: more than {MAX_VALUES:,} values")


def _add(stack: list[_Node], node: _Node, where: str) -> None:
    """Put a finished value into the collection that is open."""
    parent = stack[-1]
    if isinstance(parent.value, dict) and not parent.has_key:
        parent.key, parent.has_key = _key(node.value, parent, where), True
        return
    key = parent.key if isinstance(parent.value, dict) else len(parent.children)
    if isinstance(parent.value, dict):
        parent.value[key] = node.value
        parent.has_key = False
    elif len(stack) == 1:
        parent.value = [node]
        return
    else:
        parent.value.append(node.value)
    parent.children[key] = node
    parent.size += node.size
    parent.depth = max(parent.depth, node.depth + 1)
    if parent.size > MAX_VALUES:
        raise YamlError(f"{where}: more than {MAX_VALUES:,} values")
    if parent.depth + len(stack) > MAX_DEPTH + 2:
        raise YamlError(f"{where}: nested deeper than {MAX_DEPTH} levels")


def _key(key: Any, parent: _Node, where: str) -> Hashable:
    """Return a mapping's key, or raise YamlError."""
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise YamlError(f"{where}: expected text or a number as key, got {key!r:.40}")
    if key == "<<":
        raise YamlError(f"{where}: a merge key (<<) is not read by every parser")
    if key in parent.value:
        raise YamlError(f"{where}: the key {key!r:.60} stands here a second time")
    if any(str(key) == str(other) for other in parent.value):
        raise YamlError(f"{where}: the key {key!r:.60} stands here as text and number")
    return key


def _scalar(event: yaml.ScalarEvent, where: str) -> Any:
    """Return the value of a scalar under YAML 1.2's core schema."""
    text = event.value
    if not event.implicit[0] or event.tag:  # quoted, a block, or tagged !!str
        return text
    if text in WORDS:
        return WORDS[text]
    if UNCLEAR.fullmatch(text):
        raise YamlError(f"{where}: {text:.40} is read in two ways; put it in quotes")
    if INTEGER.fullmatch(text) and len(text) <= 40:
        return int(text)
    if FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _check_tag(tag: str | None, where: str) -> None:
    """Raise YamlError for a tag that would make anything but plain data."""
    if tag and tag not in TAGS and tag != "!":
        raise YamlError(f"{where}: the tag {tag:.60} is not plain data")


def _lines(root: _Node) -> Iterator[tuple[tuple, int]]:
    """Yield path and line of every value; aliases have the lines of their anchor."""
    waiting = [((), root)]
    while waiting:
        path, node = waiting.pop()
        yield path, node.line
        waiting += [((*path, key), child) for key, child in node.children.items()]
