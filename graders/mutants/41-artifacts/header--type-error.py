"""Lets a TypeError out where a number stands for a list.

says: Refuse with ValueError; yours is TypeError
"""

# ruff: noqa: F821, F401

import json

from securetrain.checkpoints import DTYPES


def read_header(data: bytes) -> dict[str, list[int]]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise ValueError("the header is longer than the file")
    tree = json.loads(data[8 : 8 + length].decode("utf-8"))
    if not isinstance(tree, dict):
        raise ValueError("the header is no object")
    tree.pop("__metadata__", None)
    places, shapes = [], {}
    for name, row in tree.items():
        if not isinstance(row, dict) or row.keys() != {
            "dtype",
            "shape",
            "data_offsets",
        }:
            raise ValueError(f"{name}: other keys")
        if row["dtype"] not in DTYPES or len(row["data_offsets"]) != 2:
            raise ValueError(f"{name}: an unknown type, or no two places")
        size = DTYPES[row["dtype"]]
        for number in (*row["shape"], *row["data_offsets"]):
            if type(number) is not int or number < 0:
                raise ValueError(f"{name}: {number}")
        for side in row["shape"]:
            size *= side
        start, stop = row["data_offsets"]
        if stop - start != size:
            raise ValueError(f"{name}: {size} bytes expected")
        places.append((start, stop))
        shapes[name] = row["shape"]
    end = 0
    for start, stop in sorted(places):
        if start != end:
            raise ValueError("a gap or an overlap")
        end = stop
    if end != len(data) - 8 - length:
        raise ValueError("bytes are missing or left over")
    return shapes
