"""The guides hold: their commands run in a fresh course, what they name exists."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from IPython.core.magic_arguments import parse_argstring

from securetrain import (
    badge_awards,
    catalogue,
    check_magic,
    checks,
    cli,
    hints,
    manifests,
    pages,
)
from securetrain.badge_awards import Holder, Judgement

ROOT = Path(__file__).resolve().parents[1]
GUIDES = {name: ROOT / "docs" / f"{name}.md" for name in ("learner-guide", "badges")}
TOPIC = "13-poisoning"
# The commands of a shell in a learner's course. JupyterLab would never end, so its
# command stops after the copies of the labs; make installs nothing.
SHIMS = {
    "securetrain": (
        'if [ "$1" = lab ]; then set -- "$@" --prepare; fi\n'
        f'exec "{sys.executable}" -m securetrain.cli "$@"\n'
    ),
    "make": f'exec "{shutil.which("make")}" "$@" PYTHON=true\n',
}
# A learner's copy that is still empty fails its checks, and says so with 1. What reads
# a class's gradebook is tried in test_badge_issue.py: here its options are.
STATUS = {"securetrain check 11-provenance": 1}
ELSEWHERE = re.compile(r"securetrain badge (issue|revoke) ")


def blocks(name):
    """Return the commands of a guide, one a line, a list for each block."""
    text = GUIDES[name].read_text("utf-8")
    found = re.findall(r"(?ms)^```bash\n(.*?)^```", text)
    assert found
    return [re.sub(r"\\\n\s*", "", block).splitlines() for block in found]


COMMANDS = [(name, line) for name in GUIDES for block in blocks(name) for line in block]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Return a fresh course, with the shims on PATH once it is activated."""
    here = tmp_path_factory.mktemp("learner").resolve() / "the course"
    for folder in ("course", "labs", "solutions"):
        shutil.copytree(ROOT / folder, here / folder)
    shutil.copy(ROOT / "Makefile", here)
    commands = here / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").write_text(f'PATH="{commands}:$PATH"\n')
    for name, script in SHIMS.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}")
        (commands / name).chmod(0o755)
    (here / "train.py").write_text("print('no key here')\n")
    for words in (["init", "-q"], ["add", "train.py"]):
        subprocess.run(["git", "-C", here, *words], check=True)
    badge(here / "work" / "badges")
    for end in ("issuer.pub", f"{TOPIC}.svg"):
        shutil.copy(here / "work" / "badges" / end, here)
    (here / "issuer.pub").unlink()
    return here


def badge(folder):
    """Put a badge into a learner's folder, and its issuer's public key."""
    folder.mkdir(parents=True)
    private, public = manifests.new_key()
    (folder / "issuer.pub").write_text(public.hex())
    award = badge_awards.topic(TOPIC)
    made = badge_awards.make(
        award,
        Judgement(0.7, {TOPIC: "ab" * 32}),
        Holder("you"),
        ("Your school", public),
        datetime(2026, 1, 5, tzinfo=UTC),
    )
    (folder / f"{TOPIC}.svg").write_bytes(badge_awards.issue(made, private))


@pytest.fixture
def shell(course):
    """Return a function that runs a line as the guide's reader would."""
    left_out = ("SECURETRAIN_ROOT", "SECURETRAIN_WORK")
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    environment["PYTHONPATH"] = str(ROOT)

    def run(line):
        return subprocess.run(
            ["bash", "-c", f". .venv/bin/activate\n{line}"],
            cwd=course,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


def test_the_learner_guide_runs_from_top_to_bottom_in_a_fresh_course(shell):
    for line in (line for name, line in COMMANDS if name == "learner-guide"):
        done = shell(line)
        assert done.returncode == STATUS.get(line, 0), f"{line}\n{done.stdout}"


def test_the_commands_about_badges_run(course, shell, tmp_path):
    lines = [line for name, line in COMMANDS if name == "badges"]
    assert sum(1 for line in lines if ELSEWHERE.match(line)) == 3
    for line in lines:
        if ELSEWHERE.match(line):
            continue
        if "verify" in line:
            line = line.replace("--key issuer.pub", "--key work/badges/issuer.pub")
        done = shell(line)
        assert done.returncode == 0, done.stdout


def test_an_option_that_a_guide_gives_to_badges_exists(shell):
    for _, line in COMMANDS:
        if found := ELSEWHERE.match(line):
            said = shell(f"securetrain badge {found[1]} --help").stdout
            assert set(re.findall(r"--[a-z]+", line)) <= set(
                re.findall(r"--[a-z]+", said)
            )


def test_the_copy_that_start_makes_leaves_mine_alone(course, shell):
    first = course / "work" / "11-provenance" / "provenance.ipynb"
    first.unlink(missing_ok=True)
    assert shell("securetrain start 11-provenance").returncode == 0
    first.write_text("mine")
    assert shell("securetrain start 11-provenance --new").returncode == 0
    assert first.read_text() == "mine"


def prose(name):
    """Return a guide without its blocks of code, on one line."""
    text = GUIDES[name].read_text("utf-8")
    return " ".join(re.sub(r"(?ms)^```.*?^```", "", text).split())


@pytest.mark.parametrize("name", GUIDES)
def test_a_command_that_a_guide_mentions_exists(name):
    named = set(re.findall(r"`securetrain ([a-z]+)", prose(name)))
    assert [word for word in named if cli.find(word) is None] == []


def test_a_check_that_the_guide_mentions_is_one():
    magic = check_magic.CheckMagic.check
    named = re.findall(r"`%check([^`]*)`", prose("learner-guide"))
    assert len(named) >= 3
    labs = [checks.load(unit.id) for unit in catalogue.units() if unit.kind == "lab"]
    tasks = {task.name for lab in labs for task in lab.tasks}
    for words in named:
        assert set(parse_argstring(magic, words.strip()).tasks) <= tasks
    assert hints.load("13-poisoning/poisoning")["stamp"].steps


def test_a_home_page_that_the_guide_mentions_is_one():
    (choice,) = re.findall(
        r"under \*([^*]+)\* on the\s+home page", prose("learner-guide")
    )
    assert f'"{choice}"' in pages.static("home.js")
    titles = re.findall(r"lesson, \*([^*]+)\*", prose("learner-guide"))
    assert titles == [catalogue.units()[0].title]


def test_the_survey_after_the_course_is_the_one_before_it():
    text = GUIDES["learner-guide"].read_text("utf-8")
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```", text)
    exec(code, asked := {})
    (said,) = re.findall(r"survey\.show\(.*\)", code)
    first = ROOT / catalogue.units()[0].path
    before = first.read_text("utf-8").replace('\\"', '"')
    assert said.replace('"after"', '"before"') in before
    assert len(asked["survey"].show("after", catalogue.units()[0].id).items) == 10


@pytest.mark.parametrize("name", GUIDES)
def test_a_link_of_a_guide_leads_somewhere(name):
    text = GUIDES[name].read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if ":" not in link]
    assert links
    assert [li for li in links if not (ROOT / "docs" / li).exists()] == []
