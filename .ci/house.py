"""Hold the course to its own checklist, then pack and sign a release of it.

    make house                       a trial: the key is thrown away
    make house KEY=publisher.key     a release: made with `securetrain provenance key`

In order: the hooks on every file, the workflows, every version in the history; then
the list of parts, an archive of the newest commit, its signature; last of all the gate,
which must accept what was signed. The first that fails ends it, with exit status 1.
What is made lies in build/house/. Nothing here uses a network.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
NAME = "secure-ai-training"
SBOM = "dependencies", "sbom", "--to"


class Failed(Exception):
    """A step that did not pass."""


def run(*command: str | Path, check: bool = True) -> str:
    """Run a command in the course's folder and return what it prints.

    Raises Failed, after showing what it said, when it ends with another status than 0.
    """
    places = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=os.environ | {"PATH": places},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if check and done.returncode:
        print(done.stdout, file=sys.stderr)
        raise Failed(f"{Path(command[0]).name} {' '.join(map(str, command[1:4]))}")
    return done.stdout


def last(said: str) -> str:
    """Return the last line of what a tool said."""
    return said.strip().rpartition("\n")[2].strip()


def inspect() -> None:
    """Run what the course asks of others on the course itself."""
    hooks = run(BIN / "pre-commit", "run", "--all-files", "--color=never")
    passed = hooks.count("Passed")
    print(f"hooks:     {passed} passed on {len(run('git', 'ls-files').split())} files")
    zizmor = run(BIN / "zizmor", "--offline", "--color=never", ".github")
    print(f"workflows: {run(BIN / 'zizmor', '--version').strip()}: {last(zizmor)}")
    secrets = run(BIN / "gitleaks", "git", "--no-banner", "--redact", ".")
    commits = run("git", "rev-list", "--count", "--all").strip()
    version = run(BIN / "gitleaks", "version").strip()
    print(f"history:   gitleaks {version}: {commits} commits; {last(secrets)}")


def pack(folder: Path) -> Path:
    """Write the list of parts and an archive of the newest commit; return the archive.

    The same commit gives the same bytes.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    stem = f"{NAME}-{project['version']}"
    parts = folder / f"{stem}.cdx.json"
    print("parts:    ", last(run(BIN / "securetrain", *SBOM, parts)))
    archive = folder / f"{stem}.tar.gz"
    tar = subprocess.run(
        ["git", "archive", "--format=tar", f"--prefix={stem}/", "HEAD"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    archive.write_bytes(gzip.compress(tar, mtime=0))
    commit = run("git", "rev-parse", "--short", "HEAD").strip()
    print(f"archive:   {archive.name}, {len(tar) >> 10:,} kB, commit {commit}")
    if run("git", "status", "--porcelain").strip():
        print("           changes that are not committed are not in it")
    return archive


def sign(release: Path, signed: Path, key: str) -> Path:
    """Sign what lies in `release`; return the public key that belongs to it."""
    private = Path(key).resolve() if key else signed / "trial.key"
    if not key:
        run(BIN / "securetrain", "provenance", "key", signed / "trial")
    version = run("git", "rev-list", "--count", "HEAD").strip()
    commit = run("git", "rev-parse", "HEAD").strip()
    says = run(
        BIN / "securetrain", "provenance", "write", release, "--name", NAME,
        "--version", version, "--source", f"git {commit}",
        "--key", private, "--to", signed,
    )  # fmt: skip
    print(f"signature: {last(says)}")
    if not key:
        private.unlink()
        print("           with a trial key, thrown away: KEY=FILE signs a release")
    return private.with_suffix(".pub")


def accept(release: Path, signed: Path, public: Path) -> None:
    """Let the gate decide about what was signed, as whoever downloads it would."""
    with tempfile.TemporaryDirectory() as folder:
        says = run(
            BIN / "securetrain", "gate", "check", release, "--software",
            "--from", signed, "--name", NAME, "--key", public,
            "--seen", Path(folder) / "seen", "--log", Path(folder) / "audit.jsonl",
            "--into", Path(folder) / "accepted",
        )  # fmt: skip
        print(
            f"gate:      {last(says).partition(' from ')[0]}: every file is as signed"
        )


def main(argv: Sequence[str]) -> int:
    """Run every step; 1 when one does not pass."""
    parser = argparse.ArgumentParser(prog="make house", description=__doc__)
    parser.add_argument(
        "--key", default="", help="private key's file; else a trial key"
    )
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "house")
    options = parser.parse_args(argv)
    if options.key and not Path(options.key).is_file():
        print(f"make house: no key in {options.key}", file=sys.stderr)
        return 2
    release, signed = options.to / "release", options.to / "signed"
    try:
        inspect()
        for folder in (release, signed):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        pack(release)
        accept(release, signed, sign(release, signed, options.key))
    except Failed as failed:
        print(f"make house: this did not pass: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
