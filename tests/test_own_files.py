"""Files are made whole or not at all, under names that nobody can lay a trap for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from securetrain import own_files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def links(request, monkeypatch):
    """A file system with hard links, and one without."""
    if not request.param:

        def refuse(*_, **__):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("asked", [0o600, 0o644])
def test_a_new_file_has_its_content_and_its_mode(links, tmp_path, asked):
    path = tmp_path / "new" / "file.json"
    assert own_files.create(path, b"mine", asked)
    assert path.read_bytes() == b"mine" and mode(path) == asked
    assert not own_files.create(path, b"other", asked)
    assert path.read_bytes() == b"mine"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_link_under_the_old_scratch_name_catches_nothing(links, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".file.json.{os.getpid()}").symlink_to(victim)
    assert own_files.create(tmp_path / "file.json", b"record")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "file.json").is_symlink()


@pytest.mark.parametrize("write", [own_files.create, own_files.replace])
def test_a_write_that_fails_leaves_nothing(write, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_files_place_is_refused(tmp_path):
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a symbolic link"):
        own_files.create(tmp_path / "file", b"x")
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_replaced_keeps_its_mode_unless_another_is_said(tmp_path):
    path = tmp_path / "page.html"
    own_files.replace(path, b"new")
    assert mode(path) == 0o644
    path.chmod(0o600)
    own_files.replace(path, b"private")
    assert mode(path) == 0o600
    own_files.replace(path, b"shared", 0o664)  # more than the umask would let
    assert mode(path) == 0o664 and path.read_bytes() == b"shared"


def test_replacing_is_whole(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    own_files.replace(path, b"new", 0o600)
    assert path.read_bytes() == b"new" and mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]
