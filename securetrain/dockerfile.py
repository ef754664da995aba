"""Dockerfiles as Docker reads them: instructions, each with the line it begins on.

Lines that go on, comments among them, heredocs and parser directives are read as the
builder does, so that nobody hides an instruction from the rules in `container_files`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST = 1_000_000  # bytes
DIRECTIVE = re.compile(r"#\s*([a-zA-Z]+)\s*=\s*(\S.*?)\s*")
HEREDOC = re.compile(r"<<(-?)([\"']?)([A-Za-z_]\w*)\2")
WORDS = """ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER
ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR"""
INSTRUCTIONS = frozenset(WORDS.split())


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word, what follows it, and the line that it begins on."""

    word: str
    rest: str
    line: int


class Unread(ValueError):
    """A file that is no Dockerfile; the message says where and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def read(data: bytes) -> list[Instruction]:
    """Return the instructions of a Dockerfile. Raises Unread when it is none."""
    if len(data) > MOST:
        raise Unread(1, f"{len(data)} bytes: expected a Dockerfile of at most {MOST}")
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unread(line, "expected UTF-8, and these bytes are not") from None
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for number, line in enumerate(lines, 1):
        if re.search(r"[\0\r\x0b\x0c]", line):
            raise Unread(number, "holds control characters; use plain lines")
    found = [Instruction("#SYNTAX", *rest) for rest in _directives(lines)]
    found += list(_instructions(lines, _escape(lines)))
    if "FROM" not in [one.word for one in found]:
        raise Unread(1, "no FROM: this is no Dockerfile")
    return found


def _directives(lines: list[str]) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(lines, 1):
        match = DIRECTIVE.fullmatch(line.strip())
        if not match:
            return
        if match[1].lower() == "syntax":
            yield match[2], number


def _escape(lines: list[str]) -> str:
    for line in lines:
        match = DIRECTIVE.fullmatch(line.strip())
        if not match:
            break
        if match[1].lower() == "escape":
            return match[2]
    return "\\"


def _instructions(lines: list[str], escape: str) -> Iterator[Instruction]:
    """Yield instructions, their lines joined, the text of heredocs included."""
    number, parts, first = 0, [], 0
    while number < len(lines):
        line, number = lines[number], number + 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # as Docker does, within an instruction, too
        first = first if parts else number
        if line.rstrip().endswith(escape):
            parts.append(line.rstrip()[: -len(escape)])
            continue
        whole, parts = "".join([*parts, line]).strip(), []
        word, rest = (*re.split(r"\s+", whole, maxsplit=1), "")[:2]
        if word.upper() not in INSTRUCTIONS:
            raise Unread(first, f"{ascii(word[:30])} is no instruction")
        documents = HEREDOC.findall(rest)
        if documents and word.upper() in ("RUN", "COPY", "ADD"):
            for dash, _, end in documents:
                body, number = _document(lines, number, end, bool(dash), first)
                rest += f"\n{body}"
        yield Instruction(word.upper(), rest.strip(), first)
    if parts:
        raise Unread(first, "the last line goes on, and nothing follows")


def _document(
    lines: list[str], start: int, end: str, tabs: bool, first: int
) -> tuple[str, int]:
    """Return a heredoc's text, and the number of lines up to its end."""
    for number in range(start, len(lines)):
        line = lines[number].lstrip("\t") if tabs else lines[number]
        if line == end:
            return "\n".join(lines[start:number]), number + 1
    raise Unread(first, f"no line {end!r} ends the text that begins here")
