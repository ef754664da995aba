"""The gate at every commit: bad ones are blocked in a real repository."""

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from safetensors.numpy import save

from securetrain import (
    cli,
    commit_gate,
    commits,
    manifests,
    paths,
    workflows_command,
)
from securetrain.archives import Refused
from securetrain.commit_gate import POLICY, decide, read_policy

ROOT = Path(__file__).resolve().parents[1]
SHA = "c" * 40
WORKFLOW = ".github/workflows/train.yml"
HONEST = f"""\
on: pull_request
permissions:
  contents: read
jobs:
  train:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@{SHA}
        with:
          persist-credentials: false
      - run: python train.py
"""


def key_in_form():
    """Return what looks like a cloud key; made here, so that no file holds one."""
    return "AKIA" + "".join(Random(1).choices("ABCDEFGHIJ234567", k=16))


class House:
    """A git repository with signed data, a signed model, a workflow and a policy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.private, self.public = manifests.new_key()
        folder.mkdir()
        self.git("init", "--quiet", "-b", "main")
        self.write({"train.py": b"print(1)\n", WORKFLOW: HONEST.encode()})
        self.release("data", {"a.csv": b"x,y\n1,0\n", "b/c.csv": b"x,y\n2,1\n"}, 1)
        self.release("models", {"model.safetensors": weights(1)}, 1)
        policy = "".join(
            f'[{kind}]\nfolder = "{folder}"\nrelease = "release/{folder}"\n'
            f'name = "{folder}"\nsigner = "{self.public.hex()}"\n'
            for kind, folder in (("data", "data"), ("models", "models"))
        )
        policy += f'[actions]\n"actions/checkout" = ["{SHA}"]\n'
        self.write({POLICY: policy.encode()})
        self.commit("first")

    def git(self, *args, check=True):
        env = os.environ | {
            f"GIT_{w}_{f}": "a@example.invalid"
            for w in ("AUTHOR", "COMMITTER")
            for f in ("NAME", "EMAIL")
        }
        return subprocess.run(
            ["git", *args], cwd=self.folder, env=env, check=check,
            capture_output=True, text=True,
        )  # fmt: skip

    def write(self, files):
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def release(self, folder, files, version, private=None, paper=None):
        """Write files, and a manifest of `paper` (or of them) with its signature."""
        self.write({f"{folder}/{name}": data for name, data in files.items()})
        found = manifests.describe(self.folder / folder) if paper is None else paper
        text = manifests.write_manifest(found, folder, version, "ours")
        signature = manifests.sign(text, private or self.private)
        home = f"release/{folder}"
        self.write({f"{home}/manifest.json": text, f"{home}/manifest.sig": signature})

    def commit(self, message="more", check=True):
        self.git("add", "-A")
        return self.git("commit", "--quiet", "-m", message, check=check)

    def staged(self, gitleaks=False):
        """Return why the gate refuses what lies in the folder now."""
        self.git("add", "-A")
        commit = commits.staged(self.folder)
        return decide(commit, read_policy(commit.before[POLICY]), gitleaks)


def weights(seed):
    return save({"w": np.full((2, 3), seed, "float32")})


@pytest.fixture
def house(tmp_path):
    return House(tmp_path / "house")


def test_honest_commits_pass(house):
    assert house.staged() == []
    house.write({"train.py": b"print(2)\n", "README.md": "größe".encode()})
    assert house.staged() == []
    house.commit()
    house.release("data", {"a.csv": b"x,y\n1,1\n", "new name.csv": b"x\n"}, 2)
    assert house.staged() == []
    house.commit()
    house.release("models", {"model.safetensors": weights(2), "card.md": b"ours"}, 2)
    house.write({WORKFLOW: HONEST.replace("train.py", "train.py --fast").encode()})
    assert house.staged() == []
    house.commit()
    (house.folder / "train.py").unlink()
    assert house.staged() == []


def test_a_file_is_read_when_it_is_asked_for_and_not_when_it_is_too_large(
    house, monkeypatch
):
    house.write({"a": b"", "b": b"12\n4", "größe": b"\0\n"})
    house.git("add", "-A")
    files = commits.staged(house.folder).files
    assert [files[path] for path in ("a", "b", "größe")] == [b"", b"12\n4", b"\0\n"]
    monkeypatch.setattr(commits, "LARGEST", 3)
    assert "b" in files and files.get("a") == b"" and files.get("none") is None
    with pytest.raises(Refused, match="b: more than 0 MB"):
        files["b"]
    lost = commits.Blobs(house.folder, {"c": "0" * 40})
    assert "c" in lost and "none" not in lost
    with pytest.raises(ValueError, match="^git cat-file failed: c: 0{40} missing$"):
        lost["c"]


def refused(house, *says):
    found = house.staged()
    assert len(found) == len(says), found
    for line, words in zip(found, says, strict=True):
        assert words in line, found


def test_a_poisoned_data_set(house):
    house.write({"data/a.csv": b"x,y\n1,1\n"})
    refused(house, "release/data/manifest.json:1: data (files)")


def test_a_poisoned_data_set_whose_manifest_fits(house):
    house.release("data", {"a.csv": b"x,y\n1,1\n"}, 2, manifests.new_key()[0])
    refused(house, "data (signature)")
    (house.folder / "release/data/manifest.sig").unlink()
    refused(house, "data (signature): it has no signature")


def test_an_old_data_set_again(house):
    old = {"a.csv": (house.folder / "data/a.csv").read_bytes()}
    house.release("data", {"a.csv": b"x,y\n1,1\n"}, 2)
    house.commit()
    house.release("data", old, 1)
    refused(house, "data (version)")
    house.release("data", {"a.csv": b"other"}, 2)
    refused(house, "data (version)")


def test_files_that_come_or_go(house):
    house.write({"data/extra.csv": b"x\n"})
    refused(house, "1 not listed")
    (house.folder / "data/extra.csv").unlink()
    (house.folder / "data/a.csv").unlink()
    refused(house, "1 missing")


def test_the_papers_taken_away(house):
    for name in ("manifest.json", "manifest.sig"):
        (house.folder / "release/data" / name).unlink()
    refused(house, "data (signature)")


def test_a_link_where_data_belongs(house):
    (house.folder / "data/a.csv").unlink()
    (house.folder / "data/a.csv").symlink_to("/etc/hostname")
    refused(house, "a symbolic link where a file is expected")


def test_a_folder_that_becomes_a_link(house):
    house.git("mv", "data", "elsewhere")
    (house.folder / "data").symlink_to("elsewhere")
    refused(house, "a symbolic link where a file is expected")


def test_a_model_that_runs_code(house):
    house.release("models", {"model.pkl": b"\x80\x04N."}, 2)
    refused(house, "release/models/manifest.json:1: model (format)")


def test_a_model_that_nobody_signed(house):
    house.write({"models/model.safetensors": weights(9)})
    refused(house, "model (files)")


def test_a_key(house):
    house.write({"train.py": f"a = 1\nkey = '{key_in_form()}'\n".encode()})
    found = house.staged()
    assert found and all(line.startswith("train.py:2: secret") for line in found)


def test_a_key_deep_inside(house):
    import base64
    import gzip

    text = base64.b64encode(gzip.compress(key_in_form().encode()))
    house.write({"notes.bin": text})
    assert "notes.bin:1: secret" in house.staged()[0]
    house.write({"notes.bin": gzip.compress(b"x" * 99)[:-9]})
    refused(house, "notes.bin:1: secret: cannot be scanned")


def test_a_signature_that_starts_as_an_archive_does(house):
    """One in 22,000 does; it is no archive, and cannot hide anything."""
    house.write({"release/data/manifest.sig": b"\x78\x9c" + bytes(62)})
    refused(house, "data (signature)")
    house.write({"release/data/manifest.sig": b"\x78\x9c" + bytes(90)})
    refused(house, "manifest.sig:1: secret: cannot be scanned", "data (signature)")


def test_words_that_switch_gitleaks_off_change_nothing(house):
    if not paths.tool("gitleaks"):
        pytest.skip("gitleaks is not installed")
    token = "gh" + "p_" + "".join(Random(2).choices("abcdefghij0123456789XYZ", k=36))
    house.write({"train.py": f"token = '{token}' # gitleaks:allow\n".encode()})
    house.write({".gitleaks.toml": b'[allowlist]\npaths = [".*"]\n'})
    assert house.staged() == []
    found = house.staged(gitleaks=True)
    assert [line[:12] for line in found] == ["train.py:1: "], found


def test_a_workflow_with_a_hole(house):
    hole = HONEST + '      - run: echo "${{ github.head_ref }}"\n'
    house.write({WORKFLOW: hole.encode()})
    refused(house, f"{WORKFLOW}:12: injection")
    house.write({WORKFLOW: HONEST.replace("pull_request", "[a").encode()})
    refused(house, "unreadable, so refused")
    house.write({WORKFLOW: HONEST.replace(SHA, "d" * 40).encode()})
    refused(house, "not on the list of reviewed commits")


def test_an_action_and_a_workflow_by_other_names(house):
    action = b"runs:\n  using: composite\n  steps:\n    - uses: a/b@v1\n"
    house.write({"tools/x/action.yaml": action})
    house.write({".github/workflows/SNEAK.YML": HONEST.replace(SHA, "v4").encode()})
    found = house.staged()
    assert [line.split(":")[0] for line in found] == [
        ".github/workflows/SNEAK.YML", "tools/x/action.yaml",
    ]  # fmt: skip


def test_a_workflow_that_is_a_link(house):
    (house.folder / ".github/workflows/more.yml").symlink_to("../../train.py")
    refused(house, "a symbolic link brings files that nobody read")


def test_an_action_that_is_a_link(house):
    house.write({"act/notes.txt": b"name: a\n"})
    (house.folder / "act/action.yml").symlink_to("notes.txt")
    refused(house, "act/action.yml:1: names: a symbolic link brings files")


def test_a_commit_that_changes_its_own_rules(house):
    private, public = manifests.new_key()
    text = (house.folder / POLICY).read_text()
    house.write({POLICY: text.replace(house.public.hex(), public.hex()).encode()})
    house.release("data", {"a.csv": b"x,y\n1,1\n"}, 2, private)
    refused(house, "policy: a commit that changes the rules", "data (signature)")


def test_a_check_that_breaks_refuses(house, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(commit_gate.provenance, "look", broken)
    house.write({"data/a.csv": b"x\n"})
    refused(house, "data: RuntimeError: out of luck")


# The command, and git


def gate(house, *more):
    return cli.main(["workflows", "gate", "--repository", str(house.folder), *more])


def test_each_commit_of_a_branch_is_judged(house, capsys):
    base = house.git("rev-parse", "HEAD").stdout.strip()
    assert gate(house, "--since", base) == 0
    assert "nothing to judge" in capsys.readouterr().out
    house.write({"notes.txt": key_in_form().encode()})
    house.commit()
    (house.folder / "notes.txt").unlink()
    house.commit()
    assert gate(house) == 0, "what is staged, nothing, is clean"
    assert gate(house, "--since", base) == 1
    said = capsys.readouterr()
    assert said.out.count("refused") == 1 and said.out.count("passed") == 2
    assert "notes.txt:1: secret" in said.err


def test_rules_that_a_branch_brings_do_not_count_for_it(house):
    base = house.git("rev-parse", "HEAD").stdout.strip()
    private, public = manifests.new_key()
    text = (house.folder / POLICY).read_text()
    house.write({POLICY: text.replace(house.public.hex(), public.hex()).encode()})
    house.commit()
    house.release("data", {"a.csv": b"x,y\n1,1\n"}, 2, private)
    house.commit()
    assert gate(house, "--since", base) == 1


def test_what_a_merge_hides_is_seen(house, capsys):
    base = house.git("rev-parse", "HEAD").stdout.strip()
    house.git("checkout", "--quiet", "-b", "side")
    house.write({"side.txt": b"x"})
    house.commit()
    house.git("checkout", "--quiet", "main")
    house.write({"main.txt": b"x"})
    house.commit()
    house.git("merge", "--no-commit", "--no-ff", "--quiet", "side")
    house.write({"data/a.csv": b"poison"})
    house.commit()
    assert gate(house, "--since", base) == 1
    assert "data (files)" in capsys.readouterr().err


def test_without_a_policy_workflows_and_keys_are_judged(tmp_path, house, capsys):
    house.git("rm", "-q", "--cached", POLICY)
    house.git("commit", "-qm", "none")
    house.write({"data/a.csv": b"x", ".gitignore": b".securetrain\n"})
    house.git("add", "-A")
    assert gate(house) == 0
    assert "only workflows and keys are judged" in capsys.readouterr().out
    outside = tmp_path / "policy.toml"
    outside.write_bytes((house.folder / POLICY).read_bytes())
    assert gate(house, "--policy", str(outside)) == 1


def test_wrong_use(tmp_path, house, capsys):
    assert cli.main(["workflows", "gate", "--repository", str(tmp_path)]) == 2
    assert "not a git repository" in capsys.readouterr().err
    assert gate(house, "--since", "none") == 2
    assert gate(house, "--policy", str(tmp_path / "none")) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[data", "not TOML"),
        ("[other]", "unknown: other"),
        ("data = 1", "expected folder, name, release, signer"),
        ('[data]\nfolder = "a"', "expected folder, name, release, signer"),
        ('[data]\nfolder="a"\nrelease="b"\nname="c"\nsigner="00"', "64 hex digits"),
        ('[data]\nfolder="a"\nrelease="b"\nname="c"\nsigner="xy"', "64 hex digits"),
        ('[data]\nfolder=""\nrelease="b"\nname="c"\nsigner="00"', "not empty"),
        ('[data]\nfolder=1\nrelease="b"\nname="c"\nsigner="00"', "not empty"),
        (
            f'[data]\nfolder="a"\nrelease="a/b"\nname="c"\nsigner="{"0" * 64}"',
            "outside the folder",
        ),
        ("actions = []", "expected a table"),
        ('[actions]\n"a/b" = "v1"', "commits of 40 hex digits"),
        ('[actions]\n"a/b" = ["v1"]', "commits of 40 hex digits"),
    ],
)
def test_a_policy_that_is_none_is_named(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        read_policy(text.encode())
    assert str(caught.value).startswith(POLICY)


def test_git_blocks_a_bad_commit_and_lets_a_good_one_in(house):
    """As pre-commit runs it, from the repository's own settings."""
    pre_commit = Path(sys.executable).parent / "pre-commit"
    if not pre_commit.exists():
        pytest.skip("pre-commit is not installed")
    hook = "repos:\n  - repo: local\n    hooks:\n      - id: gate\n        name: gate\n"
    hook += f"        entry: env PYTHONPATH={ROOT} {sys.executable} -m securetrain.cli"
    hook += " workflows gate\n        language: system\n        pass_filenames: false\n"
    hook += "        always_run: true\n"
    house.write({".pre-commit-config.yaml": hook.encode()})
    house.commit()
    subprocess.run([pre_commit, "install"], cwd=house.folder, check=True,
                   capture_output=True)  # fmt: skip
    house.write({"data/a.csv": b"poison"})
    done = house.commit(check=False)
    assert done.returncode == 1
    assert "data (files)" in done.stdout + done.stderr
    house.release("data", {"a.csv": b"x,y\n1,1\n"}, 2)
    done = house.commit(check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def as_documented(text):
    """Return the policy in a text that people read, with keys and commits put in."""
    part = text[text.index("[data]") :]
    end = part.index("]", part.index('"actions/checkout"')) + 1
    part = re.sub(r'"64 hex digits[^"]*"', '"' + "0" * 64 + '"', part[:end])
    return re.sub(r'"40 hex digits[^"]*"', '"' + SHA + '"', part)


def test_the_policy_that_is_documented_can_be_read():
    hooks = (ROOT / "docs" / "hooks.md").read_text("utf-8")
    for text in (workflows_command.__doc__, hooks):
        policy = read_policy(as_documented(text).encode())
        assert policy.data.folder == "data" and policy.models.name == "detector"
        assert policy.actions == {"actions/checkout": (SHA,)}
    short = as_documented(read_policy.__doc__).replace("[models]", "")
    assert read_policy(short.encode()).data.key == bytes(32)
