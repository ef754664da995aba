"""Badges from a gradebook: who gets one, who does not and why, what is never lost."""

import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from graders import badge as issuing
from graders import pool
from graders.gradebook import open_gradebook, register
from securetrain import badge_awards, badges, catalogue, cli, manifests, notebooks

ROOT = Path(__file__).resolve().parents[1]
TOPIC, ROLE = "13-poisoning", "junior-developer"
PATH = [unit.topic for unit in badge_awards.role(ROLE).labs]
LAST = PATH[-1] if PATH[-1] != TOPIC else PATH[0]
EVIL = "../../etc/=cmd"


def cells(topic):
    """Return a lab's graded cells: (notebook, cell, points, type)."""
    for book in sorted((ROOT / "solutions" / topic).glob("*.ipynb")):
        for cell in notebooks.read(book)["cells"]:
            about = cell["metadata"].get("nbgrader", {})
            if about.get("grade"):
                kind = cell["cell_type"]
                yield book.stem, about["grade_id"], float(about["points"]), kind


def hand_in(gradebook, topic, student, share, waits=False):
    """Enter a hand-in with a share of every cell's points."""
    with gradebook.db.no_autoflush:
        gradebook.add_submission(topic, student)
    for book, name, points, _ in cells(topic):
        grade = gradebook.find_grade(name, book, topic, student)
        grade.auto_score, grade.needs_manual_grade = share * points, False
    grade.needs_manual_grade = waits
    gradebook.db.commit()


@pytest.fixture(scope="module")
def classroom(tmp_path_factory):
    """Return the file of a class that every test copies.

    adam passed the whole path, zoe all but its last lab, éva exactly 70 %, bob less;
    carl's prose is not read yet, dora handed in nothing, EVIL passed with an odd name.
    """
    path = tmp_path_factory.mktemp("class") / "class.db"
    with open_gradebook(f"sqlite:///{path}") as book:
        for topic in PATH:
            book.add_assignment(topic)
            for name in dict.fromkeys(name for name, *_ in cells(topic)):
                book.add_notebook(name, topic)
            for name, cell, points, kind in cells(topic):
                book.add_grade_cell(cell, name, topic, max_score=points, cell_type=kind)
        for student in ("adam", "zoe", "éva", "bob", "carl", "dora", EVIL):
            first = "" if student == "bob" else "First"
            book.add_student(student, first_name=first, last_name="")
        for topic in PATH:
            hand_in(book, topic, "adam", 1)
            hand_in(book, topic, "zoe", 0.2 if topic == LAST else 0.9)
        hand_in(book, TOPIC, "éva", 0.7)
        hand_in(book, TOPIC, "bob", 0.69)
        hand_in(book, TOPIC, "carl", 1, waits=True)
        hand_in(book, TOPIC, EVIL, 1)
    return path


@pytest.fixture
def desk(classroom, tmp_path, monkeypatch, capsys):
    """Return a function that issues: its exit status, and what it said."""
    monkeypatch.setenv("SECURETRAIN_ROOT", str(ROOT))
    shutil.copy(classroom, tmp_path / "class.db")
    manifests.write_new_key(tmp_path / "issuer")
    always = ["--key", str(tmp_path / "issuer.key"), "--issuer", "A school"]
    always += ["--to", str(tmp_path / "badges")]
    always += ["--db", f"sqlite:///{tmp_path / 'class.db'}"]

    def run(*words):
        status = cli.main(["badge", "issue", *always, *words])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def issued(tmp_path):
    """Return every badge of the folder, verified: path -> Badge."""
    key = manifests.read_public_key(tmp_path / "issuer.pub")
    return {
        path.relative_to(tmp_path / "badges"): badges.verify(path.read_bytes(), [key])
        for path in sorted((tmp_path / "badges").rglob("*"))
        if path.is_file()
    }


def test_who_passed_gets_a_badge_and_everybody_else_a_reason(desk, tmp_path):
    status, said = desk(TOPIC)
    found = issued(tmp_path)
    holders = {path.parts[0]: badge for path, badge in found.items()}
    assert set(holders) == {"adam", "zoe", "%C3%A9va", "%2E.%2F..%2Fetc%2F%3Dcmd"}
    assert {path.name for path in found} == {f"{TOPIC}.svg"}
    assert badges.belongs_to(holders["%C3%A9va"], "éva")
    assert badges.belongs_to(holders["%2E.%2F..%2Fetc%2F%3Dcmd"], EVIL)
    assert status == 1 and "badges issued: 4," in said
    assert "a human has still to grade (1): carl" in said
    assert "fewer points than asked for (1): bob" in said
    assert "no hand-in of every lab (1): dora" in said
    assert not [badge.holder for badge in found.values() if badge.holder]


