"""Is every dependency pinned to files that somebody has seen? A lock, read as pip does.

The attacker proposes a change of a requirements file: a name that is nearly another, a
second index, an address, a line that an editor does not show. They want an installer
to fetch their code. What pip would read otherwise than a person is refused here.

The check says which files may come. Whether those files are good, it cannot say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from securetrain import near_names

MOST = 10_000_000  # bytes
HASH = re.compile(r"--hash=sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})")
COMMENT = re.compile(r"(^|\s+)#.*$")  # pip's own
CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")  # pip's own
VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
ODD_ENDS = re.compile(r"\r(?!\n)|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
PLACE = re.compile(r"://|^[./~]|[/\\]|\.(whl|zip|tar\.gz|tgz)$")
HARMLESS = {"--require-hashes", "--no-index", "--only-binary :all:"}
OPTIONS = {
    "index": re.compile(r"-i|--i|--e(?!d)|-f|--f(?!e)|--t"),
    "address": re.compile(r"-e|--ed"),
    "other-file": re.compile(r"-r|--req|-c|--c"),
}
SAYS = {
    "index": "names another place to fetch from; set one index where you install",
    "address": "installs what lies there today; name a version and its hashes",
    "other-file": "reads another file; check that one, and name both to the installer",
    "option": "changes how packages are chosen; give it to the installer if you must",
}


@dataclass(frozen=True, order=True)
class Finding:
    """What is wrong with a line of a file."""

    source: str
    line: int
    rule: str
    says: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.rule}: {self.says}"


@dataclass(frozen=True)
class Pin:
    """One package of a lock: a version and the files that are allowed.

    hashes: such as "sha256:ab…"; marker: where it is installed, "" for everywhere
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str
    line: int


def check(
    data: bytes,
    source: str,
    known: Collection[str] = near_names.POPULAR,
    accepted: Collection[str] = (),
) -> list[Finding]:
    """Return what is wrong with a requirements file, by line; [] for a good lock.

    known: names that are trusted; one that is nearly one of them is refused, unless
    it is among `accepted`
    """
    pins, found = read(data, source)
    trusted = {canonicalize_name(name) for name in (*known, *accepted)}
    for pin in pins:
        if pin.name in trusted:
            continue
        if why := near_names.reason(pin.name, known):
            found.append(Finding(source, pin.line, "near-name", f"{pin.name} {why}"))
    if not pins and not found:
        found = [Finding(source, 1, "empty", "no requirement: is this the right file?")]
    return sorted(found)


def read(data: bytes, source: str) -> tuple[list[Pin], list[Finding]]:
    """Return a lock's pins, and what no lock may hold.

    Never raises: what cannot be read is a finding.
    """
    text, found = _text(data, source)
    pins: list[Pin] = []
    for number, line in _lines(text):
        for rule, says in _line(number, line, pins):
            found.append(Finding(source, number, rule, says))
    seen: dict[str, Pin] = {}
    for pin in pins:
        before = seen.setdefault(pin.name, pin)
        if before is not pin and not (pin.marker and before.marker):
            says = f"{pin.name} stands in line {before.line}, too: which one counts?"
            found.append(Finding(source, pin.line, "twice", says))
    return pins, sorted(found)


def pins(data: bytes, source: str) -> dict[str, Pin]:
    """Return a lock's pins by name. Raises ValueError with the first thing wrong."""
    every, found = read(data, source)
    if found:
        raise ValueError(str(found[0]))
    return {pin.name: pin for pin in every}


def _text(data: bytes, source: str) -> tuple[str, list[Finding]]:
    """Return the text that pip would read, and where a person would read another."""
    if len(data) > MOST:
        says = f"{len(data)} bytes: expected a requirements file of at most {MOST}"
        return "", [Finding(source, 1, "unreadable", says)]
    for line in data.split(b"\n")[:2]:
        named = CODING.search(line) if line[:1] == b"#" else None
        if named and named[1].lower() not in (b"utf-8", b"utf8"):
            says = f"asks pip to read it as {named[1][:20]!a}; expected UTF-8"
            return "", [Finding(source, 1, "unreadable", says)]
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        says = "expected UTF-8, and these bytes are not"
        return "", [Finding(source, line, "unreadable", says)]
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if ODD_ENDS.search(f"{line}\n"):
            says = "pip ends a line where editors show none; use plain line ends"
            found.append(Finding(source, number, "hidden", says))
        elif any(_unseen(letter) for letter in line.rstrip("\r")):
            says = "holds characters that cannot be seen; delete them"
            found.append(Finding(source, number, "hidden", says))
    return text, found


def _unseen(letter: str) -> bool:
    return letter != "\t" and unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cn")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that pip sees, joined where they go on, without comments."""
    first, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        comment = COMMENT.match(line)
        first = first if parts else number
        parts.append(f" {line}" if comment else line)
        if line.endswith("\\") and not comment:
            parts[-1] = line.strip("\\")
            continue
        whole, parts = "".join(parts), []
        if bare := COMMENT.sub("", whole).strip():
            yield first, bare
    if bare := COMMENT.sub("", "".join(parts)).strip():
        yield first, bare


def _line(number: int, line: str, pins: list[Pin]) -> Iterator[tuple[str, str]]:
    """Yield rule and text of what is wrong with a line; add its pin to `pins`."""
    if VARIABLE.search(line):
        yield "variable", "what it installs depends on who runs pip; write it out"
        return
    if line.startswith("-"):
        yield from _option(" ".join(line.replace("=", " ", 1).split()))
        return
    head, _, rest = line.partition(" -")
    words = f"-{rest}".split() if rest else []
    try:
        wanted = Requirement(head)
    except InvalidRequirement:
        place = PLACE.search(head)
        yield ("address", SAYS["address"]) if place else ("syntax", _syntax(head))
        return
    hashes = tuple(word[7:] for word in words if HASH.fullmatch(word))
    if wanted.url:
        yield "address", SAYS["address"]
    elif not (version := _version(wanted)):
        says = "expected one version, such as ==1.4.0"
        if [rule.operator for rule in wanted.specifier] == ["==="]:
            says = "expected ==, not ==="
        yield "unpinned", f"{wanted.name}: {says}"
    elif not hashes:
        yield "no-hash", f"{wanted.name}: expected --hash=sha256:… of each file allowed"
    else:
        marker, name = str(wanted.marker or ""), canonicalize_name(wanted.name)
        pins.append(Pin(name, version, hashes, marker, number))
    if other := [word for word in words if not HASH.fullmatch(word)]:
        yield "option", f"{ascii(other[0])[:40]}: expected --hash=sha256:… only"


def _option(line: str) -> Iterator[tuple[str, str]]:
    if line in HARMLESS:
        return
    name = line.split()[0]
    if name == "--hash":
        says = "a hash without its requirement; is a backslash missing "
        yield "option", f"{says}in the line above?"
        return
    rules = [rule for rule, form in OPTIONS.items() if form.match(name)]
    rule = rules[0] if rules else "option"
    yield rule, f"{ascii(name)[1:-1][:40]} {SAYS[rule]}"


def _version(wanted: Requirement) -> str:
    """Return the one version that a requirement allows, "" when it allows more."""
    rules = list(wanted.specifier)
    if len(rules) != 1 or rules[0].operator != "==" or "*" in rules[0].version:
        return ""
    return rules[0].version


def _syntax(head: str) -> str:
    return f"{ascii(head[:60])} is no requirement; expected name==version"
