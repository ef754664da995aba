"""A shell script as commands and words, with what quotes hide and what they do not.

Quotes decide whether a stranger's words are data. In single quotes nothing is filled
in; elsewhere `$NAME` is; a `$(…)` is a script of its own, wherever it stands. This
reads bash as far as that question needs it and runs nothing: no aliases, no globs. An
open quote goes to the end of the text, as cautious as it can be.

Source: Bash Reference Manual, "Shell Syntax", "Shell Expansions"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

DEEPEST = 30
REDIRECT = re.compile(r"\d*(?:<<<|<<-|<<|>>|>\||<&|>&|&>>|&>|<>|<(?!\()|>(?!\())")
NAME = re.compile(r"\w+|[@*#?$!-]")
ENDS = "\n;&|()"
BEFORE = {"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time"}


class ShellError(ValueError):
    """A script that is nested too deeply to be read."""


@dataclass
class Word:
    """One word: its text with `${name}` for what is filled in, and what that is.

    used: variables, in small letters; inside: commands of `$(…)`; sums: arithmetic
    """

    text: str = ""
    used: list[str] = field(default_factory=list)
    inside: list[Command] = field(default_factory=list)
    sums: list[str] = field(default_factory=list)
    binds: list[str] = field(default_factory=list)


@dataclass
class Command:
    """Words up to `;`, `|` or a line's end; `feeds`: what comes before it in a pipe."""

    words: list[Word] = field(default_factory=list)
    redirects: list[tuple[str, Word]] = field(default_factory=list)
    feeds: list[Command] = field(default_factory=list)
    sums: list[str] = field(default_factory=list)  # of (( … ))

    def parts(self) -> list[Word]:
        """Return its words and what its redirects name or hold."""
        return [*self.words, *(word for _, word in self.redirects)]


def read(text: str, depth: int = 0) -> list[Command]:
    """Return a script's commands in order. Raises ShellError when nested too deeply."""
    return _Reader(text.replace("\r\n", "\n").replace("\\\n", ""), depth).commands()


def every(commands: list[Command]) -> Iterator[Command]:
    """Yield commands and those inside their words."""
    for command in commands:
        yield command
        for word in command.parts():
            yield from every(word.inside)


