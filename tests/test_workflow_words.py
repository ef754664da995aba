"""Words of strangers in workflows: where they run they are found, else they pass.

Our runner runs the scripts for real with titles that leave a marker. So a case is
hostile or honest because of what happened, not because we say so.
"""

import tomllib
from pathlib import Path

import pytest
from workflow_cases import (
    HONEST_OUTPUTS,
    HONEST_SCRIPTS,
    HONEST_WORKFLOWS,
    HOSTILE_OUTPUTS,
    HOSTILE_SCRIPTS,
    HOSTILE_WORKFLOWS,
    output,
    script,
    workflow,
)

from securetrain import runner, workflow_files, workflows
from securetrain.runner import Event
from securetrain.runner_actions import Host
from securetrain.runner_shell import git
from securetrain.workflow_files import WorkflowError


def made(build, cases):
    """Return the workflows of cases: a script, or a script and what it has before."""
    return {
        name: workflow(build(*([one] if isinstance(one, str) else one)))
        for name, one in cases.items()
    }


RUN = made(script, HOSTILE_SCRIPTS) | made(output, HOSTILE_OUTPUTS)
RUN_SAFE = made(script, HONEST_SCRIPTS) | made(output, HONEST_OUTPUTS)
LATER = Path(__file__).parent / "fixtures" / "later_workflows.toml"
LATER = tomllib.loads(LATER.read_text("utf-8"))
HOSTILE = RUN | {f"{name}, read": one for name, one in HOSTILE_WORKFLOWS.items()}
HOSTILE |= {f"later: {name}": one for name, one in LATER["hostile"].items()}
HONEST = RUN_SAFE | {f"{name}, read": one for name, one in HONEST_WORKFLOWS.items()}
HONEST |= {f"later: {name}": one for name, one in LATER["honest"].items()}


def titles(marker):
    """Yield titles that leave a marker, each where another kind of text is read."""
    touch = f"touch {marker}"
    yield from (touch, f"$({touch})", f"; {touch}", f"x\nx=$({touch})")
    yield f"a[$({touch})]"
    yield f'"; system("{touch}"); "'
    yield f"y/;1e {touch}\n#"
    yield f"$(shell {touch})"
    yield f"__import__('os').system('{touch}')"


def found(text):
    return workflows.check([workflow_files.read(text, "w.yml")])


def runs(text, folder):
    """Say whether a title leaves its marker when the workflow runs."""
    ours, marker = folder / "ours", folder / "marker"
    ours.mkdir()
    git(ours, "init", "--quiet")
    git(ours, "commit", "--quiet", "--allow-empty", "-m", "work")
    for title in titles(marker):
        event = Event("pull_request", {"pull_request": {"title": title}}, fork=True)
        runner.run(workflow_files.read(text), event, Host(ours))
        if marker.exists():
            return True
    return False


@pytest.mark.parametrize("name", RUN)
def test_a_hostile_script_runs_a_title(name, tmp_path):
    assert runs(RUN[name], tmp_path)


@pytest.mark.parametrize("name", RUN_SAFE)
def test_an_honest_script_runs_no_title(name, tmp_path):
    assert not runs(RUN_SAFE[name], tmp_path)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_workflow_is_found(name):
    assert found(HOSTILE[name])


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_workflow_passes(name):
    assert [str(one) for one in found(HONEST[name])] == []


@pytest.mark.parametrize(
    "text",
    ["$(" * 900, "${a" * 900, "A=(" * 900, "`" * 901, '"$(' * 900, "bash -c " * 900],
)
def test_a_script_that_is_nested_deeply_is_an_error_or_a_finding(text):
    try:
        found(workflow(script(text)))
    except WorkflowError as error:
        assert "nested too deeply" in str(error)


def test_a_long_script_takes_no_long_time():
    lines = "# a comment\necho $T | cat > f\n" * 4000
    assert not found(workflow(script(lines)))
    assert found(workflow(script(lines + "sh f")))


def test_a_machine_that_varies_is_read_as_both_shells():
    text = workflow(script("iex $env:T")).replace("ubuntu-24.04", "${{ matrix.os }}")
    assert found(text)
    assert not found(text.replace("iex", "echo"))


@pytest.mark.parametrize("name", LATER["unseen"])
def test_what_is_still_not_seen(name):
    """When this fails the check is better: move the case to the hostile ones."""
    assert not found(LATER["unseen"][name])
