"""A record is exported on request, whole, without a name, and read strictly."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from securetrain import cli, feedback, progress, records

LESSON = "13-poisoning/1-one-sticker"
LAB = "13-poisoning/poisoning"
pytestmark = pytest.mark.usefixtures("work")


def fill() -> None:
    """Record a bit of everything."""
    progress.record("started", LESSON)
    progress.record("answered", LESSON, part="q", success=False, response="é")
    progress.record("checked", LAB, part="stamp", success=True)
    score = {"raw": 4, "min": 1, "max": 5}
    progress.record("rated", LESSON, part="confidence/before/leaked-key", score=score)
    progress.record("finished", LESSON)


def exported(path: Path, *options: str) -> dict:
    """Export to a file, and return what stands in it."""
    assert cli.main(["progress", "export", "--to", str(path), *options]) == 0
    return json.loads(path.read_bytes())


def test_what_is_exported_is_read_back(tmp_path: Path) -> None:
    fill()
    data = exported(tmp_path / "me.json", "--role", "ml-engineer")
    record = records.read(tmp_path / "me.json")
    assert list(record.statements) == data["statements"] == progress.events()
    assert (record.role, record.synthetic) == ("ml-engineer", False)
    assert record.exported.utcoffset().total_seconds() == 0
    verbs = [fact.verb for fact in record.facts()]
    assert verbs == ["started", "answered", "checked", "rated", "finished"]
    _, answer, check, rating, _ = record.facts()
    assert (answer.unit, answer.part, answer.success) == (LESSON, "q", False)
    assert answer.response == "é" and check.success is True and rating.rating == 4


def test_the_learner_is_a_random_id_that_stays(tmp_path: Path, work: Path) -> None:
    fill()
    first = exported(tmp_path / "1.json")
    assert exported(tmp_path / "2.json")["learner"] == first["learner"]
    assert uuid.UUID(first["learner"]).version == 4
    (work / "learner-id").unlink()
    assert exported(tmp_path / "3.json")["learner"] != first["learner"]
    known = (os.environ.get("USER"), os.environ.get("LOGNAME"), str(tmp_path))
    text = (tmp_path / "1.json").read_text("utf-8")
    assert not any(name in text for name in known if name and len(name) > 4)


def test_nothing_makes_an_id_or_a_file_until_it_is_asked_for(
    work: Path, capsys: pytest.CaptureFixture
) -> None:
    fill()
    assert cli.main(["progress", "show"]) == 0
    assert [path.name for path in work.iterdir()] == ["progress.jsonl"]


def test_two_exports_at_once_agree_on_the_id(tmp_path: Path) -> None:
    fill()
    command = [sys.executable, "-m", "securetrain.cli", "progress", "export", "--to"]
    both = [
        subprocess.Popen([*command, tmp_path / f"{n}.json"], stdout=subprocess.DEVNULL)
        for n in range(2)
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len({records.read(tmp_path / f"{n}.json").learner for n in range(2)}) == 1


def test_an_export_is_private_and_replaces_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fill()
    path = tmp_path / "me.json"
    exported(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert cli.main(["progress", "export", "--to", str(path)]) == 2
    assert "is there already" in capsys.readouterr().err
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "elsewhere.json")
    assert cli.main(["progress", "export", "--to", str(link)]) == 2
    assert path.read_bytes() == before and not link.exists()


@pytest.mark.parametrize(
    ("name", "verb"), [("answers", "answered"), ("ratings", "rated")]
)
def test_what_you_keep_is_not_in_the_export(
    tmp_path: Path, name: str, verb: str, capsys: pytest.CaptureFixture
) -> None:
    fill()
    feedback.give(LESSON, change="shorter")
    exported(tmp_path / "me.json", "--without", name)
    facts = records.read(tmp_path / "me.json").facts()
    assert ("chose" in [fact.verb for fact in facts]) == (name != "ratings")
    assert len(facts) == (5 if name == "answers" else 4) and verb not in [
        fact.verb for fact in facts
    ]
    assert f"no {name}: you kept them" in capsys.readouterr().out


def test_damaged_lines_are_left_out_counted_and_not_lost(
    tmp_path: Path, work: Path, capsys: pytest.CaptureFixture
) -> None:
    fill()
    path = work / "progress.jsonl"
    strange = json.loads(path.read_text("utf-8").splitlines()[0])
    strange["verb"]["id"] = "urn:other:verb"
    with path.open("a", encoding="utf-8") as file:
        file.write(f'{json.dumps(strange)}\n[[[\n{"[" * 9999}\n{{"timestamp": "2026')
    before = path.read_bytes()
    data = exported(tmp_path / "me.json")
    assert len(data["statements"]) == 5
    assert "4 lines are damaged and left out" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert cli.main(["progress"]) == 0
    said = capsys.readouterr().out
    assert "4 lines are damaged" in said
    assert "One sticker: finished, 1 question answered, 0 right" in said


def test_a_record_that_holds_nothing_says_so(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["progress", "show"]) == 0
    said = capsys.readouterr().out
    assert "It holds nothing yet" in said and "sent nowhere" in said


@pytest.mark.parametrize("words", [["show"], ["export", "--to", "me.json"]])
def test_a_record_that_cannot_be_read_is_said_and_not_exported(
    tmp_path: Path, monkeypatch, work: Path, capsys, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (work / "progress.jsonl").mkdir(parents=True)
    assert cli.main(["progress", *words]) == 2
    said = capsys.readouterr()
    assert "progress.jsonl: your record cannot be read: Is a directory" in said.err
    assert said.out == "" and [path.name for path in tmp_path.iterdir()] == ["work"]
    assert not (work / "learner-id").exists()


def test_without_an_event_there_is_nothing_to_export(
    tmp_path: Path, work: Path, capsys
) -> None:
    to = tmp_path / "me.json"
    words = ["progress", "export", "--to", str(to)]
    assert cli.main(words) == 2
    assert "nothing to export yet" in capsys.readouterr().err
    progress.record("answered", LESSON, part="q", success=True)
    assert cli.main([*words, "--without", "answers"]) == 2
    assert "nothing to export: you keep all" in capsys.readouterr().err
    progress.file().write_text("[[[\n")
    assert cli.main(words) == 2
    assert "nothing to export yet; damaged lines: 1" in capsys.readouterr().err
    assert not to.exists() and not (work / "learner-id").exists()


def test_an_export_makes_no_folder_and_wants_a_files_name(
    tmp_path: Path, monkeypatch, work: Path, capsys
) -> None:
    fill()
    monkeypatch.chdir(tmp_path)
    says = {".": "expected a file name", "work": "expected a file name"}
    says |= {"nodir/me.json": "nodir: no such folder"}
    for to, why in says.items():
        assert cli.main(["progress", "export", "--to", to]) == 2
        assert why in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
    assert [path.name for path in work.iterdir()] == ["progress.jsonl"]
    assert cli.main(["progress", "export", "--to", "me.json"]) == 0


def test_one_is_one(capsys: pytest.CaptureFixture) -> None:
    fill()
    for unit in (LAB, LESSON, LESSON):
        progress.record("started", unit)
    assert cli.main(["progress", "show"]) == 0
    said = capsys.readouterr().out
    assert "  2 units that you opened\n" in said
    assert "  1 unit that you finished\n" in said
    assert "  1 answer to a quiz question, with what you chose\n" in said


def test_a_full_disk_leaves_no_half_export(tmp_path: Path) -> None:
    fill()
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from securetrain import cli, records\n"
        "records.learner_id()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "sys.exit(cli.main(['progress', 'export', '--to', sys.argv[1]]))\n"
    )
    folder = tmp_path / "full"
    folder.mkdir()
    command = [sys.executable, "-c", code, folder / "me.json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 2 and "progress" in ran.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("raw", [0, 8, 40])
def test_a_run_of_a_unit_is_exported_with_how_many_of_its_cells(
    tmp_path: Path, raw: int, capsys: pytest.CaptureFixture
) -> None:
    """What `progress.finish` writes in JupyterLab: its score counts cells."""
    progress.record("ran", LESSON, score={"raw": raw, "min": 0, "max": 40})
    exported(tmp_path / "me.json")
    assert "damaged" not in capsys.readouterr().out
    (ran,) = records.read(tmp_path / "me.json").facts()
    assert (ran.verb, ran.rating) == ("ran", raw)


@pytest.mark.parametrize(
    ("raw", "low", "high"),
    [(41, 0, 40), (-1, 0, 40), (4, 1, 40), (4.5, 0, 40), (4, 0, 1e999), (4, 0, 4.5)],
)
def test_a_run_of_more_cells_than_there_are_is_refused(raw, low, high) -> None:
    score = {"raw": raw, "min": low, "max": high}
    event = progress.statement(datetime.now(UTC), "ran", LESSON, score=score)
    with pytest.raises(ValueError, match="expected a score of 0 to "):
        records.fact(event)


def good() -> dict:
    """Return a record that is as it should be."""
    fill()
    return records.make(progress.events(), "synthetic-01", "leader", synthetic=True)


def test_a_made_record_is_read_as_made(tmp_path: Path) -> None:
    records.write(tmp_path / "a.json", good())
    record = records.read(tmp_path / "a.json")
    assert (record.learner, record.synthetic) == ("synthetic-01", True)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("schema", "securetrain.record/2", "a newer release wrote it.*update"),
        (
            "schema",
            "securetrain.debrief/1",
            "expected the schema 'securetrain.record/1'",
        ),
        ("schema", 1, "no exported record"),
        ("exported", "2026-12-01T00:00:00", "expected a time with its zone"),
        ("exported", "yesterday", "expected a time in ISO 8601"),
        ("learner", "Ann Example <ann@example.org>", "'learner': expected an id"),
        ("role", "wizard", "unknown role 'wizard'; there are: junior-developer"),
        ("role", None, "'role': expected str"),
        ("synthetic", 0, "'synthetic': expected bool, got 0"),
        ("statements", {}, "'statements': expected list"),
        ("statements", [{}], "statement 1: expected timestamp, actor, verb"),
        ("extra", 1, "unknown key 'extra'"),
    ],
)
def test_a_record_that_is_not_whole_is_refused(
    tmp_path: Path, key: str, value: object, says: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**good(), key: value}), encoding="utf-8")
    with pytest.raises(ValueError, match=f"a.json: .*{says}"):
        records.read(path)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("id",), "7", "its id is no UUID"),
        (("verb", "id"), "urn:x", "unknown verb 'urn:x'"),
        (("object", "id"), "urn:securetrain:../../etc", "an object of this course"),
        (("object", "id"), "https://example.org/1", "an object of this course"),
        (("timestamp",), "2026-12-01T00:00:00", "with its zone"),
        (("result", "success"), "yes", "success as true or false"),
        (
            ("result", "score"),
            {"raw": 6, "min": 1, "max": 5},
            "expected a score of 1 to 5, got 6",
        ),
        (("result", "score"), {"raw": True, "min": 1, "max": 5}, "numbers for raw"),
        (("result", "score"), {"raw": -9e6, "min": -9e6, "max": 5}, "score of 1 to 5"),
        (("result", "score"), {"raw": 4.5, "min": 1, "max": 5}, "score of 1 to 5"),
        (("result", "score"), 4, "expected a score"),
        (("result", "response"), 4, "a response in words"),
        (("actor", "account"), {}, "expected timestamp, actor"),
    ],
)
def test_a_statement_that_is_not_ours_is_refused(
    place: tuple, value: object, says: str
) -> None:
    data = good()
    *folders, last = place
    part = data["statements"][1]
    for name in folders:
        part = part[name]
    part[last] = value
    with pytest.raises(ValueError, match=f"statement 2: .*{says}"):
        records.parse(data)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "schema": 2}', "[" * 99999])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="a.json: "):
        records.read(tmp_path / "a.json")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        records.read(tmp_path)


def test_a_damaged_learner_id_is_named(work: Path) -> None:
    work.mkdir()
    (work / "learner-id").write_text("")
    with pytest.raises(ValueError, match="learner-id: expected the random id"):
        records.learner_id()


def test_nothing_unknown_can_be_left_out() -> None:
    with pytest.raises(ValueError, match="cannot leave out 'times'.*answers, ratings"):
        records.make([], "someone", without=["times"])