class _Reader:
    """Reads from the left; `place` is the next character."""

    def __init__(self, text: str, depth: int) -> None:
        self.text, self.place, self.depth = text, 0, depth
        self.deeper(0)
        self.open: list[tuple[Command, str, bool]] = []  # here-documents to come

    def deeper(self, by: int) -> None:
        self.depth += by
        if self.depth > DEEPEST:
            raise ShellError("a script nested too deeply")

    def at(self, text: str) -> bool:
        return self.text.startswith(text, self.place)

    def until(self, end: str) -> str:
        """Take what stands before an end, and the end."""
        found = self.text.find(end, self.place)
        found = len(self.text) if found < 0 else found
        taken, self.place = self.text[self.place : found], found + len(end)
        return taken

    def commands(self, closed: bool = False) -> list[Command]:
        """Read commands; closed: up to the `)` that no `(` of theirs opened."""
        found, now, level = [], Command(), 0
        while self.place < len(self.text):
            sign = self.text[self.place]
            redirect = REDIRECT.match(self.text, self.place)
            if sign in " \t\r":
                self.place += 1
            elif sign == "#":
                self.until("\n")
                self.place -= 1
            elif redirect:
                self.redirect(now, redirect[0])
            elif self.at("((") and _sum_comes(bare(now.words)):
                now.sums.append(self.until("))"))
                self.inner(now.sums[-1], word := Word())
                now.words.append(word)
            elif sign in ENDS:
                if sign == ")" and not level and closed:
                    self.place += 1
                    break
                now = self.ended(found, now, sign, level)
                level = max(0, level + (sign == "(") - (sign == ")"))
            else:
                now.words.append(self.word())
        return [*found, now] if now.words or now.redirects else found

    def ended(self, found: list[Command], now: Command, sign: str, level: int
              ) -> Command:  # fmt: skip
        """End a command at a sign, and return the next one."""
        pipe = sign == "|" and not self.at("||")
        double = self.text[self.place : self.place + 2] in ("||", "&&", ";;", "|&")
        self.place += 2 if double else 1
        if sign == ")" and not level:  # the pattern of a `case`
            return Command()
        if now.words or now.redirects:
            found.append(now)
        elif found and sign == "\n" and found[-1] in now.feeds:
            return now  # the pipe goes on in the next line
        if sign == "\n":
            for command, end, plain in self.open:
                self.document(command, end, plain)
            self.open.clear()
        return Command(feeds=[*now.feeds, now]) if pipe else Command()

    def redirect(self, now: Command, sign: str) -> None:
        self.place += len(sign)
        while self.at(" ") or self.at("\t"):
            self.place += 1
        start = self.place
        word = self.word()
        if sign.lstrip("0123456789") in ("<<", "<<-"):
            plain = bool(set("'\"\\") & set(self.text[start : self.place]))
            self.open.append((now, word.text, plain))
        else:
            now.redirects.append((sign.lstrip("0123456789"), word))

    def document(self, command: Command, end: str, plain: bool) -> None:
        """Read a here-document; plain: its end is quoted, so nothing is filled in."""
        lines = []
        while self.place < len(self.text):
            line = self.until("\n")
            if line.lstrip("\t") == end:
                break
            lines.append(line)
        body = Word("\n".join(lines) if plain else "")
        if not plain:
            self.inner("\n".join(lines), body)
        command.redirects.append(("<<", body))

    # --- Words ---------------------------------------------------------------------

    def word(self) -> Word:
        word = Word()
        while self.place < len(self.text):
            sign = self.text[self.place]
            if self.at("<(") or self.at(">("):
                self.place += 1
                self.script(word)
            elif sign == "(" and word.text.endswith("="):  # an array
                self.place += 1
                self.array(word)
            elif sign in ENDS + " \t\r<>":
                break
            elif sign == '"' or self.at('$"'):
                self.place += 1 + (sign == "$")
                self.quoted(word)
            elif self.at("$'"):
                self.place += 2
                self.ansi(word)
            elif sign == "'":
                self.place += 1
                word.text += self.until("'")
            elif sign == "\\":
                word.text += self.text[self.place + 1 : self.place + 2]
                self.place += 2
            else:
                self.filled(word)
        return word

    def array(self, word: Word) -> None:
        self.deeper(1)
        for command in self.commands(closed=True):
            for one in command.words:
                word.used += one.used
                word.inside += one.inside
                word.sums += one.sums
        self.deeper(-1)

    def ansi(self, word: Word) -> None:
        end = re.compile(r"(?:[^'\\]|\\.)*", re.S).match(self.text, self.place).end()
        word.text += self.text[self.place : end]
        self.place = end + 1

    def quoted(self, word: Word) -> None:
        """Read on to the closing double quote."""
        while self.place < len(self.text) and not self.at('"'):
            if self.at("\\") and self.text[self.place + 1 : self.place + 2] in '"\\$`':
                word.text += self.text[self.place + 1 : self.place + 2]
                self.place += 2
            else:
                self.filled(word)
        self.place += 1

    def inner(self, text: str, word: Word) -> None:
        """Read a text in which everything but quotes counts, as in a here-document."""
        _Reader(text.replace('"', '\\"') + '"', self.depth + 1).quoted(word)

    def filled(self, word: Word) -> None:
        """Read one character, or what is filled in at this place."""
        if self.at("`"):
            self.place += 1
            inside = re.sub(r"\\([`\\$])", r"\1", self.until("`"))
            word.inside += read(inside, self.depth + 1)
            word.text += "${`}"
        elif self.at("$(("):
            self.place += 3
            word.sums.append(self.until("))"))
            self.inner(word.sums[-1], word)
        elif self.at("$("):
            self.place += 1
            self.script(word)
        elif self.at("${"):
            self.place += 2
            self.braces(word)
        elif self.at("$") and (name := NAME.match(self.text, self.place + 1)):
            one = name[0] if not name[0][0].isdigit() else name[0][0]
            self.place += 1 + len(one)
            word.used.append(one.lower())
            word.text += f"${{{one.lower()}}}"
        else:
            word.text += self.text[self.place]
            self.place += 1

    def script(self, word: Word) -> None:
        """Read the script of `$( … )`, from its `(` on."""
        inner = _Reader(self.text, self.depth + 1)
        inner.place = self.place + 1
        word.inside += inner.commands(closed=True)
        word.text += "${`}"
        self.place = inner.place

    def braces(self, word: Word) -> None:
        """Read `${ … }`: a variable, and what is done to it."""
        head = re.compile(r"([!#]?)(\w+|[@*#?$!-])?").match(self.text, self.place)
        self.place = head.end()
        name, more, start = (head[2] or "").lower(), Word(), self.place
        self.deeper(1)
        while self.place < len(self.text) and not self.at("}"):
            if self.at("'") or self.at('"'):
                self.place += 1
                more.text += self.until("'") if self.text[self.place - 1] == "'" else ""
                if self.text[self.place - 1] == '"':
                    self.quoted(more)
            else:
                self.filled(more)
        self.deeper(-1)
        rest = self.text[start : self.place]
        self.place += 1
        if head[1] != "#":  # a length is a number
            word.used += [name, f"!{name}"] if head[1] else [name]
        word.used += more.used
        word.inside += more.inside
        word.sums += more.sums
        if rest.startswith("[") or re.match(r":\s*[^-+=?\s]", rest):
            word.sums.append(rest)
        if rest.startswith(("=", ":=")):
            word.binds.append(name)
        word.text += f"${{{head[1]}{name}}}"


def _sum_comes(words: list[Word]) -> bool:
    """Say whether `((` is arithmetic here: alone, or the head of a `for`."""
    return not words or [word.text for word in words] == ["for"]


def bare(words: list[Word]) -> list[Word]:
    """Return a command's words without those of the shell before it."""
    while words and words[0].text in BEFORE:
        words = words[1:]
    return words
