"""Links of the repository's files, as the site has them.

A page of the site lies where its file lies in the repository, so most links stay as
they are. Another text file that is linked gets a page of its own, under `files/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from coursesite import Problem

OUTSIDE = re.compile(r"(?i)[a-z][a-z0-9+.-]*:|//")
MARKDOWN = re.compile(r"(\]\()([^()\s]+)((?:\s+\"[^\"]*\")?\))")
HTML = re.compile(
    r"""(<(?:a|img|source|track|video)\b[^>]*?\s(?:href|src|poster)=")([^"]+)(")"""
)
FENCE = re.compile(r"(?ms)^( *)(```+|~~~+)[^\n]*\n.*?^\1\2[^\n]*$|`[^`\n]+`")
HOME = "course/index.ipynb"  # JupyterLab's home page; the site has its own


class Links:
    """Where a file of the repository lies on the site, and what else must go there.

    pages: files with a page of their own: path in the repository -> name on the site
    texts, media: other files that some page links to or shows; they fill as links are
        asked for, and `sources` then writes them
    """

    def __init__(self, root: Path, pages: dict[str, str]) -> None:
        self.root, self.pages = root, pages
        self.texts: set[str] = set()
        self.media: set[str] = set()
        self.linked: dict[str, set[str]] = {}  # file -> the files that link to it

    def site(self, file: str) -> str | None:
        """Return a file's name on the site, without its ending; None if it has none."""
        return self.pages.get("index.md" if file == HOME else _released(file))

    def rewrite(self, link: str, page: str) -> str:
        """Return a link of a page as the site has it.

        page: the file that holds the link
        Raises Problem, naming the page, for a link that leads nowhere.
        """
        target, mark, anchor = link.partition("#")
        if OUTSIDE.match(link) or not target:
            return link
        file = os.path.normpath(os.path.join(os.path.dirname(page), target))
        self.linked.setdefault(_released(file), set()).add(page)
        name = self.site(file)
        if name is None:
            name = self._other(file, link, page)
        ending = "" if name in self.media else ".html"
        here = os.path.dirname(self.pages.get(page, page))
        return os.path.relpath(name, here or ".") + ending + mark + anchor

    def _other(self, file: str, link: str, page: str) -> str:
        """Return the place of a file that is no page, and note that it is needed."""
        path = self.root / file
        if not path.is_file() or file.startswith(".."):
            raise Problem([f"{page}: the link {link} leads nowhere"])
        try:
            path.read_text("utf-8")
        except UnicodeDecodeError:
            self.media.add(file)
            return file
        if path.suffix in (".svg", ".vtt"):
            self.media.add(file)
            return file
        self.texts.add(file)
        return f"files/{file}"

    def markdown(self, text: str, page: str) -> str:
        """Return Markdown with its links rewritten; code stays as it is."""
        return outside_code(text, lambda part: self._both(part, page))

    def _both(self, part: str, page: str) -> str:
        part = MARKDOWN.sub(lambda m: m[1] + self.rewrite(m[2], page) + m[3], part)
        return self.html(part, page)

    def html(self, text: str, page: str) -> str:
        """Return HTML with the links of its elements rewritten."""
        return HTML.sub(lambda m: m[1] + self.rewrite(m[2], page) + m[3], text)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return Markdown whose parts outside fences and backticks are changed."""
    parts, at = [], 0
    for code in FENCE.finditer(text):
        parts += [change(text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*parts, change(text[at:])])


def _released(file: str) -> str:
    """Return the lab that learners' copies are made from; other files as they are."""
    first, _, rest = file.partition("/")
    return f"labs/{rest}" if first in ("work", "solutions") else file