def test_what_was_judged_stands_in_the_badge(desk, tmp_path):
    desk(TOPIC, "--minimum", "0.855", "--student", "adam", "--days", "30")
    (badge,) = issued(tmp_path).values()
    version = issuing.versions(ROOT, [TOPIC])[TOPIC]
    assert "85.5 %" in badge.criteria and f"sha256:{version}" in badge.criteria
    assert badge.issuer == "A school" and (badge.until - badge.since).days == 30


def test_the_version_changes_with_a_hidden_test(tmp_path):
    shutil.copytree(ROOT / "solutions" / TOPIC, tmp_path / "solutions" / TOPIC)
    before = issuing.versions(tmp_path, [TOPIC])
    assert before == issuing.versions(ROOT, [TOPIC])
    (path,) = (tmp_path / "solutions" / TOPIC).glob("*.ipynb")
    text = path.read_text("utf-8")
    assert "### BEGIN HIDDEN TESTS" in text
    path.write_text(text.replace("### END HIDDEN TESTS", "pass\\n### END HIDDEN TESTS"))
    assert issuing.versions(tmp_path, [TOPIC]) != before


def test_the_minimum_is_a_share_of_the_points_after_penalties(desk, tmp_path):
    _, said = desk(TOPIC, "--minimum", "0.69")
    assert "badges issued: 5," in said
    with open_gradebook(f"sqlite:///{tmp_path / 'class.db'}") as book:
        name = next(cells(TOPIC))[0]
        late = book.find_submission_notebook(name, TOPIC, "adam")
        late.late_submission_penalty = 1
        book.db.commit()
    _, said = desk(TOPIC, "--minimum", "1", "--student", "adam")
    assert (
        "badges issued: 0," in said and "fewer points than asked for (1): adam" in said
    )


def test_a_path_is_passed_with_every_lab_on_it(desk, tmp_path):
    status, said = desk("--role", ROLE)
    found = issued(tmp_path)
    assert list(found) == [Path("adam", f"{ROLE}.svg")]
    for topic in PATH:
        assert topic in found[Path("adam", f"{ROLE}.svg")].criteria
    assert "fewer points than asked for (1): zoe" in said
    assert "no hand-in of every lab (5)" in said
    assert status == 0, "carl waits, but lacks other labs as well"


def test_nothing_is_overwritten_and_later_ones_are_added(desk, tmp_path):
    desk(TOPIC)
    before = {p: p.read_bytes() for p in (tmp_path / "badges").rglob("*.svg")}
    with open_gradebook(f"sqlite:///{tmp_path / 'class.db'}") as book:
        for grade in book.assignment_submissions(TOPIC):
            for one in (g for n in grade.notebooks for g in n.grades):
                one.needs_manual_grade = False
        book.db.commit()
    status, said = desk(TOPIC)
    assert status == 0 and "badges issued: 1," in said
    assert "there already, and not replaced (4)" in said
    assert all(path.read_bytes() == data for path, data in before.items())
    left = [p.name for p in (tmp_path / "badges").rglob("*") if p.is_file()]
    assert set(left) == {f"{TOPIC}.svg"} and len(left) == 5


def test_a_name_stands_in_a_badge_only_when_asked_for(desk, tmp_path):
    desk(TOPIC, "--student", "adam", "--name")
    (badge,) = issued(tmp_path).values()
    assert badge.holder == "First" and b">First<" in badge.picture
    assert badges.belongs_to(badge, "adam")
    status, said = desk(TOPIC, "--student", "bob", "--minimum", "0.5", "--name")
    assert status == 2 and "bob: the gradebook knows no name" in said


