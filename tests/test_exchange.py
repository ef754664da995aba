"""nbgrader's exchange: a folder's name there is a claim, a link there is a lure."""

import os
import pwd
import subprocess
import sys
from datetime import datetime

import pytest

from graders.exchange import take, timestamp
from securetrain.cli import main

ME = pwd.getpwuid(os.getuid()).pw_name
TOPIC, NAME = "01-clip", "clip.ipynb"
LATE, EARLY = "2030-01-02 03:04:05 UTC", "2024-01-02 03:04:05 UTC"


@pytest.fixture
def inbound(course, instructor):
    """Return where students put their folders, and what makes one."""
    assert main(["release"]) == 0
    instructor("release_assignment", TOPIC)
    folder = course / "graders/workspace/exchange/secure-ai-training/inbound"

    def put(student, when=EARLY, **files):
        made = folder / f"{student}+{TOPIC}+{when}+x"
        made.mkdir()
        for name, text in {"clip": "mine", **files}.items():
            ending = ".ipynb" if name == "clip" else ".txt"
            (made / f"{name}{ending}").write_text(text)
        return made

    return put


def test_only_ones_own_notebooks_are_collected(course, instructor, inbound, tmp_path):
    victims = course / "graders/workspace/submitted/bob" / TOPIC
    victims.mkdir(parents=True)
    (victims / NAME).write_text("bobs")
    mine = inbound(ME, timestamp=EARLY, submission_secret="s")
    (mine / "more").mkdir()
    (mine / "more" / NAME).write_text("deep")
    (mine / "link.ipynb").symlink_to(victims / NAME)
    os.mkfifo(mine / "pipe.ipynb")
    with open(mine / "large.ipynb", "wb") as file:
        file.truncate(2 * 10**9)
    inbound("bob", LATE)
    if os.getuid() == 0:  # bob's own, and older than what was claimed for him
        os.chown(inbound("daemon", clip="daemons"), pwd.getpwnam("daemon").pw_uid, -1)
        inbound("daemon", LATE)
    place = mine.parent
    (place / f"eve+{TOPIC}+{LATE}+x").symlink_to(victims)
    for name in ("not a time", "99999-99-99 00:00:00 UTC"):
        (place / f"{ME}+{TOPIC}+{name}").mkdir()
    (place / f"a b+{TOPIC}+{LATE}+x").mkdir()

    said = instructor("collect", TOPIC)
    found = {
        str(path.relative_to(victims.parents[1])): path.read_text()
        for path in victims.parents[1].rglob("*")
        if path.is_file()
    }
    own = {NAME: "mine", "timestamp.txt": EARLY, "submission_secret.txt": "s"}
    wanted = {f"{ME}/{TOPIC}/{name}": text for name, text in own.items()}
    wanted[f"bob/{TOPIC}/{NAME}"] = "bobs"
    if os.getuid() == 0:
        wanted[f"daemon/{TOPIC}/{NAME}"] = "daemons"
    assert found == wanted
    assert said.count("check_owner = False takes") == (2 if os.getuid() == 0 else 1)
    assert said.count("is nothing that `submit` makes") == 4
    assert "link.ipynb is a symbolic link" in said


def test_a_folder_that_turns_into_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / NAME).write_text("bobs")
    (tmp_path / "mine").symlink_to(tmp_path / "real")
    (fault,) = take(tmp_path / "mine", tmp_path / "there")
    assert fault.startswith("it cannot be opened: ")
    assert not (tmp_path / "there").exists()
    assert take(tmp_path / "real", tmp_path / "there") == []
    assert (tmp_path / "there" / NAME).read_text() == "bobs"


NO_TIMES = [b"", b"soon", b"\xff\xfe", b"0000-00-00", b"1" * 10**6, b"\x1b[2J", None]


def test_a_time_that_is_none_ends_no_page_and_no_command(course):
    """Formgrader lists the class, and `collect` looks for what is newer."""
    assert main(["release"]) == 0
    for number, text in enumerate([EARLY.encode(), *NO_TIMES]):
        folder = course / f"graders/workspace/submitted/s{number}" / TOPIC
        folder.mkdir(parents=True)
        (folder / NAME).write_text("{}")
        if text is None:
            (folder / "timestamp.txt").symlink_to("/dev/zero")
        else:
            (folder / "timestamp.txt").write_bytes(text)
    code = f"""
from pathlib import Path

from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from graders import formgrader, gradebook, pool

formgrader.install()
here = Path({str(course)!r})
config = Config()
config.CourseDirectory.root = str(here)
config.CourseDirectory.source_directory = "solutions"
config.CourseDirectory.release_directory = "labs"
config.CourseDirectory.submitted_directory = "graders/workspace/submitted"
config.CourseDirectory.autograded_directory = "graders/workspace/autograded"
url = gradebook.default_url(here / "graders" / "workspace")
config.CourseDirectory.db_url = url
for lab in pool.labs(here, {TOPIC!r}):
    gradebook.register(url, lab)
folder = CourseDirectory(config=config)
for one in NbGraderAPI(folder, config=config).get_submissions({TOPIC!r}):
    place = folder.format_path(folder.submitted_directory, one["student"], {TOPIC!r})
    print(one["student"], one["timestamp"], folder.get_existing_timestamp(place))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first == "s0 2024-01-02T03:04:05 2024-01-02 03:04:05"
    assert others == [f"s{number} None None" for number in range(1, 8)]


def test_a_time_is_read_as_nbgrader_reads_it(tmp_path):
    (tmp_path / "timestamp.txt").write_text(f"{EARLY}\n")
    assert timestamp(tmp_path) == datetime(2024, 1, 2, 3, 4, 5)
    assert timestamp(tmp_path / "none") is None
