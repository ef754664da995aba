"""The whole corpus of hostile hand-ins, graded as one class among honest students.

Each attack is judged by the score that it gets and by the marks that it leaves: on the
host's disk, on the network, in what students see, in the pages that people read.
"""

import html.parser
import json
import os
import re
import resource
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from corpus.honest import HONEST
from corpus.hostile import HOSTILE, THEMES, Place
from corpus.lab import FULL, NAME, NOTHING, RIGHT, TOPIC, WRONG, answered, strengthen
from nbgrader.api import Gradebook

from graders import grade, release
from securetrain import notebooks

ROOT = Path(__file__).resolve().parents[1]
STUDENTS = {
    f"{theme}-{one.name}": one for theme, many in THEMES.items() for one in many
}
PROSE = "It misses an attacker who stays quiet."
MEGABYTES = 3500  # what no process of the grader ever needs; a submission may have 3000


class Listener(threading.Thread):
    """Takes every connection to a port of this machine, and notes who called."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard = self.server.getsockname()[1], []

    def run(self):
        while True:
            try:
                caller, _ = self.server.accept()
            except OSError:
                return
            with caller:
                caller.settimeout(5)
                self.heard.append(caller.recv(200))


@dataclass
class Graded:
    """A class after grading."""

    course: Path
    place: Place
    token: str
    secret: str
    seed: str
    listener: Listener
    done: subprocess.CompletedProcess
    results: dict[str, dict] = field(default_factory=dict)
    decoy_lives: bool = True

    def scores(self, student):
        marks = {m["id"]: m["score"] for m in self.results[student]["marks"]}
        return {word: marks[word] for word in FULL}

    def notebook(self, student):
        folder = self.course / "graders/workspace/autograded" / student / TOPIC
        return notebooks.read(folder / f"{NAME}.ipynb")

    def shown(self, student):
        """Return everything that the student's graded notebook shows as output."""
        cells = self.notebook(student)["cells"]
        return json.dumps([cell.get("outputs") for cell in cells])


def hand_in(course, student, notebook):
    folder = course / "graders/workspace/submitted" / student / TOPIC
    folder.mkdir(parents=True)
    text = json.dumps(notebook)
    (folder / f"{NAME}.ipynb").write_text(text, "utf-8")


def chosen(request):
    """Return the students that the selected tests ask for, all when none is named."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    named = {call.params.get("student") for call in calls if call}
    return named & {*STUDENTS, *(f"honest-{name}" for name in HONEST)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory, request):
    """Grade the class once: attackers, honest students, and look at the traces."""
    wanted = chosen(request)
    home = tmp_path_factory.mktemp("hostile").resolve()
    course, outside = home / "course", home / "outside"
    shutil.copytree(ROOT / "tests/fixtures/course", course)
    token, secret, seed = (secrets.token_hex(16) for _ in range(3))
    source = course / "solutions" / TOPIC / f"{NAME}.ipynb"
    solution = notebooks.read(source)
    strengthen(solution, token)
    notebooks.write(source, solution)
    (lab,) = release.generate(course, [source.parent]).values()

    outside.mkdir()
    (outside / "secret.txt").write_text(secret)
    (home / "seed").write_text(seed)
    listener = Listener()
    listener.start()
    decoy = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    place = Place(outside, listener.port, "/tmp/left-behind", decoy.pid)
    wrong, right = json.loads(json.dumps(lab)), json.loads(json.dumps(lab))
    answered(wrong, WRONG, PROSE)
    answered(right, RIGHT, PROSE)
    for student, one in STUDENTS.items():
        if student in wanted or not wanted:
            hand_in(course, student, one.forge(wrong, place))
    for name, forge in HONEST.items():
        if f"honest-{name}" in wanted or not wanted:
            hand_in(course, f"honest-{name}", forge(right))

    words = [sys.executable, "-m", "securetrain.cli", "grade", TOPIC, "--json"]
    words += ["--cpu", "5", "--seed-file", str(home / "seed")]
    environment = os.environ | {"SECURETRAIN_ROOT": str(course)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    graded = Graded(course, place, token, secret, seed, listener, done)
    graded.decoy_lives = decoy.poll() is None
    decoy.communicate(b"\n")
    assert done.returncode in (0, 1), done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-4000:]
    graded.results = {one["student"]: one for one in json.loads(done.stdout)}
    yield graded
    listener.server.close()


@pytest.mark.parametrize("student", STUDENTS)
def test_an_attacker_gets_what_was_earned(graded, student):
    one = STUDENTS[student]
    result = graded.results[student]
    assert result["status"] in ("graded", "refused"), (one.story, result["reason"])
    wanted = NOTHING if one.expect is None else one.expect
    assert graded.scores(student) == wanted, one.story
    left = graded.place.outside / one.name
    assert not left.exists(), f"{one.story} {left.read_text()}"
    assert f"BREACH {one.name}" not in graded.shown(student), one.story


@pytest.mark.parametrize("student", [f"honest-{name}" for name in HONEST])
def test_an_honest_student_keeps_every_point(graded, student):
    assert graded.results[student]["status"] == "graded"
    assert graded.scores(student) == FULL, graded.results[student]["marks"]


def test_nobody_learns_a_secret(graded):
    """Neither the hidden tests, nor the seed, nor a file of the host."""
    for student in graded.results:
        page = json.dumps(graded.notebook(student))
        for secret in (graded.token, graded.secret, graded.seed):
            assert secret not in page, student
        assert "check_clip(seed, 0.5)" not in page, student
    for secret in (graded.token, graded.secret, graded.seed):
        assert secret not in graded.done.stdout + graded.done.stderr


def test_nothing_came_out_of_the_jail(graded):
    assert graded.listener.heard == []
    assert [path.name for path in graded.place.outside.iterdir()] == ["secret.txt"]
    assert (graded.place.outside / "secret.txt").read_text() == graded.secret
    assert graded.decoy_lives
    assert not Path(graded.place.inside).exists()


def test_no_process_is_left(graded):
    ours = str(ROOT / "graders" / "jail.py")  # others may grade on this machine, too
    left = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] == "left-behind" or ours in words:
            left.append(process.info)
    assert left == []


def test_the_gradebook_says_what_the_grader_said(graded):
    url = f"sqlite:///{graded.course}/graders/workspace/gradebook.db"
    with Gradebook(url) as book:
        for student, result in graded.results.items():
            entry = book.find_submission_notebook(NAME, TOPIC, student)
            saved = {g.name: (g.auto_score, g.manual_score) for g in entry.grades}
            said = {m["id"]: (m["score"], None) for m in result["marks"]}
            assert saved == said, student


def test_the_grader_itself_stays_small(graded):
    """No answer of a student makes a trusted process grow without bound."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    assert used < MEGABYTES