def test_badges_are_for_their_owners_eyes(desk, tmp_path):
    desk(TOPIC, "--student", "adam")
    (path,) = (tmp_path / "badges").rglob("*.svg")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["99-none"], "no topic with a graded lab; there are: 11-provenance"),
        (["--role", "leader"], "no graded lab"),
        (["--role", "wizard"], "No role 'wizard'"),
        (["41-artifacts"], "not in the gradebook; it holds"),
        ([TOPIC, "--student", "eve"], "not in the gradebook: eve"),
        ([TOPIC, "--db", "sqlite:////nowhere/class.db"], "no gradebook there"),
        ([TOPIC, "--key", "/nowhere/issuer.key"], "No such file"),
        ([TOPIC, "--issuer", "\x1b[2J"], "printable"),
    ],
)
def test_wrong_input_is_said_and_nothing_is_left(desk, tmp_path, words, says):
    if words[0] == "41-artifacts" and "41-artifacts" in PATH:
        pytest.skip("on the path, so in the gradebook")
    status, said = desk(*words)
    assert status == 2 and says in said
    assert not (tmp_path / "badges").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        [TOPIC, "--role", ROLE],
        [TOPIC, "--minimum", "0"],
        [TOPIC, "--minimum", "nan"],
        [TOPIC, "--days", "0"],
        [TOPIC, "--days", "9999999"],
        [TOPIC, "--days", "9" * 30],
    ],
)
def test_wrong_use_ends_before_anything_is_read(desk, words, capsys):
    with pytest.raises(SystemExit) as ended:
        desk(*words)
    assert ended.value.code == 2
    if "--days" in words:
        assert "--days: expected 1 to 36500" in capsys.readouterr().err


def test_a_gradebook_of_another_version_is_refused(desk, tmp_path):
    with open_gradebook(f"sqlite:///{tmp_path / 'class.db'}") as book:
        name, cell, points, _ = next(cells(TOPIC))
        book.find_grade_cell(cell, name, TOPIC).max_score = points + 1
        book.db.commit()
    status, said = desk(TOPIC)
    assert status == 2 and f"another version of this lab ({cell})" in said
    assert not (tmp_path / "badges").exists()


def test_a_gradebook_of_an_older_nbgrader_is_said(desk, tmp_path):
    with sqlite3.connect(tmp_path / "class.db") as database:
        database.execute("ALTER TABLE assignment RENAME COLUMN duedate TO due")
    database.close()
    status, said = desk(TOPIC)
    assert status == 2 and "nbgrader db upgrade" in said and "Traceback" not in said
    (tmp_path / "class.db").write_bytes(b"no database" * 99)
    status, said = desk(TOPIC)
    assert status == 2 and "class.db" in said
    assert not (tmp_path / "badges").exists()


def test_checking_a_badge_needs_neither_a_course_nor_nbgrader(desk, tmp_path):
    """In a Python where nbgrader, numpy, torch and IPython cannot be imported."""
    desk(TOPIC, "--student", "adam")
    code = (
        "import sys\n"
        "for name in ('nbgrader', 'numpy', 'torch', 'IPython', 'sqlalchemy'):\n"
        "    sys.modules[name] = None\n"
        "from securetrain.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def run(*words):
        return subprocess.run(
            [sys.executable, "-c", code, "badge", *words],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip

    path = f"badges/adam/{TOPIC}.svg"
    done = run("verify", path, "--key", "issuer.pub", "--holder", "adam")
    assert done.returncode == 0 and "adam, as you asked" in done.stdout, done.stderr
    done = run("issue", TOPIC, "--key", "issuer.key", "--issuer", "A")
    assert done.returncode == 2 and "pip install -e .[grading]" in done.stderr


def test_every_lab_of_the_catalogue_has_a_version_and_cells():
    topics = [u.topic for u in catalogue.units() if u.kind == "lab"]
    found = issuing.versions(ROOT, topics)
    assert len(set(found.values())) == len(topics)
    assert all(list(cells(topic)) for topic in topics)


def test_a_gradebook_that_the_grader_made_fits(tmp_path):
    url = f"sqlite:///{tmp_path / 'graded.db'}"
    for lab in pool.labs(ROOT, TOPIC):
        register(url, lab)
    with open_gradebook(url) as book:
        issuing.check_fits(book, ROOT, TOPIC)
        (lab,) = book.find_assignment(TOPIC).notebooks
        assert {cell.name for cell in lab.grade_cells} == {c for _, c, _, _ in
                                                           cells(TOPIC)}  # fmt: skip
