"""Reads the header and checks nothing.

says: its last byte missing
"""

# ruff: noqa: F821, F401

import json

from securetrain.checkpoints import DTYPES


def read_header(data):
    length = int.from_bytes(data[:8], "little")
    tree = json.loads(data[8 : 8 + length])
    return {name: row["shape"] for name, row in tree.items() if name != "__metadata__"}
