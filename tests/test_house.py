"""The course lives by its own checklist, and signs what it releases."""

import importlib.util
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from securetrain import cli, manifests

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("house", ROOT / ".ci" / "house.py")
house = importlib.util.module_from_spec(spec)
spec.loader.exec_module(house)
NAME = house.NAME


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of one whole run of `make house`, and what it said."""
    folder = tmp_path_factory.mktemp("house")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "house.py", "--to", folder],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def gate(folder: Path, into: Path, key: Path | None = None) -> int:
    """Return the gate's verdict on the release, as whoever downloads it asks."""
    signed = folder / "signed"
    command = ["gate", "check", folder / "release", "--software", "--from", signed]
    command += ["--name", NAME, "--key", key or signed / "trial.pub"]
    command += ["--seen", into / "seen", "--log", into / "log", "--into", into / "it"]
    return cli.main([str(part) for part in command])


def test_every_step_says_what_it_found(made):
    _, said = made
    heads = [line.partition(":")[0] for line in said.splitlines() if line[:1] != " "]
    assert heads == ["hooks", "workflows", "history", "parts", "archive", "signature",
                     "gate"]  # fmt: skip
    assert "no leaks found" in said and "No findings" in said


def test_the_archive_holds_the_commit_and_no_more(made):
    folder, _ = made
    with tarfile.open(next((folder / "release").glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()} - {""}
    tree = subprocess.run(
        ["git", "ls-tree", "-r", "-t", "--name-only", "-z", "HEAD"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert names == set(tree.split("\0")) - {""}


def test_the_same_commit_gives_the_same_bytes(made, tmp_path):
    folder, _ = made
    house.pack(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / "release" / path.name).read_bytes()


def test_the_parts_are_those_of_the_lock(made):
    folder, _ = made
    parts = json.loads(next((folder / "release").glob("*.cdx.json")).read_text())
    assert parts["bomFormat"] == "CycloneDX"
    lock = (ROOT / "requirements.lock").read_text()
    named = {part["name"] for part in parts["components"]}
    assert {"torch", "nbgrader", "cryptography"} <= named
    assert all(f"\n{name}==" in f"\n{lock}" for name in named)


def test_no_private_key_is_left(made):
    folder, _ = made
    names = {path.name for path in (folder / "signed").iterdir()}
    assert names == {"manifest.json", "manifest.sig", "trial.pub"}


def test_a_changed_added_or_foreign_release_is_refused(made, tmp_path, capsys):
    folder, _ = made
    assert gate(folder, tmp_path) == 0
    archive = next((folder / "release").glob("*.tar.gz"))
    whole = archive.read_bytes()
    try:
        archive.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert gate(folder, tmp_path) == 2  # --into exists: a typo is no verdict
        (tmp_path / "a").mkdir()
        assert gate(folder, tmp_path / "a") == 1
    finally:
        archive.write_bytes(whole)
    added = folder / "release" / "install.sh"
    try:
        added.write_text("true\n")
        (tmp_path / "b").mkdir()
        assert gate(folder, tmp_path / "b") == 1
        assert "install.sh" in capsys.readouterr().err
    finally:
        added.unlink()
    _, public = manifests.new_key()
    stranger = tmp_path / "stranger.pub"
    stranger.write_text(public.hex() + "\n")
    (tmp_path / "c").mkdir()
    assert gate(folder, tmp_path / "c", stranger) == 1


def test_a_model_is_still_asked_for_its_format(made, tmp_path, capsys):
    """--software is said by whoever downloads, never by what arrives."""
    folder, _ = made
    signed = folder / "signed"
    command = ["gate", "check", folder / "release", "--from", signed, "--name", NAME]
    command += ["--key", signed / "trial.pub", "--seen", tmp_path / "seen"]
    command += ["--log", tmp_path / "log", "--into", tmp_path / "it"]
    assert cli.main([str(part) for part in command]) == 1
    assert "refused (format)" in capsys.readouterr().err


def test_a_step_that_fails_ends_it(tmp_path, capsys, monkeypatch):
    def broken():
        house.run(
            sys.executable, "-c", "print('a key in train.py'); raise SystemExit(1)"
        )

    monkeypatch.setattr(house, "inspect", broken)
    assert house.main(["--to", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "a key in train.py" in said and "did not pass" in said
    assert not (tmp_path / "release").exists()


def test_a_key_that_is_not_there_is_named(tmp_path, capsys):
    assert house.main(["--key", str(tmp_path / "none.key")]) == 2
    assert "none.key" in capsys.readouterr().err
