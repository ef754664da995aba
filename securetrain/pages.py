"""What the course's own pages share: their style, tables and links to units."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from securetrain import lab_copies, paths
from securetrain.catalogue import Unit

STATIC = Path(__file__).parent / "static"


def text(words: str) -> str:
    """Return words as HTML shows them."""
    return html.escape(words)


def static(*names: str) -> str:
    """Return files of `static/` as one text."""
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)


def style(*sheets: str) -> str:
    """Return the style of the course's own parts: front.css, and more of `static/`."""
    return static("front.css", *sheets)


def framed(parts: Iterable[str], *sheets: str, kind: str = "") -> str:
    """Return parts of HTML in one box with the course's style.

    sheets: style sheets of `static/` besides front.css; kind: a class of the box
    """
    css, inner = style(*sheets), "\n".join(parts)
    return f'<style>{css}</style>\n<div class="st-front {kind}">\n{inner}\n</div>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table; the first cell of each row is its heading.

    caption, head: plain text; rows: cells that are HTML already
    """
    top = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{c}</td>" for c in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<table class="st-table"><caption>{text(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )


def target(unit: Unit) -> Path:
    """Return the notebook that a learner opens: a lesson, or their copy of a lab."""
    if unit.kind == "lab":
        return lab_copies.own(unit).resolve()
    return paths.root() / unit.path


def reachable(unit: Unit) -> str:
    """Return the notebook's path below the course's root; "" when it lies elsewhere.

    JupyterLab opens nothing outside the root, where SECURETRAIN_WORK may lie.
    """
    path = target(unit)
    if not path.is_relative_to(paths.root()):
        return ""
    return path.relative_to(paths.root()).as_posix()


def relative(path: str | Path, folder: str | Path) -> str:
    """Return a path below the root as a page in `folder`, below it too, links to it."""
    return Path(os.path.relpath(path, folder)).as_posix()


def anchor(unit: Unit, words: str, folder: str | Path, style: str = "") -> str:
    """Return an HTML link to a unit from a page in `folder`.

    A notebook that JupyterLab does not reach is named with its place, without a link.
    """
    if not (path := reachable(unit)):
        return f"{text(words)} ({text(str(target(unit)))})"
    return f'<a class="{style}" href="{text(relative(path, folder))}">{text(words)}</a>'
