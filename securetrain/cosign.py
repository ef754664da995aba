"""Sign one file with cosign and a key of its own, without any network.

The attacker changes the file, or signs another with their own key. These calls leave
out the public transparency log, so nobody learns that a stolen key was used. They need
the command `cosign` (2.5 and 3.1 were tried); nothing stands in for it.

Source: Sigstore, cosign; bundle format of its major version
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from securetrain import paths
from securetrain.archives import Refused

SECONDS = 60  # a call takes about one


@dataclass(frozen=True)
class Key:
    """A key pair of cosign's: the private half is encrypted with the password."""

    private: Path
    public: Path
    password: str = field(repr=False)


def version() -> str:
    """Return "cosign" and its version as it names itself, "" when it is not there."""
    if not paths.tool("cosign"):
        return ""
    said = re.search(r"(?m)^GitVersion:\s*(\S+)", _run("version"))
    return f"cosign {said[1] if said else '(says no version)'}"


def new_key(folder: Path) -> Key:
    """Write a new key pair (P-256) into a private folder and return it."""
    key = Key(folder / "cosign.key", folder / "cosign.pub", secrets.token_urlsafe(24))
    _run("generate-key-pair", cwd=folder, password=key.password)
    return key


def sign(file: Path, bundle: Path, key: Key) -> None:
    """Sign a file; the signature goes into `bundle`. Nothing is sent to a log.

    Raises Refused when cosign is missing or fails.
    """
    command = "sign-blob", "--yes", f"--key={key.private}", f"--bundle={bundle}"
    if _has_signing_config():
        services = bundle.with_name(f"{bundle.name}.services")
        try:  # a configuration that names no service: cosign 3's "stay offline"
            _run("signing-config", "create", f"--out={services}")
            offline = f"--signing-config={services}"
            _run(*command, offline, str(file), password=key.password)
        finally:
            services.unlink(missing_ok=True)
    else:
        _run(*command, "--tlog-upload=false", str(file), password=key.password)


def check(file: Path, bundle: Path, public: Path) -> None:
    """Raise Refused unless `bundle` signs exactly this file with the private half."""
    for needed in (file, bundle, public):
        if not needed.is_file():
            raise Refused("cosign", f"{needed} is not there")
    _run(
        "verify-blob",
        f"--key={public}",
        f"--bundle={bundle}",
        "--insecure-ignore-tlog=true",
        str(file),
    )


def _has_signing_config() -> bool:
    """Tell cosign 3 from cosign 2, which has no such command."""
    try:
        _run("signing-config", "--help")
    except Refused:
        return False
    return True


def _run(*command: str, cwd: Path | None = None, password: str = "") -> str:
    """Return what cosign prints; raise Refused with its reason when it fails."""
    tool = paths.tool("cosign")
    if not tool:
        raise Refused("cosign", "the tool is not installed: see docs.sigstore.dev")
    # The password goes through the environment: arguments are seen by every user.
    environment = os.environ | {"COSIGN_PASSWORD": password}
    try:
        done = subprocess.run(
            [tool, *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Refused("cosign", f"no answer within {SECONDS} s") from None
    if done.returncode:
        said = re.findall(r"(?m)^Error: (.*)", done.stderr)
        why = said[-1] if said else f"exit status {done.returncode}"
        raise Refused("cosign", f"{command[0]}: {why[:300]}")
    return done.stdout + done.stderr
