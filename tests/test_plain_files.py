"""What somebody handed in is read to a bound, and never waited for."""

import os
import socket
from pathlib import Path

import pytest

from securetrain import badge_command, badges, cli, debriefs, kpis, plain_files, records
from securetrain.archives import Refused


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse


ODD = [(pipe, "a named pipe"), (device, "a device"), (huge, "larger than")]


def test_a_file_is_read_whole_also_where_a_link_leads_to_it(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(path)
    for data in (b"", b"abcd"):
        path.write_bytes(data)
        assert plain_files.read(path, 4) == plain_files.read(link, 4) == data


@pytest.mark.parametrize(("make", "says"), ODD)
def test_a_pipe_a_device_and_a_huge_file_are_refused(tmp_path, make, says):
    make(tmp_path / "file")
    with pytest.raises(Refused, match=says) as caught:
        plain_files.read(tmp_path / "file", 4 << 10)
    assert caught.value.check == "file"


def test_one_byte_too_many_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(bytes(2049))
    assert len(plain_files.read(tmp_path / "file", 2049)) == 2049
    with pytest.raises(Refused, match="larger than 2 KiB"):
        plain_files.read(tmp_path / "file", 2048)


def test_a_folder_a_socket_and_nothing_name_the_file(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        plain_files.read(tmp_path, 4)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="socket"):
            plain_files.read(tmp_path / "socket", 4)
    with pytest.raises(FileNotFoundError, match="none"):
        plain_files.read(tmp_path / "none", 4)


@pytest.mark.parametrize(("make", "says"), ODD)
@pytest.mark.parametrize("read", [records.read, debriefs.read])
def test_records_and_debriefs_are_read_so(tmp_path, read, make, says):
    path = tmp_path / "file"
    make(path)
    with pytest.raises(ValueError, match=f"{path}: .*{says}"):
        read(path)


@pytest.mark.parametrize(("make", "says"), ODD)
def test_files_are_scanned_for_keys_so(tmp_path, capsys, make, says):
    make(tmp_path / "odd")
    (tmp_path / "settings.py").write_text("epochs = 3")
    assert cli.main(["secrets", "scan", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert f"odd: not scanned: {says}" in said.err and "1 files scanned" in said.out


@pytest.mark.parametrize(("make", "says"), ODD)
def test_kpis_are_read_so(tmp_path, make, says):
    path = tmp_path / "debrief.json"
    make(path)
    for found in (kpis.read_debriefs(tmp_path), kpis.read_log(path)[0]):
        assert f"{path}: " in found.trouble and says in found.trouble


@pytest.mark.parametrize(("make", "says"), ODD)
def test_badges_are_read_so_and_the_others_still_judged(
    tmp_path, monkeypatch, capsys, make, says
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["badge", "key", "issuer"]) == 0
    make(Path("odd.svg"))
    Path("plain.svg").write_text("<svg />")
    words = ["badge", "verify", "odd.svg", "plain.svg", "--key", "issuer.pub"]
    assert cli.main(words) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("odd.svg: refused (file): ") and says in first
    assert second.startswith("plain.svg: refused (file): no badge")
    with pytest.raises(ValueError, match=f"odd.svg: no list of this issuer's: {says}"):
        badge_command._list(Path("odd.svg"), [bytes(32)])
    Path("badges").mkdir()
    Path("odd.svg").rename("badges/odd.svg")
    Path("issuer.pub").rename("badges/issuer.pub")
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path))
    assert f"odd.svg: not accepted: {says}" in badges.section()
