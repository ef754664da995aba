"""The gate: honest models pass, all others are refused, and every decision is kept."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import save

from securetrain import (
    archives,
    artifacts,
    audit_log,
    checkpoints,
    cli,
    gate,
    gate_attacks,
    manifests,
    models,
    provenance,
    signatures,
)
from securetrain.archives import Refused, refusal
from securetrain.provenance import Release, Trust

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SOON = NOW + timedelta(days=7)


def weights(seed: int) -> bytes:
    state = models.small_resnet(seed).state_dict()
    return save({name: tensor.contiguous() for name, tensor in state.items()})


class Story:
    """A publisher, a registry's owner, and what they have released."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, folder / "model"
        self.private, self.public = manifests.new_key()
        self.owner, self.owner_public = manifests.new_key()
        self.model.mkdir()
        (self.model / "model.safetensors").write_bytes(weights(0))
        (self.model / "config.json").write_text('{"classes": 10}')

    def release(self, version=1, name="signs", private=None) -> Release:
        files = manifests.describe(self.model)
        text = manifests.write_manifest(files, name, version, "training run 7")
        return Release(text, manifests.sign(text, private or self.private))

    def rules(self, *releases, expires=SOON, **more) -> gate.Rules:
        approved = {sha256(r.manifest).hexdigest(): "signs" for r in releases}
        listed = gate.write_registry(approved, expires, self.owner)
        trust = Trust("signs", self.public)
        return gate.Rules(trust, *listed, self.owner_public, **more)

    def check(self, release, rules, seen=None, into="deployed", model=None):
        where = self.model if model is None else model
        target = self.folder / into
        found = gate.check(where, release, rules, target, seen=seen, now=NOW)
        assert target.exists() == found.deploy
        assert found.deploy == (found.why == "") == (found.check == "")
        return found


@pytest.fixture
def story(tmp_path):
    return Story(tmp_path)


def test_an_honest_model_passes_and_its_files_are_left_to_load(story):
    release = story.release()
    found = story.check(release, story.rules(release))
    assert found.deploy and found.seen.version == 1
    assert found.kinds == {"model.safetensors": "safetensors", "config.json": "text"}
    deployed = story.folder / "deployed"
    assert archives.read(deployed) == archives.read(story.model)
    assert (deployed / "config.json").stat().st_mode & 0o777 == 0o400


def test_an_update_passes_and_the_same_release_again(story):
    first = story.release()
    rules = story.rules(first)
    seen = story.check(first, rules, into="1").seen
    assert story.check(first, rules, seen, "2").deploy
    (story.model / "model.safetensors").write_bytes(weights(1))
    second = story.release(version=5)
    assert story.check(second, story.rules(first, second), seen, "3").seen.version == 5


def test_a_tar_archive_and_folders_inside_pass(story):
    (story.model / "more").mkdir()
    (story.model / "more" / "b.safetensors").write_bytes(weights(2))
    release = story.release()
    rules = story.rules(release)
    archive = story.folder / "model.tar"
    archive.write_bytes(archives.pack(archives.read(story.model)))
    assert story.check(release, rules, model=archive).deploy
    assert story.check(release, rules, into="2").deploy


# --- What is refused ---------------------------------------------------------------


def write_over(name, content):
    def change(story):
        path = story.model / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    return change


AFTER = {
    "changed weights": (write_over("model.safetensors", b"other"), "files"),
    "an extra file": (write_over("run.py", b""), "files"),
    "a hidden file": (write_over(".git/config", b""), "files"),
    "a missing file": (lambda s: (s.model / "config.json").unlink(), "files"),
    "a link": (lambda s: (s.model / "l").symlink_to("/etc/passwd"), "names"),
    "an empty folder": (lambda s: [p.unlink() for p in s.model.iterdir()], "files"),
    "no folder": (lambda s: s.model.rename(s.folder / "gone"), "reading"),
}


@pytest.mark.parametrize("what", AFTER)
def test_a_model_that_changed_after_signing_is_refused(what, story):
    release = story.release()
    rules = story.rules(release)
    change, check = AFTER[what]
    change(story)
    assert story.check(release, rules).check == check


def checkpoint(value) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


BEFORE = {
    "a checkpoint": ("model.pt", checkpoint({"a": torch.ones(1)}), "format"),
    "a program": ("model.py", b"print()", "format"),
    "a library": ("model.so", b"\x7fELF", "format"),
    "a checkpoint in disguise": (
        "b.safetensors", checkpoint({"a": torch.ones(1)}), "format"),
    "cut off weights": ("b.safetensors", weights(0)[:-1], "format"),
    "an empty file of weights": ("b.safetensors", b"", "format"),
    "broken settings": ("more.json", b"{", "format"),
}  # fmt: skip


