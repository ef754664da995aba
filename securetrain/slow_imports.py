"""Packages that take seconds to import, for something that nobody here asks them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_iris() -> Iterator[None]:
    """Import jsonschema, or who needs it, without its grammar of IRIs.

    It builds that on import, in two seconds and more. No schema of Kubernetes or of
    notebooks asks for it.
    """
    name, modules = "rfc3987_syntax", sys.modules
    hide = name not in modules
    if hide:
        modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hide:
            del modules[name]
