"""Build the site into build/site/, or say what is wrong with it: `make site`.

A lesson that has not changed since its last run, here or in the tests, is not executed
again; remove build/executed/ to run all. Outside links are listed in
build/site-links.txt, and never fetched.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from securetrain import executed, paths
from securetrain.execution import Run

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from coursesite import Problem, checks  # noqa: E402
from coursesite.sources import Sources  # noqa: E402


def build(root: Path, site: Path) -> dict[str, list[str]]:
    """Build the site and return its outside links: address -> pages.

    Raises Problem, each line naming a file, when something is wrong; then there is
    no site, not an old one.
    """
    work = site.with_name(f"{site.name}-work")
    for folder in (site, work):
        shutil.rmtree(folder, ignore_errors=True)
    sources, fresh = work / "sources", work / "html"
    Sources(root, sources, _run).write()
    _sphinx(sources, fresh, work / "doctrees")
    for extra in ("_static/figures", "_extra"):
        if (sources / extra).is_dir():
            place = fresh if extra == "_extra" else fresh / extra
            shutil.copytree(sources / extra, place, dirs_exist_ok=True)
    for left in (".buildinfo", "objects.inv"):
        (fresh / left).unlink(missing_ok=True)
    pages = checks.pages(fresh)
    if found := checks.problems(fresh, pages, (str(root), sys.prefix)):
        raise Problem(found)
    outside = checks.outside_links(fresh, pages)
    fresh.rename(site)
    return outside


def _run(path: Path) -> Run:
    """Return a lesson's run, and say so when it takes a while."""
    started = time.monotonic()
    done = executed.run(path)
    if (seconds := time.monotonic() - started) > 2:
        print(f"{path.parent.name}/{path.stem}: {seconds:.0f} s", flush=True)
    return done


def _sphinx(sources: Path, out: Path, doctrees: Path) -> None:
    """Let Sphinx make the pages; every warning is a Problem."""
    warnings = _Lines()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            str(sources), str(HERE), str(out), str(doctrees), "html",
            status=None, warning=warnings, freshenv=True,
        )  # fmt: skip
        app.build(force_all=True)
    if warnings.lines:
        raise Problem([line.replace(f"{sources}/", "") for line in warnings.lines])


class _Lines:
    """A stream that keeps what is written to it, without colours."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        from sphinx.util.console import strip_escape_sequences

        text = strip_escape_sequences(text).strip()
        self.lines += [text] * bool(text)

    def flush(self) -> None:
        pass


def main() -> int:
    """Build the site; 1 when it could not be built."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    root = paths.root()
    site = root / "build" / "site"
    started = time.monotonic()
    try:
        links = build(root, site)
    except Problem as problem:
        print(problem, file=sys.stderr)
        print(f"The site was not built: {len(problem.lines)} faults.", file=sys.stderr)
        return 1
    listed = [f"{link}  {', '.join(pages)}" for link, pages in links.items()]
    (root / "build" / "site-links.txt").write_text("\n".join(listed) + "\n", "utf-8")
    pages = len(list(site.rglob("*.html")))
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    print(
        f"build/site/index.html: {pages} pages, {size / 1e6:.0f} MB, "
        f"{time.monotonic() - started:.0f} s; {len(links)} outside links are listed in "
        "build/site-links.txt, and were not fetched."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
