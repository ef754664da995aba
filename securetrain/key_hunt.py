"""Every hiding place against every scan, and every theft against a real vault.

The attacker of the first half is nobody in particular: keys stay where a training put
them. In the second half a thief has one thing at a time: a used envelope, a job's
token, an old secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from securetrain import credentials, key_scanners, leaks
from securetrain.leaks import Mock
from securetrain.vault import Denied, Vault, send

SCANS = ("detect-secrets", "gitleaks", "by form", "by value")
THEFTS = (
    "an envelope opened twice", "an envelope sealed anew", "a secret id used twice",
    "another job's secret", "writing the secret", "a token after it is revoked",
    "the secret before the last",
)  # fmt: skip


@dataclass(frozen=True)
class Hidden:
    """A key, where or how it is hidden, and the folder with nothing else in it."""

    how: str
    key: Mock
    folder: Path


def scatter(folder: Path, seed: int, copies: int = 1) -> list[Hidden]:
    """Hide fresh keys of each kind in every place and under every disguise."""
    found, number = [], seed * 10_000
    for how in (*leaks.PLACES, *leaks.DISGUISES):
        for kind in leaks.KINDS * copies:
            number += 1
            one = Hidden(how, leaks.mock(kind, number), folder / str(number))
            one.folder.mkdir(parents=True)
            if how in leaks.PLACES:
                leaks.leave(how, one.key, one.folder)
            else:
                name, data = leaks.DISGUISES[how](one.key)
                (one.folder / name).write_bytes(data)
            found.append(one)
    return found


def recall(folder: Path, hidden: list[Hidden]) -> dict[str, list[float]]:
    """Return the share of keys that each of SCANS finds, for each hiding place.

    gitleaks reads the history of each repository besides all files.
    """
    leaked = key_scanners.gitleaks(folder)
    seen: dict[str, list[list[bool]]] = {}
    for one in hidden:
        repository = one.folder / "repository"
        past = key_scanners.gitleaks(repository, True) if repository.exists() else []
        files = [path for path in one.folder.rglob("*") if path.is_file()]
        data = [path.read_bytes() for path in files]
        open_files = [path for path in files if ".git" not in path.parts]
        row = [
            any(
                key_scanners.names(key_scanners.detect_secrets(path), one.key.value)
                for path in open_files
            ),
            key_scanners.names(leaked + past, one.key.value),
            any(one.key.value in key_scanners.find(part) for part in data),
            any(key_scanners.holds(part, one.key.value) for part in data),
        ]
        seen.setdefault(one.how, []).append(row)
    return {
        how: [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        for how, rows in seen.items()
    }


def thefts(vault: Vault, tries: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return, for each of THEFTS, how often it is refused, and honest use after it.

    Each try is a new job with a secret of its own; honest: the share of jobs that
    still read their secret
    """
    counts = {name: [0, 0] for name in THEFTS}
    with credentials.workspace(vault) as space:
        for number in range(tries):
            key = leaks.mock("hex token", seed * 10_000 + number)
            for name, outcome in _robbed(vault, space, f"job{number}", key).items():
                for place, good in enumerate(outcome):
                    counts[name][place] += good
    return {name: (a / tries, b / tries) for name, (a, b) in counts.items()}


def _robbed(
    vault: Vault, space: str, job: str, key: Mock
) -> dict[str, tuple[bool, bool]]:
    """Return for each theft from one job: was it refused, does the job still work?"""
    address, path, value = vault.address, f"{job}/tracker", {"token": key.value}
    credentials.write(vault, space, path, {"token": key.value[::-1]})
    credentials.rotate(vault, space, path, value)
    credentials.write(vault, space, f"{job}x/tracker", value)
    role = credentials.enrol(vault, space, job, credentials.policy(path, space))

    def enter() -> dict:
        sealed = credentials.envelope(vault, space, job)
        return credentials.log_in(address, space, job, role, sealed)

    def works() -> bool:
        token = enter()["client_token"]
        return credentials.read(address, token, space, path) == value

    sealed = credentials.envelope(vault, space, job)
    inside = send(address, "POST", "sys/wrapping/unwrap", sealed)["data"]
    anew = send(address, "POST", "sys/wrapping/wrap", vault.token, inside, "60s")
    once = {"role_id": role, "secret_id": inside["secret_id"]}
    mine = send(address, "POST", f"auth/{space}/login", body=once)["auth"]
    token, ended = mine["client_token"], enter()
    credentials.revoke(vault, ended["accessor"])
    forged = (address, space, job, role, anew["wrap_info"]["token"])
    asked, old = {"data": {"token": "x" * 40}}, f"{space}/data/{path}?version=1"
    login = f"auth/{space}/login"
    attempts = (
        partial(credentials.log_in, address, space, job, role, sealed),
        partial(credentials.log_in, *forged),
        partial(send, address, "POST", login, body=once),
        partial(credentials.read, address, token, space, f"{job}x/tracker"),
        partial(send, address, "POST", f"{space}/data/{path}", token, asked),
        partial(credentials.read, address, ended["client_token"], space, path),
        partial(send, address, "GET", old, token),
    )
    outcomes = zip(THEFTS, attempts, strict=True)
    return {name: (refused(attempt), works()) for name, attempt in outcomes}


def refused(attempt: Callable[[], object]) -> bool:
    """Say whether the vault refuses an attempt."""
    try:
        attempt()
    except Denied:
        return True
    return False