@pytest.mark.parametrize("what", BEFORE)
def test_a_signed_file_of_an_unsafe_format_is_refused(what, story):
    name, content, check = BEFORE[what]
    (story.model / name).write_bytes(content)
    release = story.release()
    found = story.check(release, story.rules(release))
    assert found.check == check and name in found.why


def test_a_model_without_weights_is_refused(story):
    (story.model / "model.safetensors").unlink()
    release = story.release()
    assert "no file of weights" in story.check(release, story.rules(release)).why


def test_unsigned_wrong_key_and_wrong_name_are_refused(story):
    good = story.release()
    rules = story.rules(good)
    assert "not signed" in story.check(replace(good, signature=b""), rules).why
    assert story.check(replace(good, signature=bytes(64)), rules).check == "signature"
    stranger = story.release(private=manifests.new_key()[0])
    assert story.check(stranger, story.rules(stranger)).check == "signature"
    other = story.release(name="faces")
    assert story.check(other, story.rules(other)).check == "name"
    assert story.check(Release(b"", b""), rules).check == "signature"


def test_stale_models_are_refused(story):
    first, second = story.release(1), story.release(2)
    rules = story.rules(first, second)
    seen = story.check(second, rules, into="2").seen
    assert story.check(first, rules, seen).check == "version"
    (story.model / "config.json").write_text("{}")
    twice = story.release(2)
    assert story.check(twice, story.rules(twice), seen).check == "version"


def test_withdrawn_models_and_old_registries_are_refused(story):
    release = story.release()
    withdrawn = story.rules()
    assert "withdrawn" in story.check(release, withdrawn).why
    expired = story.rules(release, expires=NOW - timedelta(seconds=1))
    assert "expired" in story.check(release, expired).why
    rules = story.rules(release)
    for broken in (
        replace(rules, registry=b"{}"),
        replace(rules, registry=b""),
        replace(rules, registry_signature=bytes(64)),
        replace(rules, registry_key=story.public),
        # the publisher's own key must not be able to approve
        replace(rules, registry_signature=manifests.sign(rules.registry, story.owner)),
    ):
        assert story.check(release, broken).check == "registry"
    other = gate.write_registry(
        {sha256(release.manifest).hexdigest(): "faces"}, SOON, story.owner
    )
    found = replace(rules, registry=other[0], registry_signature=other[1])
    assert story.check(release, found).check == "registry"


def test_a_registry_of_another_form_is_refused(story):
    release = story.release()
    rules = story.rules(release)
    for text in (b'{"a": 1}', b"[]", b"7", b'{"approved":{},"expires":"soon"}', b"["):
        signature = manifests.sign(text, story.owner, gate.CONTEXT)
        changed = replace(rules, registry=text, registry_signature=signature)
        assert story.check(release, changed).check == "registry"


def test_registries_need_hashes_and_times_with_a_zone(story):
    with pytest.raises(Refused, match="hex digits"):
        gate.write_registry({"x": "signs"}, NOW, story.owner)
    with pytest.raises(ValueError, match="time zone"):
        gate.write_registry({}, NOW.replace(tzinfo=None), story.owner)


def test_checkpoints_pass_only_where_they_are_welcome_and_hold_weights(story):
    honest = checkpoint(models.small_resnet(0).state_dict())
    (story.model / "model.safetensors").unlink()
    path = story.model / "model.pt"
    path.write_bytes(honest)
    release = story.release()
    rules = story.rules(release)
    assert "can run code" in story.check(release, rules).why
    old = replace(rules, torch="2.6.0")
    assert story.check(release, old).check == "version floor"
    assert story.check(release, replace(rules, torch="2.10.0"), into="2").deploy
    marker = story.folder / "marker"
    for name, content in artifacts.checkpoints(honest, marker).items():
        path.write_bytes(content)
        release = story.release()
        found = story.check(release, story.rules(release, torch="2.14.1"), into=name)
        assert found.deploy == (name == "honest"), name
    assert not marker.exists()


def test_a_folder_that_exists_already_is_left_alone(story):
    release = story.release()
    target = story.folder / "there"
    target.mkdir()
    (target / "kept").write_text("")
    found = gate.check(story.model, release, story.rules(release), target, now=NOW)
    assert not found.deploy and "exists" in found.why
    assert (target / "kept").exists()


