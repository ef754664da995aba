"""Take students' notebooks out of the archives that an LMS gives, and nothing else.

`nbgrader zip_collect` would unpack whatever a student packed: a folder with another
student's name, a second notebook that stops the whole collection, a bomb. Here a
student is who the archive is named after, and of an archive only one file is read.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nbgrader.plugins import ExtractorPlugin

from graders.intake import MAX_MEGABYTES, Refused, read

MOST = MAX_MEGABYTES * 10**6 + 1  # bytes; one more than the grader takes, so it says so
NOT_THEIRS = ("__MACOSX", ".ipynb_checkpoints")  # folders that machines make
NAME = re.compile(r"\w[\w .()+-]{0,80}\.ipynb")
SLASH = re.compile(r"[/\\]")
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Extractor(ExtractorPlugin):
    """Unpacks STUDENT.zip, or a folder STUDENT, to `extracted/STUDENT/NAME.ipynb`."""

    def extract(self, archive_path: str, extracted_path: str) -> None:
        """Unpack all of a lab's archives; what cannot be read is told and left out."""
        where = self.parent.coursedir
        topic = where.assignment_id
        released = Path(where.format_path(where.release_directory, ".", topic))
        wanted = sorted(path.name for path in released.glob("*.ipynb"))
        for path in sorted(Path(archive_path).iterdir()):
            student = path.name.removesuffix(".zip")
            fit = path.is_dir() or (path.suffix == ".zip" and path.is_file())
            if student.startswith(".") or path.is_symlink() or not fit:
                self.log.warning("not taken: %r is no .zip and no folder", path.name)
                continue
            try:
                found = notebooks(path, wanted)
            except Exception as error:  # whatever a student packed
                self.log.warning("%r cannot be read: %r", path.name, str(error)[:200])
                found = {}
            for name, content in found.items():
                (Path(extracted_path) / student).mkdir(exist_ok=True)
                (Path(extracted_path) / student / name).write_bytes(content)
            # Without a notebook in it, the grader says what is missing.
            handed_in = where.format_path(where.submitted_directory, student, topic)
            Path(handed_in).mkdir(parents=True, exist_ok=True)


def notebooks(path: Path, wanted: list[str]) -> dict[str, bytes]:
    """Return the lab's notebooks in an archive or a folder, by name.

    wanted: their names; where one is missing, a few others come in its place
    Raises whatever reading it may raise.
    """
    if path.is_dir():
        files = [Path(here, name) for here, _, names in os.walk(path) for name in names]
        return _chosen(
            [(file.relative_to(path).parts, partial(_read, file)) for file in files],
            wanted,
        )
    with zipfile.ZipFile(path) as archive:
        entries = [
            (tuple(SLASH.split(entry.filename)), partial(_unpack, archive, entry))
            for entry in archive.infolist()
            if not entry.is_dir() and entry.compress_type in PLAIN
        ]
        return _chosen(entries, wanted)


def _chosen(
    entries: list[tuple[tuple[str, ...], Callable[[], bytes]]], wanted: list[str]
) -> dict[str, bytes]:
    """Return each notebook's bytes: of several of a name, of the one least deep.

    entries: the parts of each path, and what reads its file
    """
    best: dict[str, Callable[[], bytes]] = {}
    for parts, content in sorted(entries, key=lambda entry: (len(entry[0]), entry[0])):
        ours = parts and NAME.fullmatch(parts[-1]) and not {*parts} & {*NOT_THEIRS}
        if ours:
            best.setdefault(parts[-1], content)
    others = [name for name in best if name not in wanted]
    missing = [name for name in wanted if name not in best]
    names = [name for name in wanted if name in best] + others[: 3 * len(missing)]
    return {name: best[name]() for name in names}


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        return file.read(MOST)


def _read(path: Path) -> bytes:
    """Return a file's bytes; b"" for what is no ordinary file."""
    try:
        return read(path)
    except Refused:
        return b""
