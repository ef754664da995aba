"""Workflows: what is wrong is found with file and line, what is right passes."""

import subprocess
import sys
from pathlib import Path

import pytest

from securetrain import cli, expressions, injections, workflow_files, workflows
from securetrain.expression_values import fill, value
from securetrain.expressions import ExpressionError
from securetrain.workflow_files import WorkflowError

ROOT = Path(__file__).resolve().parents[1]
SHA = "a" * 40
HONEST = f"""\
name: train
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
jobs:
  train:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@{SHA} # v4.2.2
        with:
          persist-credentials: false
      - name: Say what came
        env:
          TITLE: ${{{{ github.event.pull_request.title }}}}
        run: |
          echo "Thanks for $TITLE, commit ${{{{ github.sha }}}}"
          python train.py --number ${{{{ github.event.pull_request.number }}}}
      - run: python publish.py
        if: github.event_name == 'push'
        env:
          TOKEN: ${{{{ secrets.REGISTRY_TOKEN }}}}
"""


def found(text, reviewed=None):
    """Return rule and line of each finding."""
    checked = workflows.check([workflow_files.read(text, "w.yml")], reviewed)
    return [(one.rule, int(one.where.rpartition(":")[2])) for one in checked]


def job(steps, on="pull_request", more="", top="permissions: {}"):
    """Return a workflow of one job with these steps, from line 6 on."""
    lines = f"on: {on}\n{top}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n{more}"
    return f"{lines}    steps:\n" + "".join(f"      {s}\n" for s in steps.splitlines())


def rules(steps, **more):
    return [rule for rule, _ in found(job(steps, **more))]


def test_an_honest_workflow_passes():
    assert found(HONEST) == []


def test_our_own_workflows_pass():
    lines, unread = workflows.check_paths([ROOT])
    assert (lines, unread) == ([], [])


# Injections

TITLE = "github.event.pull_request.title"


@pytest.mark.parametrize(
    "context",
    [
        TITLE,
        "github.event.issue.title",
        "github.event.issue.body",
        "github.event.comment.body",
        "github.event.review.body",
        "github.event.pull_request.head.ref",
        "github.event.pull_request.head.label",
        "github.event.pull_request.head.repo.default_branch",
        "github.event.head_commit.message",
        "github.event.head_commit.author.email",
        "github.event.commits[0].message",
        "github.event.commits.*.author.name",
        "join(github.event.commits.*.message, ' ')",
        "github.event.pages.*.page_name",
        "github.event.workflow_run.head_branch",
        "github.event.workflow_run.display_title",
        "github.event.discussion.title",
        "github.event.release.name",
        "github.event.label.name",
        "github.head_ref",
        "github.ref_name",
        "GitHub.Event.Pull_Request.TITLE",
        "github['event']['pull_request']['title']",
        "github.event['pull_request'].title",
        "github.event[inputs.which]",
        "toJSON(github.event)",
        "toJson(github)",
        "format('{0}', github.event.issue.title)",
        "github.event.issue && github.event.issue.title",
        "github.event.x == 1 && github.head_ref || 'main'",
        "fromJSON(github.event.issue.body).x",
        "fromJSON(toJSON(github.event)).issue.title",
        "(github.event.issue.title)",
        "github.event.*.body",
    ],
)
def test_a_strangers_words_in_a_script(context):
    assert found(job(f"- run: echo '${{{{ {context} }}}}'")) == [("injection", 7)]


@pytest.mark.parametrize(
    "context",
    [
        "github.sha",
        "github.run_id",
        "github.repository",
        "github.event_name",
        "github.event.number",
        "github.event.pull_request.number",
        "github.event.pull_request.head.sha",
        "github.event.pull_request.base.ref",
        "github.event.pull_request.head.repo.full_name",
        "github.event.pull_request.user.login",
        "github.event.issue.title == 'x'",
        "contains(github.event.issue.title, 'x')",
        "startsWith(github.head_ref, 'fix/')",
        "github.head_ref && 'a' || 'b'",
        "hashFiles('**/*.lock')",
        "!github.head_ref",
        "secrets_are_not_here",
        "steps.a.outputs.b",
        "runner.temp",
        "'github.event.issue.title'",
        "github.event.inputs.version",
    ],
)
def test_words_that_cannot_carry_code_pass(context):
    assert rules(f'- run: echo "${{{{ {context} }}}}"') == []


