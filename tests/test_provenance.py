"""Manifests, signatures and releases: honest ones pass, everything else is refused."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from securetrain import (
    archives,
    cli,
    manifests,
    provenance,
    tampering,
    timestamps,
    translog,
)
from securetrain.archives import Refused, pack
from securetrain.manifests import File
from securetrain.provenance import Release, Seen, Trust, verify_before_training

FILES = {"labels.npy": b"0123", "images/0.npy": b"a" * 900, "images/1.npy": b"b" * 900}
FILES |= {"empty": b"", "read me.txt": "größe".encode()}
PRIVATE, PUBLIC = manifests.new_key()
TRUST = Trust("signs", PUBLIC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def manifest_of(files, version=1, name="signs"):
    facts = name, version, "https://example.org"
    return manifests.write_manifest(manifests.describe(files), *facts)


def release_of(files, version=1, name="signs", private=PRIVATE):
    manifest = manifest_of(files, version, name)
    return Release(manifest, manifests.sign(manifest, private))


def accepted(files, release, trust=TRUST, **more):
    return verify_before_training(pack(files), release, trust, now=NOW, **more)


def refused(check, says, files, release, trust=TRUST, **more):
    with pytest.raises(Refused, match=says) as caught:
        accepted(files, release, trust, **more)
    assert caught.value.check == check


# --- Manifests -----------------------------------------------------------------


def test_a_manifest_is_the_same_bytes_for_the_same_files():
    backwards = dict(reversed(FILES.items()))
    assert manifest_of(FILES) == manifest_of(backwards)
    assert manifest_of(FILES).isascii() and b" " not in manifest_of({"a": b""})


def test_a_manifest_says_what_was_written():
    found = manifests.read_manifest(manifest_of(FILES, 7))
    assert (found.name, found.version, found.source) == (
        "signs",
        7,
        "https://example.org",
    )
    assert found.files == manifests.describe(FILES)
    assert found.files["empty"] == File(
        0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def changed(**fields):
    tree = json.loads(manifest_of(FILES))
    tree.update(fields)
    return manifests.canonical({k: v for k, v in tree.items() if v is not ...})


def row(**fields):
    base = {"path": "a", "size": 1, "digest": "0" * 64}
    return {k: v for k, v in (base | fields).items() if v is not ...}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"9" * 10_000, "no JSON"),
        (b"{}", "exactly the keys"),
        (b"[]", "exactly the keys"),
        (b'{"a":1,"a":2}', "canonical"),
        (manifest_of(FILES) + b"\n", "canonical"),
        (b" " + manifest_of(FILES), "canonical"),
        (manifest_of(FILES).replace(b'"size":4', b'"size":4.0'), "size 4.0"),
        (manifest_of(FILES).replace(b'"size":4', b'"size":4e0'), "canonical|size"),
        (manifest_of(FILES).replace(b'"empty"', b'"\\u0065mpty"'), "canonical"),
        (changed(format="securetrain-manifest-2"), "unknown format"),
        (changed(hash="md5"), "unknown hash 'md5'"),
        (changed(hash=["sha256"]), "unknown hash"),
        (changed(hash=...), "exactly the keys"),
        (changed(key="more"), "exactly the keys"),
        (changed(name=""), "name and source"),
        (changed(source=None), "name and source"),
        (changed(version=0), "version 0"),
        (changed(version=-1), "version -1"),
        (changed(version=True), "version True"),
        (changed(version="2"), "version '2'"),
        (changed(version=1.5), "version 1.5"),
        (changed(version=float("nan")), "version nan"),
        (changed(version=1 << 60), "version"),
        (changed(files={}), "files must be a list"),
        (changed(files=[1]), "exactly the keys"),
        (changed(files=[row(size=-1)]), "size -1"),
        (changed(files=[row(digest="0" * 63)]), "64 small hex"),
        (changed(files=[row(digest="A" * 64)]), "64 small hex"),
        (changed(files=[row(digest="0" * 64 + "\n")]), "64 small hex"),
        (changed(files=[row(digest=None)]), "64 small hex"),
        (changed(files=[row(digest=...)]), "exactly the keys"),
        (changed(files=[row(md5="0" * 32)]), "exactly the keys"),
        (changed(files=[row(path=1)]), "path 1"),
        (changed(files=[row(path="../a")]), "leads out"),
        (changed(files=[row(path="/a")]), "absolute"),
        (changed(files=[row(), row()]), "stands twice"),
        (changed(files=[row(), row(path="A")]), "is also"),
        (changed(files=[row(path="b"), row()]), "sorted"),
    ],
)
def test_every_other_text_is_refused(data, says):
    with pytest.raises(Refused, match=says):
        manifests.read_manifest(data)
    signed = Release(data, manifests.sign(data, PRIVATE))
    with pytest.raises(Refused):
        verify_before_training(pack(FILES), signed, TRUST, now=NOW)


@pytest.mark.parametrize("version", [0, -3, True, "1", 1.0])
def test_no_such_manifest_is_written(version):
    with pytest.raises(Refused, match="version"):
        manifest_of(FILES, version)


# --- Signatures ------------------------------------------------------------------


def test_a_signature_holds_for_these_bytes_this_key_and_this_purpose():
    manifest = manifest_of(FILES)
    signature = manifests.sign(manifest, PRIVATE)
    manifests.check_signature(manifest, signature, PUBLIC)
    other_private, other_public = manifests.new_key()
    wrong = [
        (manifest + b" ", signature, PUBLIC),
        (manifest, signature, other_public),
        (manifest, manifests.sign(manifest, other_private), PUBLIC),
        (manifest, b"", PUBLIC),
        (manifest, signature[:63], PUBLIC),
        (manifest, signature + b"\0", PUBLIC),
        (manifest, bytes(64), PUBLIC),
        (manifests.CONTEXT + manifest, signature, PUBLIC),
    ]
    for case in wrong:
        with pytest.raises(Refused, match="not the trusted key's"):
            manifests.check_signature(*case)


def test_a_signature_for_another_purpose_is_none():
    """The same key over the same bytes, but a log's head: domain separation."""
    head = translog.sign_head([translog.leaf_hash(b"x")], PRIVATE)
    with pytest.raises(Refused):
        manifests.check_signature(head.message, head.signature, PUBLIC)
    forged = manifests.sign(head.message, PRIVATE)
    with pytest.raises(Refused):
        translog.check_head(replace(head, signature=forged), PUBLIC)


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_length_is_an_error(key):
    with pytest.raises(ValueError, match="32 bytes"):
        manifests.sign(b"", key)
    with pytest.raises(ValueError, match="32 bytes"):
        manifests.check_signature(b"", bytes(64), key)


