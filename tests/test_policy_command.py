"""`securetrain policy`: begin, check, make commits again, deploy, review, pin."""

import os
import pickle
import subprocess
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from securetrain import (
    audit_log,
    manifests,
    policies,
    policy_command,
    policy_drill,
    policy_trial,
    production,
    replay,
    reports,
)
from securetrain.policies import CONFIG, RULES, Production
from securetrain.provenance import Release


def run(*words: object) -> int:
    return policy_command.main([str(word) for word in words])


# Beginning


def test_rules_to_begin_with_are_written_once(tmp_path, capsys):
    assert run("init", "--owner", "ML platform", "--repository", tmp_path) == 0
    policy = policies.read((tmp_path / RULES).read_bytes())
    assert {rule.owner for rule in policy.rules} == {"ML platform"}
    with pytest.raises(FileExistsError):
        run("init", "--owner", "Somebody else", "--repository", tmp_path)
    assert policies.read((tmp_path / RULES).read_bytes()) == policy
    with pytest.raises(ValueError, match="without quotes"):
        run("init", "--owner", 'A"\n', "--repository", tmp_path / "other")


def test_check_wants_rules_that_are_staged(tmp_path, capsys):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with pytest.raises(ValueError, match="is not in the next commit"):
        run("check", "--repository", tmp_path)
    run("init", "--owner", "Ada", "--repository", tmp_path)
    with pytest.raises(ValueError, match=f"there, but not staged.*`git add {RULES}`"):
        run("check", "--repository", tmp_path)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    assert run("check", "--repository", tmp_path) == 1
    said = capsys.readouterr()
    assert f"{CONFIG}: there is none" in said.err
    assert "no machine checks: keys-change" in said.out
    (tmp_path / CONFIG).write_bytes(b"repos: []\n")
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    assert run("check", "--repository", tmp_path) == 1
    digest = sha256(b"repos: []\n").hexdigest()
    assert f"[pinned] lacks {CONFIG}; it has {digest}" in capsys.readouterr().out


def test_rules_that_are_a_link_are_not_read(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / RULES).parent.mkdir()
    (tmp_path / RULES).symlink_to("elsewhere.toml")
    for staged in (False, True):
        with pytest.raises(ValueError, match="is a link; expected a regular file"):
            run("check", "--repository", tmp_path)
        if not staged:
            subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)


def test_the_printed_page_replaces_no_file_unasked(tmp_path, capsys):
    page = tmp_path / "list.html"
    assert run("print", "--html", page) == 0
    page.write_text("mine")
    with pytest.raises(ValueError, match="is there already.*--force"):
        run("print", "--html", page)
    assert page.read_text() == "mine"
    assert run("print", "--html", page, "--force") == 0
    assert "<html" in page.read_text("utf-8")


# Commits made again


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> policy_trial.Team:
    return policy_trial.Team(tmp_path_factory.mktemp("team") / "repository", 0)


@pytest.fixture
def team(whole):
    yield whole
    whole.back()


def test_every_commit_is_made_again(team, monkeypatch, capsys):
    """A key that came and went is in history; the last state does not show it."""
    secret = f"use {policy_drill.key(team)}\n".encode()
    team.commit({"train.py": b"print(2)\n"}, "--no-verify")
    team.commit({"notes.md": secret}, "--no-verify")
    team.commit({"notes.md": None}, "--no-verify")
    made = list(replay.commits_since(team.folder, team.base, team.today, team.env))
    assert [outcome.passed for outcome in made] == [True, False, True]
    assert made[1].why == ["secrets", "commit-gate"]
    assert team.git("status", "--porcelain").stdout == ""  # the checkout is as it was


def test_the_base_decides_what_is_asked(team, monkeypatch, capsys):
    for name, value in team.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SKIP", "model-files,policy")
    free = {"weights/new.pt": pickle.dumps(1)}
    free |= {CONFIG: team.config(without=("model-files", "policy", "commit-gate"))}
    assert team.commit(free).made  # on one's own machine nothing says no
    assert run("replay", "--since", team.base, "--repository", team.folder) == 1
    said = capsys.readouterr()
    assert "1 commits since" in said.out and "1 refused" in said.out
    assert "model-files" in said.err and f"{CONFIG}: not as" in said.err


def test_a_commit_that_only_removes_is_seen(team):
    """No hook is told that a file is gone: here, what keeps the pods in."""
    assert team.commit({"deploy/training.yaml": None}).made
    (outcome,) = replay.commits_since(team.folder, team.base, team.today, team.env)
    assert outcome.why == ["cluster"]


def test_new_rules_do_not_judge_themselves(team):
    """Whoever changes rules and their pins together is told to ask their owner."""
    config = {CONFIG: team.config(without=("model-files",))}
    rules = team.rules(team.files | config)
    team.commit(config | {RULES: rules}, "--no-verify")
    made = replay.commits_since(team.folder, team.base, team.today, team.env)
    (outcome,) = made
    assert ".securetrain: a commit that changes the rules needs" in outcome.said


