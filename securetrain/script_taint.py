"""What a script does with a stranger's words: run them, write them on, or neither.

In a step that reads such words, a variable is strange unless it is seen to be ours; so
is every output, unless each one is seen to be constant. Words run where the shell
fills them into a command's name or into what an interpreter takes as its program, and
where bash works out a sum. In other languages we do not read quotes: a script that
reads strange words and evaluates anything is refused.

A script is read here, not run. What a program of yours does with its arguments, its
environment or its files, no rule here can know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from securetrain import shell_words
from securetrain.interpreters import (
    ALWAYS,
    ASSIGNS,
    CLOSES,
    CODE,
    COUNTS,
    EVALUATES,
    GIVES,
    PRINTS,
    RUN_VARIABLES,
    SAYS,
    SETS,
    SETS_ENV,
    SHELLS,
    SUM,
    WHOLE,
    WRAPS,
    base,
    program,
    read_by,
    said,
)  # fmt: skip
from securetrain.shell_words import Command, Word, bare, every


@dataclass
class Verdict:
    """How strange words run, reach the outputs, or the environment; "" where not."""

    code: str = ""
    outputs: str = ""
    env: str = ""


def judge(
    text: str, strange: Mapping[str, str], files: set[str], shell: str = "bash"
) -> Verdict:
    """Return what a script does with strange words.

    strange: variables, in small letters, and how they came; files: those that hold
    strange words, to which this adds. Raises ShellError.
    """
    if shell not in SHELLS:
        return _other(text, strange, shell)
    return _Script(text, strange, files).verdict()


def _other(text: str, strange: Mapping[str, str], shell: str) -> Verdict:
    """Judge a script of another language by the names in it."""
    how = read_by(text, strange)
    if shell == "cmd" and "%" in text:  # cmd fills it in before it reads the line
        return Verdict(how, how, how)
    asked = (EVALUATES, GIVES, SETS_ENV)
    return Verdict(*(how if one.search(text) else "" for one in asked))


class _Script:
    """A script of a shell, with the variables and files that are strange in it."""

    def __init__(
        self, text: str, strange: Mapping[str, str], files: set[str], depth: int = 0
    ) -> None:
        self.files, self.depth = files, depth
        self.top = shell_words.read(text, depth)
        self.all = list(every(self.top))
        self.strange = dict(strange)
        self.reads = next(filter(None, map(self.reading, self.all)), "")
        if self.reads:
            words = [word for c in self.all for word in c.words]
            names = {w.text.lower() for c in self.all for w in _named(c)}
            names |= {name for word in words for name in word.binds}
            for name in {n for word in words for n in word.used}:
                if ALWAYS.fullmatch(name) or name in names:
                    self.strange.setdefault(name, self.reads)
            self.spread()

    def spread(self) -> None:
        """Follow assignments and files until nothing more is strange."""
        before = -1
        while before != (before := len(self.strange) + len(self.files)):
            for command in self.all:
                for word in command.words:
                    name = ASSIGNS.match(word.text)
                    if name and (how := self.strange_word(word)):
                        self.strange.setdefault(name[1].lower(), how)
                self.written(command)
                if loop := _loop(command):  # without a list it takes the arguments
                    how = "" if command.words[2:] else self.reads
                    if how := self.touched(command) or how:
                        self.strange.setdefault(loop, how)

    def written(self, command: Command) -> None:
        """Add the files into which a command writes strange words."""
        name = command.words[0].text if command.words else ""
        if not (
            self.touched(command) or self.fed(command) or name in CLOSES | {"exec", ""}
        ):
            return
        aims = [word for sign, word in command.redirects if ">" in sign]
        aims += (
            command.words[1:] if name in ("tee", "cp", "mv", "ln", "install") else []
        )
        for word in aims:
            if (
                not word.text.startswith(("-", "/dev/", "&"))
                and "github_" not in word.text
            ):
                self.files.add(word.text.removeprefix("./"))

    # --- What is strange -----------------------------------------------------------

    def strange_word(self, word: Word) -> str:
        """Return how strange words come into a word, "" when none do."""
        if name := next((n for n in word.used if n in self.strange), ""):
            how = self.strange[name]
            return how if how.startswith("$") else f"${name}, from {how}"
        if name := next((n for n in word.used if n.startswith("!")), ""):
            return f"the variable that ${name[1:]} names"
        if word.text.removeprefix("./") in self.files:
            return f"the file {word.text}"
        inside = word.inside
        if inside and COUNTS.match(said(inside[-1])):
            return ""
        return next((how for c in inside if (how := self.touched(c))), "")

    def reading(self, command: Command) -> str:
        """Return the same, also for words that a program in quotes reads itself."""
        how = self.touched(command)
        if not how and any(base(word) in CODE for word in command.words):
            own = {n: h for n, h in self.strange.items() if not h.startswith("$")}
            texts = [word.text for word in command.parts()]
            how = next((h for text in texts if (h := read_by(text, own))), "")
        return how

    def first(self, words: list[Word]) -> str:
        """Return how strange words come into the first word that has some."""
        return next(filter(None, map(self.strange_word, words)), "")

    def touched(self, command: Command) -> str:
        """Return how strange words come into a command."""
        how = self.first(command.parts())
        if not how and PRINTS.match(said(command)):
            how = "a command that prints strangers' words"
        return how

    def fed(self, command: Command) -> str:
        """Return how strange words come to a command's standard input."""
        for sign, word in command.redirects:
            if sign.startswith("<") and (how := self.strange_word(word)):
                return how
        for one in command.feeds:
            closes = not one.words or one.words[0].text in CLOSES
            if how := self.touched(one) or (self.reads if closes else ""):
                return how
        return ""

    # --- What becomes of it --------------------------------------------------------

    def verdict(self) -> Verdict:
        code = next((how for c in self.all if (how := self.runs(c))), "")
        found = Verdict(code)
        for command in self.all if self.reads else ():
            target = " ".join(word.text for word in command.parts())
            if not self.plain(command):
                found.outputs = found.outputs or (GIVES.search(target) and self.reads)
                found.env = found.env or (SETS_ENV.search(target) and self.reads)
        return Verdict(code, found.outputs or "", found.env or "")

    def plain(self, command: Command) -> bool:
        """Say whether a command is an `echo` of nothing strange, into some file."""
        words = bare(command.words)
        ours = not any(GIVES.search(w.text) or SETS_ENV.search(w.text) for w in words)
        says = bool(words) and words[0].text in ("echo", "printf") and not command.feeds
        return says and ours and not self.touched(command)

    def runs(self, command: Command) -> str:
        """Return how strange words run as code in a command, "" when they do not."""
        words = bare(command.words)
        while words and ASSIGNS.match(words[0].text):
            words = words[1:]
        return self.sums(command) or self.variables(command) or self.started(
            command, words)  # fmt: skip

    def variables(self, command: Command) -> str:
        for word in command.words:
            name = ASSIGNS.match(word.text)
            if name and name[1].lower() in RUN_VARIABLES and self.strange_word(word):
                return self.strange_word(word)
        return ""

    def sums(self, command: Command) -> str:
        """Return how strange words come into arithmetic, or name a variable."""
        texts = [*command.sums, *(s for word in command.parts() for s in word.sums)]
        words = command.words
        name = bare(words)[0].text if bare(words) else ""
        asks = [w.text for w in words]
        if name == "[[" and SUM & set(asks):
            at = [n for n, text in enumerate(asks) if text in SUM]
            texts += [t for n in at for t in asks[max(n - 1, 0) : n + 2]]
        if name == "let" or (name in SETS and any(re.match(r"-\w*i", t) for t in asks)):
            texts += asks[1:]
        takes = name in SETS or (
            {"[", "[[", "test", "printf"} & {name} and "-v" in asks
        )
        texts += [t for t in asks[1:] if takes and t.startswith("${")]
        for used in re.findall(r"(?<!\$\{#)\b\w+", " ".join(texts).lower()):
            if used in self.strange:
                return f"${used}, from {self.strange[used]}"
        return ""

    def started(self, command: Command, words: list[Word]) -> str:
        """Return how strange words come into a command's name or its program."""
        while words and base(words[0]) in WRAPS:
            wrapper, words = base(words[0]), words[1:]
            while words and re.match(r"-|\d|\w+=", words[0].text):
                words = words[1:]
            if wrapper == "sudo" and len(words) > 1 and base(words[1]) in CODE:
                words = words[1:]  # of `-u NAME`
        if not words:
            return ""
        if how := self.strange_word(words[0]):
            return how
        if base(words[0]) in WHOLE:
            return self.whole(words)
        for number, word in enumerate(words):
            more = words[number + 1 :]
            option = more and more[0].text.startswith("-")
            names = set(CODE) - ({".", "source", "trap"} if number else set())
            if base(word) in names and (not number or (
                option and base(words[0]) not in SAYS)):  # fmt: skip
                return self.interpreted(command, base(word), more)
        return ""

    def whole(self, words: list[Word]) -> str:
        """Judge a command of which every word is code."""
        how = self.first(words[1:])
        text = " ".join(word.text for word in words[1:])
        return how or (self.nested(text, {}) if words[0].text == "eval" else "")

    def interpreted(self, command: Command, name: str, words: list[Word]) -> str:
        """Judge what an interpreter takes as its program: words, file or input."""
        code, rest = program(name, words)
        texts = [w.text for w in code if w.text == "-" or not w.text.startswith("-")]
        given, fed = self.first(rest), self.fed(command)
        lines = any(base(word) in ("xargs", "parallel") for word in command.words)
        if how := self.first(code):
            return how
        if fed and lines and (not texts or "{}" in texts[-1]):
            return fed
        if not texts or texts[-1] in ("-", "/dev/stdin"):
            if fed and not lines:
                return fed
            texts = [word.text for sign, word in command.redirects if sign == "<<"]
        one = texts[-1] if texts else ""
        if name in SHELLS | {"trap"}:
            return self.nested(
                one, dict.fromkeys("123456789@*", given) if given else {}
            )
        reads = given or fed or read_by(one, self.strange)
        return reads if EVALUATES.search(one) else ""

    def nested(self, text: str, more: dict[str, str]) -> str:
        """Judge a script that is a word of this one."""
        inner = _Script(text, self.strange | more, self.files, self.depth + 1)
        return inner.verdict().code


def _loop(command: Command) -> str:
    """Return the variable of a `for`, "" for other commands."""
    words = bare(command.words)
    return words[1].text.lower() if len(words) > 1 and words[0].text == "for" else ""


def _named(command: Command) -> list[Word]:
    """Return a command's words, but for the variable of a `for`."""
    return bare(command.words)[2:] if _loop(command) else command.words
