"""Plain data across a socket: what the checker and a student's process say.

A frame is a length, a JSON header and the raw bytes of its arrays. Nothing is ever
unpickled. `encode` takes exact types only; everything else, subclasses too, becomes
"opaque", and comes out as an `Opaque` that equals nothing. `decode` believes nothing:
it raises `Malformed` for every frame that `encode` would not have written.

This file also runs inside the jail, so it imports nothing of the course.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections import Counter, OrderedDict, defaultdict
from socket import socket
from typing import Any

HEADER = struct.Struct("!IQ")  # bytes of JSON, bytes of arrays
MAX_JSON = 16 << 20
MAX_BYTES = 256 << 20
MAX_DEPTH = 50
MAX_KEYS = 20_000  # of a set or dict: keys that collide cost the square of their number
MAX_RANGE = 1_000_000  # of a range: short to send, and as long as one likes to sort
DICTS = (dict, Counter, OrderedDict, defaultdict)
SEQUENCES = {"tuple": tuple, "set": set, "frozenset": frozenset}
ARRAYS = ("bool", "complex64", "complex128", "float16", "float32", "float64") + tuple(
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
)
# PyTorch computes little with unsigned types wider than a byte.
TENSORS = tuple(name for name in ARRAYS if name not in ("uint16", "uint32", "uint64"))


class Malformed(ValueError):
    """A frame that no honest encoder writes."""


class Opaque:
    """A value that is no plain data: it equals nothing and has no truth."""

    __slots__ = ("kind",)
    __hash__ = object.__hash__  # as a key it is found by nothing

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __bool__(self) -> bool:
        raise TypeError(f"expected plain data, got an object of type {self.kind}")

    def __repr__(self) -> str:
        return f"<{self.kind}, which is no plain data>"


def send(channel: socket, value: Any) -> None:
    """Send one value. Raises ValueError when it is too large for a frame."""
    channel.sendall(pack(value))


def pack(value: Any) -> bytes:
    """Return the frame of a value."""
    blobs: list[bytes] = []
    header = json.dumps(encode(value, blobs), separators=(",", ":")).encode()
    size = sum(map(len, blobs))
    if len(header) > MAX_JSON or size > MAX_BYTES:
        raise ValueError(
            f"{(len(header) + size) >> 20} MB are too much for one value: at most "
            f"{MAX_BYTES >> 20} MB of arrays and {MAX_JSON >> 20} MB of everything else"
        )
    return b"".join([HEADER.pack(len(header), size), header, *blobs])


def receive(channel: socket) -> Any:
    """Return the next value.

    Raises EOFError when the other side has gone, Malformed when it sends nonsense.
    """
    length, size = HEADER.unpack(_exactly(channel, HEADER.size))
    if length > MAX_JSON or size > MAX_BYTES:
        raise Malformed(f"a frame of {length} and {size} bytes")
    header, data = _exactly(channel, length), _exactly(channel, size)
    try:
        tree = json.loads(header.decode("utf-8"))
        reader = _Reader(data)
        value = reader.decode(tree, 0)
    except Malformed:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Malformed(f"{type(error).__name__}: {error}"[:200]) from None
    if reader.place != len(data):
        raise Malformed("bytes that belong to no array")
    return value


def _exactly(channel: socket, size: int) -> bytearray:
    """Return this many bytes, in memory that grows only as they arrive."""
    data = bytearray()
    while len(data) < size:
        part = channel.recv(min(size - len(data), 1 << 20))
        if not part:
            raise EOFError("the other side has gone")
        data += part
    return data


def encode(value: Any, blobs: list[bytes], depth: int = 0) -> Any:
    """Return a value as JSON; the bytes of its arrays are appended to `blobs`."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if depth >= MAX_DEPTH:
        return {"opaque": f"{kind.__name__}, nested more than {MAX_DEPTH} deep"}
    if kind in (set, frozenset, *DICTS) and len(value) > MAX_KEYS:
        return {"opaque": f"{kind.__name__} of more than {MAX_KEYS} keys"}
    if kind is list:
        return [encode(item, blobs, depth + 1) for item in list.__iter__(value)]
    for name, sequence in SEQUENCES.items():
        if kind is sequence:
            return {name: [encode(item, blobs, depth + 1) for item in value]}
    if kind in DICTS:
        pairs = [
            [encode(key, blobs, depth + 1), encode(item, blobs, depth + 1)]
            for key, item in dict.items(value)
        ]
        return {"dict": pairs}
    if kind is range and value[MAX_RANGE:]:
        return {"opaque": f"range of more than {MAX_RANGE} numbers"}
    if kind is range:
        return {"range": [value.start, value.stop, value.step]}
    if kind in (bytes, bytearray):
        blobs.append(bytes(value))
        return {"bytes": len(value)}
    return _array(value, blobs) or {"opaque": kind.__name__[:80]}


