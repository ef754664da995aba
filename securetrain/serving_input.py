"""What a prediction service accepts: one reader for a request's head, one for its body.

The attacker sends whatever they like to an open port. They want the model to answer
what it never learned, or the service to spend its memory and time on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from securetrain import plain_json
from securetrain.serving_settings import Settings


class Refused(ValueError):
    """A request that is not answered; `status` is HTTP's number for the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check_head(headers: Mapping[str, str], settings: Settings) -> None:
    """Raise Refused for a request whose body is not worth reading.

    headers: by name in small letters; a length that is not given is no fault, since
    the body is counted while it comes
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "send JSON, with Content-Type: application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "send the body as it is, not compressed")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Refused(400, "Content-Length is no number")
    if len(length) > 15 or int(length) > settings.body_bytes:
        raise Refused(413, f"at most {settings.body_bytes} bytes")


def read_images(body: bytes, settings: Settings) -> np.ndarray:
    """Return the images of a body, (N, 1, height, width) float32 in [0, 1].

    body: JSON, `{"images": [[[0.0, …], …], …]}`, in UTF-8
    Raises Refused: 413 for too many bytes, 400 for what is not JSON or can be read in
    two ways, 422 for what is not images. No message repeats what was sent.
    """
    if len(body) > settings.body_bytes:
        raise Refused(413, f"at most {settings.body_bytes} bytes")
    try:
        tree = plain_json.read(body)
    except ValueError as error:
        raise Refused(400, str(error)) from None
    if not isinstance(tree, dict) or tree.keys() != {"images"}:
        raise Refused(422, "expected one object with the key images, and no other")
    images = tree["images"]
    if not isinstance(images, list) or not 1 <= len(images) <= settings.images_at_once:
        raise Refused(422, f"images: expected 1 to {settings.images_at_once} of them")
    for number, image in enumerate(images):
        if fault := _fault(image, settings.shape):
            raise Refused(422, f"images[{number}]: {fault}")
    return np.array(images, np.float32)[:, None]


def _fault(image: Any, shape: tuple[int, int]) -> str:
    """Return what is wrong with one image, or nothing."""
    height, width = shape
    if not isinstance(image, list) or len(image) != height:
        return f"expected {height} rows"
    for row in image:
        if not isinstance(row, list) or len(row) != width:
            return f"expected {width} numbers in each row"
        for value in row:
            if type(value) not in (int, float):  # True is an int to isinstance
                return "expected numbers"
            if not 0 <= value <= 1:  # false for 1e999, which JSON reads as infinity
                return "expected numbers from 0 to 1"
    return ""