@pytest.mark.parametrize(
    "steps",
    [
        # through the environment, and still an expression
        "- env: {T: '${{ github.head_ref }}'}\n  run: echo ${{ env.T }}",
        "- env: {T: '${{ github.head_ref }}'}\n  run: echo ${{ env['t'] }}",
        "- env: {T: '${{ github.head_ref }}'}\n  run: echo ${{ toJSON(env) }}",
        # through the output of a step
        "- id: t\n  env: {T: '${{ github.head_ref }}'}\n"
        '  run: echo "x=$T" >> "$GITHUB_OUTPUT"\n'
        "- run: echo ${{ steps.t.outputs.x }}",
        "- id: T\n  run: echo \"x=$GITHUB_HEAD_REF\" >> $GITHUB_OUTPUT\n"
        "- run: echo ${{ steps.t.outputs.X }}",
        "- id: t\n  env: {T: '${{ github.head_ref }}'}\n  run: |\n"
        "    copy=${T#refs/}\n"
        '    { echo "x<<E"; echo "$copy"; echo E; } >> "$GITHUB_OUTPUT"\n'
        "- run: echo ${{ steps.t.outputs.x }}",
        "- id: t\n  run: |\n    last=$(git log -1 --format=%s)\n"
        '    echo "x=$last" >> "$GITHUB_OUTPUT"\n'
        "- run: echo ${{ steps.t.outputs.x }}",
        "- id: t\n  env: {T: '${{ github.head_ref }}'}\n  run: |\n"
        '    read -r a <<< "$T"\n    echo "x=$a" >> $GITHUB_OUTPUT\n'
        "- run: echo ${{ steps.t.outputs.x }}",
        "- id: files\n  uses: tj-actions/changed-files@" + SHA + "\n"
        "- run: ls ${{ steps.files.outputs.all_changed_files }}",
        "- id: t\n  uses: some/action@" + SHA + "\n"
        "  with: {a: '${{ github.head_ref }}'}\n"
        "- run: echo ${{ steps.t.outputs.anything }}",
        # a second line of the words is a second output
        "- id: t\n  env: {T: '${{ github.event.issue.body }}'}\n  run: |\n"
        '    echo "x=$T" >> $GITHUB_OUTPUT\n    echo "y=1" >> $GITHUB_OUTPUT\n'
        "- run: echo ${{ steps.t.outputs.y }}",
        # in something else that is code
        "- uses: actions/github-script@" + SHA + "\n"
        "  with: {script: 'console.log(`${{ github.head_ref }}`)'}",
        "- run: print('${{ github.head_ref }}')\n  shell: python",
        "- run: ls\n  shell: bash -c '${{ github.head_ref }} {0}'",
        "- run: |\n    # about ${{ github.event.pull_request.body }}\n    true",
        # by a second reading in the script itself
        "- env: {T: '${{ github.head_ref }}'}\n  run: eval \"echo $T\"",
        "- env: {T: '${{ github.head_ref }}'}\n  run: bash -c \"echo $T\"",
        "- env: {T: '${{ github.head_ref }}'}\n  run: python3 -c \"print('${T}')\"",
        "- run: sh -ec \"echo $GITHUB_HEAD_REF\"",
        # into the environment of all that follows
        "- env: {T: '${{ github.head_ref }}'}\n  run: echo \"NAME=$T\" >> $GITHUB_ENV",
        "- env: {T: '${{ github.head_ref }}'}\n  run: echo \"$T\" >> \"$GITHUB_PATH\"",
    ],
)  # fmt: skip
def test_words_that_take_a_longer_way(steps):
    assert rules(steps) == ["injection"], steps


@pytest.mark.parametrize(
    "steps",
    [
        "- env: {T: '${{ github.head_ref }}'}\n  run: echo \"$T\"",
        "- env: {T: '${{ github.head_ref }}'}\n  run: python a.py \"$T\"",
        "- id: t\n  env: {T: '${{ github.head_ref }}'}\n  run: |\n"
        '    if [ "$T" = x ]; then\n    echo "kind=fix" >> $GITHUB_OUTPUT\n    fi\n'
        "- run: echo ${{ steps.t.outputs.kind }}",
        "- id: t\n  run: echo \"x=$GITHUB_HEAD_REF\" >> $GITHUB_OUTPUT\n"
        "- env: {X: '${{ steps.t.outputs.x }}'}\n  run: echo \"$X\"",
        "- env: {A: b}\n  run: eval \"echo $A\"",
        "- run: echo ${{ matrix.python }}",
    ],
)  # fmt: skip
def test_words_that_stay_data_pass(steps):
    assert rules(steps) == [], steps


