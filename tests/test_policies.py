"""A team's rules: read strictly, held against a repository; exceptions that end."""

import json
import re
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
import yaml

from securetrain import checklist, commit_gate, policies, policy_check
from securetrain.policies import CONFIG, RULES

ROOT = Path(__file__).resolve().parents[1]
TODAY = date(2027, 1, 20)
HEAD = '[policy]\nname = "ours"\nowner = "Ada"\nreview = 2027-03-31\n'
RULE = """
[[rules]]
id = "no-keys"
says = "A file MUST NOT hold a key."
owner = "Ada"
checks = ["hook secrets"]
"""
WAIVER = """
[[waivers]]
hook = "secrets"
paths = ["tests/mock.txt"]
why = "the scanner's own test"
owner = "Ada"
approved = "Grace"
granted = 2027-01-01
expires = 2027-02-28
"""
PRODUCTION = f'\n[production]\nmodel = "signs"\npublisher = "{"ab" * 32}"\n'
WHOLE = HEAD + RULE + WAIVER + PRODUCTION
LOCAL = {"id": "secrets", "name": "x", "language": "system"}
LOCAL |= {"entry": ".venv/bin/securetrain secrets scan"}


def config(*hooks, repo="local", rev=None, **top) -> bytes:
    one = {"repo": repo, "hooks": list(hooks)} | ({"rev": rev} if rev else {})
    return yaml.safe_dump(top | {"repos": [one]}).encode()


def problems(text=HEAD + RULE, today=TODAY, **files):
    found = {CONFIG: files.pop("config", config(LOCAL))}
    found |= {path: content for path, content in files.pop("more", {}).items()}
    return policy_check.problems(policies.read(text.encode()), found, today)


# Reading


