"""When was this signed? An RFC 3161 authority answers, and signs the answer.

The attacker has a key that has expired or was stolen, and a clock of their own. They
want a signature of today to pass for one of last year. The authority sees a hash only.

Asking and checking is `rfc3161-client`'s work, answering the `openssl ts` command's.
Source: Time-Stamp Protocol, RFC 3161
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securetrain.archives import Refused

CLOCKS = timedelta(minutes=1)  # by which two honest clocks may differ
SECONDS = 60  # for one call of openssl
# No `certs` line: rfc3161-client refuses a reply that brings the root along.
CONFIGURATION = """\
[tsa]
default_tsa = local
[local]
serial = {folder}/serial
signer_cert = {folder}/authority.pem
signer_key = {folder}/authority-key.pem
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def missing() -> str:
    """Return what to install before timestamps work, "" when all is there."""
    lacks = [] if has_client() else ["the Python package rfc3161-client"]
    if shutil.which("openssl") is None:
        lacks.append("the openssl command")
    return " and ".join(lacks)


def has_client() -> bool:
    """Return whether timestamps can be checked; that needs no openssl command."""
    return importlib.util.find_spec("rfc3161_client") is not None


def versions() -> str:
    """Return the tools' names and versions, for a cell's output."""
    done = subprocess.run(
        ["openssl", "version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    names = ("rfc3161-client", "cryptography")
    found = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return " · ".join([*done.stdout.strip().split(" (")[:1], *found])


# --- Asking and checking -----------------------------------------------------------


def ask(data: bytes) -> bytes:
    """Return a request for a timestamp over `data`, DER; the authority gets a hash."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
    return builder.build().as_bytes()


def check(response: bytes, data: bytes, root: bytes, now: datetime) -> datetime:
    """Return when the authority saw `data`, with its time zone.

    response: DER; root: the pinned root certificate, PEM; now: the clock's time
    Raises Refused unless a certificate under that root, made for timestamps and valid
    at that time, signed the answer, and the time lies before `now`.
    """
    if not response:
        raise Refused("time", "no timestamp, and this key's releases must have one")
    if not has_client():
        raise Refused("time", "timestamps cannot be checked: install rfc3161-client")
    from rfc3161_client import (
        VerificationError,
        VerifierBuilder,
        decode_timestamp_response,
    )

    trusted = x509.load_pem_x509_certificate(root)
    try:
        answer = decode_timestamp_response(response)
        verifier = VerifierBuilder(roots=[trusted]).build()
        if verifier.verify_message(answer, data) is not True:
            raise Refused("time", "the timestamp does not verify")
        when = answer.tst_info.gen_time
    except (VerificationError, ValueError) as error:
        raise Refused("time", f"no valid timestamp: {_short(error)}") from error
    if when > now + CLOCKS:
        why = f"stamped at {when:%Y-%m-%d %H:%M}, in the future: is a clock wrong?"
        raise Refused("time", why)
    return when


def _short(error: Exception) -> str:
    """Return the part of an error that people can read."""
    _, found, rest = str(error).partition("Verify error: ")
    return rest.partition('"')[0] if found else str(error)[:200]


# --- A local authority -------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """A timestamp authority in a folder of this machine; root: certificate, PEM."""

    folder: Path
    root: bytes

    def answer(self, request: bytes) -> bytes:
        """Return the response to a request, made by `openssl ts -reply`.

        Raises ValueError with openssl's words when it refuses.
        """
        asked, answered = self.folder / "request.tsq", self.folder / "response.tsr"
        asked.write_bytes(request)
        answered.unlink(missing_ok=True)
        command = ["openssl", "ts", "-reply", "-config", self.folder / "tsa.cnf"]
        command += ["-queryfile", asked, "-out", answered]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode or not answered.exists():
            raise ValueError(f"openssl ts refuses: {done.stderr.strip()[-300:]}")
        return answered.read_bytes()

    def stamp(self, data: bytes) -> bytes:
        """Return a timestamp response over `data`."""
        return self.answer(ask(data))


def local_authority(
    folder: Path,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Authority:
    """Return a new authority whose keys, made here, stay in `folder`.

    folder: empty and private, such as a TemporaryDirectory; not_before, not_after:
    when its certificates are valid, by default from yesterday for a year
    """
    begins = not_before or datetime.now(UTC) - timedelta(days=1)
    valid = begins, not_after or begins + timedelta(days=365)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("Local root", root_key, "Local root", root_key, valid)
    purpose = ExtendedKeyUsageOID.TIME_STAMPING
    own = certificate("Local TSA", key, "Local root", root_key, valid, purpose)
    save(folder, own, key)
    return Authority(folder, root.public_bytes(serialization.Encoding.PEM))


def certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid: tuple[datetime, datetime],
    purpose: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    """Return a certificate of a key: for one purpose, or an authority's without."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(purpose is None, None), critical=True)
    )
    if purpose:
        usage = x509.ExtendedKeyUsage([purpose])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def save(folder: Path, own: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """Write what `openssl ts` reads: certificate, key, serial number, configuration."""
    pem = serialization.Encoding.PEM
    secret = folder / "authority-key.pem"
    secret.touch(mode=0o600)
    secret.write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (folder / "authority.pem").write_bytes(own.public_bytes(pem))
    (folder / "serial").write_text("01\n", "ascii")
    (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder), "utf-8")