def test_words_travel_from_job_to_job_and_through_a_matrix():
    text = job(
        "- id: t\n  run: echo \"x=$GITHUB_HEAD_REF\" >> $GITHUB_OUTPUT",
        more="    outputs: {name: '${{ steps.t.outputs.x }}'}\n",
    )  # fmt: skip
    text += (
        "  b:\n    runs-on: ubuntu-24.04\n    needs: a\n    steps:\n"
        "      - run: echo ${{ needs.a.outputs.name }}\n"
        "  c:\n    runs-on: ubuntu-24.04\n    needs: [a]\n    strategy:\n"
        "      matrix: {x: ['${{ needs.a.outputs.name }}']}\n    steps:\n"
        "      - run: echo ${{ matrix.x }}\n"
    )
    assert found(text) == [("injection", 14), ("injection", 21)]
    # The order of the jobs in the file does not matter.
    head, a, b = (
        text.partition("  a:\n")[0],
        *text.partition("  a:\n")[2].split("  b:\n"),
    )
    assert [r for r, _ in found(f"{head}  b:\n{b}  a:\n{a}")] == ["injection"] * 2


def test_inputs_of_what_others_call():
    call = job(
        "- run: echo ${{ inputs.name }}", on="\n  workflow_call:\n    inputs: {}"
    )
    assert [rule for rule, _ in found(call)] == ["injection"]
    dispatch = job("- run: echo ${{ inputs.name }}", on="workflow_dispatch")
    assert found(dispatch) == []
    action = "name: greet\nruns:\n  using: composite\n  steps:\n"
    action += "    - run: echo ${{ inputs.name }}\n      shell: bash\n"
    assert found(action) == [("injection", 5)]
    safe = action.replace("${{ inputs.name }}", '"$NAME"')
    assert found(safe + "      env: {NAME: '${{ inputs.name }}'}\n") == []


# The other rules

CHECKOUT = f"- uses: actions/checkout@{SHA}\n  with:\n    persist-credentials: false\n"


@pytest.mark.parametrize(
    ("steps", "more", "expected"),
    [
        ("- run: ls", {"on": "pull_request_target"}, ["trigger"]),
        ("- run: ls", {"on": "[push, pull_request_target]"}, ["trigger"]),
        ("- run: ls", {"on": "workflow_run"}, ["trigger"]),
        (
            CHECKOUT + "    ref: ${{ github.event.pull_request.head.sha }}",
            {"on": "pull_request_target"},
            ["trigger", "checkout"],
        ),
        (
            "- run: gh pr checkout ${{ github.event.issue.number }}",
            {"on": "issue_comment"},
            ["checkout"],
        ),
        (
            "- run: git fetch origin pull/1/head",
            {"on": "pull_request_target"},
            ["trigger", "checkout"],
        ),
        (
            CHECKOUT + "    ref: ${{ github.event.pull_request.head.sha }}",
            {"on": "pull_request"},
            [],
        ),
        (
            f"- uses: actions/download-artifact@{SHA}\n"
            "  with: {run-id: '${{ github.event.workflow_run.id }}'}",
            {"on": "workflow_run"},
            ["trigger", "artifact"],
        ),
        (
            f"- uses: dawidd6/action-download-artifact@{SHA}",
            {"on": "workflow_run"},
            ["trigger", "artifact"],
        ),
        (
            f"- uses: actions/download-artifact@{SHA}\n"
            "  with: {run-id: '${{ github.event.workflow_run.id }}'}",
            {
                "on": "workflow_run",
                "more": "    if: github.event.workflow_run.head_repository.full_name"
                " == github.repository\n",
            },
            [],
        ),
        ("- run: ls", {"top": "name: x"}, ["permissions"]),
        ("- run: ls", {"top": "permissions: write-all"}, ["permissions"]),
        ("- run: ls", {"top": "permissions: {contents: write}"}, ["permissions"]),
        ("- run: ls", {"top": "permissions: read-all"}, []),
        ("- run: ls", {"more": "    permissions: {issues: write}\n"}, []),
        (
            "- run: ls",
            {"on": "issue_comment", "more": "    permissions: {contents: write}\n"},
            ["permissions"],
        ),
        ("- run: ls", {"more": "    permissions: write-all\n"}, ["permissions"]),
        ("- uses: some/action@v4", {}, ["pin"]),
        ("- uses: some/action@main", {}, ["pin"]),
        ("- uses: some/action", {}, ["pin"]),
        (f"- uses: some/action@{SHA[:7]}", {}, ["pin"]),
        (f"- uses: some/action@{SHA}", {}, []),
        (f"- uses: some/action/path@{SHA}", {}, []),
        ("- uses: ./tools/act", {}, []),
        ("- uses: docker://alpine:3", {}, ["pin"]),
        (f"- uses: docker://alpine@sha256:{'0' * 64}", {}, []),
        ("- run: ls", {"more": "    container: python:3.11\n"}, ["pin"]),
        (
            "- run: ls",
            {"more": "    services: {db: {image: 'postgres:16'}}\n"},
            ["pin"],
        ),
        (f"- uses: actions/checkout@{SHA}", {}, ["credentials"]),
        (
            f"- uses: actions/checkout@{SHA}\n  with: {{persist-credentials: true}}",
            {},
            ["credentials"],
        ),
        ("- run: echo ${{ secrets.KEY }}", {}, ["secret"]),
        ("- run: x\n  env: {K: '${{ toJSON(secrets) }}'}", {}, ["secret"]),
        ("- run: x\n  env: {K: '${{ secrets[inputs.a] }}'}", {}, ["secret"]),
        ("- run: x\n  env: {K: '${{ secrets.KEY }}'}", {}, []),
        ("- run: x", {"more": "    env: {K: '${{ secrets.KEY }}'}\n"}, ["secret"]),
        (
            "- run: x",
            {"top": "permissions: {}\nenv: {K: '${{ secrets.KEY }}'}"},
            ["secret"],
        ),
        (
            f"- uses: actions/cache@{SHA}",
            {"on": "release"},
            ["cache"],
        ),
        (
            f"- uses: actions/setup-python@{SHA}\n  with: {{cache: pip}}",
            {"on": "{push: {tags: ['v*']}}"},
            ["cache"],
        ),
        (
            f"- uses: actions/setup-python@{SHA}\n  with: {{cache: pip}}",
            {"on": "push"},
            [],
        ),
        (f"- uses: actions/cache@{SHA}", {"on": "issue_comment"}, ["cache"]),
    ],
)
def test_rules(steps, more, expected):
    assert rules(steps, **more) == expected


