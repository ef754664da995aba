"""Timestamps: a real authority, real openssl, and everything that must be refused."""

import random
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from securetrain import timestamps
from securetrain.archives import Refused

needs_tools = pytest.mark.skipif(
    bool(timestamps.missing()), reason=f"not installed: {timestamps.missing()}"
)
DAY = timedelta(days=1)
DATA = b"a signature of 64 bytes"


def now():
    return datetime.now(UTC)


@pytest.fixture
def authority(tmp_path):
    return timestamps.local_authority(tmp_path)


def refused(says, response, data=DATA, root=b"", at=None):
    with pytest.raises(Refused, match=says) as caught:
        timestamps.check(response, data, root, at or now())
    assert caught.value.check == "time"


def forged(folder, purpose, change=lambda info: info):
    """Return a response that `openssl ts` would not sign, and its root.

    purpose: of the signing certificate; change: what is done to the signed answer
    """
    honest = timestamps.local_authority(folder)
    response = folder / "honest.tsr"
    response.write_bytes(honest.stamp(DATA))
    info, token = folder / "info.der", folder / "token.der"
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    valid = now() - DAY, now() + 10_000 * DAY
    root = timestamps.certificate("Root", root_key, "Root", root_key, valid)
    own = timestamps.certificate("Other", key, "Root", root_key, valid, purpose)
    timestamps.save(folder, own, key)
    run = {"check": True, "capture_output": True}
    ts = ["openssl", "ts", "-reply", "-in", response, "-token_out", "-out", token]
    subprocess.run(ts, **run)
    cms = ["openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", token]
    subprocess.run([*cms, "-out", info], **run)
    info.write_bytes(change(info.read_bytes()))
    sign = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-cades", "-in", info]
    sign += ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-outform", "DER"]
    sign += ["-signer", folder / "authority.pem"]
    sign += ["-inkey", folder / "authority-key.pem", "-out", token]
    subprocess.run(sign, **run)
    body = bytes.fromhex("3003020100") + token.read_bytes()  # status: granted
    size = len(body).to_bytes(2, "big")
    return b"\x30\x82" + size + body, root.public_bytes(Encoding.PEM)


@needs_tools
def test_a_stamp_says_when_its_data_was_seen(authority):
    before = now().replace(microsecond=0)
    response = authority.stamp(DATA)
    when = timestamps.check(response, DATA, authority.root, now())
    assert before <= when <= now() and when.tzinfo is not None


@needs_tools
def test_the_tools_say_their_versions():
    said = timestamps.versions()
    for tool in ("OpenSSL ", "LibreSSL "):
        if said.startswith(tool):
            break
    else:
        pytest.fail(said)
    assert "rfc3161-client 1." in said and "cryptography " in said


@needs_tools
def test_other_data_another_root_and_no_stamp_are_refused(authority, tmp_path):
    response = authority.stamp(DATA)
    other = tmp_path / "other"
    other.mkdir()
    stranger = timestamps.local_authority(other)
    refused("Mismatch between messages", response, DATA + b"x", authority.root)
    refused("certificate signature failure", response, root=stranger.root)
    refused("no timestamp, and", b"", root=authority.root)


@needs_tools
@pytest.mark.parametrize(
    ("begins", "ends", "says"),
    [(-3, -2, "certificate has expired"), (2, 3, "certificate is not yet valid")],
)
def test_a_certificate_out_of_its_time_is_refused(tmp_path, begins, ends, says):
    late = timestamps.local_authority(
        tmp_path, now() + begins * DAY, now() + ends * DAY
    )
    refused(says, late.stamp(DATA), root=late.root)


@needs_tools
def test_a_stamp_of_the_future_is_refused(authority):
    response = authority.stamp(DATA)
    refused("future: is a clock wrong", response, root=authority.root, at=now() - DAY)
    soon = now() - timedelta(seconds=30)  # clocks differ a little
    assert timestamps.check(response, DATA, authority.root, soon)


@needs_tools
def test_an_authority_that_stamps_the_future_is_refused(tmp_path):
    def later(info):
        year = b"\x18\x0f" + now().strftime("%Y").encode()  # GeneralizedTime, 15 long
        assert info.count(year) == 1
        return info.replace(year, b"\x18\x0f" + str(now().year + 9).encode())

    stamping = ExtendedKeyUsageOID.TIME_STAMPING
    response, root = forged(tmp_path, stamping, later)
    refused("in the future: is a clock wrong", response, root=root)


@needs_tools
def test_a_forged_answer_with_the_right_purpose_is_an_answer(tmp_path):
    """So what is refused below is refused for its purpose, not for its form."""
    response, root = forged(tmp_path, ExtendedKeyUsageOID.TIME_STAMPING)
    assert timestamps.check(response, DATA, root, now())


@needs_tools
@pytest.mark.parametrize("purpose", ["CODE_SIGNING", "SERVER_AUTH", "EMAIL_PROTECTION"])
def test_a_certificate_for_another_purpose_is_refused(tmp_path, purpose):
    response, root = forged(tmp_path, getattr(ExtendedKeyUsageOID, purpose))
    refused("no valid timestamp: .*(purpose|EKU)", response, root=root)


@needs_tools
def test_openssl_will_not_stamp_for_another_purpose(tmp_path):
    authority = timestamps.local_authority(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    valid = now() - DAY, now() + DAY
    purpose = ExtendedKeyUsageOID.CODE_SIGNING
    own = timestamps.certificate("Code", key, "Code", key, valid, purpose)
    timestamps.save(tmp_path, own, key)
    with pytest.raises(ValueError, match="openssl ts refuses"):
        authority.stamp(DATA)


@needs_tools
def test_an_authority_that_says_no_gives_no_stamp(authority):
    path = authority.folder / "tsa.cnf"
    path.write_text(path.read_text().replace("sha256, sha384, sha512", "sha512"))
    refused("no valid timestamp", authority.stamp(DATA), root=authority.root)


@needs_tools
def test_damaged_answers_are_refused_or_say_the_same(authority):
    response = authority.stamp(DATA)
    when = timestamps.check(response, DATA, authority.root, now())
    rng = random.Random(11)
    caught = 0
    for _ in range(400):
        damaged = bytearray(response)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            found = timestamps.check(bytes(damaged), DATA, authority.root, now())
        except Refused:
            caught += 1
        else:
            assert found == when
    assert caught > 350
    for junk in (b"x", response[:-1], response + b"x", b"\x30\x80" * 50):
        refused("no valid timestamp", junk, root=authority.root)


def test_without_the_client_a_demanded_stamp_is_refused(monkeypatch):
    monkeypatch.setattr(timestamps, "has_client", lambda: False)
    refused("install rfc3161-client", b"a response", root=b"any")
    assert "rfc3161-client" in timestamps.missing()


def test_without_openssl_it_is_said_what_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "the openssl command" in timestamps.missing()