def test_an_unreadable_file_is_refused(story):
    release = story.release()
    path = story.model / "config.json"
    path.unlink()
    os.mkfifo(path)
    assert story.check(release, story.rules(release)).check == "names"


def test_whatever_goes_wrong_refuses(story, monkeypatch):
    def fail(*_):
        raise MemoryError("too much")

    release = story.release()
    monkeypatch.setattr(checkpoints, "check_safetensors", fail)
    found = story.check(release, story.rules(release))
    assert (found.check, found.why) == ("reading", "MemoryError: too much")


def test_a_signed_backdoor_passes(story):
    """No check asks whether a model is good: signing proves origin alone."""
    (story.model / "model.safetensors").write_bytes(weights(666))
    release = story.release()
    assert story.check(release, story.rules(release)).deploy


# --- OpenSSF -------------------------------------------------------------------------


def openssf(story) -> dict:
    valid = NOW - timedelta(days=1), NOW + timedelta(days=300)
    publisher = signatures.new_identity(story.folder, "publisher", valid)
    signature = story.folder / "model.sig"
    signatures.sign(story.model, signature, publisher)
    return {"signature": signature, "public_key": publisher.public}


def test_a_demanded_openssf_signature_must_hold(story, monkeypatch):
    demanded = openssf(story)
    release = story.release()
    rules = story.rules(release, **demanded)
    assert story.check(release, rules).deploy
    wrong = replace(rules, signature=story.folder / "none.sig")
    assert story.check(release, wrong, into="2").check == "model-signing"
    monkeypatch.setattr(signatures, "_there", lambda module: False)
    found = story.check(release, rules, into="3")
    assert "pip install model-signing" in found.why


# --- The audit log -------------------------------------------------------------------


def logged(path: Path, count: int) -> list[str]:
    return [audit_log.append(path, {"n": n}, NOW) for n in range(count)]


def test_a_log_that_only_grew_verifies(tmp_path):
    path = tmp_path / "audit.jsonl"
    heads = logged(path, 4)
    assert audit_log.verify(path) == (4, heads[-1])
    for head in heads:
        audit_log.verify(path, head)
    assert path.stat().st_mode & 0o777 == 0o600


def edit(change):
    def run(path):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(change(lines)))

    return run


