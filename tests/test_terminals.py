"""Words that somebody else wrote steer no terminal."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from string import ascii_uppercase

import pytest

from securetrain import cli, progress, records, terminals

ESCAPE = "\x1b[2J"
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def test_what_is_shown_has_no_control_characters():
    assert terminals.shown(f"é {ESCAPE}\r\n\u202e") == "é \ufffd[2J\ufffd\ufffd\ufffd"
    assert terminals.lines("one\n\ttwo\rthree") == "one\n\ttwo\ufffdthree"


def test_an_error_names_a_file_and_clears_no_screen(tmp_path: Path, capsys):
    assert cli.main(["feedback", str(tmp_path / f"a{ESCAPE}")]) == 2
    said = capsys.readouterr().err
    assert "a\ufffd[2J" in said and "\x1b" not in said
    assert cli.main(["badge", "verify", f"{ESCAPE}.svg", "--key", f"{ESCAPE}.pub"])
    assert "\x1b" not in capsys.readouterr().err


def test_a_record_that_was_handed_in_says_its_key_harmlessly(tmp_path: Path, capsys):
    (tmp_path / f"x{ESCAPE}.json").write_text(json.dumps({"schema": records.SCHEMA}))
    whole = dict.fromkeys(records.KEYS, "") | {"schema": records.SCHEMA, ESCAPE: 1}
    (tmp_path / "one.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match="unknown key") as raised:
        records.parse(whole)
    assert "\x1b" not in str(raised.value)
    assert cli.main(["feedback", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "one.json" in said.err and "\x1b" not in said.err + said.out


@pytest.mark.parametrize("part", ["a\x1b[2J", "a\x07", "a\u202eb", "a\x9b2J"])
def test_a_part_with_control_characters_is_no_part(part):
    target = "urn:securetrain:13-x/1-y#stamp/é"
    said = progress.statement(NOW, "checked", "13-x/1-y#stamp/é")
    assert said["object"]["id"] == target and records.fact(said).part == "stamp/é"
    with pytest.raises(ValueError, match="an object of this course"):
        records.fact(progress.statement(NOW, "checked", f"13-x/1-y#{part}"))


def test_what_was_found_in_a_file_with_a_strange_name_is_said(tmp_path, capsys):
    path = tmp_path / f"{ESCAPE}.txt"
    path.write_text("AK" + "IA" + "".join(Random(0).choices(ascii_uppercase, k=16)))
    assert cli.main(["secrets", "scan", str(path)]) == 1
    said = capsys.readouterr()
    assert "looks like a key" in said.out + said.err
    assert "\x1b" not in said.out + said.err


def test_a_link_to_nothing_with_a_strange_name_is_said_harmlessly(tmp_path, capsys):
    (tmp_path / f"{ESCAPE}.txt").symlink_to("nothing")
    assert cli.main(["secrets", "scan", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "\ufffd[2J.txt: no such file" in said and "\x1b" not in said


def test_the_commands_that_judge_a_commit_print_no_escapes(tmp_path, capsys):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    rules = tmp_path / ".securetrain/rules.toml"
    cli.main(["policy", "init", "--owner", "Ada", "--repository", str(tmp_path)])
    text = rules.read_text() + f'[pinned]\n"a\\u001b[2J" = "{"0" * 64}"\n'
    rules.write_text(text)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    assert cli.main(["policy", "check", "--repository", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "a\ufffd[2J: it is gone" in said.err and "\x1b" not in said.err + said.out
