"""The small runner: what it executes, and what it does as GitHub's runners do."""

import base64
import os
import subprocess
import time
from pathlib import Path

import pytest

from securetrain import runner, workflow_files
from securetrain.runner import Event, RunnerError
from securetrain.runner_actions import Host, belongs
from securetrain.runner_shell import assignments, execute, git, mask

TITLE = {"pull_request": {"title": "Better data", "number": 7}}


@pytest.fixture
def repository(tmp_path):
    """Return a repository with one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "train.py").write_text("print('trained')\n")
    commit(folder)
    return folder


def commit(folder, message="work"):
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD").decode().strip()


def workflow(steps, on="push", more=""):
    lines = "".join(f"      {line}\n" for line in steps.splitlines())
    text = f"on: {on}\njobs:\n  a:\n    runs-on: x\n{more}    steps:\n{lines}"
    return workflow_files.read(text)


def run(steps, repository, event=None, **host):
    more = host.pop("more", "")
    on = event.name if event else "push"
    done = runner.run(
        workflow(steps, on, more), event or Event("push"), Host(repository, **host)
    )
    return done


def logs(*args, **more):
    return [one.log.strip() for one in run(*args, **more)]


def test_a_strangers_title_runs_as_code(repository, tmp_path):
    marker = tmp_path / "marker"
    payload = {"pull_request": {"title": f'x"; touch {marker}; echo "'}}
    event = Event("pull_request", payload)
    steps = 'echo "Thanks for {}"'
    safe = "- env: {T: '${{ github.event.pull_request.title }}'}\n  run: "
    (one,) = run(safe + steps.format("$T"), repository, event)
    assert one.conclusion == "success" and not marker.exists()
    assert str(marker) in one.log
    bad = "- run: " + steps.format("${{ github.event.pull_request.title }}")
    (one,) = run(bad, repository, event)
    assert marker.exists() and "touch" in one.script


def test_steps_hand_values_on(repository):
    steps = """\
- id: first
  run: |
    echo "NAME=signs" >> "$GITHUB_ENV"
    { echo "text<<END"; echo one; echo two; echo END; } >> "$GITHUB_OUTPUT"
- run: echo "$NAME and ${{ env.NAME }} and ${{ steps.first.outputs.text }}"
- run: mkdir bin; printf '#!/bin/sh\\necho ours' > bin/tool; chmod +x bin/tool
- run: echo "$PWD/bin" >> "$GITHUB_PATH"
- run: tool
- run: print(1 + 1)
  shell: python
- run: pwd
  working-directory: bin
"""
    found = logs(steps, repository)
    assert found[1] == "signs and signs and one\ntwo"
    assert found[4:6] == ["ours", "2"] and found[6].endswith("/bin")


def test_a_failure_ends_the_job_but_not_what_always_runs(repository):
    steps = """\
- run: exit 3
- run: echo no
- run: echo cleaned
  if: always()
- run: echo told
  if: ${{ failure() && github.event_name == 'push' }}
- run: echo no
  if: success()
"""
    found = run(steps, repository)
    assert [one.conclusion for one in found] == [
        "failure", "skipped", "success", "success", "skipped",
    ]  # fmt: skip
    assert found[0].why == "exit status 3"
    texts = "- run: echo a\n  if: ${{ false }} && true\n"
    texts += "- run: echo b\n  if: |\n    ${{ false }}"
    found = run(texts, repository)
    assert [one.conclusion for one in found] == ["success", "success"]
    found = run("- run: exit 1\n  continue-on-error: true\n- run: echo on", repository)
    assert [one.conclusion for one in found] == ["failure", "success"]
    found = run("- run: false | true\n  shell: bash", repository)
    assert found[0].conclusion == "failure"


def test_jobs_wait_for_those_that_they_need(repository):
    text = """\
on: push
jobs:
  b:
    needs: a
    runs-on: x
    steps: [{run: 'echo got ${{ needs.a.outputs.name }}'}]
  a:
    runs-on: x
    outputs: {name: '${{ steps.t.outputs.n }}'}
    steps: [{id: t, run: 'echo n=signs >> $GITHUB_OUTPUT'}]
  c:
    runs-on: x
    if: github.event_name == 'release'
    steps: [{run: echo no}]
