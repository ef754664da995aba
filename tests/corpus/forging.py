"""How a hostile hand-in is described and forged, and the marks it leaves.

Every payload is bounded and leaves nothing but its marks, on a bare machine too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]

# What every payload starts with: `breach` leaves a mark wherever that is possible.
PRELUDE = '''
def breach(what):
    """Leave a mark in the output, on the host's disk and on the network."""
    import socket
    from contextlib import suppress

    print("BR" + "EACH", NAME, what)
    with suppress(Exception), open(f"{OUTSIDE}/{NAME}", "a") as file:
        file.write(f"{what}\\n")
    with suppress(Exception):
        socket.create_connection(("127.0.0.1", PORT), 1).sendall(NAME.encode())
'''


@dataclass(frozen=True)
class Place:
    """Where marks would appear.

    outside: a folder of the host with a `secret.txt`; no student may read or write it
    port: a listener on 127.0.0.1; a connection is a mark
    inside: a path inside the jail, where one submission leaves a file for the next
    decoy: a process of the host that no student may end
    """

    outside: Path
    port: int
    inside: str
    decoy: int = 0


@dataclass(frozen=True)
class Hostile:
    """A hostile hand-in.

    story: what the student does, in a sentence
    forge: makes it from the lab, answered wrongly everywhere
    expect: what the forger deserves by graded cell; None means nothing for each
    """

    name: str
    story: str
    forge: Callable[[Notebook, Place], Notebook]
    expect: dict[str, float] | None = None


def find(notebook: Notebook, word: str) -> dict[str, Any]:
    """Return the cell of this id."""
    return next(cell for cell in notebook["cells"] if cell.get("id") == word)


def code_cell(code: str, word: str = "free", **metadata: Any) -> dict[str, Any]:
    """Return a code cell."""
    return {
        "cell_type": "code",
        "id": word,
        "metadata": metadata,
        "source": code,
        "outputs": [],
        "execution_count": None,
    }


def add(notebook: Notebook, after: str, cell: dict[str, Any]) -> None:
    """Put a cell after the one of this id."""
    place = notebook["cells"].index(find(notebook, after))
    notebook["cells"].insert(place + 1, cell)


def fill(code: str, name: str, place: Place) -> str:
    """Return a payload with the prelude and the names that it uses."""
    names = f"NAME, OUTSIDE, INSIDE = {name!r}, {str(place.outside)!r}, "
    names += f"{place.inside!r}\nPORT, DECOY = {place.port}, {place.decoy}\n"
    return f"{names}{PRELUDE}\n\n{code.strip()}\n"


def change(
    name: str, story: str, edit: Callable[[Notebook, Place], None], **more: Any
) -> Hostile:
    """Return a hand-in that `edit` changes."""

    def forge(notebook: Notebook, place: Place) -> Notebook:
        forged = copy.deepcopy(notebook)
        edit(forged, place)
        return forged

    return Hostile(name, story, forge, **more)


def runs(name: str, story: str, code: str, **more: Any) -> Hostile:
    """Return a hand-in with a code cell of the student's own, before the tasks."""

    def edit(notebook: Notebook, place: Place) -> None:
        add(notebook, "parameters", code_cell(fill(code, name, place), "mine"))

    return change(name, story, edit, **more)


def answers(
    name: str, story: str, clip: str, flag: str = "", before: str = "", **more: Any
) -> Hostile:
    """Return a hand-in whose functions are these bodies.

    clip: the body of `clip(values, limit)`; flag: of `flag(values, share)`, the same
    by default; before: runs in the cell above
    """
    heads = {"clip": "clip(values, limit)", "flag": "flag(values, share)"}

    def edit(notebook: Notebook, place: Place) -> None:
        add(notebook, "parameters", code_cell(fill(before, name, place), "mine"))
        for word, body in (("clip", clip), ("flag", flag or clip)):
            lines = [f"    {line}" if line else "" for line in body.strip().split("\n")]
            code = "\n".join([f"def {heads[word]}:", *lines])
            find(notebook, word)["source"] = code + "\n"

    return change(name, story, edit, **more)


def writes(name: str, story: str, prose: str) -> Hostile:
    """Return a hand-in with this answer in words; PORT stands for the listener."""

    def edit(notebook: Notebook, place: Place) -> None:
        text = prose.replace("PORT", str(place.port)).replace("NAME", name)
        find(notebook, "limits")["source"] = text

    return change(name, story, edit)