def test_every_flipped_bit_of_manifest_or_signature_is_refused():
    release, rng = release_of(FILES), random.Random(3)
    for part in ("manifest", "signature"):
        for _ in range(200):
            flipped = bytearray(getattr(release, part))
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            wrong = replace(release, **{part: bytes(flipped)})
            refused("signature", "not the trusted key's", FILES, wrong)


# --- Files -----------------------------------------------------------------------


def test_an_honest_release_is_returned_as_it_was_sent(tmp_path):
    release = release_of(FILES)
    found = accepted(FILES, release)
    assert found.files == FILES and found.manifest.version == 1
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert verify_before_training(tmp_path, release, TRUST).files == FILES


@pytest.mark.parametrize("kind", tampering.KINDS)
def test_tampering_is_always_refused_and_honesty_never(kind):
    rng = random.Random(kind)
    for _ in range(30):
        files = tampering.some_files(rng)
        release = release_of(files)
        assert accepted(files, release).files == files
        wrong = tampering.tamper(files, rng, kind)
        assert wrong != files
        refused("files", "not the files of this manifest", wrong, release)


def test_honest_updates_pass_one_after_the_other():
    rng = random.Random(4)
    files, seen = tampering.some_files(rng), None
    for version in range(1, 20):
        found = accepted(files, release_of(files, version), seen=seen)
        assert found.files == files
        files, seen = tampering.update(files, rng), found.seen