def test_a_whole_policy_is_read():
    policy = policies.read(WHOLE.encode())
    assert policy.hooks == ["secrets"] and policy.rules[0].owner == "Ada"
    assert policy.waivers[0].expires == date(2027, 2, 28)
    assert policy.production.publisher == b"\xab" * 32


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[policy]", "[policy", "not TOML"),
        ("[policy]", "[police]", "'policy' is missing"),
        (
            'name = "ours"',
            'name = "ours"\nmore = 1',
            r"\[policy\]: 'more' is not known",
        ),
        ("review = 2027-03-31", 'review = "soon"', "review: expected a day"),
        ("review = 2027-03-31", "review = 2027-03-31T10:00:00", "expected a day"),
        ('owner = "Ada"\nreview', 'owner = " "\nreview', "owner: expected a text"),
        ("[[rules]]", "[rules]", "rules: expected a list"),
        ('id = "no-keys"', 'id = "No keys"', "rule 1: id: expected a word"),
        ("MUST NOT", "must not", r"rule 1 \(no-keys\): says: expected MUST"),
        ('["hook secrets"]', "[]", "a rule on paper"),
        ('["hook secrets"]', '["secrets"]', "expected 'hook ID' or 'ci COMMAND'"),
        ('["hook secrets"]', '"hook secrets"', "expected a list of texts"),
        (RULE, RULE + RULE, "rule 'no-keys' stands twice"),
        ('hook = "secrets"', 'hook = "cluster"', "no rule needs the hook 'cluster'"),
        ('approved = "Grace"', 'approved = "Ada"', "two people, not one"),
        ('approved = "Grace"\n', "", "waiver 1: 'approved' is missing"),
        ("expires = 2027-02-28", "expires = 2027-06-30", "1 to 90 days after"),
        ("expires = 2027-02-28", "expires = 2026-12-31", "1 to 90 days after"),
        ("tests/mock.txt", "tests/*", "without patterns"),
        ("tests/mock.txt", "tests/", "without patterns"),
        ('["tests/mock.txt"]', "[]", "name each file"),
        ("ab" * 32, "ab", "publisher: expected 64 hex digits"),
        ('model = "signs"', 'model = "signs"\nreports = ["labels"]', "belong together"),
        (
            "[production]",
            '[pinned]\n"a" = "b"\n[production]',
            "expected path = SHA-256",
        ),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(old, new, says):
    assert old in WHOLE
    with pytest.raises(ValueError, match=says) as raised:
        policies.read(WHOLE.replace(old, new, 1).encode())
    assert str(raised.value).startswith(RULES)


def test_no_bytes_make_the_reader_fail_in_another_way():
    rng, whole = Random(0), WHOLE.encode()
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            policies.read(bytes(broken))
        except ValueError as error:
            assert str(error).startswith(RULES), error


def test_the_template_is_a_policy_and_asks_for_every_hook():
    text = policies.TEMPLATE.read_text("utf-8")
    assert text.count("@REVIEW@") == 1
    text = text.replace("@OWNER@", "Ada").replace("@REVIEW@", "2027-03-31")
    policy = policies.read(text.encode())
    assert set(policy.hooks) == set(checklist.hooks())
    assert all(rule.checks or rule.hand for rule in policy.rules)


# Hooks


@pytest.mark.parametrize(
    "hook",
    [
        LOCAL,
        LOCAL | {"entry": "securetrain secrets scan", "args": ["--all"]},
        LOCAL | {"stages": ["pre-commit", "pre-push"]},
    ],
)
def test_a_hook_as_the_rules_need_it_is_accepted(hook):
    assert problems(config=config(hook)) == []


def test_the_hook_of_a_repository_needs_a_commit_and_a_pin():
    """Whose repository it is, nobody can read off an address: somebody must have."""
    one = {"id": "secrets"}
    for rev in ("v1.2", "a" * 7, "main"):
        (found,) = problems(config=config(one, repo="https://x.test", rev=rev))
        assert "expected a commit, 40 hex digits" in found
    whole = config(one, repo="https://x.test", rev="a" * 40)
    (found,) = problems(config=whole)
    assert "repo 'https://x.test': whose it is, only a pin of" in found
    pin = f'[pinned]\n"{CONFIG}" = "{sha256(whole).hexdigest()}"\n'
    assert problems(HEAD + RULE + pin, config=whole) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is none"),
        (b"repos: [", CONFIG),
        (b"- 1", "expected one document with `repos`"),
        (b"repos: []\n---\nrepos: []", "expected one document"),
        (config(), "does not have it"),
        (config({"name": "x"}), "a hook without an id"),
        (config(LOCAL, LOCAL), "hook 'secrets' stands twice"),
        (config(LOCAL, exclude="^tests/"), "exclude: it holds for every hook"),
        (config(LOCAL, files="^src/"), "files: it holds for every hook"),
        (config(LOCAL, default_stages=["manual"]), "default_stages: it holds"),
        (config(LOCAL | {"entry": "true"}), "entry 'true': expected 'securetrain"),
        (config(LOCAL | {"entry": "echo securetrain secrets scan"}), "entry 'echo"),
        (config(LOCAL | {"entry": "securetrain secrets audit"}), "entry 'securetrain"),
        (config(LOCAL | {"entry": "securetrain secrets scan x"}), "entry 'securetrain"),
        (config(LOCAL | {"args": ["--help"]}), "nothing is checked"),
        (config(LOCAL | {"language": "pygrep"}), "it does not run the entry"),
        (config(LOCAL | {"stages": ["manual"]}), "does not run before a commit"),
        (config(LOCAL | {"exclude": "^a$"}), "no exception allows it"),
        (config(LOCAL | {"language": "script"}), "it does not run the entry"),
        (config(LOCAL | {"files": "^$"}), "files '^$': expected none"),
        (config(LOCAL | {"types": ["python"]}), "types ['python']"),
        (config(LOCAL | {"types_or": ["python"]}), "types_or ['python']"),
        (config(LOCAL | {"exclude_types": ["file"]}), "exclude_types ['file']"),
    ],
)
def test_a_hook_that_does_not_do_its_work_is_named(content, says):
    files = {} if content is None else {CONFIG: content}
    policy = policies.read((HEAD + RULE).encode())
    found = policy_check.problems(policy, files, TODAY)
    assert any(says in line for line in found), found


