"""`securetrain grade`: what it prints, how it ends, what it keeps of an earlier run."""

import json
import os
import pty
import shutil
from datetime import datetime

import pytest
from corpus.classroom import PROSE, SOURCE, Classroom, prepare, scores
from corpus.forging import find
from corpus.lab import FULL, NAME, NOTHING, RIGHT, TOPIC, strengthen
from nbgrader.api import Gradebook

from graders import grade, gradebook, intake, pool
from securetrain import notebooks
from securetrain.cli import main

DROPS = "def clip(values, limit):\n    return [v for v in values if abs(v) <= limit]"
STOPS = "def clip(values, limit):\n    import os\n    os._exit(0)"
TIME = "2026-11-02 10:00:00.123456 UTC"


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Hand in for a class: right, wrong, stopped, untouched, broken."""
    room: Classroom = prepare(tmp_path_factory.mktemp("grade"))
    path = room.hand_in("ada")
    path.with_name("timestamp.txt").write_text(TIME + "\n")
    room.hand_in("bob", room.answer(clip=DROPS))
    room.hand_in("carl-the-third", room.answer(clip=STOPS, prose=""))
    room.hand_in("dora", room.lab)
    room.hand_in("eve").write_text("[]")
    return room


@pytest.fixture(scope="module")
def graded(room):
    """Grade the class at a terminal: the finished process, and what the bar showed."""
    return at_terminal(room)


def at_terminal(room, *words):
    ours, theirs = pty.openpty()
    done = room.command("grade", TOPIC, *words, stderr=theirs)
    os.close(theirs)
    shown = b""
    while part := _read(ours):
        shown += part
    os.close(ours)
    return done, shown.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the end, as Linux says it
        return b""


def test_the_summary_has_points_and_reasons(graded):
    done, _ = graded
    *table, last = done.stdout.splitlines()
    rows = [line.rpartition(" ")[0].rstrip() for line in table]
    assert rows == [
        "student         points       by hand  CPU",
        "ada                 5 of 6         1",
        "bob                 3 of 6         1",
        "carl-the-third      3 of 6         0",
        "dora                0 of 6         0",
        "eve                 0 of 6         0",
    ]
    assert last.startswith("                not read: clip.ipynb: expected a notebook")
    assert done.returncode == 1, "one could not be read"


def test_a_bar_moves_on_a_terminal(graded):
    _, shown = graded
    assert shown.startswith("\r[######                        ] 1 of 5\r[###")
    assert shown.endswith(f"\r[{'#' * 30}] 5 of 5\r\n")


def test_the_summary_names_those_who_were_not_graded(room):
    (one,) = intake.collect(room.workspace / "submitted", TOPIC, NAME, ["bob"])
    text = grade.summary([pool.failed(one, "the worker died")])
    assert text.splitlines()[1] == "bob      not graded: the worker died"


def test_the_bar_ends_its_line_when_only_some_were_left(room, graded):
    room.hand_in("zoe")
    done, shown = at_terminal(room, "--resume")
    assert done.returncode == 1, "eve's cannot be read, and every run says so"
    assert "zoe" in done.stdout and "ada" not in done.stdout
    assert shown.endswith("\r[##########                    ] 2 of 6\r\n")


def test_the_gradebook_and_the_graded_notebooks_hold_it(room, graded):
    both = {"check-clip": (2, None, False), "check-flag": (3, None, False)}
    assert room.entries("ada") == both | {"limits": (None, None, True)}
    assert set(room.entries("dora").values()) == {(0, None, False)}
    cells = {cell["id"]: cell for cell in room.notebook("bob")["cells"]}
    (verdict,) = cells["check-clip"]["outputs"]
    assert verdict["evalue"] == "a value was dropped: clip moves, it keeps all"
    assert cells["check-flag"]["outputs"] == [] and cells["limits"]["source"] == PROSE


def test_the_time_of_a_hand_in_is_kept(room, graded):
    with Gradebook(room.url) as book:
        entry = book.find_submission(TOPIC, "ada")
        assert entry.timestamp == datetime(2026, 11, 2, 10, 0, 0, 123456)
        assert book.find_submission(TOPIC, "bob").timestamp is None
    kept = room.workspace / "autograded" / "ada" / TOPIC / "timestamp.txt"
    assert kept.read_text() == TIME + "\n"


def test_some_students_are_graded_again_as_json(room, graded):
    done = room.command("grade", TOPIC, "--json", "bob", "ada", "--jobs", "1")
    assert done.returncode == 0 and done.stderr == "", "no bar without a terminal"
    ada, bob = json.loads(done.stdout)
    assert [ada["student"], bob["student"]] == ["ada", "bob"]
    assert (ada["status"], ada["topic"], ada["name"]) == ("graded", TOPIC, NAME)
    assert scores(ada) == FULL | {"limits": None}
    assert scores(bob)["check-clip"] == 0 and ada["timestamp"] == TIME
    assert ada.keys() == {
        *("student", "topic", "name", "timestamp", "status", "reason"),
        *("marks", "notes", "cpu_seconds"),
    }


# A second run of the same class.


def by_hand(url, cell, score):
    """Score a cell of ada's in formgrader's way."""
    with Gradebook(url) as book:
        mark = book.find_grade(cell, NAME, TOPIC, "ada")
        mark.manual_score, mark.needs_manual_grade = score, False
        book.db.commit()


def test_a_score_by_hand_stays_and_a_new_answer_asks_for_a_look(room, graded):
    by_hand(room.url, "limits", 0.5)
    room.grade("ada")
    assert room.entries("ada")["limits"] == (None, 0.5, False)
    room.hand_in("ada", room.answer(prose="Second thoughts."))
    for _ in range(2):
        room.grade("ada")
        assert room.entries("ada")["limits"] == (None, 0.5, True)


@pytest.fixture
def save(room, graded, tmp_path):
    """Return a function that saves a new result of ada's in a copy of the gradebook."""
    url = f"sqlite:///{shutil.copy(room.workspace / 'gradebook.db', tmp_path)}"
    last = [None]

    def run(prose=PROSE, limits=None, clip=2.0, leave_out=""):
        notebook = room.notebook("ada")
        find(notebook, "limits")["source"] = prose
        scored = {"check-clip": clip, "check-flag": 3.0, "limits": limits}
        marks = [
            {"id": word, "points": 3.0, "score": score, "message": ""}
            for word, score in scored.items()
            if word != leave_out
        ]
        result = {"student": "ada", "topic": TOPIC, "name": NAME, "timestamp": ""}
        with gradebook.open_gradebook(url) as book:
            gradebook.save(book, result | {"marks": marks, "notebook": notebook}, *last)
        last[0] = notebook
        with Gradebook(url) as book:
            found = book.find_submission_notebook(NAME, TOPIC, "ada").grades
            return {
                g.name: (g.auto_score, g.manual_score, g.needs_manual_grade)
                for g in found
            }

    by_hand(url, "limits", None)
    run.by_hand = lambda cell, score: by_hand(url, cell, score)
    return run