def test_a_machine_that_stays():
    text = job("- run: ls").replace("ubuntu-24.04", "[self-hosted, gpu]")
    assert found(text) == [("runner", 5)]
    assert found(text.replace("on: pull_request", "on: push")) == []


def test_called_workflows():
    text = (
        "on: push\npermissions: {}\njobs:\n  a:\n    uses: o/r/.github/workflows/x.yml@"
    )
    assert found(f"{text}main\n    secrets: inherit\n") == [("pin", 5), ("secret", 6)]
    assert found(f"{text}{SHA}\n") == []


def test_only_reviewed_commits():
    text = job(f"- uses: Some/Action@{SHA}\n- uses: actions/upload@{'b' * 40}")
    assert found(text, {}) == [("pin", 7), ("pin", 8)]
    assert found(text, {"some/action": [SHA], "actions/upload": []}) == [("pin", 8)]
    assert found(text, {"some/action": [SHA], "Actions/Upload": ["b" * 40]}) == []


# What cannot be read


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "w.yml:1: expected one document, found 0"),
        ("a: 1\n---\nb: 2", "w.yml:1: expected one document, found 2"),
        ("- 1", "w.yml:1: expected the file as a table"),
        ("a: 1", "w.yml:1: no `on` and `jobs`"),
        ("on: push", "w.yml:1: a workflow needs `jobs`"),
        ("on: push\njobs: []", "w.yml:1: a workflow needs `jobs`"),
        ("on: push\njobs: [1]", "w.yml:2: expected jobs as a table"),
        ("on: push\njobs: {a: 1}", "w.yml:2: expected jobs.a as a table"),
        ("on: push\njobs:\n  a: {}", "a job has either"),
        ("on: push\njobs:\n  a: {steps: []}", "expected a list of steps"),
        ("on: push\njobs:\n  a: {steps: [1]}", "expected jobs.a.steps.0 as a table"),
        ("on: push\njobs:\n  a: {steps: [{}]}", "a step has `run` or `uses`"),
        ("on: push\njobs:\n  a: {steps: [{run: a, uses: b}]}", "`run` or `uses`"),
        ("on: push\njobs:\n  a:\n    steps: [{run: 1}]", "w.yml:4: expected text"),
        ("on: push\njobs:\n  a:\n    steps: [{uses: [a]}]", "expected text for `uses`"),
        ("on: push\njobs:\n  a:\n    steps: [{run: a, Run: b}]", "unknown key 'Run'"),
        ("on: push\njobs:\n  a:\n    step: [{run: a}]", "unknown key 'step'"),
        ("on: push\nJobs: {}\njobs: {a: {}}", "w.yml:2: unknown key 'Jobs'"),
        ("on: 1\njobs: {a: {steps: [{run: a}]}}", "`on` names events"),
        ("on: push\npermissions: all\njobs: {a: {steps: [{run: a}]}}", "w.yml:2: perm"),
        (
            "on: push\npermissions: {content: read}\njobs: {a: {steps: [{run: a}]}}",
            "no permission content",
        ),
        ("on: push\nenv: [a]\njobs: {a: {steps: [{run: a}]}}", "expected env as a tab"),
        (
            "on: push\nenv: {a: [b]}\njobs: {a: {steps: [{run: a}]}}",
            "expected text for",
        ),
        ("on: push\non: push\njobs: {}", "a second time"),
        ("on: push\njobs: {a: &x {steps: *x}}", "before its anchor"),
        ("on: push\njobs:\n  a:\n    <<: {b: 1}", "merge key"),
        ("on: !!python/object:os.system push", "is not plain data"),
        (job("- run: a\n  id: x\n- run: b\n  id: X"), "two steps have this id"),
        (job("- run: echo ${{ github.sha"), "w.yml:7: an expression has no end"),
        (job("- run: echo ${{ a b }}"), "w.yml:7: no expression"),
        (job("- run: echo ${{ }}"), "w.yml:7: no expression"),
        (job("- run: a\n  if: ${{ ( }}"), "no expression"),
        (job("- run: a\n  if: a ==="), "no expression"),
        (job("- run: a\n  env: {A: '${{ a..b }}'}"), "no expression"),
        (job("- run: ${{ " + "(" * 60 + "1" + ")" * 60 + " }}"), "nested too deeply"),
        (job("- run: ${{ 'a" + "a" * 21_000 + "' }}"), "too long"),
        ("name: a\nruns: [1]", "expected runs as a table"),
        ("name: a\nruns: {using: composite}", "expected a list of steps"),
        (b"on: push\xff", "expected UTF-8"),
        ("x" * 1_000_001, "at most 1,000,000 bytes"),
    ],
)
def test_what_is_no_workflow_is_named(text, says):
    with pytest.raises(WorkflowError) as caught:
        workflows.check([workflow_files.read(text, "w.yml")])
    assert says in str(caught.value) and str(caught.value).startswith("w.yml:")


