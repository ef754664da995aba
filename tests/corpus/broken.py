"""Broken hand-ins: what a student's folder may hold, and what the reason must say.

Each function gets the folder that should hold `clip.ipynb`, and a good notebook's text.
"""

from __future__ import annotations

import json
import os
import socket
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corpus.lab import NAME

FILE = f"{NAME}.ipynb"


@dataclass(frozen=True)
class Broken:
    """A broken hand-in.

    write: puts it into the folder; says: words that the reason must hold, in any case
    """

    write: Callable[[Path, str], None]
    says: tuple[str, ...]


def _text(content: str | bytes, encoding: str = "utf-8") -> Callable:
    """Write this instead of a notebook."""

    def write(folder: Path, good: str) -> None:
        data = content if isinstance(content, bytes) else content.encode(encoding)
        (folder / FILE).write_bytes(data)

    return write


def edited(edit: Callable[[dict], object]) -> Callable:
    """Write a good notebook, changed."""

    def write(folder: Path, good: str) -> None:
        notebook = json.loads(good)
        edit(notebook)
        (folder / FILE).write_text(json.dumps(notebook), "utf-8")

    return write


def with_cells(value: object) -> Callable:
    return edited(lambda notebook: notebook.update(cells=value))


def _cell(**changed: object) -> Callable:
    """Change a cell of a good notebook."""
    return edited(lambda notebook: notebook["cells"][4].update(changed))


