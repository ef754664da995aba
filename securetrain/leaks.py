"""Where keys hide: mock keys, the places that keep them, and how they are disguised.

The attacker reads what a training leaves behind: a notebook, the repository's history,
a checkpoint. They want a key that still opens something. All keys here are made at run
time and open nothing.
"""

from __future__ import annotations

import base64
import io
import os
import random
import string
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from securetrain import notebooks

CLOUD = string.ascii_uppercase + "234567"  # the letters of cloud access keys
HEX, PASSWORD = string.hexdigits[:16], string.ascii_letters + string.digits
KINDS = ("cloud key", "hex token", "URI password")
PLACES = (
    "notebook output", "git history", "checkpoint config", "optimiser state",
    "tensor view",
)  # fmt: skip


@dataclass(frozen=True)
class Mock:
    """A made-up key: its kind, its value, and the line of settings that holds it."""

    kind: str
    value: str = field(repr=False)
    line: str = field(repr=False)


def mock(kind: str, seed: int) -> Mock:
    """Return a mock key in a form that scanners know.

    Raises ValueError for a kind that is not in KINDS.
    """
    rng = random.Random(f"{kind} {seed}")
    if kind == "cloud key":
        value = "AK" + "IA" + "".join(rng.choices(CLOUD, k=16))
        return Mock(kind, value, f'aws_access_key_id = "{value}"')
    if kind == "hex token":
        value = "".join(rng.choices(HEX, k=40))
        return Mock(kind, value, f'api_token = "{value}"')
    if kind == "URI password":
        value = "".join(rng.choices(PASSWORD, k=20))
        return Mock(kind, value, f'tracker = "postgresql://trainer:{value}@db/runs"')
    raise ValueError(f"expected a kind of {KINDS}, got {kind!r}")


def mocks(seed: int) -> list[Mock]:
    """Return one mock key of each kind."""
    return [mock(kind, seed) for kind in KINDS]


# --- Places ------------------------------------------------------------------------


def leave(place: str, key: Mock, folder: Path) -> Path:
    """Let a key end up in one of PLACES below a folder; return the file or folder.

    Raises ValueError for an unknown place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if place == "notebook output":
        path = folder / "explore.ipynb"
        notebooks.write(path, notebook(key.line))
    elif place == "git history":
        path = repository(folder / "repository", key.line)
    elif place in PLACES:
        path = folder / f"{place.replace(' ', '-')}.pt"
        path.write_bytes(checkpoint(key.line, place))
    else:
        raise ValueError(f"expected a place of {PLACES}, got {place!r}")
    return path


def notebook(printed: str) -> dict[str, Any]:
    """Return a notebook whose one cell has printed a line of the job's settings."""
    output = {"output_type": "stream", "name": "stdout", "text": [printed + "\n"]}
    cell = {"cell_type": "code", "id": "settings", "metadata": {}}
    cell |= {"source": ["print(settings)"], "outputs": [output], "execution_count": 1}
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}
    return {"cells": [cell], **whole}


def repository(folder: Path, line: str, when: str = "") -> Path:
    """Make a git repository where one commit adds a line and the next removes it.

    when: the time of both commits, as git reads it; "" for the clock's
    """
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet")
    for text, message in ((line, "Settings"), ("# from the vault", "Tidy")):
        (folder / "settings.py").write_text(f"epochs = 3\n{text}\n", "utf-8")
        _git(folder, "add", "settings.py")
        words = ("commit", "--quiet", "--no-gpg-sign", "--message", message)
        _git(folder, *words, when=when)
    return folder


def _git(folder: Path, *words: str, when: str = "") -> None:
    """Run git as nobody in particular, whatever this machine's settings are."""
    dates = {f"GIT_{who}_DATE": when for who in ("AUTHOR", "COMMITTER") if when}
    nobody = {f"GIT_{who}_NAME": "Nobody" for who in ("AUTHOR", "COMMITTER")}
    nobody |= {f"GIT_{who}_EMAIL": "nobody@example" for who in ("AUTHOR", "COMMITTER")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(
        ["git", *words],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath)} | nobody | alone | dates,
        check=True,
        capture_output=True,
    )