def test_windows_line_ends_and_a_byte_order_mark_change_nothing():
    text = job("- run: |\n    echo a\n    echo ${{ github.head_ref }}")
    assert found("\ufeff" + text.replace("\n", "\r\n")) == [("injection", 7)]


# Expressions


@pytest.mark.parametrize(
    ("text", "comes"),
    [
        ("1 + 1", None),
        ("'it''s'", "it's"),
        ("0x10", 16),
        ("true && 'yes' || 'no'", "yes"),
        ("null || 'no'", "no"),
        ("'A' == 'a'", True),
        ("1 < 2 && 2 >= 2 && 3 != 4 && !(2 > 3)", True),
        ("github.event.a", "one"),
        ("github.EVENT['A']", "one"),
        ("github.event.list[1]", "y"),
        ("github.event.list[7]", None),
        ("github.event.rows.*.k", [1, 2]),
        ("github.none.deeper", None),
        ("contains('Hello', 'ell')", True),
        ("contains(github.event.list, 'Y')", True),
        ("format('{0}-{1} {{}}', 'a', 2)", "a-2 {}"),
        ("join(github.event.list, '+')", "x+y"),
        ("fromJSON('[1, 2]')[1]", 2),
        ("toJSON(github.event.list)", '[\n  "x",\n  "y"\n]'),
        ("endsWith('main.py', '.PY')", True),
        ("'' == 0", True),
        ("'x' == 0", False),
        ("nothing()", None),
        ("format('{1}', 1)", None),
        ("fromJSON('{')", None),
    ],
)
def test_values(text, comes):
    rows = [{"k": 1}, {"k": 2}, {"z": 0}]
    event = {"a": "one", "list": ["x", "y"], "rows": rows}
    try:
        assert value(expressions.parse(text), {"github": {"event": event}}) == comes
    except ExpressionError:
        assert comes is None


def test_text_is_filled_as_a_runner_does():
    text = "a ${{ x }} ${{ '}}' }} ${{ y }}${{ z }}${{ 1.0 }}${{ true }}"
    assert fill(text, {"x": "$(id)", "y": None, "z": [1]}) == "a $(id) }} [1]1true"


def test_a_jobs_circle_ends():
    text = "on: push\npermissions: {}\njobs:\n"
    for one, other in ("ab", "ba"):
        text += f"  {one}:\n    needs: {other}\n    steps: [{{run: ls}}]\n"
    assert found(text) == []


