"""What is wrong with the pages that were made: links, images, requests, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {"img", "script", "iframe", "source", "video", "audio", "track", "embed"}
SHEETS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect"}
IN_SHEET = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")
OTHER = ("mailto", "data", "javascript", "tel")


@dataclass
class Page(HTMLParser):
    """One page: its ids, where it leads, what it loads, its images without text."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "link" and SHEETS & set(found.get("rel", "").split()):
            self.loads.append(found.get("href", ""))
        if tag in LOADS:
            named = (found.get(name) for name in ("src", "poster"))
            self.loads += [address for address in named if address]
        if tag == "img" and not found.get("alt", "").strip():
            self.bare.append(found.get("src", "")[:60])


def read(path: Path) -> Page:
    """Return what a page holds."""
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def pages(site: Path) -> dict[Path, Page]:
    """Return every page of a site."""
    return {path: read(path) for path in sorted(site.resolve().rglob("*.html"))}


def problems(
    site: Path, known: dict[Path, Page], paths: tuple[str, ...] = ()
) -> list[str]:
    """Return what is wrong with a site, one readable line each.

    known: its `pages`; paths: folders of this machine, which no page may name
    """
    site = site.resolve()
    found = []
    for path, page in known.items():
        name = path.relative_to(site)
        found += [f"{name}: an image without alternative text: {s}" for s in page.bare]
        for link in page.loads:
            if outside(link):
                found.append(f"{name}: loads {link} from outside")
        for link in {*page.links, *page.loads}:
            if fault := _dead(site, path, link, known):
                found.append(f"{name}: the link {link} {fault}")
        text = path.read_text("utf-8")
        found += [
            f"{name}: names {p}, a path of this machine" for p in paths if p in text
        ]
    return found + list(_sheets(site))


def outside(link: str) -> bool:
    """Say whether a link leaves the site."""
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme not in ("", *OTHER)


def _dead(site: Path, path: Path, link: str, known: dict[Path, Page]) -> str:
    """Return why a link inside the site leads nowhere; "" when it does not."""
    parts = urlsplit(link)
    if outside(link) or parts.scheme:
        return ""
    target = path.parent / unquote(parts.path) if parts.path else path
    target = target.resolve()
    if not target.is_relative_to(site) or not target.is_file():
        return "leads nowhere"
    place = unquote(parts.fragment)
    if place and target in known and place not in known[target].ids:
        return "leads to no such place on that page"
    return ""


def _sheets(site: Path) -> Iterator[str]:
    for path in sorted(site.rglob("*.css")):
        for link in IN_SHEET.findall(path.read_text("utf-8")):
            if outside(link):
                yield f"{path.relative_to(site)}: loads {link} from outside"


def outside_links(site: Path, known: dict[Path, Page]) -> dict[str, list[str]]:
    """Return the links that leave the site: address -> pages that hold it."""
    found: dict[str, list[str]] = {}
    for path, page in known.items():
        for link in page.links:
            if outside(link):
                names = found.setdefault(link, [])
                name = path.relative_to(site.resolve()).as_posix()
                names += [name] * (name not in names)
    return dict(sorted(found.items()))