def test_words_wait_until_a_human_has_scored_them(save):
    assert save()["limits"] == (None, None, True)
    assert save("")["limits"] == (None, None, True)
    assert save("", limits=0.0)["limits"] == (0.0, None, False)
    save.by_hand("limits", 1)
    assert save("", limits=0.0)["limits"] == (0.0, 1, False)


def test_another_answer_needs_a_second_look_until_a_human_took_it(save):
    save()
    save.by_hand("limits", 1)
    assert save()["limits"] == (None, 1, False)
    assert save("Other words.")["limits"] == (None, 1, True)
    assert save("Other words.")["limits"] == (None, 1, True)
    save.by_hand("limits", 0.5)
    assert save("Other words.")["limits"] == (None, 0.5, False)


def test_a_check_that_a_human_overruled_needs_a_look_when_it_comes_out_anew(save):
    save()
    save.by_hand("check-clip", 1.5)
    assert save()["check-clip"] == (2, 1.5, False)
    assert save(clip=0.0)["check-clip"] == (0, 1.5, True)
    assert save(clip=0.0)["check-flag"] == (3, None, False)


def test_a_result_is_saved_whole_or_not_at_all(save):
    before = save()
    with pytest.raises(KeyError):
        save(clip=0.0, leave_out="limits")
    assert save() == before


# Other labs, other seeds.

KNOWS = """
def seen(values):
    made = [(noise(seed), seed) for seed in (0, 7, 8, 9)]
    return any(values in (one, one[turn:] + one[:turn]) for one, turn in made)

"""
HARD_CODED = {
    word: KNOWS
    + RIGHT[word].replace("\n", "\n    if not seen(values):\n        return [0]\n", 1)
    for word in RIGHT
}


def test_answers_for_the_public_seed_fail_with_a_private_one(tmp_path):
    room = prepare(tmp_path, lambda solution: strengthen(solution, "a secret"))
    room.hand_in("ada")
    room.hand_in("cheat", room.answer(**HARD_CODED))
    results = room.grade()
    for student in ("ada", "cheat"):
        assert scores(results[student]) == FULL | {"limits": None}
    seed = tmp_path / "cohort.seed"
    seed.write_text("correct horse battery staple")
    results = room.grade("--seed-file", str(seed))
    assert scores(results["ada"]) == FULL | {"limits": None}
    assert scores(results["cheat"]) == NOTHING | {"limits": None}
    assert results["cheat"]["marks"][0]["message"] == (
        "a value was dropped: clip moves, it keeps all"
    )