# The command


def test_the_command_names_file_and_line(tmp_path, capsys, monkeypatch):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "good.yml").write_text(HONEST)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["workflows", "check", "."]) == 0
    (folder / "bad.yaml").write_text(job("- run: echo ${{ github.head_ref }}"))
    action = tmp_path / "tools" / "act"
    action.mkdir(parents=True)
    (action / "action.yml").write_text(
        "runs: {using: composite, steps: [{uses: a@v1}]}"
    )
    assert cli.main(["workflows", "check", "."]) == 1
    said = capsys.readouterr()
    assert ".github/workflows/bad.yaml:7: injection: github.head_ref" in said.err
    assert "tools/act/action.yml:1: pin: a@v1 is not pinned" in said.err
    assert "2 findings, 0 files" in said.out
    (folder / "broken.yml").write_text("on: [")
    assert cli.main(["workflows", "check", "."]) == 2
    said = capsys.readouterr()
    assert "broken.yml:2: not YAML" in said.err and "bad.yaml:7" in said.err
    assert cli.main(["workflows", "check", "none.yml"]) == 2
    (tmp_path / "other" / ".git").mkdir(parents=True)
    (tmp_path / "other" / "site.yml").write_text("title: no workflow")
    assert cli.main(["workflows", "check", "other"]) == 2
    assert "site.yml" not in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert cli.main(["workflows", "check", "empty"]) == 2
    assert "no workflow and no action in this folder" in capsys.readouterr().err


def test_the_command_is_light():
    program = "import sys, securetrain.workflows_command\n"
    program += "print([n for n in ('torch','numpy','IPython') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr


def test_findings_tell_how_the_words_came():
    text = job("- env: {T: '${{ github.head_ref }}'}\n  run: echo ${{ env.T }}")
    (one,) = workflows.check([workflow_files.read(text)])
    assert "env.t, from github.head_ref" in one.says
    assert one.place == ("jobs", "a", "steps", 0, "run")
    assert injections.Taint().of(("github", "sha")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "runs: {using: Composite, steps: [1]}",
        "runs: {using: composite, steps: {a: 1}}",
        "runs: {using: Composite, steps: {a: 1}}",
        "runs: {using: Composite, steps: [{run: 5}]}",
        "runs: {using: node20, steps: [{run: 5}]}",
        "runs: {using: docker, image: 5}",
        "runs: {using: [docker], image: Dockerfile}",
        job("- run: ls", more="    needs: [[1]]\n"),
        job("- run: ls", more="    needs: {b: 1}\n"),
        job("- run: ls", more="    needs: 5\n"),
    ],
)
def test_odd_types_are_unread_and_lose_no_finding_of_other_files(text, tmp_path):
    (tmp_path / "a.yml").write_text(text)
    (tmp_path / "b.yml").write_text(job("- run: ls ${{ github.head_ref }}"))
    found, unread = workflows.check_paths([tmp_path])
    assert len(unread) == 1 and "a.yml:" in unread[0]
    assert len(found) == 1 and "b.yml:" in found[0]


def test_an_error_that_nobody_foresaw_counts_as_unread(tmp_path, monkeypatch):
    (tmp_path / "a.yml").write_text(job("- run: ls"))
    (tmp_path / "b.yml").write_text(job("- run: ls ${{ github.head_ref }}"))
    check = workflows.check

    def breaks(files, reviewed=None):
        if "a.yml" in files[0].where():
            raise KeyError("a surprise")
        return check(files, reviewed)

    monkeypatch.setattr(workflows, "check", breaks)
    found, unread = workflows.check_paths([tmp_path])
    assert len(found) == 1 and len(unread) == 1
    assert "a.yml:1: cannot be checked: KeyError" in unread[0]


HOLE = "runs: {using: composite, steps: [{run: 'ls ${{ inputs.a }}', shell: sh}]}"


def test_an_action_that_a_workflow_names_is_read_wherever_it_lies(tmp_path):
    def repository(folder, home):
        (folder / home).mkdir(parents=True)
        (folder / home / "action.yml").write_text(HOLE)
        (folder / ".github/workflows").mkdir(parents=True)
        (folder / ".github/workflows/w.yml").write_text(job(f"- uses: ./{home}"))
        return workflows.check_paths([folder])

    for home in ("node_modules/z", "act", ".venv/x"):
        found, unread = repository(tmp_path / home.replace("/", "-"), home)
        assert len(found) == 1 and not unread and home in found[0]
    found, unread = repository(tmp_path / "node_modules" / "ours", "act")
    assert len(found) == 1 and not unread