TAMPERED = {
    "a changed line": edit(lambda x: [x[0], x[1].replace(b'"n":1', b'"n":7'), *x[2:]]),
    "a removed line": edit(lambda x: [x[0], *x[2:]]),
    "a removed first line": edit(lambda x: x[1:]),
    "two lines swapped": edit(lambda x: [x[1], x[0], *x[2:]]),
    "a line twice": edit(lambda x: [x[0], *x]),
    "a line cut off": edit(lambda x: [*x[:-1], x[-1][:-9]]),
    "an empty line": edit(lambda x: [*x, b"\n"]),
    "a line of another form": edit(lambda x: [*x, b"{}\n"]),
    "a space more": edit(lambda x: [x[0].replace(b":", b": "), *x[1:]]),
    "bytes": edit(lambda x: [*x, b"\xff\n"]),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_changed_log_is_refused_and_not_written_to(what, tmp_path):
    path = tmp_path / "audit.jsonl"
    logged(path, 4)
    TAMPERED[what](path)
    before = path.read_bytes()
    assert "line" in refusal(audit_log.verify, path)
    assert refusal(audit_log.append, path, {})
    assert path.read_bytes() == before


def test_lines_missing_at_the_end_need_a_kept_hash(tmp_path):
    path = tmp_path / "audit.jsonl"
    heads = logged(path, 4)
    edit(lambda x: x[:2])(path)
    assert audit_log.verify(path) == (2, heads[1])
    assert "lines are missing" in refusal(audit_log.verify, path, heads[3])
    assert "cannot be read" in refusal(audit_log.verify, tmp_path / "none")
    path.write_bytes(b"")
    assert audit_log.verify(path) == (0, audit_log.FIRST)
    assert refusal(audit_log.verify, path, heads[0])


def test_a_log_behind_a_link_is_not_written(tmp_path):
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    assert "cannot be written" in refusal(audit_log.append, tmp_path / "log", {})
    assert not (tmp_path / "elsewhere").exists()


# --- Decisions that are recorded -----------------------------------------------------


def deploy(story, release, rules, into="deployed"):
    log, memory = story.folder / "audit.jsonl", story.folder / "seen"
    target = story.folder / into
    return gate.deploy(story.model, release, rules, target, log, memory, NOW)


def test_every_decision_is_recorded(story):
    first, second = story.release(1), story.release(2)
    rules = story.rules(first, second)
    decisions = [deploy(story, r, rules, str(n)) for n, r in enumerate((second, first))]
    assert [d.deploy for d, _ in decisions] == [True, False]
    log = story.folder / "audit.jsonl"
    assert audit_log.verify(log, decisions[0][1]) == (2, decisions[1][1])
    lines = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert [line["decision"] for line in lines] == ["deploy", "refuse"]
    assert lines[1]["check"] == "version" and "rollback" in lines[1]["why"]
    assert lines[0]["manifest"] == sha256(second.manifest).hexdigest()


def test_what_cannot_be_recorded_is_not_deployed(story):
    release = story.release()
    (story.folder / "audit.jsonl").write_text("broken")
    with pytest.raises(Refused, match="cut off"):
        deploy(story, release, story.rules(release))
    assert not (story.folder / "deployed").exists()


def test_a_broken_memory_is_a_refusal_that_is_recorded(story):
    release = story.release()
    (story.folder / "seen").write_text("{")
    decision, _ = deploy(story, release, story.rules(release))
    assert decision.check == "version" and "cannot read" in decision.why
    assert audit_log.verify(story.folder / "audit.jsonl")[0] == 1


def test_what_cannot_be_remembered_is_not_deployed(story):
    release = story.release()
    (story.folder / "seen.new").mkdir()
    decision, _ = deploy(story, release, story.rules(release))
    assert not decision.deploy and "cannot be written" in decision.why
    assert not (story.folder / "deployed").exists()


# --- The command ------------------------------------------------------------------


@pytest.fixture
def shop(story, monkeypatch):
    """Return a story whose files lie where the command reads them."""
    monkeypatch.chdir(story.folder)
    for name in ("publisher", "owner", "stranger"):
        assert cli.main(["provenance", "key", name]) == 0
    sign(1)
    return story


def sign(version, key="publisher", to="release"):
    command = f"provenance write model --name signs --version {version} --source run"
    assert cli.main([*command.split(), "--key", f"{key}.key", "--to", to]) == 0
    approve = "gate approve release/manifest.json --name signs --days 7"
    assert cli.main([*approve.split(), "--key", "owner.key", "--to", "registry"]) == 0


CHECK = (
    "gate check model --from release --name signs --key publisher.pub --seen seen "
    "--log audit.jsonl --registry registry --registry-key owner.pub --into"
)


def test_the_command_deploys_refuses_and_verifies(shop, capsys):
    assert cli.main([*CHECK.split(), "one"]) == 0
    assert "deploy signs 1 from one" in capsys.readouterr().out
    (shop.model / "extra.py").write_text("")
    assert cli.main([*CHECK.split(), "two"]) == 1
    assert "refused (files)" in capsys.readouterr().err
    (shop.model / "extra.py").unlink()
    Path("release/manifest.sig").unlink()
    assert cli.main([*CHECK.split(), "two"]) == 1
    assert "not signed" in capsys.readouterr().err
    assert cli.main(["gate", "verify", "audit.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "3 decisions, none changed" in said and "kept elsewhere" in said
    text = Path("audit.jsonl").read_text()
    Path("audit.jsonl").write_text(text.replace("deploy", "refuse"))
    assert cli.main(["gate", "verify", "audit.jsonl"]) == 1
    assert cli.main(["gate", "verify", "audit.jsonl", "--head", "0" * 64]) == 1


def test_the_command_refuses_a_stranger_and_a_rollback(shop, capsys):
    sign(2)
    assert cli.main([*CHECK.split(), "one"]) == 0
    sign(1)
    assert cli.main([*CHECK.split(), "two"]) == 1
    assert "rollback" in capsys.readouterr().err
    sign(3, key="stranger")
    assert cli.main([*CHECK.split(), "two"]) == 1
    assert "refused (signature)" in capsys.readouterr().err


def test_the_command_looks_at_formats(shop, capsys):
    path = Path("model.pt")
    path.write_bytes(checkpoint({"a": torch.ones(1)}))
    assert cli.main(["gate", "look", "model/model.safetensors"]) == 0
    assert capsys.readouterr().out == "model/model.safetensors: passed (safetensors)\n"
    assert cli.main(["gate", "look", "model.pt", "model/model.safetensors"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("model.pt: refused (format): ")
    assert "can run code" in said.err and said.out.startswith("model/model.safe")
    assert cli.main(["gate", "look", "--torch", "2.14.1", "model.pt"]) == 0
    assert capsys.readouterr().out == "model.pt: passed (pickle)\n"
    assert cli.main(["gate", "look", "none.pt"]) == 2


def test_the_command_names_bad_options(shop, capsys):
    bad = {
        "belong together": CHECK.replace("--registry-key owner.pub ", ""),
        "64 hex digits": CHECK.replace("publisher.pub", "publisher.key"),
        "either --openssf-key": CHECK.replace("--into", "--openssf x --into"),
    }
    for says, command in bad.items():
        assert cli.main([*command.split(), "one"]) == 2
        assert says in capsys.readouterr().err
    assert cli.main(["gate", "approve", "--name", "signs", "--days", "0",
                     "--key", "owner.key", "--to", "r"]) == 2  # fmt: skip
    assert not Path("one").exists()


TYPOS = {
    "--from nowhere: ": CHECK.replace("--from release", "--from nowhere"),
    "--registry nowhere: ": CHECK.replace("--registry registry", "--registry nowhere"),
    "--into model: ": CHECK,
    "nowhere: expected a folder or tar": CHECK.replace("check model", "check nowhere"),
}


@pytest.mark.parametrize("says", TYPOS)
def test_a_typo_of_the_caller_is_no_refusal_of_the_model(says, shop, capsys):
    into = "model" if "--into" in says else "one"
    assert cli.main([*TYPOS[says].split(), into]) == 2
    assert says in capsys.readouterr().err
    assert not Path("audit.jsonl").exists() and not Path("one").exists()
    assert (shop.model / "config.json").exists()


def test_approving_says_how_many_and_replaces_the_list(shop, capsys):
    approve = "gate approve --name signs --days 7 --key owner.key --to registry"
    assert cli.main([*approve.split(), "release/manifest.json"]) == 0
    assert capsys.readouterr().out.startswith("1 release approved until ")
    assert cli.main(approve.split()) == 0
    assert capsys.readouterr().out.startswith("0 releases approved until ")
    assert cli.main([*CHECK.split(), "one"]) == 1
    assert "withdrawn" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["gate", "approve", "--help"])
    assert "replaces" in capsys.readouterr().out


def test_the_recipe_begins_with_the_keys(capsys):
    with pytest.raises(SystemExit):
        cli.main(["gate", "--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    steps = [line[1:4] for line in lines if line[:1] == ["securetrain"]]
    assert steps[:2] == [["provenance", "key", name] for name in ("publisher", "owner")]


LIGHT = """
import sys
for name in ("torch", "numpy", "model_signing", "OpenSSL", "IPython", "matplotlib"):
    sys.modules[name] = None  # what the base install lacks
from securetrain import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_the_gate_works_without_torch_and_numpy(shop):
    def run(command):
        root = str(Path(gate.__file__).parents[1])
        return subprocess.run(
            [sys.executable, "-c", LIGHT, *command.split()],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root},
        )  # fmt: skip

    assert run(f"{CHECK} one").returncode == 0
    done = run("gate verify audit.jsonl")
    assert done.returncode == 0, done.stderr
    Path("model.sig").write_text("{}")
    demand = "--openssf model.sig --openssf-key k --into"
    done = run(f"{CHECK.replace('--into', demand)} two")
    assert done.returncode == 1 and "pip install model-signing" in done.stderr


def test_memory_of_the_gate_is_that_of_provenance(shop):
    assert cli.main([*CHECK.split(), "one"]) == 0
    assert provenance.recall(Path("seen")).version == 1


# --- Deliveries of the lesson ------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_gate_refuses_each_attack_of_the_lesson_and_nothing_else(seed, tmp_path):
    files = {"model.safetensors": weights(0), "config.json": b"{}"}
    pickled, backdoor = checkpoint({"a": torch.ones(1)}), weights(1)
    found = gate_attacks.deliveries(files, pickled, backdoor, NOW, Random(seed))
    assert len({this.release.manifest for this in found.values()}) > 5
    passed = set()
    for name, this in found.items():
        model = tmp_path / name
        model.mkdir()
        for path, content in this.files.items():
            (model / path).write_bytes(content)
        into = tmp_path / f"{name} deployed"
        args = model, this.release, this.rules, into
        if gate.check(*args, seen=this.seen, now=NOW).deploy:
            passed.add(name)
    assert passed == set(gate_attacks.PASSES)
