"""Opening the course: copies that are never replaced, and a JupyterLab of its own."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from securetrain import catalogue, cli, lab, lab_copies

LAB = "13-poisoning/poisoning"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with one released lab; gives where the learner's copy belongs."""
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "index.ipynb").write_text("{}")
    released = tmp_path / "labs" / f"{LAB}.ipynb"
    released.parent.mkdir(parents=True)
    released.write_text("version 1")
    monkeypatch.setenv("SECURETRAIN_ROOT", str(tmp_path))
    monkeypatch.delenv("SECURETRAIN_WORK", raising=False)
    return tmp_path.resolve() / "work" / f"{LAB}.ipynb"


def release(copied: Path, text: str) -> None:
    (copied.parents[2] / "labs" / f"{LAB}.ipynb").write_text(text)


def test_start_makes_a_copy_once(copied: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["start", LAB]) == 0
    assert copied.read_text() == "version 1"
    assert f"your copy is now {copied}" in capsys.readouterr().out
    copied.write_text("my answers")
    assert cli.main(["start", "13-poisoning"]) == 0
    assert copied.read_text() == "my answers"
    assert capsys.readouterr().out == f"Find the poison: your copy is {copied}\n"


def test_a_newer_lab_goes_beside_the_copy(
    copied: Path, capsys: pytest.CaptureFixture
) -> None:
    cli.main(["start"])
    copied.write_text("my answers")
    release(copied, "version 2")
    capsys.readouterr()
    cli.main(["start"])
    assert f"`securetrain start {LAB} --new`" in capsys.readouterr().out
    assert cli.main(["start", LAB, "--new"]) == 0
    beside = copied.with_stem("poisoning-2")
    assert str(beside) in capsys.readouterr().out
    assert (copied.read_text(), beside.read_text()) == ("my answers", "version 2")
    cli.main(["start"])
    assert "A newer version" not in capsys.readouterr().out
    beside.write_text("more answers")
    release(copied, "version 3")
    cli.main(["start", LAB, "--new"])
    assert beside.read_text() == "more answers"
    assert copied.with_stem("poisoning-3").read_text() == "version 3"


def test_new_makes_the_first_copy_when_there_is_none(copied: Path) -> None:
    assert cli.main(["start", LAB, "--new"]) == 0
    assert copied.read_text() == "version 1"
    assert [p.name for p in copied.parent.glob("*.ipynb")] == ["poisoning.ipynb"]


def test_a_copy_of_unknown_origin_is_kept(copied: Path) -> None:
    copied.parent.mkdir(parents=True)
    copied.write_text("brought along")
    assert lab_copies.make(catalogue.unit(LAB)) is False
    assert lab_copies.is_old(catalogue.unit(LAB))
    assert copied.read_text() == "brought along"


@pytest.mark.parametrize("place", ["file", "folder", "dangling"])
def test_symbolic_links_are_refused(
    copied: Path, place: str, capsys: pytest.CaptureFixture
) -> None:
    elsewhere = copied.parents[2] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "poisoning.ipynb").write_text("precious")
    if place == "folder":
        copied.parents[1].mkdir()
        copied.parent.symlink_to(elsewhere)
    else:
        copied.parent.mkdir(parents=True)
        name = "poisoning.ipynb" if place == "file" else "nothing"
        copied.symlink_to(elsewhere / name)
    assert cli.main(["start", LAB]) == 2
    assert "is a symbolic link" in capsys.readouterr().err
    assert [p.name for p in elsewhere.iterdir()] == ["poisoning.ipynb"]
    assert (elsewhere / "poisoning.ipynb").read_text() == "precious"


def test_a_copy_is_whole_or_not_there(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        lab_copies.make(catalogue.unit(LAB))
    assert list(copied.parent.iterdir()) == []


def test_a_file_system_without_hard_links_works_too(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    unit = catalogue.unit(LAB)
    assert lab_copies.make(unit) is True
    copied.write_text("my answers")
    assert lab_copies.make(unit) is False
    assert copied.read_text() == "my answers"


def test_unknown_labs_and_labs_that_were_not_released(
    copied: Path, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["start", "13-poisoning/1-one-sticker"]) == 2
    said = capsys.readouterr().err
    assert LAB in said.split("There are: ")[1].strip(".\n").split(", ")
    (copied.parents[2] / "labs" / f"{LAB}.ipynb").unlink()
    assert cli.main(["start", LAB]) == 2
    assert "found no file; `make labs` makes it" in capsys.readouterr().err
    assert cli.main(["start"]) == 0
    assert "found no file; `make labs` makes it" in capsys.readouterr().out


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list:
    """Where `securetrain lab` puts the program that it would have become."""
    calls: list = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    return calls


def test_lab_becomes_jupyterlab_on_the_home_page(copied: Path, started: list) -> None:
    lab.main(["--no-browser"])
    assert copied.is_file()
    program, command, environment = started[0]
    assert command[:3] == [program, "-m", "jupyterlab"] and program == sys.executable
    assert f"--ServerApp.root_dir={copied.parents[2]}" in command
    assert "--LabApp.default_url=/lab/tree/course/index.ipynb" in command
    assert "--no-browser" in command
    assert not any("token" in word or "password" in word for word in command)
    config = Path(environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0])
    page = json.loads((config / "labconfig" / "page_config.json").read_text())
    assert page["disabledExtensions"]["@jupyter/nbgrader"] is True
    bin_folder = environment["PATH"].split(os.pathsep)[0]
    assert (Path(bin_folder) / "jupyter").exists()


def test_the_learners_own_configuration_stays_in_reach(
    copied: Path, started: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/mine")
    lab.main([])
    assert started[0][2]["JUPYTER_CONFIG_PATH"] == f"{lab.CONFIG}{os.pathsep}/mine"
    assert "--no-browser" not in started[0][1]


def test_prepare_only_makes_the_copies(copied: Path, started: list) -> None:
    assert lab.main(["--prepare"]) == 0
    assert copied.is_file() and not started


def test_a_busy_port_is_said(
    copied: Path, started: list, capsys: pytest.CaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert cli.main(["lab", "--port", port]) == 2
    assert f"port {port} is not free" in capsys.readouterr().err
    assert cli.main(["lab", "--port", "70000"]) == 2
    assert "expected a port from 1 to 65535, got 70000" in capsys.readouterr().err
    assert not started


def test_a_missing_jupyterlab_says_what_to_do(
    copied: Path,
    started: list,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(lab.importlib.util, "find_spec", lambda _: None)
    assert cli.main(["lab"]) == 2
    assert "Run `make lab`" in capsys.readouterr().err
    assert not started
