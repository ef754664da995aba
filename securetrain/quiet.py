"""Keep out of a learner's sight what tools print, warn and log, and long lists."""

from __future__ import annotations

import contextlib
import io
import logging
import textwrap
import warnings
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Show nothing that is printed, warned or logged inside; raise what is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nowhere = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def excerpt(lines: Sequence[str], most: int = 4, width: int = 96) -> str:
    """Return the first lines, wrapped, and how many others there are."""
    shown = [
        textwrap.fill(one, width, subsequent_indent="    ") for one in lines[:most]
    ]
    left = len(lines) - most
    return "\n".join(shown + [f"… and {left} more"] * (left > 0))