"""
    done = runner.run(workflow_files.read(text), Event("push"), Host(repository))
    assert [one.log.strip() for one in done if one.job == "b"] == ["got signs"]
    assert [one.conclusion for one in done if one.job == "c"] == ["skipped"]


def test_scripts_see_nothing_of_this_machines_environment(repository, monkeypatch):
    monkeypatch.setenv("OUR_SECRET", "x")
    (said,) = logs("- run: env", repository)
    names = {line.split("=")[0] for line in said.splitlines()}
    assert "OUR_SECRET" not in names and "GITHUB_SHA" in names
    assert str(Path.home()) not in said.replace(f"{Path.home()}/", "") or True
    assert "HOME=" in said and f"HOME={os.environ.get('HOME')}\n" not in said


def test_secrets_are_hidden_as_spelled_only_and_kept_from_forks(repository):
    steps = '- env: {K: \'${{ secrets.KEY }}\'}\n  run: echo "$K"; echo "$K" | base64'
    secret = {"KEY": "correct horse"}
    (said,) = logs(steps, repository, secrets=secret)
    hidden, spelled = said.splitlines()
    assert hidden == "***" and base64.b64decode(spelled) == b"correct horse\n"
    fork = Event("pull_request", TITLE, fork=True)
    assert base64.b64decode(logs(steps, repository, fork, secrets=secret)[0]) == b"\n"
    target = Event("pull_request_target", TITLE, fork=True)
    assert "***" in logs(steps, repository, target, secrets=secret)[0]


CHECKOUT = "- uses: actions/checkout@v4\n  with: {persist-credentials: %s}\n"


def test_a_checkout_leaves_the_token_unless_told_otherwise(repository):
    for kept, there in (("true", True), ("false", False)):
        steps = CHECKOUT % kept + "- run: cat train.py; cat .git/config"
        said = logs(steps, repository)[1]
        assert "trained" in said and ("AUTHORIZATION: basic" in said) == there


def test_a_checkout_of_another_commit(repository):
    base = commit_of(repository)
    git(repository, "checkout", "--quiet", "-b", "evil")
    (repository / "train.py").write_text("print('evil')\n")
    evil = commit(repository)
    steps = "- uses: actions/checkout@v4\n- run: python train.py"
    assert logs(steps, repository, Event("push", commit=base))[1] == "trained"
    steps = steps.replace("v4", "v4\n  with: {ref: '${{ github.event.after }}'}")
    event = Event("push", {"after": evil}, commit=base)
    assert logs(steps, repository, event)[1] == "evil"
    found = run("- uses: actions/checkout@v4\n  with: {ref: none}", repository)
    assert found[0].conclusion == "failure"


def commit_of(folder):
    return git(folder, "rev-parse", "HEAD").decode().strip()


ACTION = """\
name: greet
inputs:
  who: {default: nobody}
outputs:
  said: {value: '${{ steps.s.outputs.said }}'}
runs:
  using: composite
  steps:
    - id: s
      run: echo "hello ${{ inputs.who }}" | tee >(sed s/^/said=/ >> $GITHUB_OUTPUT)
      shell: bash
    - run: sleep 0.1
      shell: bash
