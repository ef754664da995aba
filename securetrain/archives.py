"""Reading a data set that nobody vouches for: a folder or a tar archive.

The attacker chooses every name and every kind of entry: a link that leads out of the
folder, a name that climbs out of it, two entries under one name. They want a loader
that reads or writes elsewhere, or two programs that see different data.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 20  # bytes read at once: a file may be larger than the memory
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Refused(ValueError):
    """Data that must not be trained on; `check` names the check that refused it."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check


def refusal(check: Callable[..., object], *args: Any, **more: Any) -> str:
    """Return why a check refuses what it is given, "" when it accepts."""
    try:
        check(*args, **more)
    except Refused as refused:
        return str(refused)
    return ""


# --- Names ---------------------------------------------------------------------


def check_name(name: str) -> None:
    """Raise Refused unless `name` is a relative path that stays where it is put.

    Anything that is text and means the same file everywhere is welcome: spaces,
    accents, a leading dot, a leading hyphen.
    """

    def refuse(why: str) -> None:
        raise Refused("names", f"{ascii(name)}: {why}")

    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        refuse("control characters or bytes that are no UTF-8 in a name")
    if "\\" in name:
        refuse("a backslash separates folders on some systems; use '/'")
    if name.startswith("/") or (name[1:2] == ":" and name[:1].isalpha()):
        refuse("an absolute path; names are relative to the data's folder")
    parts = name.split("/")
    if ".." in parts:
        refuse("'..' leads out of its folder")
    if "" in parts or "." in parts:
        refuse("an empty part or '.' gives one file two names")


def check_names(names: Iterable[str]) -> None:
    """Raise Refused for a bad name, and for two that are one on some file system.

    Some systems ignore case, some how an accent is written; one file would then
    overwrite the other, and which one depends on who unpacks.
    """
    seen: dict[str, str] = {}
    for name in names:
        check_name(name)
        same = fold(name)
        if same in seen:
            twice = "stands twice" if seen[same] == name else f"is also {seen[same]!a}"
            raise Refused("names", f"{ascii(name)}: {twice}")
        seen[same] = name
    for same, name in seen.items():
        parts = same.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in seen:
                other = seen["/".join(parts[:end])]
                raise Refused("names", f"{ascii(name)}: {other!a} is a file")


def fold(name: str) -> str:
    """Return what names that some file system takes for one have in common."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


# --- Entries ---------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One regular file; `stream` is read once, before the next entry is asked for."""

    name: str
    size: int
    stream: BinaryIO

    def chunks(self, limit: int | None = None) -> Iterator[bytes]:
        """Yield the content piece by piece, at most `limit` bytes and one more."""
        left = float("inf") if limit is None else limit + 1
        while left > 0:
            with _reading(ascii(self.name)):
                part = self.stream.read(int(min(CHUNK, left)))
            if not part:
                return
            left -= len(part)
            yield part


def entries(data: Path | bytes) -> Iterator[Entry]:
    """Yield every file of a folder or of a tar archive, each opened once.

    data: a folder, a plain tar file, or the bytes of one. Empty folders do not count.
    Raises Refused for everything but regular files under safe names, and
    FileNotFoundError when there is nothing.
    """
    if isinstance(data, bytes):
        yield from _archive(io.BytesIO(data))
    elif data.is_dir():
        yield from _folder(data)
    elif data.is_file():
        with _reading(str(data)), open(data, "rb") as file:
            yield from _archive(file)
    else:
        raise FileNotFoundError(f"{data}: expected a folder of data or a tar file")


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn what the system or the archive refuses into a refusal of ours."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise Refused("reading", f"{what}: cannot be read: {why}") from error
    except tarfile.TarError as error:
        why = f"expected a whole, uncompressed tar archive: {error}"
        raise Refused("reading", f"{what}: {why}") from error