def test_each_layer_refuses_what_the_lesson_says():
    names = list(tampering.ATTACKS)
    rates = dict(zip(names, tampering.refusal_rates(25, seed=9), strict=True))
    assert rates["honest update"] == rates["signed poison"] == [0, 0, 0, 0, 0]
    assert rates["and hashed again"] == [0, 1, 1, 1, 1]
    assert rates["old release"] == [0, 0, 0, 1, 1]
    assert rates["two releases mixed"] == [1, 0, 1, 1, 1]
    assert rates["stolen key"] == [0, 0, 0, 0, 1]
    changed = rates["files changed"]
    assert changed[:1] + changed[2:] == [1, 1, 1, 1] and 0 < changed[1] < 1
    with pytest.raises(ValueError, match="no tampering 'all'"):
        tampering.tamper({"a": b"1"}, random.Random(0), "all")


def test_a_refusal_says_what_is_wrong_with_which_files():
    wrong = {**FILES, "labels.npy": b"0124", "new": b"", "images/0.npy": b"a" * 901}
    del wrong["empty"]
    says = r"2 changed \('images/0.npy', 'labels.npy'\); 1 missing \('empty'\); "
    refused("files", says + r"1 not listed \('new'\)", wrong, release_of(FILES))
    refused("files", r"5 missing \('empty', .*, …\)", {}, release_of(FILES))


def test_a_file_is_read_no_further_than_its_size(tmp_path):
    """A file that grew to terabytes costs no more than the signed size."""
    release = release_of({"a": b"12345"})
    with open(tmp_path / "a", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Refused, match="1 changed"):
        verify_before_training(tmp_path, release, TRUST)


def test_what_is_trained_on_is_what_was_hashed(tmp_path, monkeypatch):
    """The file changes the moment after it was read: the bytes returned do not."""
    (tmp_path / "a").write_bytes(b"signed")
    release = release_of({"a": b"signed"})
    found = verify_before_training(tmp_path, release, TRUST)
    (tmp_path / "a").write_bytes(b"poison")
    assert found.files == {"a": b"signed"}
    folder = tmp_path / "staged"
    (tmp_path / "a").write_bytes(b"signed")
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "a").rename(data / "a")
    provenance.stage(data, release, TRUST, folder)
    (data / "a").write_bytes(b"poison")
    assert (folder / "a").read_bytes() == b"signed"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_refused_release_leaves_nothing_staged(tmp_path):
    into = tmp_path / "into"
    with pytest.raises(Refused):
        provenance.stage(pack({"a": b"2"}), release_of({"a": b"1"}), TRUST, into)
    assert not into.exists()
    into.mkdir()
    with pytest.raises(FileExistsError):
        provenance.stage(pack(FILES), release_of(FILES), TRUST, into)


def test_too_much_for_the_memory_is_said_before_it_is_read():
    rows = {"a": File(2 << 30, "0" * 64)}
    manifest = manifests.write_manifest(rows, "signs", 1, "x")
    huge = Release(manifest, manifests.sign(manifest, PRIVATE))
    refused("files", "use stage", {}, huge)


# --- Versions, names, mixing -------------------------------------------------------


def test_a_rollback_is_refused_and_a_newer_release_is_not():
    old, new = release_of(FILES, 3), release_of({**FILES, "more": b"1"}, 4)
    first = accepted(FILES, old)
    assert accepted(FILES, old, seen=first.seen).seen == first.seen
    second = accepted({**FILES, "more": b"1"}, new, seen=first.seen)
    assert second.seen.version == 4
    refused("version", "4 was seen: a rollback", FILES, old, seen=second.seen)


def test_another_release_under_a_known_number_is_refused():
    seen = accepted(FILES, release_of(FILES, 3)).seen
    other = {**FILES, "more": b"1"}
    refused("version", "another version 3", other, release_of(other, 3), seen=seen)