def _truncated(folder: Path, good: str) -> None:
    (folder / FILE).write_text(good[: len(good) // 2], "utf-8")


def _latin(folder: Path, good: str) -> None:
    (folder / FILE).write_bytes(
        good.replace("Bring", "Für").encode("latin-1", "replace")
    )


def _utf16(folder: Path, good: str) -> None:
    (folder / FILE).write_text(good, "utf-16")


def _zip(folder: Path, good: str) -> None:
    with zipfile.ZipFile(folder / FILE, "w") as packed:
        packed.writestr(FILE, good)


def _large(folder: Path, good: str) -> None:
    (folder / FILE).write_text(good + " " * 60_000_000, "utf-8")


def _large_output(folder: Path, good: str) -> None:
    notebook = json.loads(good)
    output = {"output_type": "stream", "name": "stdout", "text": "x" * 30_000_000}
    notebook["cells"][4]["outputs"] = [output]
    (folder / FILE).write_text(json.dumps(notebook), "utf-8")


def _sparse(folder: Path, good: str) -> None:
    with open(folder / FILE, "wb") as file:
        file.truncate(1 << 40)


def _nul(folder: Path, good: str) -> None:
    (folder / FILE).write_text(good.replace("Bring", "\0"), "utf-8")


def _link(folder: Path, good: str) -> None:
    other = folder.parents[1] / "ada" / folder.name / FILE
    (folder / FILE).symlink_to(other)


def _device_link(folder: Path, good: str) -> None:
    (folder / FILE).symlink_to("/dev/zero")


def _loop_link(folder: Path, good: str) -> None:
    (folder / FILE).symlink_to(FILE)


def _lost_link(folder: Path, good: str) -> None:
    (folder / FILE).symlink_to("nowhere.ipynb")


def _folder_link(folder: Path, good: str) -> None:
    folder.rmdir()
    folder.symlink_to(folder.parents[1] / "ada" / folder.name)


def _folder_file(folder: Path, good: str) -> None:
    folder.rmdir()
    folder.write_text(good)


def _folder(folder: Path, good: str) -> None:
    (folder / FILE).mkdir()
    (folder / FILE / "inside.txt").write_text("x")


def _pipe(folder: Path, good: str) -> None:
    os.mkfifo(folder / FILE)


def _socket(folder: Path, good: str) -> None:
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.bind(FILE)
    finally:
        os.chdir(here)


def _other_name(folder: Path, good: str) -> None:
    (folder / "Clip (1).ipynb").write_text(good)
    (folder / "clip.py").write_text("")


def _odd_name(folder: Path, good: str) -> None:
    (folder / "\x1b]0;owned\x07<script>\n.ipynb").write_text(good)


def _nothing(folder: Path, good: str) -> None:
    (folder / "readme.txt").write_text("Sorry")


KERNEL = {"name": "ir", "display_name": "R", "language": "R"}
SHORT = {"kernelspec": {"name": "ir", "display_name": "R"}}
SHORT |= {"language_info": {"name": "R"}}
DEEP = '{"cells": ' + "[" * 200_000 + "]" * 200_000 + "}"
AGAIN = ("hand it in",)

# name: what it is, and the words of a reason: what is wrong, and what to do.
BROKEN: dict[str, Broken] = {
    "truncated": Broken(_truncated, ("cut off", *AGAIN)),
    "empty": Broken(_text(""), ("empty", *AGAIN)),
    "blank": Broken(_text(" \n\n"), ("empty", *AGAIN)),
    "latin-1": Broken(_latin, ("utf-8", *AGAIN)),
    "utf-16": Broken(_utf16, ("utf-8", *AGAIN)),
    "zip": Broken(_zip, ("utf-8", *AGAIN)),
    "zeros": Broken(_text(bytes(5000)), ("hand",)),
    "nul": Broken(_nul, ("no whole notebook", *AGAIN)),
    "digits": Broken(
        _text('{"cells": [], "nbformat": 4, "size": ' + "9" * 9999 + "}"),
        ("no whole notebook", *AGAIN),
    ),
    "words": Broken(_text("My answer is 7."), ("notebook", "hand")),
    "html": Broken(_text("<html><body>Log in</body></html>"), ("notebook", "hand")),
    "json-list": Broken(_text("[1, 2]"), ("expected a notebook", "list", "hand")),
    "json-number": Broken(_text("7"), ("expected a notebook", "number", "hand")),
    "json-null": Broken(_text("null"), ("expected a notebook", "hand")),
    "json-text": Broken(_text('"clip"'), ("expected a notebook", "text", "hand")),
    "json-true": Broken(_text("true"), ("expected a notebook", "hand")),
    "json-nan": Broken(_text("NaN"), ("expected a notebook", "hand")),
    "deep": Broken(_text(DEEP), ("deep", "hand in")),
    "no-cells": Broken(edited(lambda n: n.pop("cells")), ("no cells", "hand")),
    "cells-null": Broken(with_cells(None), ("cells", "hand")),
    "cells-object": Broken(with_cells({}), ("cells", "hand")),
    "cells-numbers": Broken(with_cells([1, 2]), ("cell 1", "number", "hand")),
    "cells-lists": Broken(with_cells([[]]), ("cell 1", "list", "hand")),
    "nbformat-3": Broken(
        edited(lambda n: n.update(nbformat=3, worksheets=[{"cells": []}])),
        ("format 4", "3", "jupyterlab"),
    ),
    "nbformat-text": Broken(
        edited(lambda n: n.update(nbformat="4")), ("got '4'", "jupyterlab")
    ),
    "kernel-r": Broken(
        edited(lambda n: n["metadata"].update(kernelspec=KERNEL)),
        ("python", "kernel", "hand"),
    ),
    "kernel-r-short": Broken(
        edited(lambda n: n.update(metadata=SHORT)), ("python", "kernel", "hand")
    ),
    "source-object": Broken(_cell(source={"a": 1}), ("cell 5", "source", "hand")),
    "source-numbers": Broken(_cell(source=[1, 2]), ("cell 5", "source", "hand")),
    "source-null": Broken(_cell(source=None), ("cell 5", "source", "hand")),
    "cell-metadata-null": Broken(_cell(metadata=None), ("cell 5", "metadata", "hand")),
    "cell-type": Broken(_cell(cell_type="magic"), ("cell 5", "markdown", "hand")),
    "cell-type-list": Broken(_cell(cell_type=["code"]), ("cell 5", "hand")),
    "large": Broken(_large, ("60 mb", "clear outputs", *AGAIN)),
    "large-output": Broken(_large_output, ("30 mb", "clear outputs", *AGAIN)),
    "sparse": Broken(_sparse, ("mb", "clear outputs", *AGAIN)),
    "link": Broken(_link, ("symbolic link", "hand in")),
    "link-device": Broken(_device_link, ("symbolic link", "hand in")),
    "link-loop": Broken(_loop_link, ("symbolic link", "hand in")),
    "link-lost": Broken(_lost_link, ("symbolic link", "hand in")),
    "link-folder": Broken(_folder_link, ("folder 01-clip", *AGAIN)),
    "file-as-folder": Broken(_folder_file, ("folder 01-clip", *AGAIN)),
    "folder-as-file": Broken(_folder, ("file", "hand in")),
    "pipe": Broken(_pipe, ("file", "hand in")),
    "socket": Broken(_socket, ("hand in",)),
    "other-name": Broken(_other_name, ("no clip.ipynb", "Clip (1).ipynb", "hand it")),
    "odd-name": Broken(_odd_name, ("no clip.ipynb", "hand it")),
    "nothing": Broken(_nothing, ("no clip.ipynb", "hand it")),
}

# Folders that are no student's name; the reason stands in the summary alone.
STUDENTS = (
    "with space",
    "ünï",
    "..ada",
    "new\nline",
    "-rf",
    "a'b\"c",
    "<script>",
    "\x1b[2Jred",
    "x" * 100,
    "%s{0}",
    "a\udcffb",
    "名前",
)


def unreadable(folder: Path, good: str) -> None:
    """Write a notebook that only root may read."""
    (folder / FILE).write_text(good)
    (folder / FILE).chmod(0)
