"""How a training job gets its secret, and how it loses it again.

The attacker reads what a job leaves behind (code, logs, checkpoints), may take an
envelope on its way to the job, and wants a credential that still works.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from securetrain.vault import Denied, Vault, send


def policy(path: str, mount: str = "secret") -> str:
    """Return a policy that reads one secret and nothing else."""
    return f'path "{mount}/data/{path}" {{\n  capabilities = ["read"]\n}}\n'


ROLE = {
    "secret_id_num_uses": 1,  # a copy of the secret id comes too late
    "secret_id_ttl": "60s",
    "token_ttl": "10m",
    "token_max_ttl": "30m",
    "token_no_default_policy": True,
}


@contextmanager
def workspace(vault: Vault) -> Iterator[str]:
    """Give a new place for secrets, and the AppRole login under the same name.

    On a learner's own server nothing else is touched, and all is removed after.
    """
    name = f"securetrain-{secrets.token_hex(4)}"
    mounts = f"sys/mounts/{name}", f"sys/auth/{name}"
    kinds = {"type": "kv", "options": {"version": "2"}}, {"type": "approle"}
    made: list[str] = []
    try:
        for mount, kind in zip(mounts, kinds, strict=True):
            send(vault.address, "POST", mount, vault.token, kind)
            made.append(mount)
        _await_mount(vault, name)
        yield name
    finally:
        _clear(vault, name, made)


def _clear(vault: Vault, name: str, made: Sequence[str]) -> None:
    """Remove a workspace's mounts, and the policies of its jobs."""
    for mount in made:
        send(vault.address, "DELETE", mount, vault.token)
    known = send(vault.address, "LIST", "sys/policies/acl", vault.token)["data"]["keys"]
    for policy_name in known:
        if policy_name.startswith(f"{name}-"):
            path = f"sys/policies/acl/{policy_name}"
            send(vault.address, "DELETE", path, vault.token)


def _await_mount(vault: Vault, name: str) -> None:
    """A new key-value store upgrades itself for a moment before it takes anything."""
    for _ in range(100):
        try:
            send(vault.address, "GET", f"{name}/config", vault.token)
            return
        except Denied:
            time.sleep(0.05)
    raise Denied(f"the new store {name} does not become ready")


def enrol(vault: Vault, space: str, job: str, rules: str) -> str:
    """Let a job log in under a policy of its own; return its role id, no secret."""
    name, role = f"{space}-{job}", f"auth/{space}/role/{job}"
    ask = (vault.address, "POST")
    send(*ask, f"sys/policies/acl/{name}", vault.token, {"policy": rules})
    send(*ask, role, vault.token, ROLE | {"token_policies": [name]})
    answer = send(vault.address, "GET", f"{role}/role-id", vault.token)
    return answer["data"]["role_id"]


def envelope(vault: Vault, space: str, job: str, life: str = "60s") -> str:
    """Return a token that opens once, and holds a secret id that logs in once."""
    path = f"auth/{space}/role/{job}/secret-id"
    answer = send(vault.address, "POST", path, vault.token, {}, life)
    return answer["wrap_info"]["token"]


def log_in(
    address: str, space: str, job: str, job_id: str, sealed: str
) -> dict[str, Any]:
    """Open an envelope and log in; return `client_token`, `accessor` and more.

    job: its name; job_id: its role id
    Raises Denied when the envelope was opened before, is too old, or was not made by
    the vault for this job: then somebody else may hold the secret id, and the job
    must not start.
    """
    try:
        asked = {"token": sealed}
        told = send(address, "POST", "sys/wrapping/lookup", body=asked)["data"]
        if told["creation_path"] != f"auth/{space}/role/{job}/secret-id":
            raise Denied(f"it was sealed at {told['creation_path']}, by somebody else")
        inside = send(address, "POST", "sys/wrapping/unwrap", sealed)["data"]
    except Denied as denied:
        why = "the envelope was opened before, is too old or forged: raise the alarm"
        raise Denied(f"{why} ({denied})") from denied
    body = {"role_id": job_id, "secret_id": inside["secret_id"]}
    return send(address, "POST", f"auth/{space}/login", body=body)["auth"]


def write(vault: Vault, space: str, path: str, values: Mapping[str, str]) -> int:
    """Store a secret; return the number of its version."""
    where = f"{space}/data/{path}"
    answer = send(vault.address, "POST", where, vault.token, {"data": dict(values)})
    return answer["data"]["version"]


def read(address: str, token: str, space: str, path: str) -> dict[str, str]:
    """Return a secret's newest version. Raises Denied when the token may not."""
    return send(address, "GET", f"{space}/data/{path}", token)["data"]["data"]


def rotate(vault: Vault, space: str, path: str, values: Mapping[str, str]) -> int:
    """Store a new version, and destroy all older ones; return the new number."""
    new = write(vault, space, path, values)
    where, old = f"{space}/destroy/{path}", list(range(1, new))
    if old:
        send(vault.address, "PUT", where, vault.token, {"versions": old})
    return new


def revoke(vault: Vault, accessor: str) -> None:
    """End a token at once, known only by its accessor, as the audit log tells it."""
    path, body = "auth/token/revoke-accessor", {"accessor": accessor}
    send(vault.address, "POST", path, vault.token, body)


def inject(
    command: Sequence[str], values: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a training job that reads its secrets from standard input, as JSON.

    They stand in no file, no argument and no environment variable.
    Raises Denied when the job fails, without quoting what it said.
    """
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("VAULT_", "BAO_"))}
    done = subprocess.run(
        list(command),
        input=json.dumps(dict(values)),
        capture_output=True,
        text=True,
        env=kept,
    )
    if done.returncode:
        raise Denied(f"the job ended with status {done.returncode}")
    return done