def _folder(folder: Path) -> Iterator[Entry]:
    """Yield a folder's files by name; no link is followed, not even a late one."""
    with _reading(str(folder)):
        top = os.open(folder, os.O_RDONLY)
    try:
        names = sorted(_listed(top))
        check_names(names)
        for name in names:
            with _reading(ascii(name)), _beneath(top, name) as file:
                before = os.fstat(file.fileno())
                check_kind(before, name)
                yield Entry(name, before.st_size, file)
                after = os.fstat(file.fileno())
                if _times(before) != _times(after):
                    raise Refused("reading", f"{ascii(name)}: changed while being read")
    finally:
        os.close(top)


def _times(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _listed(top: int) -> Iterator[str]:
    """Yield the names below an open folder; Refused for anything but files."""

    def unreadable(error: OSError) -> None:
        raise error

    with _reading("a folder of the data"):
        for where, folders, files, here in os.fwalk(
            ".", dir_fd=top, onerror=unreadable
        ):
            for name in (*folders, *files):
                path = os.path.join(where, name).removeprefix("./")
                found = os.stat(name, dir_fd=here, follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    check_kind(found, path)
                    yield path


def check_kind(found: os.stat_result, name: str) -> None:
    """Raise Refused unless this is a regular file with one name only."""
    for test, kind in KINDS:
        if test(found.st_mode):
            raise Refused("names", f"{ascii(name)}: {kind}, expected a regular file")
    if not stat.S_ISREG(found.st_mode):
        raise Refused("names", f"{ascii(name)}: no regular file")
    if found.st_nlink > 1:
        why = "a hard link: it can be changed under another name; copy the file"
        raise Refused("names", f"{ascii(name)}: {why}")


@contextmanager
def _beneath(top: int, name: str) -> Iterator[BinaryIO]:
    """Open a file below an open folder, without following a link on the way."""
    *folders, last = name.split("/")
    opened = []
    try:
        here = top
        for folder in folders:
            here = os.open(folder, FOLDER, dir_fd=here)
            opened.append(here)
        with open(os.open(last, FILE, dir_fd=here), "rb") as file:
            yield file
    finally:
        for number in opened:
            os.close(number)


def _archive(file: BinaryIO) -> Iterator[Entry]:
    """Yield a plain tar archive's files in their order; all headers are read first.

    A compressed archive is refused: a small one can hold more than the disk.
    """
    with _reading("the archive"), tarfile.open(fileobj=file, mode="r:") as archive:
        members = archive.getmembers()
        _whole(file, archive.offset)
        found = [(_member(info), info) for info in members]
        files = [(name, info) for name, info in found if info.isreg()]
        check_names(name for name, _ in files)
        for name, info in files:
            yield Entry(name, info.size, archive.extractfile(info))


def _member(info: tarfile.TarInfo) -> str:
    """Return a member's name without a leading './'; Refused for links and devices."""
    kind = "a link" if info.issym() or info.islnk() else "a device or special entry"
    if not (info.isdir() or (info.isreg() and not info.issparse())):
        raise Refused("names", f"{ascii(info.name)}: {kind}, expected a regular file")
    name = info.name.removeprefix("./")
    if not (info.isdir() and name == "."):
        check_name(name)
    return name


def _whole(file: BinaryIO, end: int) -> None:
    """Raise Refused unless nothing but zeros follows the end of an archive.

    Another program could read on where this one stops, and see other files.
    """
    file.seek(end)
    if len(first := file.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
        raise Refused("reading", "the archive has no end mark: it was cut off")
    while first:
        if first.strip(b"\0"):
            raise Refused("reading", "a broken header, or data after the archive's end")
        first = file.read(CHUNK)


# --- Whole data sets in memory ----------------------------------------------------


def read(data: Path | bytes, limit: int = 1 << 30) -> dict[str, bytes]:
    """Return the content of a folder or archive by name, at most `limit` bytes.

    Raises Refused; what is larger is hashed in pieces by `manifests.describe`.
    """
    found: dict[str, bytes] = {}
    for entry in entries(data):
        found[entry.name] = b"".join(entry.chunks(limit))
        limit -= len(found[entry.name])
        if limit < 0:
            raise Refused("reading", f"{ascii(entry.name)}: the data exceeds the limit")
    return found


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of these files, the same bytes for the same files."""
    check_names(files)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            archive.addfile(info, io.BytesIO(files[name]))
    return out.getvalue()