@pytest.mark.parametrize("name", ["pre_commit.py", "pre_commit/__main__.py"])
def test_what_a_commit_brings_does_not_run_in_ci(team, name):
    """A file with the judge's name stands where the judge is started.

    Each way alone would let the model in, so one commit tries them all at once.
    """
    passes = b"raise SystemExit(0)\n"
    free = {"weights/new.pt": pickle.dumps(1), name: passes, "sitecustomize.py": passes}
    free |= {"pre_commit/__init__.py": b""} if "/" in name else {}
    assert team.commit(free).made  # on one's own machine it answers
    team.write({"git": b"#!/bin/sh\nexit 0\n"})
    team.git("add", "git")
    team.git("update-index", "--chmod=+x", "git")
    team.git("commit", "-q", "--no-verify", "--amend", "--no-edit")
    env = team.env | {"PYTHONPATH": ".", "PATH": f".{os.pathsep}{team.env['PATH']}"}
    (outcome,) = replay.commits_since(team.folder, team.base, team.today, env)
    assert "model-files" in outcome.why, outcome.said


def test_attributes_do_not_hide_what_a_file_holds(team):
    """The hooks read the bytes that git stores, and no translation of them."""
    secret = f"use {policy_drill.key(team)}\n".encode()
    says = b"notes.md text working-tree-encoding=IBM037\n"
    team.uninstall()
    (team.folder / ".gitattributes").write_bytes(says)
    assert team.commit({"notes.md": secret.decode().encode("cp037")}).made
    shown = team.git("show", "HEAD:notes.md").stdout
    assert shown.encode() == secret  # so it lies in history
    (outcome,) = replay.commits_since(team.folder, team.base, team.today, team.env)
    assert "secrets" in outcome.why, outcome.said


def test_an_exception_ends(team):
    team.commit(policy_drill.excepted(team, -10, 10), "--no-verify")
    base = team.git("rev-parse", "HEAD").stdout.strip()
    assert team.commit({policy_trial.OLD_MODEL: pickle.dumps(1)}).made
    for days, passed in ((10, True), (11, False)):
        today = team.today + timedelta(days=days)
        (outcome,) = replay.commits_since(team.folder, base, today, team.env)
        assert outcome.passed is passed, outcome.said
    assert "an exception outside its days" in outcome.said


def test_another_history_is_not_judged(team):
    """A commit without one before it has nothing to be staged on."""
    team.git("checkout", "-q", "--orphan", "other")
    team.git("commit", "-q", "--no-verify", "-m", "from nowhere")
    try:
        with pytest.raises(ValueError, match="another history came in"):
            list(replay.commits_since(team.folder, team.base, team.today, team.env))
    finally:
        team.git("checkout", "-q", "-f", "main")


def test_without_rules_nothing_is_said_to_be_judged(team):
    team.commit({RULES: None}, "--no-verify")
    head = team.git("rev-parse", "HEAD").stdout.strip()
    with pytest.raises(ValueError, match=f"has no {RULES}"):
        list(replay.commits_since(team.folder, head, team.today))
    with pytest.raises(ValueError, match="Not a valid object name nowhere"):
        list(replay.commits_since(team.folder, "nowhere", team.today))


# Deployment