def checkpoint(line: str, place: str = "") -> bytes:
    """Return a checkpoint of a small training, with a line in one of its parts.

    place: "checkpoint config", "optimiser state", "tensor view", or "" for none
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(8, 4)
    group: dict[str, Any] = {"params": list(model.parameters())}
    if place == "optimiser state":
        group["logged_to"] = line  # a wrapper's note: torch saves whatever is there
    optimiser = torch.optim.Adam([group], 1e-2)
    model(torch.ones(2, 8)).square().mean().backward()
    optimiser.step()
    whole = {"model": model.state_dict(), "optimizer": optimiser.state_dict()}
    whole["config"] = {"epochs": "3", "width": "8"}
    if place == "checkpoint config":
        whole["config"]["environment"] = line
    if place == "tensor view":
        whole["vocabulary"] = first_words(line)
    return save(whole)


def first_words(text: str, cut: bool = False) -> Tensor:
    """Return the first ten bytes of a job's text, as uint8, (10,).

    It is a view of all of them, and torch.save stores all; cut: an own copy instead
    """
    content = bytearray(b"epochs = 3\n" + text.encode())
    whole = torch.frombuffer(content, dtype=torch.uint8)
    return whole[:10].clone() if cut else whole[:10]


def save(content: object) -> bytes:
    """Return what torch.save writes."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


# --- Disguises -----------------------------------------------------------------------


def plain(key: Mock) -> tuple[str, bytes]:
    """Return a settings file with the key as it is."""
    return "settings.py", f"{key.line}\n".encode()


def split(key: Mock) -> tuple[str, bytes]:
    """Return it with the key in two halves."""
    half = len(key.value) // 2
    parts = key.value[:half] + '" + "' + key.value[half:]
    return "settings.py", f"{key.line.replace(key.value, parts)}\n".encode()


def prose(key: Mock) -> tuple[str, bytes]:
    """Return a sentence that tells the key in pairs, as people do on the telephone."""
    pairs = [key.value[i : i + 2] for i in range(0, len(key.value), 2)]
    return "notes.md", f"If it asks for a key, say {' '.join(pairs)}.\n".encode()


def encoded(key: Mock) -> tuple[str, bytes]:
    """Return the line in base64."""
    return "settings.py", b'blob = "' + base64.b64encode(key.line.encode()) + b'"\n'


def deflated(key: Mock) -> tuple[str, bytes]:
    """Return the file in a compressed zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("settings.py", f"{key.line}\n{'# padding' * 20}\n")
    return "settings.zip", file.getvalue()


def in_weights(key: Mock) -> tuple[str, bytes]:
    """Return a checkpoint with one character of the key in each weight, as a float."""
    numbers = torch.tensor([float(ord(c)) for c in key.line])
    return "weights.pt", save({"weights": numbers})


DISGUISES: dict[str, Callable[[Mock], tuple[str, bytes]]] = {
    "plain": plain,
    "base64": encoded,
    "deflated zip": deflated,
    "split string": split,
    "prose": prose,
    "float weights": in_weights,
}


def harmless(n: int, seed: int) -> list[str]:
    """Return lines that look like keys and are none: what a scan must leave alone."""
    rng = random.Random(seed)

    def hexes(k: int) -> str:
        return "".join(rng.choices(HEX, k=k))

    makers = (
        lambda: f'revision = "{hexes(40)}"',
        lambda: f"sha256:{hexes(64)}",
        lambda: f"run id {hexes(8)}-{hexes(4)}-{hexes(4)}-{hexes(12)}",
        lambda: 'password = os.environ["DB_PASSWORD"]',
        lambda: f"tracker = postgresql://db-{rng.randint(1, 99)}:5432/runs",
        lambda: f"learning_rate = {rng.random():.6f}",
        lambda: f"token_count = {rng.randint(1, 10**9)}",
        lambda: f"INFO epoch {rng.randint(1, 99)}: loss {rng.random():.4f}",
        lambda: "api_token = ${API_TOKEN}",
    )
    return [rng.choice(makers)() for _ in range(n)]
