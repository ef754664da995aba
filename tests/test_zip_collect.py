"""Archives from an LMS: a student's says nothing about others, and stops nobody."""

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from corpus.classroom import prepare

from graders import intake
from graders.archives import notebooks
from securetrain.cli import main

DOWNLOADED = "graders/workspace/downloaded/01-clip/archive"
NAME = "clip.ipynb"
HONEST = {"ada", "bob", "deep", "apple", "folder", "windows"}


def pack(path, *entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            packed.writestr(name, content)


def link(name, target):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return entry, target


@pytest.fixture
def submitted(course, instructor, tmp_path):
    """Collect a class of odd and hostile archives; return who handed in what."""
    assert main(["release"]) == 0
    lab = prepare(tmp_path / "room").answer()
    place = course / DOWNLOADED
    place.mkdir(parents=True)
    secret = tmp_path / "secret.ipynb"
    secret.write_text("a secret")

    def work(student):
        return json.dumps(lab | {"who": student})

    for student in ("ada", "bob"):
        pack(place / f"{student}.zip", (NAME, work(student)))
    pack(place / "deep.zip", ("a/b/", ""), (f"a/b/{NAME}", work("deep")))
    pack(
        place / "apple.zip",
        *((f"{folder}/{NAME}", "junk") for folder in (".ipynb_checkpoints", "old/er")),
        ("__MACOSX/._clip.ipynb", "junk"),
        (f"work/{NAME}", work("apple")),
    )
    pack(place / "windows.zip", (f"work\\{NAME}", work("windows")))
    (place / "folder" / "sub").mkdir(parents=True)
    (place / "folder" / "sub" / NAME).write_text(work("folder"))

    pack(
        place / "eve.zip",
        *((f"{where}/{NAME}", work("eve")) for where in ("extracted/bob", "../bob")),
        (f"../../../submitted/bob/01-clip/{NAME}", work("eve")),
        (f"{place.parent}/extracted/bob/{NAME}", work("eve")),
        link("bob", str(course / "graders/workspace/submitted/bob")),
    )
    pack(place / "twice.zip", (NAME, work("twice")), (f"x/{NAME}", work("again")))
    pack(place / "bomb.zip", (NAME, b" " * 400_000_000), ("more.gz", b"\x1f\x8b" * 9))
    pack(place / "link.zip", link(NAME, str(secret)))
    pack(
        place / "other.zip", ("mine\x1b[2J.ipynb", "{}"), ("Clip (1).ipynb", work("o"))
    )
    (place / "noise.zip").write_bytes(os.urandom(3000))
    (place / "cut.zip").write_bytes((place / "ada.zip").read_bytes()[:-30])
    (place / "empty.zip").write_bytes(b"")
    (place / "linked").symlink_to(tmp_path)
    (place / "points").mkdir()
    (place / "points" / NAME).symlink_to(secret)
    os.mkfifo(place / "pipe.zip")
    (place / "notes.txt").write_text("who handed in late")
    said = instructor("zip_collect", "01-clip")
    assert "\x1b" not in said.replace("\x1b[", "", said.count("\x1b[1;"))
    folder = course / "graders" / "workspace" / "submitted"
    return {one.student: one for one in intake.collect(folder, "01-clip", "clip")}


def test_every_student_hands_in_their_own(course, submitted):
    for student in HONEST | {"twice", "eve"}:
        assert json.loads(submitted[student].content)["who"] == student
    assert not any(b"a secret" in one.content for one in submitted.values())
    assert submitted["bomb"].refused.startswith("clip.ipynb has 20 MB, at most 20")
    assert "there is: Clip (1).ipynb" in submitted["other"].refused
    for student in ("noise", "cut", "empty"):
        assert submitted[student].refused.startswith("No clip.ipynb was handed in")
    assert submitted["link"].content == str(course.parent / "secret.ipynb").encode()
    assert submitted["points"].content == b""
    known = HONEST | {"twice", "eve", "bomb", "other", "link", "points"}
    assert set(submitted) == known | {"noise", "cut", "empty"}


def test_a_file_in_a_locked_archive_is_told(tmp_path):
    pack(tmp_path / "a.zip", (NAME, "text"))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for head in (b"PK\x03\x04", b"PK\x01\x02"):
        place = data.index(head) + (6 if head[2] == 3 else 8)
        data[place] |= 1  # locked with a password
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(RuntimeError, match="encrypted"):
        notebooks(tmp_path / "a.zip", [NAME])


def test_of_many_files_few_are_read(tmp_path):
    many = [(f"{number}.ipynb", "x") for number in range(500)]
    pack(tmp_path / "a.zip", *many)
    assert len(notebooks(tmp_path / "a.zip", [NAME])) == 3
    assert notebooks(tmp_path / "a.zip", ["7.ipynb"]) == {"7.ipynb": b"x"}
    assert Path(tmp_path / "a.zip").is_file()