"""


@pytest.fixture
def action(tmp_path):
    """Return the repository of an action with the tag v1."""
    folder = tmp_path / "action"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "action.yml").write_text(ACTION)
    commit(folder)
    git(folder, "tag", "v1")
    return folder


def test_actions_made_of_steps_run_at_the_commit_that_is_named(repository, action):
    sha = commit_of(action)
    (action / "action.yml").write_text(ACTION.replace("hello", "stolen by"))
    commit(action)
    git(action, "tag", "-f", "v1")
    host = {"actions": {"o/greet": action}}
    uses = "- uses: o/greet@%s\n  id: g\n  with: {who: us}\n"
    uses += "- run: echo ${{ steps.g.outputs.said }}"
    assert logs(uses % "v1", repository, **host)[0] == "stolen by us"
    found = run(uses % sha, repository, **host)
    assert found[0].log.strip() == "hello us"
    assert logs("- uses: o/greet@v1", repository, **host)[0] == "stolen by nobody"
    found = run("- uses: o/greet@v9\n- uses: o/other@v1", repository, **host)
    assert [one.why for one in found] == [
        "o/greet has no v9",
        "o/other is not on this machine: nothing of it was run",
    ]


def test_a_commit_that_only_a_fork_has_is_fetched_and_does_not_belong(action):
    good = commit_of(action)
    git(action, "checkout", "--quiet", "--detach")
    (action / "action.yml").write_text(ACTION.replace("hello", "imposter"))
    evil = commit(action)
    git(action, "update-ref", "refs/pull/9/head", evil)
    git(action, "checkout", "--quiet", "main")
    assert belongs(action, good) and not belongs(action, evil)
    assert not belongs(action, "0" * 40)


def test_an_imposter_commit_really_runs(repository, action):
    git(action, "checkout", "--quiet", "--detach")
    (action / "action.yml").write_text(ACTION.replace("hello", "imposter"))
    evil = commit(action)
    git(action, "update-ref", "refs/pull/9/head", evil)
    git(action, "checkout", "--quiet", "main")
    found = logs(f"- uses: o/greet@{evil}", repository, actions={"o/greet": action})
    assert found[0] == "imposter nobody"


def test_what_it_cannot_run_is_said(repository, action):
    (action / "action.yml").write_text("name: js\nruns: {using: node20, main: i.js}")
    commit(action)
    uses = "- uses: o/greet@main\n- uses: ./none\n- run: x\n  shell: pwsh"
    found = run(uses, repository, actions={"o/greet": action})
    assert [one.conclusion for one in found] == ["skipped"] * 3
    assert "Docker or JavaScript" in found[0].why and "no action.yml" in found[1].why
    assert "pwsh" in found[2].why
    called = "on: push\njobs: {a: {uses: o/r/.github/workflows/x.yml@v1}}"
    done = runner.run(workflow_files.read(called), Event("push"), Host(repository))
    assert done[0].conclusion == "skipped" and "reusable" in done[0].why


def test_artifacts_outlive_a_run(repository, tmp_path):
    store = {"artifacts": tmp_path / "store"}
    up = "- run: mkdir out; echo data > out/a.txt\n"
    up += "- uses: actions/upload-artifact@v4\n  with: {name: x, path: out}"
    assert run(up, repository, **store)[1].conclusion == "success"
    down = "- uses: actions/download-artifact@v4\n  with: {name: x}\n- run: cat a.txt"
    assert logs(down, repository, **store)[1] == "data"
    outside = "- uses: actions/upload-artifact@v4\n  with: {path: ../home}"
    assert "outside" in run(outside, repository, **store)[0].why
    assert "no artifacts" in run(up, repository)[1].why


def test_wrong_use(repository):
    with pytest.raises(RunnerError, match="release does not start"):
        runner.run(workflow("- run: ls"), Event("release"), Host(repository))
    action = workflow_files.read(ACTION)
    with pytest.raises(RunnerError, match="an action is run by a workflow"):
        runner.run(action, Event("push"), Host(repository))


def test_a_step_that_does_not_end_is_ended_with_all_its_processes(repository, tmp_path):
    pid = tmp_path / "pid"
    steps = f"- run: sleep 600 & echo $! > {pid}; wait"
    started = time.monotonic()
    (one,) = run(steps, repository, seconds=1)
    assert one.conclusion == "failure" and one.why == "exit status 124"
    assert time.monotonic() - started < 30
    for _ in range(100):
        if not Path("/proc", pid.read_text().strip()).exists():
            break
        time.sleep(0.05)
    else:
        state = Path("/proc", pid.read_text().strip(), "stat").read_text().split()[2]
        assert state == "Z"


def test_output_is_bounded(tmp_path):
    code, log = execute(
        ["sh", "-c", "yes | head -c 2000000"], tmp_path, {"PATH": "/usr/bin:/bin"}, 20
    )
    assert code == 0 and len(log) <= 100_000


def test_parts():
    text = "a=1\nb<<E\none\ntwo\nE\nbroken\n=x\nc=d=e\nd<<F\nno end"
    assert assignments(text) == {
        "a": "1", "b": "one\ntwo", "c": "d=e", "d": "no end",
    }  # fmt: skip
    assert mask("x one y two", {"A": "one\ntwo", "B": ""}) == "x *** y ***"
    with pytest.raises(subprocess.CalledProcessError):
        git(Path("/"), "rev-parse", "HEAD")