def test_actions_that_nobody_names_in_hidden_folders_are_left_alone(tmp_path):
    (tmp_path / "node_modules/z").mkdir(parents=True)
    (tmp_path / "node_modules/z/action.yml").write_text(HOLE)
    (tmp_path / "w.yml").write_text(job("- run: ls"))
    assert workflows.check_paths([tmp_path]) == ([], [])


OWN = "github.event.workflow_run.head_repository.full_name == github.repository"
AFTER = "{workflow_run: {workflows: [test]}}"


@pytest.mark.parametrize(
    "condition",
    [
        f'"!({OWN})"', f"({OWN}) == false", f"${{{{ {OWN} }}}} && true",
        f"|\n      ${{{{ {OWN} }}}}", f"always() && ({OWN}) || true",
        f"contains('{OWN}', 'a')", "true",
        "github.event.workflow_run.event != 'push'",
        "fromJSON(vars.x).event == 'push'",
    ],
)  # fmt: skip
def test_a_condition_that_does_not_ask_whose_run_it_was(condition):
    text = job("- run: ls", on=AFTER, more=f"    if: {condition}\n")
    assert [rule for rule, _ in found(text)] == ["trigger"]


@pytest.mark.parametrize(
    "condition",
    [
        OWN, f"${{{{ {OWN} }}}}", f"always() && ({OWN})", f"|\n      {OWN}",
        "github.event.workflow_run.event == 'push' && success()",
        "github.repository == github.event.workflow_run.head_repository.full_name",
        "github.event.workflow_run.repository.full_name == "
        "github.event.workflow_run.head_repository.full_name",
    ],
)  # fmt: skip
def test_a_condition_that_asks_whose_run_it_was(condition):
    text = job("- run: ls", on=AFTER, more=f"    if: {condition}\n")
    assert not found(text)
    other = "  b:\n    runs-on: ubuntu-24.04\n{}    steps: [{{run: ls}}]\n"
    assert found(text + other.format("")) == [("trigger", 1)]
    assert not found(text + other.format("    needs: a\n"))
    assert found(text + other.format("    needs: a\n    if: always()\n"))


@pytest.mark.parametrize(
    "inside",
    [
        "fromJSON(github.event.issue.body).id",
        "fromJSON(format('{0}', github.sha, github.event.issue.title))[1]",
        "(vars.x || github.event.issue).title",
        "(vars.x || github.event.issue).*.title",
        "toJSON(github.event.commits)", "github.workflow_ref", "github.event_path",
    ],
)  # fmt: skip
def test_a_key_behind_a_call_makes_nothing_safe(inside):
    assert "injection" in rules("- run: echo ${{ " + inside + " }}", on="issues")


def test_a_secret_behind_parentheses_is_seen():
    assert "secret" in rules("- run: echo ${{ (vars.x || secrets.KEY).a }}", on="push")


def test_the_number_of_commits_is_no_word():
    assert not rules("- run: echo ${{ github.event.pull_request.commits }}")


@pytest.mark.parametrize(
    "more",
    [
        "container: ${{ github.event.issue.title }}",
        f"container: {{image: 'a@sha256:{'0' * 64}', "
        "options: '--label ${{ github.event.issue.title }}'}",
        "defaults: {run: {shell: 'bash -c \"${{ github.event.issue.title }}\" {0}'}}",
        "defaults: {run: {working-directory: '${{ github.event.issue.title }}'}}",
        "env: {BASH_ENV: '${{ github.event.issue.title }}'}",
        "services: {a: {options: '${{ github.event.issue.title }}', image: a}}",
    ],
)
def test_words_that_become_code_outside_a_script(more):
    text = job("- run: ls", on="issues", more=f"    {more}\n")
    assert ("injection", 6) in found(text)


def test_words_in_a_variable_that_a_program_runs():
    step = "- run: ls\n  env: {NODE_OPTIONS: '${{ github.event.issue.title }}'}"
    assert rules(step, on="issues") == ["injection"]
    text = job("- run: ls", on="issues").replace(
        "ubuntu-24.04", "${{ github.event.issue.title }}"
    )
    assert found(text) == [("injection", 5)]


def test_an_image_named_by_an_expression_is_not_pinned():
    for image in ("python:${{ '3' }}", "${{ vars.image }}"):
        assert rules("- run: ls", on="push", more=f"    container: {image}\n") == [
            "pin"
        ]


SCRIPT = (
    f"- uses: actions/github-script@{SHA}\n  env: {{T: '${{{{ github.head_ref }}}}'}}"
)


