"""OpenSSF model signing: who vouches for a model's files, with keys or certificates.

The attacker can change what lies in a model's folder, add to it, and sign with a key
of their own. They want their model to pass for the publisher's. Whoever steals the
publisher's key, or poisons the training before the publisher signs, is not stopped.

Source: OpenSSF Model Signing Specification; `model-signing` does the work
"""

from __future__ import annotations

import base64
import contextlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from securetrain import archives
from securetrain.archives import Refused
from securetrain.quiet import quiet

PEM = serialization.Encoding.PEM


def missing() -> str:
    """Return what to install before models are signed or checked, "" when all is there.

    `model-signing` cannot be imported without pyOpenSSL, and does not ask for it.
    """
    needs = {"model_signing": "model-signing", "OpenSSL": "pyopenssl"}
    lacks = [name for module, name in needs.items() if not _there(module)]
    return f"pip install {' '.join(lacks)}" if lacks else ""


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # its import is blocked
        return False


def version() -> str:
    """Return the tool's name and version."""
    return f"model-signing {importlib.metadata.version('model-signing')}"


@dataclass(frozen=True)
class Identity:
    """A signer's files: private key, public key, and certificate with its root, PEM."""

    private: Path
    public: Path
    certificate: Path
    root: Path


def new_identity(folder: Path, name: str, valid: tuple[datetime, datetime]) -> Identity:
    """Write a new signer's key pair (P-256) and certificate, and return their paths.

    folder: private, such as a TemporaryDirectory; its certificate is for code signing
    """
    from securetrain.timestamps import certificate

    key, root_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("Model root", root_key, "Model root", root_key, valid)
    purpose = ExtendedKeyUsageOID.CODE_SIGNING
    own = certificate(name, key, "Model root", root_key, valid, purpose)
    ends = ("private.pem", "public.pem", "certificate.pem", "root.pem")
    found = Identity(*(folder / f"{name}-{end}" for end in ends))
    found.private.touch(mode=0o600)
    secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    found.private.write_bytes(key.private_bytes(PEM, *secret))
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    found.public.write_bytes(key.public_key().public_bytes(PEM, public))
    found.certificate.write_bytes(own.public_bytes(PEM))
    found.root.write_bytes(root.public_bytes(PEM))
    return found


def sign(
    model: Path, signature: Path, identity: Identity, certificate: bool = False
) -> None:
    """Sign every file of a model's folder; `signature` lies outside of it.

    Raises Refused when the tool is missing or fails.
    """
    _require()
    with _asking("sign"):
        from model_signing import signing

        config = signing.Config()
        if certificate:
            config.use_certificate_signer(
                private_key=identity.private,
                signing_certificate=identity.certificate,
                certificate_chain=[identity.root],
            )
        else:
            config.use_elliptic_key_signer(private_key=identity.private)
        config.set_hashing_config(_every_file()).sign(model, signature)


def _every_file() -> Any:
    """Return how to hash a model: git's files, too, which the tool else leaves out."""
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


def check(
    model: Path, signature: Path, public_key: Path | None, root: Path | None = None
) -> None:
    """Raise Refused unless the files of `model` are all and exactly those signed.

    public_key: the signer's, or None and `root`, whose certificate the signer's must
    come from. What the signature leaves out, as the tool does with git's files unless
    told otherwise, is refused here. A certificate's end is not looked at: the tool asks
    whether it was valid on its first day.
    """
    if (public_key is None) == (root is None):
        raise ValueError("expected either a public key or a root certificate")
    _require()
    for needed in (model, signature, public_key or root):
        if not needed.exists():
            raise Refused("model-signing", f"{needed} is not there")
    with _asking("verify"):
        from model_signing import verifying

        config = verifying.Config()
        if public_key:
            config.use_elliptic_key_verifier(public_key=public_key)
        else:
            config.use_certificate_verifier(certificate_chain=[root])
        config.set_hashing_config(_every_file()).verify(model, signature)
        there = {entry.name for entry in archives.entries(model)}
        if left_out := sorted(there - signed_names(signature)):
            why = f"{left_out[0]!a} is not covered by the signature"
            raise Refused("model-signing", why)


def signed_names(signature: Path) -> set[str]:
    """Return the names of the files that a signature lists; check it first."""
    envelope = json.loads(signature.read_text("utf-8"))["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    return {row["name"] for row in statement["predicate"]["resources"]}


def _require() -> None:
    if lacks := missing():
        raise Refused("model-signing", f"the tool is not installed: {lacks}")


@contextlib.contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn whatever the tool raises into a refusal, and keep it quiet."""
    try:
        with quiet():
            yield
    except Refused:
        raise
    except Exception as error:  # of many libraries: none of them means "good"
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise Refused("model-signing", f"cannot {what}: {why}") from None