def _array(value: Any, blobs: list[bytes]) -> dict[str, Any] | None:
    """Return an array, a numpy scalar or a tensor as JSON; None for all else."""
    kind, numpy, torch = type(value), sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        scalar = isinstance(value, numpy.generic) and kind.__module__ == "numpy"
        if (scalar or kind is numpy.ndarray) and value.dtype.name in ARRAYS:
            blobs.append(value.astype(value.dtype.newbyteorder("<")).tobytes())
            name = "scalar" if scalar else "array"
            return {name: [value.dtype.name, list(value.shape)]}
        if kind is numpy.str_:
            return str.__str__(value)
    if torch is not None:
        if kind is torch.Size:
            return {"tuple": list(value)}
        name = str(getattr(value, "dtype", ""))[6:]
        if kind is torch.Tensor and name in TENSORS and _is_dense(value, torch):
            plain = value.detach().resolve_conj().resolve_neg().contiguous()
            blobs.append(plain.numpy().tobytes())
            return {"tensor": [name, list(value.shape)]}
    return None


def _is_dense(value: Any, torch: Any) -> bool:
    return value.layout is torch.strided and value.device.type == "cpu"


class _Reader:
    """Reads one frame's values, and its arrays one after the other."""

    def __init__(self, data: bytearray) -> None:
        self.data, self.place = memoryview(data), 0

    def decode(self, tree: Any, depth: int) -> Any:
        if tree is None or type(tree) in (bool, int, float, str):
            return tree
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        if type(tree) is list:
            return [self.decode(item, depth + 1) for item in tree]
        if type(tree) is not dict or len(tree) != 1:
            raise Malformed("a value with other than one name")
        ((name, body),) = tree.items()
        if name in ("dict", "set", "frozenset") and len(_list(body)) > MAX_KEYS:
            raise Malformed("more keys than an honest encoder writes")
        if name in SEQUENCES:
            items = self.decode(_list(body), depth)
            return _whole(SEQUENCES[name](items), items)
        if name == "dict":
            items = [self.decode(_list(pair), depth) for pair in _list(body)]
            return _whole(dict(items), items)
        if name == "range":
            start, stop, step = map(_integer, body)
            if range(start, stop, step)[MAX_RANGE:]:
                raise Malformed("a longer range than an honest encoder writes")
            return range(start, stop, step)
        if name == "bytes":
            return bytes(self._take(_integer(body)))
        if name == "opaque" and type(body) is str:
            return Opaque(body[:80])
        if name in ("array", "scalar", "tensor"):
            return self._array(name, *body)
        raise Malformed("a value of an unknown kind")

    def _take(self, size: int) -> memoryview:
        if not 0 <= size <= len(self.data) - self.place:
            raise Malformed("an array longer than its frame")
        self.place += size
        return self.data[self.place - size : self.place]

    def _array(self, name: str, dtype: Any, shape: Any) -> Any:
        import numpy

        if dtype not in (TENSORS if name == "tensor" else ARRAYS):
            raise Malformed("an array of an unknown type")
        if len(_list(shape)) > (0 if name == "scalar" else 16):
            raise Malformed("a shape with too many sides")
        if any(_integer(side) < 0 for side in shape):
            raise Malformed("a shape below zero")
        little = numpy.dtype(dtype).newbyteorder("<")
        raw = self._take(math.prod(shape) * little.itemsize)
        array = numpy.frombuffer(raw, little).astype(dtype).reshape(shape)
        if dtype == "bool":  # a byte that is neither 0 nor 1 confuses torch
            array = numpy.frombuffer(raw, "u1").astype(dtype).reshape(shape)
        if name == "array":
            return array
        if name == "scalar":
            return array[()]
        import torch

        return torch.from_numpy(numpy.ascontiguousarray(array)).reshape(shape)


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Malformed("expected a list")
    return value


def _whole(value: Any, items: list[Any]) -> Any:
    if len(value) != len(items):
        raise Malformed("an item or a key that stands twice")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or abs(value) >= 1 << 63:
        raise Malformed("expected a whole number")
    return value