def test_files_of_two_signed_releases_are_not_one():
    new = {name: content + b"2" for name, content in FILES.items()}
    both = [release_of(FILES, 1), release_of(new, 2)]
    rng = random.Random(2)
    for _ in range(50):
        mixed = {name: rng.choice((FILES, new))[name] for name in FILES}
        if mixed in (FILES, new):
            continue
        for release in both:
            refused("files", "changed", mixed, release)


def test_a_release_of_another_data_set_is_refused():
    other = release_of(FILES, name="faces")
    refused("name", "a release of 'faces', expected 'signs'", FILES, other)


def test_a_strangers_release_is_refused():
    private, _ = manifests.new_key()
    refused("signature", "not the", FILES, release_of(FILES, private=private))


def test_what_was_seen_is_stored_and_recalled(tmp_path):
    head = translog.Head(3, b"r" * 32, b"s" * 64)
    for seen in (Seen(4, "0" * 64), Seen(4, "a" * 64, head)):
        provenance.remember(seen, tmp_path / "seen")
        assert provenance.recall(tmp_path / "seen") == seen
    assert provenance.recall(tmp_path / "none") is None


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"version": 0, "manifest": "%s"}' % ("0" * 64), '{"version": 1}'],
)
def test_a_broken_memory_is_refused_not_forgotten(tmp_path, text):
    (tmp_path / "seen").write_text(text)
    with pytest.raises(Refused, match="cannot read what was seen") as caught:
        provenance.recall(tmp_path / "seen")
    assert caught.value.check == "version"


# --- Time ------------------------------------------------------------------------

DAY = timedelta(days=1)


def test_without_a_timestamp_the_key_must_be_valid_now():
    release = release_of(FILES)
    accepted(FILES, release, Trust("signs", PUBLIC, NOW - DAY, NOW + DAY))
    late = Trust("signs", PUBLIC, not_after=NOW - DAY)
    refused("time", "now .* the key has expired", FILES, release, late)
    early = Trust("signs", PUBLIC, not_before=NOW + DAY)
    refused("time", "not valid yet", FILES, release, early)
    with pytest.raises(ValueError, match="time zone"):
        verify_before_training(pack(FILES), release, TRUST, now=datetime(2026, 6, 1))


@pytest.mark.skipif(bool(timestamps.missing()), reason=timestamps.missing())
def test_a_timestamp_proves_that_an_expired_key_signed_in_time(tmp_path):
    authority = timestamps.local_authority(tmp_path)
    release = release_of(FILES)
    stamped = replace(release, timestamp=authority.stamp(release.signature))
    now = datetime.now(UTC)
    trust = Trust("signs", PUBLIC, None, now + DAY, authority.root)
    later = {"now": now + 30 * DAY}
    found = verify_before_training(pack(FILES), stamped, trust, **later)
    assert found.files == FILES
    unproven = replace(trust, authority=b"")
    gone = replace(trust, not_after=now - DAY)
    stolen = replace(stamped, timestamp=authority.stamp(b"another signature"))
    for says, sent, believed in [
        ("now .* the key has expired", stamped, unproven),
        ("at its timestamp .* the key has expired", stamped, gone),
        ("no timestamp, and", release, trust),
        ("Mismatch between messages", stolen, trust),
    ]:
        with pytest.raises(Refused, match=says) as caught:
            verify_before_training(pack(FILES), sent, believed, **later)
        assert caught.value.check == "time"


# --- Log -------------------------------------------------------------------------

LOG_PRIVATE, LOG_PUBLIC = manifests.new_key()
LOGGED = replace(TRUST, log_key=LOG_PUBLIC)


def logged(release, entries, seen=None):
    """Return a release with its proofs from a log of manifests."""
    leaves = [translog.leaf_hash(entry) for entry in entries]
    index = entries.index(release.manifest)
    proof = translog.consistency(leaves, seen.head.size) if seen else []
    return replace(
        release,
        head=translog.sign_head(leaves, LOG_PRIVATE),
        index=index,
        inclusion=translog.inclusion(leaves, index),
        consistency=proof,
    )


