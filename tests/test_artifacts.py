"""Scanners disagree, and OpenSSF signatures cover every file: real tools, real runs."""

import io
from datetime import UTC, datetime, timedelta

import pytest
import torch

from securetrain import artifacts, model_scanners, models, signatures
from securetrain.archives import refusal

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the checkpoints of the lesson as files, by name."""
    folder, out = tmp_path_factory.mktemp("scanned"), io.BytesIO()
    torch.save(models.small_resnet(0).state_dict(), out)
    found = artifacts.checkpoints(out.getvalue(), folder / "marker")
    paths = {}
    for number, (name, content) in enumerate(found.items()):
        paths[name] = folder / f"{number}.pt"
        paths[name].write_bytes(content)
    return paths


# --- Scanners --------------------------------------------------------------------


def test_one_file_passes_two_scanners_and_one_scanner_flags_the_honest_file(
    files, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found = {name: model_scanners.verdicts(path) for name, path in files.items()}
    assert found["os.system"] == dict.fromkeys(
        model_scanners.TOOLS, model_scanners.FLAGGED
    )
    two = {"picklescan": model_scanners.CLEAN, "modelscan": model_scanners.CLEAN}
    assert two.items() <= found["numpy.savetxt"].items()
    assert two.items() <= found["honest"].items()
    assert found["honest"]["fickling"] == model_scanners.FLAGGED
    assert found["timeit.timeit"]["modelscan"] == model_scanners.CLEAN
    assert found["cut off"]["modelscan"] == model_scanners.ERROR
    assert list(tmp_path.iterdir()) == []  # no report is left behind
    assert not (files["honest"].parent / "marker").exists()


@pytest.mark.parametrize("tool", model_scanners.TOOLS)
@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04broken"])
def test_what_a_scanner_cannot_read_is_no_clean_file(tool, content, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    verdict = model_scanners.scan(tool, path)[0]
    says_clean = tool == "picklescan" and content == b"no model"  # its own verdict
    assert (verdict == model_scanners.CLEAN) == says_clean


@pytest.mark.parametrize("tool", model_scanners.TOOLS)
def test_a_file_that_is_not_there_is_an_error(tool, tmp_path):
    verdict, says = model_scanners.scan(tool, tmp_path / "none.pt")
    assert verdict == model_scanners.ERROR and "no file" in says


def test_an_absent_scanner_says_so(files, monkeypatch):
    monkeypatch.setattr(model_scanners.importlib.util, "find_spec", lambda name: None)
    verdict, says = model_scanners.scan("picklescan", files["honest"])
    assert verdict == model_scanners.ABSENT and "pip install picklescan" in says
    assert "not installed" in model_scanners.heading()
    assert model_scanners.verdicts(files["honest"]) == {}


def test_a_scanner_that_fails_is_an_error(files, monkeypatch):
    def fail(path):
        raise RuntimeError("out of order")

    monkeypatch.setattr(model_scanners, "_picklescan", fail)
    verdict, says = model_scanners.scan("picklescan", files["honest"])
    assert verdict == model_scanners.ERROR and "out of order" in says


def test_unknown_scanners_are_named(files):
    with pytest.raises(ValueError, match="unknown scanner 'x'"):
        model_scanners.scan("x", files["honest"])


# --- OpenSSF signatures -------------------------------------------------------------


def identity(folder, name="publisher", first=-1, last=300):
    valid = NOW + timedelta(days=first), NOW + timedelta(days=last)
    return signatures.new_identity(folder, name, valid)


@pytest.fixture
def signed(tmp_path):
    """Return a model, its publisher, and a signature of each mode."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "a.safetensors").write_bytes(b"weights")
    (model / "config.json").write_text("{}")
    publisher = identity(tmp_path)
    for mode in (False, True):
        signatures.sign(model, tmp_path / f"{mode}.sig", publisher, mode)
    return model, publisher, tmp_path / "False.sig", tmp_path / "True.sig"


def both(signed):
    """Return why each of the two modes refuses."""
    model, publisher, by_key, by_certificate = signed
    return (
        refusal(signatures.check, model, by_key, publisher.public),
        refusal(signatures.check, model, by_certificate, None, publisher.root),
    )


def test_an_honest_model_verifies_with_key_and_certificate(signed):
    assert both(signed) == ("", "")


CHANGES = {
    "a changed file": lambda m: (m / "config.json").write_text("[]"),
    "an extra file": lambda m: (m / "run.py").write_text(""),
    "a missing file": lambda m: (m / "config.json").unlink(),
    "a file of git": lambda m: (m / ".gitattributes").write_text("x"),
    "a link": lambda m: (m / "link").symlink_to("/etc/passwd"),
    "an empty folder": lambda m: [f.unlink() for f in m.iterdir()],
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_model_is_refused(what, signed):
    CHANGES[what](signed[0])
    assert all(both(signed))


def test_another_key_and_another_root_are_refused(signed, tmp_path):
    model, _, by_key, by_certificate = signed
    stranger = identity(tmp_path, "stranger")
    assert refusal(signatures.check, model, by_key, stranger.public)
    assert refusal(signatures.check, model, by_certificate, None, stranger.root)


def test_what_a_signature_leaves_out_is_refused(signed, tmp_path):
    from model_signing import signing, verifying

    model, publisher, *_ = signed
    (model / ".gitattributes").write_text("not covered")
    signature = tmp_path / "default.sig"
    config = signing.Config().use_elliptic_key_signer(private_key=publisher.private)
    config.sign(model, signature)
    plain = verifying.Config().use_elliptic_key_verifier(public_key=publisher.public)
    plain.verify(model, signature)  # the tool by itself is content
    why = refusal(signatures.check, model, signature, publisher.public)
    assert "not covered" in why


def test_a_certificate_that_has_ended_still_verifies(signed, tmp_path):
    model = signed[0]
    ended = identity(tmp_path, "ended", -300, -200)
    signatures.sign(model, tmp_path / "ended.sig", ended, certificate=True)
    signatures.check(model, tmp_path / "ended.sig", None, ended.root)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[]"])
def test_a_broken_signature_is_refused(content, signed):
    signed[2].write_bytes(content)
    assert "cannot verify" in both(signed)[0]


def test_missing_files_and_keys_are_named(signed, tmp_path):
    model, publisher, by_key, _ = signed
    for one in ((tmp_path / "no", by_key), (model, tmp_path / "no")):
        assert "not there" in refusal(signatures.check, *one, publisher.public)
    with pytest.raises(ValueError, match="either a public key or"):
        signatures.check(model, by_key, None)


def test_without_the_tool_nothing_verifies(signed, monkeypatch):
    monkeypatch.setattr(signatures, "_there", lambda module: module != "OpenSSL")
    assert signatures.missing() == "pip install pyopenssl"
    assert all("pip install pyopenssl" in why for why in both(signed))


def test_an_innocent_looking_signature_says_nothing_about_the_model(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    content = artifacts.call("builtins", "exec", "0")
    (model / "model.pt").write_bytes(b"\x80\x02" + content + b"N.")
    publisher = identity(tmp_path)
    signatures.sign(model, tmp_path / "sig", publisher)
    signatures.check(model, tmp_path / "sig", publisher.public)
