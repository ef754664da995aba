"""A pull request's title becomes code: run for real by the course's runner."""

import subprocess
import tempfile
from pathlib import Path

from securetrain import runner, workflow_files
from securetrain.runner_actions import Host

UNIT = "33-pipelines/1-a-title-that-runs"
TITLE = "A title that becomes code"
ALT = (
    "The title of a pull request is copied into a shell script, closes its quote and "
    "runs a command. Through a variable the same title stays text."
)
EVIL = 'Hi"; uname; echo "'
INTO = "${{ github.event.pull_request.title }}"
WORKFLOW = """\
on: pull_request
permissions: {{}}
jobs:
  greet:
    runs-on: ubuntu-24.04
    steps:
      - {env}run: echo "Thanks for {words}"
"""


def ran(words, title, env=""):
    """Return the script and the log of a workflow that thanks for a title."""
    text = WORKFLOW.format(words=words, env=env)
    event = runner.Event("pull_request", {"pull_request": {"title": title}}, fork=True)
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.example"]
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "a"],
                       check=True)  # fmt: skip
        (step,) = runner.run(workflow_files.read(text), event, Host(Path(folder)))
    return step.script.strip(), step.log.rstrip().splitlines()


def facts():
    env = f"env: {{TITLE: '{INTO}'}}\n        "
    script, log = ran(INTO, EVIL)
    return {
        "honest": ran(INTO, "Fix labels"),
        "script": script,
        "log": log,
        "safe": ran("$TITLE", EVIL, env),
    }


def holds(f):
    good = f["honest"][1] == ["Thanks for Fix labels"]
    safe = f["safe"] == ('echo "Thanks for $TITLE"', [f"Thanks for {EVIL}"])
    return good and safe and len(f["log"]) > 1 and f["log"][0] == "Thanks for Hi"


def scenes(f):
    return [
        "A workflow thanks everybody who opens a pull request.",
        ("The title is copied into the script, as text, before bash reads it.", 2.4),
        "An honest title: bash echoes one line. All is well.",
        ("A stranger chooses another title. It is copied in the same way.", 2.4),
        "Now read as bash does: the first quote ends after Hi.",
        "What follows is a command of the stranger's. It runs.",
        "The repair: the title goes into a variable, not into the script.",
        "bash reads the script first, the variable later. Words stay words.",
        "Never copy strangers' words into code; hand them over in env.",
    ]


def draw(stage, f, at):
    evil = at(3) > 0.02
    safe = at(6)
    title = EVIL if evil else "Fix labels"
    flown = at(3) if evil else at(1)
    stage.text(60, 590, "title of the pull request", 26, at(0), ha="left")
    stage.box(860, 590, 560, 62, title, "attacked" if evil else "clean", at(0), 32,
              mono=True)  # fmt: skip
    stage.text(60, 490, "script", 26, at(0), ha="left")
    if safe < 0.5:
        script(stage, f, at, evil, flown, at(0) * (1 - 2 * safe))
    else:
        stage.text(180, 490, 'echo "Thanks for $TITLE"', 34, 2 * safe - 1, mono=True,
                   ha="left")  # fmt: skip
        stage.arrow((860, 556), (860, 440), 2 * safe - 1, "defended")
        stage.box(860, 405, 440, 60, "env: TITLE", "defended", 2 * safe - 1, 28)
    stage.text(60, 300, "log", 26, at(2), ha="left")
    if not evil:
        log(stage, f["honest"][1], at(2))
    elif safe < 0.5:
        log(stage, f["log"], at(5) * (1 - 2 * safe), True)
    log(stage, f["safe"][1], at(7))
    stage.finding("Copied in, words are code; in a variable, words stay words", at(8))


def script(stage, f, at, evil, flown, alpha):
    """Write the script with the place where the title is copied in."""
    title = EVIL if evil else "Fix labels"
    before, size = 'echo "Thanks for ', 34
    step = stage.width("m", 34)
    stage.text(180, 490, before, size, alpha, mono=True, ha="left")
    x = 180 + step * len(before)
    if flown < 0.98:
        hole = "${{ … title }}"
        stage.text(x, 490, hole + '"', size, alpha * (1 - flown), mono=True, ha="left",
                   colour="#555555")  # fmt: skip
    if flown > 0.02:
        y = 575 - 85 * flown
        shown = alpha if flown > 0.98 else alpha * flown
        stage.text(x, y, title, size, shown, mono=True, ha="left", weight="bold",
                   colour="#b34f00" if evil else "black")  # fmt: skip
    if flown > 0.98:
        stage.text(x + step * len(title), 490, '"', size, alpha, mono=True, ha="left")
    if evil and at(4) > 0.02:
        read(stage, x, step, at, alpha)


def read(stage, x, step, at, alpha):
    """Mark below the script which parts bash takes for text, and which for code."""
    quote, code = EVIL.index('"') + 1, EVIL.index("echo")
    left, right = x + step * (quote + 2), x + step * (code - 2)
    spans = [("text", 180, x + step * quote, "#7f7f7f", 4)]
    spans += [("a command", left, right, "#d55e00", 5)]
    for name, left, right, colour, scene in spans:
        shown = at(scene) * alpha
        if shown > 0.02:
            stage.line((left, 462), (right, 462), colour, shown, lw=7,
                       ls="-" if name == "text" else (0, (2, 0.6)))  # fmt: skip
            stage.text((left + right) / 2, 432, name, 26, shown, weight="bold")


def log(stage, lines, alpha, bad=False):
    """Write what the workflow printed."""
    lines = [line for line in lines if line.strip()]
    for number, line in enumerate(lines):
        y, attacked = 300 - 52 * number, bad and number == 1
        if attacked:
            stage.box(405, y, 450, 48, "", "attacked", alpha)
        stage.text(205, y, line, 32, alpha, mono=True, ha="left",
                   weight="bold" if attacked else "normal")  # fmt: skip
        if attacked:
            stage.text(650, y, "the stranger's command ran", 26, alpha, ha="left")
