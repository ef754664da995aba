"""Questions that no service should answer, made for one shape of image.

The attacker sends whatever the port takes: values the model never learned, other
shapes, other types, more than was asked for, and JSON that two readers read
differently.
"""

from __future__ import annotations

import json

import torch
from torch import Tensor


def _of(word: str, height: int, width: int) -> bytes:
    """Return a body with one image of the same JSON word everywhere."""
    row = "[" + ",".join([word] * width) + "]"
    return f'{{"images":[[{",".join([row] * height)}]]}}'.encode()


def nonsense(height: int, width: int) -> dict[str, bytes]:
    """Return bodies by what is wrong with them, each of a few hundred kB at most.

    height, width: of the images that the service takes
    """
    plain = _of("0.5", height, width)
    return {
        "NaN": _of("NaN", height, width),
        "Infinity": _of("Infinity", height, width),
        "1e999": _of("1e999", height, width),
        "0 to 255": _of("255", height, width),
        "below 0": _of("-0.5", height, width),
        "a row less": _of("0.5", height - 1, width),
        "four times the size": _of("0.5", 2 * height, 2 * width),
        "one pixel": _of("0.5", 1, 1),
        "uneven rows": b'{"images":[[[0.5],[0.5,0.5]]]}',
        "text": _of('"0.5"', height, width),
        "true": _of("true", height, width),
        "a key more": plain[:-1] + b',"model":"other"}',
        "a key twice": plain[:-1] + b',"images":[]}',
        "500 images": json.dumps({"images": [[[0.5] * width] * height] * 500}).encode(),
        "no images": b'{"images":[]}',
        "brackets": b"[" * 50_000,
        "no JSON": b"images",
    }


def noise(n: int, shape: tuple[int, int], seed: int) -> Tensor:
    """Return images of uniform noise, (n, 1, H, W) in [0, 1]: valid, and no digits."""
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, *shape, generator=rng)