KEY, PUBLIC = manifests.new_key()
SCAN, SCANNER = manifests.new_key()


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A signed model, its report, and a policy that asks for both."""
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    Path("model/m.safetensors").write_bytes(weights)
    sign(Path("model"), 1)
    report(Path("model"))
    Path("rules.toml").write_text(
        '[policy]\nname = "x"\nowner = "Ada"\nreview = 2027-03-31\n[[rules]]\n'
        'id = "signed"\nsays = "It MUST be signed."\nowner = "Ada"\nhand = "ops"\n'
        f'[production]\nmodel = "signs"\npublisher = "{PUBLIC.hex()}"\n'
        f'reports = ["robustness"]\nreporter = "{SCANNER.hex()}"\n'
    )
    return tmp_path


def sign(folder, version, key=KEY, name="signs"):
    text = manifests.write_manifest(
        manifests.describe(Path(folder)), name, version, "ours"
    )
    Path("release").mkdir(exist_ok=True)
    Path("release/manifest.json").write_bytes(text)
    Path("release/manifest.sig").write_bytes(manifests.sign(text, key))


def report(folder, passed=True):
    about = reports.fingerprint(manifests.describe(Path(folder)))
    parts = reports.write(reports.Report("robustness", about, passed), SCAN)
    Path("reports").mkdir(exist_ok=True)
    for end, content in zip(("json", "sig"), parts, strict=True):
        Path(f"reports/robustness.{end}").write_bytes(content)


DEPLOY = (
    *("deploy", "model", "--policy", "rules.toml", "--from", "release"),
    *("--reports", "reports", "--seen", "seen", "--log", "log", "--into", "out"),
)


def test_a_model_that_meets_the_policy_is_deployed(model):
    assert run(*DEPLOY) == 0
    assert Path("out/m.safetensors").read_bytes()
    assert audit_log.verify(Path("log"), "")[0] == 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda: Path("release/manifest.sig").unlink(), "the model is not signed"),
        (lambda: sign("model", 1, manifests.new_key()[0]), "not the trusted key's"),
        (lambda: sign("model", 1, name="other"), "expected 'signs'"),
        (lambda: Path("reports/robustness.sig").unlink(), "no signed report"),
        (lambda: report("model", passed=False), "did not pass"),
        (lambda: report("release"), "about other files"),
        (lambda: Path("model/run.pkl").write_bytes(b"x"), "not listed"),
    ],
)
def test_a_model_that_does_not_is_refused_and_that_is_recorded(
    model, capsys, spoil, says
):
    spoil()
    assert run(*DEPLOY) == 1
    assert says in capsys.readouterr().err and not Path("out").exists()
    (line,), _ = audit_log.events(Path("log").read_bytes())
    assert line["event"]["decision"] == "refuse" and says in line["event"]["why"]


def test_a_signed_model_that_runs_code_is_refused(model, capsys):
    Path("model/run.pkl").write_bytes(pickle.dumps(print))
    sign(Path("model"), 2)
    report(Path("model"))
    assert run(*DEPLOY) == 1
    assert "refused (format)" in capsys.readouterr().err


def test_the_registry_of_the_policy_is_asked_for():
    demand = Production("signs", PUBLIC, SCANNER, b"", ())
    assert production.rules(demand).registry_key == SCANNER
    nothing = Release(b"", b"")
    with pytest.raises(ValueError, match="not signed"):
        production.check_reports(demand, nothing, {})


def test_wrong_paths_are_said_before_anything_is_recorded(model):
    with pytest.raises(ValueError, match="expected a model"):
        run("deploy", "modle", *DEPLOY[2:])
    text = Path("rules.toml").read_text().partition("[production]")[0]
    Path("rules.toml").write_text(text)
    with pytest.raises(ValueError, match=r"no \[production\]"):
        run(*DEPLOY)
    assert not Path("log").exists()


# ATLAS


def test_the_review_says_what_is_new_and_how_we_stand(capsys):
    assert run("review") == 0
    said = capsys.readouterr().out
    assert "ATLAS 5.3.0 to 5.6.0: 22 new, 0 removed, 0 renamed" in said
    assert (
        "new      AML.T0109      AI Supply Chain Rug Pull\n         used: 32-" in said
    )


def test_an_undecided_id_ends_the_review_with_1(tmp_path, capsys):
    from securetrain import atlas

    newest = atlas.FOLDER / "5.6.0.toml"
    text = newest.read_text("utf-8").replace("5.6.0", "5.7.0")
    text = text.replace('"AML.T0109" =', '"AML.T0199" =')
    newer = tmp_path / "5.7.0.toml"
    newer.write_text(text)
    assert run("review", "--old", newest, "--new", newer) == 1
    said = capsys.readouterr().out
    assert "new      AML.T0199" in said and "removed  AML.T0109" in said
    assert "1 wait for a decision" in said
    with pytest.raises(ValueError, match="expected two versions"):
        run("review", "--new", newer)


def test_a_version_is_named_by_its_number(tmp_path, monkeypatch, capsys):
    assert run("review", "--old", "5.3.0", "--new", "5.6.0") == 0
    assert "ATLAS 5.3.0 to 5.6.0: 22 new" in capsys.readouterr().out
    with pytest.raises(ValueError, match="5.6.0 is not newer than 5.6.0"):
        run("review", "--old", "5.6.0", "--new", "5.6.0")
    says = "^5.9.9: no pinned version; there are 5.3.0 and 5.6.0, or give a file$"
    for words in (("--old", "5.9.9"), ("--old", "5.3.0", "--new", "5.9.9")):
        with pytest.raises(ValueError, match=says):
            run("review", *words)
    monkeypatch.chdir(tmp_path)  # a file of that name is not the pin
    Path("5.6.0").write_text("not TOML")
    assert run("review", "--old", "5.3.0", "--new", "5.6.0") == 0


def test_a_version_is_pinned_once(tmp_path, capsys):
    from test_atlas import SMALL

    file = tmp_path / "ATLAS.yaml"
    file.write_text(SMALL)
    assert run("pin", file, "--to", tmp_path) == 0
    assert "9.0.0.toml: 4 ids" in capsys.readouterr().out
    with pytest.raises(FileExistsError):
        run("pin", file, "--to", tmp_path)