def test_the_gate_for_commits_needs_its_own_policy():
    text = HEAD + RULE.replace("hook secrets", "hook commit-gate")
    gate = LOCAL | {"id": "commit-gate", "entry": "securetrain workflows gate"}
    (found,) = problems(text, config=config(gate))
    assert f"without {commit_gate.POLICY} it asks about no data" in found
    assert not problems(text, config=config(gate), more={commit_gate.POLICY: b""})


def test_which_files_a_hook_reads_is_as_shipped_or_pinned():
    text = HEAD + RULE.replace("hook secrets", "hook model-files")
    model = LOCAL | {"id": "model-files", "entry": "securetrain gate look"}
    assert not problems(text, config=config(model))  # every file
    shipped = model | {"files": checklist.files()["model-files"]}
    assert not problems(text, config=config(shipped))
    narrow = config(model | {"files": r"\.pt$"})
    (found,) = problems(text, config=narrow)
    assert r"files '\\.pt$': expected" in found and "pin" in found
    pin = f'[pinned]\n"{CONFIG}" = "{sha256(narrow).hexdigest()}"\n'
    assert not problems(text + pin, config=narrow)
    (other,) = problems(text + pin, config=config(model))
    assert "not as" in other


def test_the_files_of_a_hook_are_those_of_the_hook_that_is_shipped():
    shipped = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    files = {hook["id"]: hook["files"] for hook in shipped if "files" in hook}
    assert checklist.files() == files
    assert not any(
        {"types", "types_or", "exclude_types", "exclude"} & hook.keys()
        for hook in shipped
    )


# Exceptions


def test_an_exception_is_exactly_the_files_that_the_hook_leaves_out():
    good = LOCAL | {"exclude": policies.exclude(["tests/mock.txt"])}
    assert good["exclude"] == r"^(?:tests/mock\.txt)$"
    assert problems(HEAD + RULE + WAIVER, config=config(good)) == []
    for pattern in ("", "^tests/", good["exclude"] + "|x"):
        hook = LOCAL | ({"exclude": pattern} if pattern else {})
        (found,) = problems(HEAD + RULE + WAIVER, config=config(hook))
        assert "its exceptions allow" in found


@pytest.mark.parametrize("days", [-1, 59])
def test_an_exception_outside_its_days_is_refused(days):
    good = config(LOCAL | {"exclude": policies.exclude(["tests/mock.txt"])})
    granted = date(2027, 1, 1)
    for inside in (granted, date(2027, 2, 28)):  # its first and its last day
        assert not problems(HEAD + RULE + WAIVER, inside, config=good)
    today = granted + timedelta(days=days)
    (found,) = problems(HEAD + RULE + WAIVER, today, config=good)
    assert "secrets leaves out tests/mock.txt (Ada, from 2027-01-01 to 2027-02" in found


def test_a_review_that_is_due_is_said_the_day_after():
    assert problems(today=date(2027, 3, 31)) == []
    (found,) = problems(today=date(2027, 4, 1))
    assert "the review was due on 2027-03-31: Ada looks" in found


# Pins and CI


def test_a_pinned_file_is_as_it_was():
    digest = sha256(config(LOCAL)).hexdigest()
    text = HEAD + RULE + f'[pinned]\n"{CONFIG}" = "{digest}"\n"run.yml" = "{digest}"\n'
    (gone,) = problems(text)
    assert gone == f"run.yml: it is gone, and {RULES} pins it"
    (other,) = problems(text, more={"run.yml": b"x"})
    assert other.startswith("run.yml: not as") and sha256(b"x").hexdigest() in other
    assert problems(text, more={"run.yml": config(LOCAL)}) == []


