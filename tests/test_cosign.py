"""cosign, where it is installed: it signs offline, and refuses what was changed."""

import pytest

from securetrain import cosign, paths
from securetrain.archives import Refused, refusal

here = pytest.mark.skipif(
    not paths.tool("cosign"), reason="cosign is not installed: nothing was signed"
)


@here
def test_a_signed_file_verifies_and_a_changed_or_foreign_one_does_not(tmp_path):
    model, bundle = tmp_path / "model.safetensors", tmp_path / "model.bundle"
    model.write_bytes(bytes(1000))
    (tmp_path / "they").mkdir()
    we, they = cosign.new_key(tmp_path), cosign.new_key(tmp_path / "they")
    cosign.sign(model, bundle, we)
    assert refusal(cosign.check, model, bundle, we.public) == ""
    assert "verify" in refusal(cosign.check, model, bundle, they.public)
    model.write_bytes(bytes(999) + b"\1")
    assert "verify" in refusal(cosign.check, model, bundle, we.public)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"cosign.key", "cosign.pub", "they", model.name, bundle.name}


@here
def test_the_private_key_is_encrypted_and_its_password_is_not_shown(tmp_path):
    key = cosign.new_key(tmp_path)
    assert b"ENCRYPTED" in key.private.read_bytes()
    assert key.password not in repr(key)
    model = tmp_path / "model"
    model.write_bytes(b"weights")
    wrong = cosign.Key(key.private, key.public, "another")
    with pytest.raises(Refused, match="sign-blob: "):
        cosign.sign(model, tmp_path / "bundle", wrong)
    assert not (tmp_path / "bundle").exists()


@here
def test_it_names_its_version():
    assert cosign.version().startswith("cosign ")


def test_what_is_not_there_is_named(tmp_path):
    said = refusal(cosign.check, tmp_path / "model", tmp_path / "b", tmp_path / "k")
    assert "model is not there" in said


def test_without_the_tool_nothing_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "tool", lambda name: None)
    assert cosign.version() == ""
    for name in ("model", "bundle", "key"):
        (tmp_path / name).write_bytes(b"")
    files = [tmp_path / name for name in ("model", "bundle", "key")]
    assert "not installed" in refusal(cosign.check, *files)
    with pytest.raises(Refused, match="not installed"):
        cosign.new_key(tmp_path)
