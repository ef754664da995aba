"""The files that models travel in: which hold numbers only, and which can run code.

The attacker writes the file and its name. They want it taken for a harmless format,
a header that points outside its file, an archive that two programs unpack
differently, or one that is small on disk and huge in memory.

Source: safetensors, format specification; PyTorch, serialization semantics
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from securetrain import pickles, plain_json
from securetrain.archives import Refused

TORCH_FLOOR = (2, 10, 0)  # CVE-2025-32434 fixed in 2.6.0, CVE-2026-24747 in 2.10.0
HEADER = 100_000_000  # bytes of a safetensors header, the format's own limit
TEXTS = (".json", ".md", ".txt")  # beside the weights: read as data, never run
TEXT_SIZE = 64 << 20
DTYPES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2,
    "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
ZIP, ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
PARTS = {"data.pkl", "version", "byteorder", ".format_version", ".storage_alignment"}
PARTS |= {".data/serialization_id"}


def kind(path: Path) -> str:
    """Return "safetensors", "pickle", "text" or "unknown" by content and name.

    What starts like a zip file or a pickle counts as a pickle under any name.
    """
    with open(path, "rb") as file:
        start = file.read(4)
    if start == ZIP:
        return "pickle"
    if path.suffix == ".safetensors":  # may start as a pickle does: a header's length
        return "safetensors"
    if start[:1] == b"\x80" and start[1:2] <= b"\x05":
        return "pickle"
    return "text" if path.suffix in TEXTS else "unknown"


def check(path: Path, torch_version: str = "") -> str:
    """Return what kind of model file this is; Refused unless it may be opened.

    torch_version: of the program that will load it, when checkpoints of PyTorch are
    welcome at all; "" when they are not
    """
    found = kind(path)
    if found == "safetensors":
        check_safetensors(path)
    elif found == "text":
        check_text(path)
    elif found == "pickle" and torch_version:
        check_floor(torch_version)
        check_checkpoint(path)
    else:
        what = {"pickle": "a pickle or zip file, which can run code when it is loaded"}
        why = what.get(found, "of no kind that is known to hold numbers or text only")
        raise _refused(path, f"{why}; expected .safetensors, {', '.join(TEXTS)}")
    return found


def _refused(path: Path, why: str) -> Refused:
    return Refused("format", f"{path.name!a}: {why}")


def check_text(path: Path) -> None:
    """Raise Refused unless a file is UTF-8 text, and JSON where its name says so."""
    if path.stat().st_size > TEXT_SIZE:
        raise _refused(path, f"more than {TEXT_SIZE >> 20} MB of text")
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"no text of its kind: {error}") from None


# --- Numbers only ----------------------------------------------------------------


def check_safetensors(path: Path) -> dict[str, tuple[str, list[int]]]:
    """Return the type and shape of each tensor; Refused for a file that is not whole.

    The tensors must fill the file after its header: no gap, no overlap, no rest.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, HEADER):
            raise _refused(path, "its header is longer than the file: cut off?")
        header = file.read(length)
    try:
        tree = plain_json.read(header)
    except ValueError as error:
        raise _refused(path, f"its header is no JSON object: {error}") from None
    if not isinstance(tree, dict):
        raise _refused(path, "its header is no JSON object")
    _check_notes(path, tree.pop("__metadata__", {}))
    end, found = 0, {}
    places = [(*_tensor(path, name, row), name) for name, row in tree.items()]
    for start, stop, name in sorted(places):
        if start != end:
            raise _refused(path, f"tensor {name!a} leaves a gap or overlaps")
        end, found[name] = stop, (tree[name]["dtype"], tree[name]["shape"])
    if end != size - 8 - length:
        raise _refused(path, f"{size - 8 - length} bytes of numbers, expected {end}")
    return found


def _check_notes(path: Path, notes: Any) -> None:
    texts = isinstance(notes, dict) and all(type(n) is str for n in notes.values())
    if not texts:
        raise _refused(path, "its metadata must be text")


