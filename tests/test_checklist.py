"""The checklist: every line of the catalogue, each part with who enforces it."""

from dataclasses import replace
from pathlib import Path

import pytest

from securetrain import checklist, cli, plain_yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = checklist.parts()
COMMANDS = sorted({command for part in PARTS for command in part.commands})


def test_the_checklist_has_no_problems():
    assert checklist.problems() == []


def test_the_hooks_are_those_that_other_repositories_get():
    (document,) = plain_yaml.read_file(ROOT / ".pre-commit-hooks.yaml")
    assert checklist.hooks() == {hook["id"]: hook["entry"] for hook in document.data}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_it_is_there(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert f"securetrain {command}" in capsys.readouterr().out


def test_the_page_of_hooks_names_each():
    text = (ROOT / "docs" / "hooks.md").read_text("utf-8")
    for id in checklist.hooks():
        assert f"| `{id}` |" in text and f"id: {id}\n" in text, id


LINE = {"13-poisoning": "Scan every set, and keep the report; look at it."}
GOOD = [
    checklist.Part("13-poisoning", "Scan every set", ("hook secrets",), ""),
    checklist.Part("13-poisoning", "keep the report", ("run policy check",), ""),
    checklist.Part("13-poisoning", "look at it", (), "its owner"),
]


@pytest.mark.parametrize(
    ("number", "change", "says"),
    [
        (0, {"says": "Scan every"}, "not what comes next in its line: 'set, and"),
        (1, {"says": "keep a report"}, "'keep a report' is not what comes next"),
        (2, {"says": "look"}, "nobody says who enforces 'at it.'"),
        (2, {"hand": " "}, "'look at it' has neither a check nor a person"),
        (0, {"checks": ("hook none",)}, "'none' is no hook"),
        (0, {"checks": ()}, "hook 'secrets' stands on no line"),
        (
            1,
            {"checks": ("run nothing now",)},
            "'securetrain nothing now' is no command",
        ),
        (1, {"checks": ("ci policy check",)}, "start with 'hook ' or 'run '"),
        (1, {"topic": "99-none"}, "is of no topic in the catalogue"),
    ],
)
def test_a_broken_part_is_named_with_its_fault(number, change, says):
    hooks = {"secrets": "securetrain secrets scan"}
    assert checklist.problems(GOOD, LINE, hooks) == []
    broken = [replace(p, **change) if p is GOOD[number] else p for p in GOOD]
    found = checklist.problems(broken, LINE, hooks)
    assert any(says in line for line in found), found


def test_a_line_without_parts_and_a_topic_without_area_are_named():
    found = checklist.problems([], {"97-new": "Do it."}, {})
    assert "97-new: nobody says who enforces 'Do it.'" in found
    assert "97-new: stands under no area, or under two" in found


@pytest.mark.parametrize(
    ("entry", "says"),
    [({"topic": "x"}, "missing key 'checks'"), ({"more": 1}, "unknown key 'more'")],
)
def test_a_part_that_is_not_whole_is_refused(entry, says):
    whole = {"topic": "x", "says": "x", "checks": [], "hand": "x"}
    with pytest.raises(ValueError, match=says):
        checklist.parse([entry if "topic" in entry else whole | entry])
