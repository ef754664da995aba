"""`securetrain dependencies`: what may be installed, in requirements and Dockerfiles.

    securetrain dependencies check FILE …
    securetrain dependencies check --known NAMES --accept NAME FILE …
    securetrain dependencies sbom LOCK --to sbom.json

`check` refuses, with file and line, a requirement without a version or without hashes,
another index, an address, a name that is nearly a known one, a line that an editor
hides; in a Dockerfile an image or download that can change, secrets, and root. A file
is read as a Dockerfile when its name says so, and as requirements otherwise.
`sbom` lists a lock's packages in the CycloneDX format, the same bytes for the same
lock; without LOCK, those of this course.

Exit status: 0 nothing refused; 1 something was; 2 a file that is not there, or a wrong
option. As a hook of pre-commit:

    entry: securetrain dependencies check
    files: >-
      (?xi)((requirements|constraints)([^/]*|/.+)\\.(txt|lock)
      |(^|/)(docker|container)file([._-](?!dockerignore$)[^/]+)?
      |[^/]+\\.(docker|container)file)$
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from securetrain import container_files, dependencies, near_names, terminals

SUFFIXES = {".txt", ".lock", ".in"}
OTHERS = {"poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "Cargo.lock"}


def check(options: argparse.Namespace) -> int:
    """Check every file; 1 when a line of one is refused."""
    known = _known(options.known) if options.known else near_names.POPULAR
    found: list[dependencies.Finding] = []
    for path in options.files:
        data = _content(path)
        if container_files.is_one(path.name):
            found += container_files.check(data, str(path))
        else:
            found += dependencies.check(data, str(path), known, options.accept)
    for one in sorted(found):
        print(terminals.lines(str(one)), file=sys.stderr)
    count, bad = len(options.files), len({one.source for one in found})
    many = f"{count} file{'' if count == 1 else 's'}"
    says = f"{len(found)} finding{'' if len(found) == 1 else 's'}"
    print(f"{many} checked, {bad} refused with {says}")
    return int(bool(found))


def _content(path: Path) -> bytes:
    """Return a file's content. Raises ValueError for what this command cannot read."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a file")
    fits = path.suffix.lower() in SUFFIXES and path.name not in OTHERS
    if not fits and not container_files.is_one(path.name):
        raise ValueError(f"{path}: expected requirements (.txt, .lock) or a Dockerfile")
    return path.read_bytes()


def _known(path: Path) -> set[str]:
    """Return the names of a lock, or of a file with one name a line."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"--known {path}: expected UTF-8 text") from None
    bare = (line.partition("#")[0].strip() for line in lines if line[:1].isalnum())
    names = {line.split(";")[0].split("==")[0].split()[0] for line in bare if line}
    if not names:
        raise ValueError(f"--known {path}: expected a lock, or one name a line")
    return names


def bill(options: argparse.Namespace) -> int:
    """Write the list of a lock's packages; 1 when the lock is refused."""
    from securetrain import paths, sbom

    lock = options.lock or paths.root() / "requirements.lock"
    try:
        data = sbom.write(lock.read_bytes(), str(lock), options.name)
    except ValueError as refused:
        print(terminals.lines(str(refused)), file=sys.stderr)
        return 1
    try:
        why = sbom.problems(data)
    except ValueError as absent:
        print(f"not validated: {absent}", file=sys.stderr)
        why = ""
    if why:
        raise ValueError(f"the list is no valid CycloneDX: {why}")
    if options.to:
        options.to.write_bytes(data)
        print(f"{options.to}: {data.count(b'bom-ref') - 1} packages of {lock.name}")
    else:
        sys.stdout.write(data.decode("ascii"))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain dependencies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="check | sbom")
    one = parts.add_parser("check", help="refuse what may change behind your back")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE")
    says = "a lock or list of names to trust, instead of well-known ones"
    one.add_argument("--known", type=Path, help=says)
    says = "a name that was reviewed, although it is near another"
    one.add_argument("--accept", action="append", default=[], metavar="NAME", help=says)
    one.set_defaults(do=check)
    one = parts.add_parser("sbom", help="list a lock's packages as CycloneDX")
    one.add_argument("lock", type=Path, nargs="?")
    one.add_argument("--to", type=Path, help="the file to write, else it is printed")
    one.add_argument(
        "--name", default="securetrain", help="what the packages belong to"
    )
    one.set_defaults(do=bill)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when something is refused."""
    options = parser().parse_args(argv)
    return options.do(options)