def test_the_terminal_shows_plain_text(graded):
    text = grade.summary(list(graded.results.values()))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert max(map(len, text.splitlines())) < 3000


def test_a_students_result_is_of_a_sane_size(graded):
    for student, result in graded.results.items():
        assert len(json.dumps(result)) < 20_000, student
        folder = graded.course / "graders/workspace/autograded" / student
        size = sum(p.stat().st_size for p in folder.rglob("*.ipynb"))
        assert size < 4_000_000, student


class Page(html.parser.HTMLParser):
    """Collects what could run or call home in a page."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.script = [], False

    def handle_starttag(self, tag, attributes):
        self.script = tag in ("script", "style")
        if tag in ("iframe", "object", "embed", "base", "form", "video", "math"):
            self.found.append(tag)
        for name, value in attributes:
            address = re.sub(r"[\x00-\x20]", "", (value or "").lower())
            if name.startswith("on"):
                self.found.append(f"{tag} {name}={value}")
            if name in ("href", "src", "poster", "data", "action", "content"):
                if re.match(r"(javascript|vbscript|data:text|file):", address):
                    self.found.append(f"{tag} {name}={value}")
                if tag != "a" and "127.0.0.1" in address:
                    self.found.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag):
        self.script = False

    def handle_data(self, data):
        if self.script and "127.0.0.1" in data:
            self.found.append(data[:200])
        if re.search(r"\\href\{\s*j\s*a\s*v\s*a\s*s", data):
            self.found.append(data[:200])


@pytest.fixture(scope="module")
def pages(graded):
    """Return the feedback pages of those who attack the reader."""
    shutil.copy(ROOT / "graders/nbgrader_config.py", graded.course / "graders")
    scratch = graded.course.parent / "jupyter"
    environment = {k: v for k, v in os.environ.items() if "JUPYTER" not in k}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment |= dict.fromkeys(
        ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"), str(scratch)
    )
    done = subprocess.run(
        ["nbgrader", "generate_feedback", TOPIC, "--student", "page-*"],
        cwd=graded.course / "graders",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    folder = graded.course / "graders/workspace/feedback"
    return {p.parts[-3]: p for p in folder.glob(f"*/{TOPIC}/{NAME}.html")}


@pytest.mark.parametrize("student", [s for s in STUDENTS if s.startswith("page-")])
def test_a_page_runs_nothing_of_a_students(graded, pages, student):
    page = Page()
    page.feed(pages[student].read_text("utf-8"))
    assert page.found == [], STUDENTS[student].story


def test_every_attack_has_a_name_of_its_own():
    assert len(HOSTILE) == len(STUDENTS)