@pytest.mark.parametrize(
    "steps",
    [
        SCRIPT + "\n  with: {Script: 'log(`${{ github.head_ref }}`)'}",
        SCRIPT.replace("s/g", "s//g") + "\n  with: {script: '${{ github.head_ref }}'}",
        SCRIPT + "\n  with: {script: 'eval(process.env.T)'}",
        SCRIPT + "\n  with: {script: 'execSync(`x ${context.payload.a}`)'}",
        f"- uses: azure/cli@{SHA}\n"
        "  with: {inlineScript: '${{ github.head_ref }}'}",
        f"- uses: a/finds@{SHA}\n  id: x\n- run: echo ${{{{ steps.x.outputs.body }}}}",
        "- uses: ./a\n  id: x\n- run: echo ${{ steps.x.outputs.body }}",
        f"- uses: actions/github-script@{SHA}\n  id: x\n  with: {{script: return 1}}\n"
        "- run: echo ${{ steps.x.outputs.result }}",
    ],
)
def test_words_that_come_through_actions(steps):
    assert rules(steps) == ["injection"]


def test_words_that_come_from_a_called_workflow():
    text = job("- run: echo ${{ needs.b.outputs.x }}", more="    needs: b\n")
    assert found(text + "  b:\n    uses: ./.github/workflows/b.yml\n") == [
        ("injection", 8)
    ]


def test_actions_that_take_words_as_data_pass():
    assert not rules(SCRIPT + "\n  with: {script: 'console.log(process.env.T)'}")
    steps = f"- uses: actions/cache@{SHA}\n  id: x\n"
    assert not rules(steps + "- run: echo ${{ steps.x.outputs.cache-hit }}")


CHECKOUT = f"- uses: actions/checkout@{SHA}\n  with: {{persist-credentials: false, "


@pytest.mark.parametrize(
    "steps",
    [
        CHECKOUT + "ref: '${{ steps.pr.outputs.x }}'}",
        CHECKOUT + "ref: '${{ github.event.comment.body }}'}",
        CHECKOUT + "repository: '${{ vars.x }}'}",
        CHECKOUT + "ref: refs/pull/1/head}",
        '- run: git fetch origin "$REF"',
        "- run: git -C . fetch origin pull/$N/merge",
        "- run: git checkout FETCH_HEAD",
        "- run: gh pr diff 1 | git apply",
    ],
)
def test_a_strangers_commit_beside_our_rights(steps):
    assert rules(steps, on="issue_comment") == ["checkout"]


@pytest.mark.parametrize(
    "steps",
    [
        CHECKOUT + "ref: main, repository: ours/headlines}",
        "- run: git fetch origin main && git checkout main",
        f"- uses: actions/cache/restore@{SHA}",
    ],
)
def test_our_own_branch_beside_our_rights_passes(steps):
    assert not rules(steps, on="issue_comment")


def test_machines_that_are_not_githubs_own():
    text = job("- run: make")
    for machine in ("[gpu, a100]", "{group: gpu-farm}", "{labels: gpu}", "x"):
        assert found(text.replace("ubuntu-24.04", machine)) == [("runner", 5)]
    for machine in ("[ubuntu-latest]", "macos-15", "'${{ matrix.os }}'"):
        assert not found(text.replace("ubuntu-24.04", machine))


def test_a_cache_that_a_stranger_saves_and_a_token_in_a_script():
    assert rules(f"- uses: actions/cache/save@{SHA}", on="issues") == ["cache"]
    assert rules("- run: curl ${{ github.token }}", on="push") == ["secret"]


def test_another_repository_used_as_an_action():
    used = "\n- uses: ./t/a"
    other = CHECKOUT + "repository: other/tools, path: t"
    assert rules(other + "}" + used, on="push") == ["pin"]
    assert not rules(other + f", ref: {SHA}}}" + used, on="push")
    assert not rules(other + "}\n- uses: ./u", on="push")


@pytest.mark.parametrize(
    "script",
    [
        'echo "echo $T" | bash', 'bash <<< "echo $T"', '/bin/bash -c "echo $T"',
        'bash -e -c "echo $T"', "python3 - <<EOF\n      print('$T')",
        'trap "echo $T" EXIT', 'ssh host "echo $T"', "$T",
    ],
)  # fmt: skip
def test_a_script_that_runs_words_by_another_way(script):
    steps = "- env: {T: '${{ github.head_ref }}'}\n  run: |\n    "
    assert "injection" in rules(steps + script.replace("\n  ", "\n"))