def _tensor(path: Path, name: str, row: Any) -> tuple[int, int]:
    """Return where a tensor starts and stops, in bytes after the header."""
    match row:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [start, stop]}:
            numbers = [start, stop, *shape]
            if any(type(n) is not int or not 0 <= n < 1 << 60 for n in numbers):
                raise _refused(path, f"tensor {name!a}: bad shape or place")
            if DTYPES.get(dtype, -1) * math.prod(shape) != stop - start:
                raise _refused(path, f"tensor {name!a}: {dtype}{shape} does not fit")
            return start, stop
    raise _refused(path, f"tensor {name!a}: expected dtype, shape and data_offsets")


# --- Checkpoints of PyTorch ------------------------------------------------------


def check_floor(version: str) -> None:
    """Raise Refused unless this PyTorch has both repairs of `weights_only=True`."""
    try:
        parts = tuple(int(part) for part in version.split("+")[0].split(".")[:3])
    except ValueError:
        parts = ()
    if len(parts) < 3 or parts < TORCH_FLOOR:
        floor = ".".join(map(str, TORCH_FLOOR))
        why = f"PyTorch {version!a} loads checkpoints unsafely: expected {floor}"
        raise Refused("version floor", f"{why} or newer")


def parts(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of a checkpoint by name, without their common folder.

    Raises Refused for a broken archive, a compressed one, and for every entry that
    `torch.save` does not write.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(path, entries)
            if broken := archive.testzip():
                raise _refused(path, f"{broken!a} is damaged: its checksum differs")
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise _refused(path, f"no whole zip file: {error}") from None
    except (RuntimeError, ValueError) as error:
        if isinstance(error, Refused):
            raise
        raise _refused(path, f"cannot be read: {error}") from None
    top = {entry.filename.partition("/")[0] for entry in entries}
    names = {entry.filename.partition("/")[2]: entry for entry in entries}
    strange = [n for n in names if n not in PARTS and not _is_data(n)]
    if len(top) != 1 or strange or len(names) != len(entries):
        odd = ascii(strange[0]) if strange else "an entry under another or a known name"
        raise _refused(path, f"{odd}, which torch.save does not write")
    return names


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries):
        raise _refused(path, "compressed or encrypted: it may unpack without end")
    if sum(e.file_size for e in entries) > path.stat().st_size:
        raise _refused(path, "its entries overlap: more inside than outside")
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 22))
        whole = file.read(4) == ZIP_END
    if not whole or min((e.header_offset for e in entries), default=-1) != 0:
        raise _refused(path, "something stands before or after the archive in it")


def _is_data(name: str) -> bool:
    key = name.removeprefix("data/")
    return key != name and key.isascii() and key.isdigit()


def pickle_of(path: Path) -> bytes:
    """Return the pickle in a checkpoint of PyTorch; raises as `parts` does."""
    found = parts(path)
    if "data.pkl" not in found:
        raise _refused(path, "no data.pkl: no checkpoint of PyTorch")
    if found["data.pkl"].file_size > pickles.LARGEST:
        raise _refused(path, "its pickle is too large to hold names and shapes")
    with zipfile.ZipFile(path) as archive:
        return archive.read(found["data.pkl"])


def check_checkpoint(path: Path) -> pickles.Program:
    """Return a checkpoint's program; Refused unless it holds weights and no code.

    Every block of numbers that the pickle names must be there, in the size it says.
    """
    found = parts(path)
    program = pickles.check_allowed(pickle_of(path))
    sizes = {n.removeprefix("data/"): e.file_size for n, e in found.items()}
    _check_storages(path, program, sizes)
    return program


def _check_storages(
    path: Path, program: pickles.Program, sizes: Mapping[str, int]
) -> None:
    for kind_, key, count in program.storages:
        if sizes.get(key) != count * pickles.ITEM_SIZES[kind_]:
            why = f"{count} numbers at {key!a}, but {sizes.get(key)} bytes are there"
            raise _refused(path, why)
