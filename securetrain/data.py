"""Data sets: procedural signs, bundled digits, and downloads where there is a network.

Every loader returns plain tensors: images (N, C, H, W) float32 in [0, 1] and
labels (N,) int64.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from securetrain.signs import NAMES as SIGN_NAMES
from securetrain.signs import render

if TYPE_CHECKING:
    import numpy as np

SIDE = 32  # pixels of a sign
CHUNK = 250  # images rendered at once, so that they stay in the processor's cache


def check_images(x: Tensor, name: str = "x") -> None:
    """Raise ValueError unless `x` is (N, C, H, W), floating point, in [0, 1]."""
    if not isinstance(x, Tensor) or x.ndim != 4:
        shape = tuple(x.shape) if hasattr(x, "shape") else type(x).__name__
        raise ValueError(f"{name} must be a tensor (N, C, H, W), got {shape}")
    if not x.is_floating_point():
        raise ValueError(
            f"{name} must hold floats in [0, 1], got {x.dtype}; divide by 255"
        )
    if len(x) == 0:
        raise ValueError(f"{name} holds no images")
    low, high = x.min().item(), x.max().item()
    if not (low >= 0 and high <= 1):  # false for NaN as well
        raise ValueError(f"{name} must lie in [0, 1], got {low:.3g} to {high:.3g}")


def check_labels(y: Tensor, n: int, classes: int, name: str = "y") -> None:
    """Raise ValueError unless `y` holds `n` int64 labels in 0..classes-1."""
    if not isinstance(y, Tensor) or y.shape != (n,):
        shape = tuple(y.shape) if hasattr(y, "shape") else type(y).__name__
        raise ValueError(
            f"{name} must be a tensor ({n},), one label an image; got {shape}"
        )
    if y.dtype != torch.int64:
        raise ValueError(f"{name} must be int64, got {y.dtype}")
    if n and not (y.min() >= 0 and y.max() < classes):
        raise ValueError(
            f"{name} must lie in 0..{classes - 1}, "
            f"got {y.min().item()} to {y.max().item()}"
        )


def signs(
    n: int,
    seed: int,
    split: str = "train",
    *,
    hard: float = 0.6,
    class_weights: Sequence[float] | None = None,
    size: int = SIDE,
) -> tuple[Tensor, Tensor]:
    """Return `n` new traffic signs and their labels.

    n: at least 1; seed: any integer from 0; split: "train" or "test", which never
    share a random stream; hard: 0 (easy) to 1; class_weights: ten weights, None for
    equally many of each sign; size: pixels a side, the means of 32 / size each way
    Returns x (n, 3, size, size) in [0, 1] and y (n,) in 0..9.
    Raises ValueError for anything else.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if n < 1 or seed < 0 or not 0 <= hard <= 1:
        raise ValueError(
            f"expected n >= 1, seed >= 0 and hard in [0, 1], got {n}, {seed} and {hard}"
        )
    if size < 1 or SIDE % size:
        raise ValueError(f"size must divide {SIDE}, got {size}")
    classes = len(SIGN_NAMES)
    weights = (
        torch.ones(classes) if class_weights is None else torch.tensor(class_weights)
    )
    if weights.shape != (classes,) or not (weights >= 0).all() or weights.sum() <= 0:
        raise ValueError(f"class_weights must be {classes} weights >= 0, not all zero")
    rng = torch.Generator().manual_seed(2 * seed + (split == "test"))
    # Exact shares: image i belongs to the class whose share of [0, 1) holds (i + ½)/n.
    edges = (weights / weights.sum()).cumsum(0)
    ordered = torch.bucketize((torch.arange(n) + 0.5) / n, edges, right=True)
    y = ordered.clamp_max(classes - 1)[torch.randperm(n, generator=rng)]
    x = torch.empty(n, 3, size, size)  # filled in place: joining takes twice as much
    for images, labels in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        images.copy_(avg_pool2d(render(labels, hard, rng), SIDE // size))
    return x, y


def digits() -> tuple[Tensor, Tensor]:
    """Return 1,797 real handwritten digits, bundled with scikit-learn.

    Returns x (1797, 1, 8, 8) in [0, 1] and y (1797,) in 0..9.
    Source: UCI Optical Recognition of Handwritten Digits, Alpaydin and Kaynak 1998.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    return x, torch.from_numpy(bunch.target).long()


def cifar10(
    folder: str | Path, train: bool = True, download: bool = False
) -> tuple[Tensor, Tensor]:
    """Return CIFAR-10 from `folder`, fetched first when `download` (163 MB).

    Returns x (N, 3, 32, 32) in [0, 1] and y (N,) in 0..9.
    Raises FileNotFoundError when it is absent or its checksums do not match.
    Source: Learning Multiple Layers of Features, Krizhevsky 2009.
    """
    from torchvision.datasets import CIFAR10

    try:
        raw = CIFAR10(str(folder), train=train, download=download)
    except RuntimeError as error:
        raise FileNotFoundError(_absent("CIFAR-10", folder)) from error
    x = torch.from_numpy(raw.data).permute(0, 3, 1, 2).float() / 255
    return x.contiguous(), torch.tensor(raw.targets)


def gtsrb(
    folder: str | Path, train: bool = True, download: bool = False
) -> tuple[Tensor, Tensor]:
    """Return German traffic signs from `folder`, fetched first when `download`.

    Returns x (N, 3, 32, 32) in [0, 1], resized, and y (N,) in 0..42.
    Raises FileNotFoundError when it is absent.
    Source: Man vs. computer, Stallkamp et al. 2012.
    """
    from torchvision.datasets import GTSRB
    from torchvision.transforms.functional import pil_to_tensor

    split = "train" if train else "test"
    try:
        raw = GTSRB(str(folder), split=split, download=download)
    except RuntimeError as error:
        raise FileNotFoundError(_absent("GTSRB", folder)) from error
    x = torch.stack([pil_to_tensor(image.resize((32, 32))) for image, _ in raw])
    return x.float() / 255, torch.tensor([label for _, label in raw])


def _absent(name: str, folder: str | Path) -> str:
    return (
        f"No whole copy of {name} in {folder}. With a network, call again with "
        "download=True; without one, data.signs() and data.digits() need no download."
    )


def to_files(x: Tensor, y: Tensor, shards: int = 4) -> dict[str, bytes]:
    """Return a data set as it is shipped: images in shards, labels in one file.

    x: (N, C, H, W) in [0, 1], kept as bytes, so within 1/510; y: (N,) in 0..255
    Returns path -> content, each in numpy's .npy format.
    """
    check_images(x)
    check_labels(y, len(x), 256)
    files = {"labels.npy": _npy(y.byte())}
    for number, part in enumerate(x.tensor_split(shards)):
        files[f"images/{number}.npy"] = _npy((part * 255).round_().byte())
    return files


def _npy(array: Tensor) -> bytes:
    import numpy as np

    out = io.BytesIO()
    np.save(out, array.numpy(), allow_pickle=False)
    return out.getvalue()


def from_files(files: Mapping[str, bytes]) -> tuple[Tensor, Tensor]:
    """Return images and labels from what `to_files` gave; no pickle is ever loaded.

    Returns x (N, C, H, W) in [0, 1] and y (N,).
    Raises ValueError for a file that is missing, strange or of another length.
    """
    import numpy as np

    paths = sorted(path for path in files if path.startswith("images/"))
    if not paths or "labels.npy" not in files:
        raise ValueError(f"expected images/*.npy and labels.npy, got {sorted(files)}")
    parts = [_bytes(path, files[path], 4) for path in paths]
    x = torch.from_numpy(np.concatenate(parts)).float().div_(255)
    y = torch.from_numpy(_bytes("labels.npy", files["labels.npy"], 1)).long()
    check_images(x)
    check_labels(y, len(x), 256)
    return x, y


def _bytes(path: str, content: bytes, sides: int) -> np.ndarray:
    """Return an .npy file's array of bytes with this many sides."""
    import numpy as np

    try:
        found = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path}: no array that can be read: {error}") from error
    if found.dtype != np.uint8 or found.ndim != sides:
        shape = f"{found.dtype} {found.shape}"
        raise ValueError(f"{path}: expected bytes with {sides} sides, got {shape}")
    return found