def test_a_topic_with_two_labs_is_graded_whole(tmp_path):
    """The second one has a magic in a cell, and was handed in by ada alone."""
    room = prepare(tmp_path)
    second = notebooks.read(room.course / SOURCE)
    find(second, "try-clip")["source"] = "%matplotlib inline\nclip([3.0], 1.0)"
    notebooks.write(room.course / SOURCE.with_name("second.ipynb"), second)
    path = room.hand_in("ada")
    shutil.copy(path, path.with_name("second.ipynb"))
    room.hand_in("bob")
    done = room.command("grade", TOPIC, "--json")
    assert done.returncode == 1, done.stderr
    results = {(r["student"], r["name"]): r for r in json.loads(done.stdout)}
    assert len(results) == 4
    for student, name in (("ada", "clip"), ("ada", "second"), ("bob", "clip")):
        assert scores(results[student, name]) == FULL | {"limits": None}
    assert "No second.ipynb was handed in" in results["bob", "second"]["reason"]
    with Gradebook(room.url) as book:
        assert book.find_submission(TOPIC, "ada").score == 10
        assert book.find_submission(TOPIC, "bob").score == 5


# What stops a run before it starts.


@pytest.fixture
def refused(course, capsys):
    """Return a function that grades and must not: what was said."""

    def run(*words, topic=TOPIC):
        assert main(["grade", topic, *words]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("securetrain grade: ")
        return said.err

    return run


@pytest.fixture
def ada(course):
    """Return the folder where ada's hand-in lies, with nothing in it."""
    folder = course / "graders" / "workspace" / "submitted" / "ada" / TOPIC
    folder.mkdir(parents=True)
    return folder


def test_an_unknown_topic_is_named_with_those_there_are(refused):
    assert "there are: 01-clip" in refused(topic="99-nothing")


def test_nothing_handed_in_says_how_to_collect(refused):
    said = refused()
    assert "holds no hand-in of 01-clip. Collect them first: nbgrader collect" in said


def test_students_without_a_hand_in_are_named(refused, ada):
    assert "no hand-in of bob, zoe" in refused("zoe", "ada", "bob")


@pytest.mark.parametrize(
    "words, says",
    [
        (None, "no such file. Make one outside the course's folder: openssl rand"),
        (b"short", "expected 16 characters or more, got 5. Make one: openssl rand"),
        (b" \n" * 99, "expected 16 characters or more, got 0"),
    ],
)
def test_a_seed_file_that_says_too_little(refused, ada, tmp_path, words, says):
    path = tmp_path / "cohort.seed"
    if words:
        path.write_bytes(words)
    assert says in refused("--seed-file", str(path))


def test_a_seed_file_where_git_would_find_it(refused, ada, course, tmp_path):
    (course / "seed").write_text("correct horse battery staple")
    (tmp_path / "link").symlink_to(course / "seed")
    for path in (course / "seed", tmp_path / "link"):
        said = refused("--seed-file", str(path))
        assert "lies in the course's folder" in said and "Move it elsewhere" in said


def test_seeds_of_other_words_are_others_and_none_is_small(tmp_path, course):
    seeds = set()
    for number in range(50):
        (tmp_path / "seed").write_text(f"sixteen letters {number}\n")
        seeds.add(grade.seed_of(tmp_path / "seed", course))
    assert len(seeds) == 50 and min(seeds) >= 2**20 and max(seeds) < 2**31
    assert grade.seed_of(None, course) == pool.PUBLIC_SEED


@pytest.mark.parametrize("words", [["--jobs", "0"], ["--cpu", "-1"], ["--jobs", "x"]])
def test_numbers_that_make_no_sense(course, capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(["grade", TOPIC, *words])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert f"{words[0]}: expected 1 or more" in said or "invalid int value" in said


@pytest.mark.parametrize(
    "url, says",
    [
        ("grades.db", "--db: expected an URL such as sqlite:////folder/gradebook.db"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql+psycopg2://u:secret@127.0.0.1:1/x", "u:***@127.0.0.1:1/x: the"),
        ("nosuch://u@127.0.0.1/x", "cannot be opened: Can't load plugin"),
    ],
)
def test_a_gradebook_that_cannot_be_opened(refused, ada, url, says):
    said = refused("--db", url)
    assert says in said and "secret" not in said and len(said) < 500


def test_a_course_whose_own_answers_fail_grades_nobody(refused, ada, course, edit):
    source = course / SOURCE
    wrong = "def flag(values, share):\n    ### BEGIN SOLUTION\n    return []\n"
    edit(source, flag=lambda c: c.update(source=wrong + "    ### END SOLUTION"))
    assert "the course's own notebook fails in cell 'check-flag'" in refused()
    assert not (course / "graders" / "workspace" / "autograded").exists()


def test_a_lab_that_changed_after_it_was_graded(refused, room, graded, course):
    shutil.copytree(room.workspace, course / "graders" / "workspace")
    solution = notebooks.read(course / SOURCE)
    solution["cells"] = [c for c in solution["cells"] if c["id"] != "limits"]
    notebooks.write(course / SOURCE, solution)
    said = refused()
    assert "Cannot add or remove cells" in said
    assert "Start a new gradebook with --db, or put the cells back." in said


def test_a_topic_is_one_topic_however_it_is_written(room, graded):
    done = room.command("grade", f"./{TOPIC}/", "ada")
    assert done.returncode == 0, done.stderr
    with Gradebook(room.url) as book:
        assert [one.name for one in book.assignments] == [TOPIC]