COMMAND = "securetrain policy replay"
CI = HEAD + RULE.replace("hook secrets", f"ci {COMMAND}")


def workflow(
    run=COMMAND, step=None, job=None, on="pull_request", **jobs
) -> dict[str, bytes]:
    one = {"steps": [{"run": run} | (step or {})]} | (job or {})
    tree = {"on": on, "jobs": {"check": one} | jobs}
    return {".github/workflows/ci.yml": json.dumps(tree).encode()}


@pytest.mark.parametrize(
    "files",
    [
        workflow(),
        workflow(f".venv/bin/{COMMAND} --since main\n"),
        workflow(on=["push", "pull_request"]),
        workflow(on={"push": {"branches": ["main"]}, "workflow_dispatch": None}),
        workflow(on={"pull_request": {"types": ["opened", "synchronize", "edited"]}}),
        workflow(job={"needs": "build"}, build={"steps": []}),
        {
            ".github/workflows/ci.yml": b"on: [push]\njobs:\n  a:\n    steps:\n"
            + f"      - run: {COMMAND}\n".encode()
        },
    ],
)
def test_a_command_that_a_workflow_runs_is_found(files):
    assert problems(CI, more=files) == []


@pytest.mark.parametrize(
    "files",
    [
        {},
        workflow(f"{COMMAND} --since main || true"),
        workflow(f"{COMMAND} # later"),
        workflow(f"echo {COMMAND}"),
        workflow(f"{COMMAND}ed"),
        workflow(f"{COMMAND} --help"),
        workflow(f"{COMMAND} -h"),
        workflow(f"exit 0\n{COMMAND}"),
        workflow(f"if false; then\n{COMMAND}\nfi"),
        workflow(f"{COMMAND} --since $(git rev-parse HEAD)"),
        workflow(step={"shell": "true {0}"}),
        workflow(job={"defaults": {"run": {"shell": "true {0}"}}}),
        workflow(on="workflow_dispatch"),
        workflow(on={"schedule": [{"cron": "0 0 1 1 *"}]}),
        workflow(on={"pull_request": {"paths": ["docs/**"]}}),
        workflow(on={"push": {"paths-ignore": ["**"]}}),
        workflow(on={"push": {"tags": ["v*"]}}),
        workflow(on={"pull_request": {"types": ["closed"]}}),
        workflow(on=None),
        workflow(job={"needs": "build"}),
        workflow(job={"needs": ["build"]}, build={"if": "false", "steps": []}),
        workflow(job={"needs": "a"}, a={"needs": "b"}, b={"if": "false"}),
        workflow(job={"needs": "a"}, a={"needs": "check"}),
        workflow(job={"needs": {"a": 1}}),
        workflow(step={"continue-on-error": True}),
        workflow(step={"if": "false"}),
        workflow(job={"if": "false"}),
        {".github/workflows/ci.yml": b"jobs: ["},
        {".github/workflows/ci.yml": b"jobs: [1]"},
        {"docs/ci.yml": workflow()[".github/workflows/ci.yml"]},
    ],
)
def test_a_command_that_may_be_passed_over_is_not(files):
    (found,) = problems(CI, more=files)
    why = "no workflow is sure to run it, in a step of its own"
    assert found == f"{RULES}: no-keys: ci {COMMAND}: {why}"


def test_the_policy_in_words_has_the_same_rules():
    text = policies.TEMPLATE.read_text("utf-8")
    text = text.replace("@OWNER@", "Ada").replace("@REVIEW@", "2027-03-31")
    words = (ROOT / "docs" / "policy-template.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| `([a-z-]+)` \| (.+) \| (.+) \|$", words)
    for rule, row in zip(policies.read(text.encode()).rules, rows, strict=True):
        named = row[2].replace("`", "").removeprefix("by hand: ")
        assert (rule.id, rule.says) == row[:2]
        assert named == (", ".join(rule.checks) or rule.hand)