def test_a_release_must_stand_in_a_log_that_only_grows():
    one, two = release_of(FILES, 1), release_of(FILES, 2)
    log = [b"somebody else's", one.manifest]
    first = accepted(FILES, logged(one, log), LOGGED)
    grown = [*log, b"another", two.manifest]
    second = accepted(FILES, logged(two, grown, first.seen), LOGGED, seen=first.seen)
    assert second.seen.head.size == 4
    says = "in no log"
    refused("log", says, FILES, one, LOGGED)
    rewritten = [b"changed", one.manifest, b"another", two.manifest]
    wrong = logged(two, rewritten, first.seen)
    refused("log", "does not continue", FILES, wrong, LOGGED, seen=first.seen)
    unproven = replace(logged(two, grown, first.seen), consistency=())
    refused("log", "does not continue", FILES, unproven, LOGGED, seen=first.seen)
    elsewhere = replace(logged(one, log), head=logged(two, grown).head)
    refused("log", "not in the log", FILES, elsewhere, LOGGED)
    forged = replace(logged(one, log).head, signature=bytes(64))
    refused(
        "log", "no signature", FILES, replace(logged(one, log), head=forged), LOGGED
    )


def test_a_second_version_two_is_not_in_the_log_that_others_see():
    """A split view: the publisher's key signs two releases of one number."""
    seen_by_all, only_for_us = release_of(FILES, 2), release_of({"a": b"1"}, 2)
    public_log = [seen_by_all.manifest]
    head = logged(seen_by_all, public_log).head
    ours = replace(only_for_us, head=head, index=0, inclusion=[])
    refused("log", "not in the log", {"a": b"1"}, ours, LOGGED)


# --- The command -------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def run(*words):
    return cli.main(["provenance", *words])


def write(version):
    facts = ("--name", "signs", "--version", str(version), "--source", "here")
    return run("write", "data", *facts, "--key", "me.key", "--to", "release")


def verify(*more):
    known = ("--from", "release", "--name", "signs", "--key", "me.pub")
    return run("verify", "data", *known, "--seen", "seen", *more)


def test_the_command_signs_verifies_and_refuses(place, capsys):
    assert run("key", "me") == 0
    assert os.stat("me.key").st_mode & 0o077 == 0
    assert write(1) == 0 and verify() == 0
    assert "first release seen here" in capsys.readouterr().out
    assert verify("--into", "copy") == 0
    assert archives.read(place / "copy") == FILES
    (place / "data" / "empty").write_bytes(b"poison")
    assert verify() == 1
    assert "refused (files)" in capsys.readouterr().err
    assert write(2) == 0 and verify() == 0
    (place / "data" / "empty").write_bytes(b"")
    assert write(1) == 0 and verify() == 1
    assert "a rollback" in capsys.readouterr().err


def test_the_command_names_what_is_missing_or_strange(place, capsys):
    assert run("key", "me") == 0 and run("key", "me") == 2
    assert "me.key: File exists" in capsys.readouterr().err
    assert verify() == 2
    assert "manifest.json: No such file" in capsys.readouterr().err
    (place / "me.pub").write_text("not hex")
    assert verify() == 2
    assert "expected 64 hex digits" in capsys.readouterr().err
    (place / "me.key").write_bytes(b"short")
    assert write(1) == 2
    assert "expected 32 bytes, got 5" in capsys.readouterr().err
    facts = ("--name", "signs", "--version", "1", "--source", "here")
    assert run("write", "data", *facts, "--key", "me.key", "--to", "data/r") == 2
    assert "lies inside the data" in capsys.readouterr().err


def test_all_of_it_needs_the_base_install_only():
    names = "archives, manifests, provenance, provenance_command, timestamps, translog"
    heavy = "{'torch', 'numpy', 'IPython', 'rfc3161_client', 'nbformat'}"
    code = f"import sys; from securetrain import {names}\n"
    code += f"print(*{heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
