"""Write what Sphinx reads: one source a page, all from the catalogue and the files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from coursesite import Problem, cards, front, ledger_page, library
from coursesite.lessons import Pages
from coursesite.links import Links
from securetrain import catalogue, notebooks, risk_map
from securetrain.catalogue import Unit
from securetrain.execution import Run

ROOT_PAGES = {
    "README.md": ("about", "# Set-up and overview"),
    "CONTRIBUTING.md": ("contributing", None),
    "SECURITY.md": ("security", None),
}
LEDGER = "docs/claims.md"
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}
LANGUAGES |= {".json": "json", ".sh": "bash", ".lock": "text"}


def problems(root: Path, units: Sequence[Unit] | None = None) -> list[str]:
    """Return what is missing before a page is made: a notebook, or its unit.

    A lab needs its release under labs/; a lesson in course/ needs its unit.
    """
    units = catalogue.units() if units is None else units
    files = {cards.file_of(unit): unit for unit in units}
    found = [
        f"{unit.id}: in the catalogue, but there is no {file}"
        for file, unit in files.items()
        if not (root / file).is_file()
    ]
    for path in notebooks.find(root / "course", root / "labs"):
        file = path.relative_to(root).as_posix()
        if file not in files and file != "course/index.ipynb":
            found.append(f"{file}: a notebook that is no unit of catalogue.toml")
    return found


def unlinked(root: Path, links: Links) -> list[str]:
    """Return the documents that no other file links to."""
    return [
        f"{file}: no page links to it; link it from README.md or another document"
        for file in documents(root)
        if not links.linked.get(file, set()) - {file}
    ]


def documents(root: Path) -> list[str]:
    """Return the documents, by name."""
    return [f"docs/{path.name}" for path in sorted((root / "docs").glob("*.md"))]


class Sources:
    """Writes a course's pages into a folder.

    run: returns the executed lesson of a path, such as `executed.run`
    """

    def __init__(self, root: Path, folder: Path, run: Callable[[Path], Run]) -> None:
        self.root, self.folder, self.run = root, folder, run
        self.units = catalogue.units()
        named = {cards.file_of(unit): cards.file_of(unit)[:-6] for unit in self.units}
        named |= {file: name for file, (name, _) in ROOT_PAGES.items()}
        named |= {file: file.removesuffix(".md") for file in documents(root)}
        self.links = Links(root, {"index.md": "index"} | named)
        self.pages = Pages(self.links, folder / "_static" / "figures")

    def write(self) -> None:
        """Write every page.

        Raises Problem that names each thing that is wrong, not only the first.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        wrong = problems(self.root)
        if not wrong:
            wrong += self._try([self._unit(unit) for unit in self.units])
        wrong += self._try([self._document(file) for file in self._files()])
        wrong += unlinked(self.root, self.links)
        if wrong:
            raise Problem(wrong)
        self._made()
        self._others()

    def _try(self, steps: list[Callable[[], None]]) -> list[str]:
        wrong: list[str] = []
        for step in steps:
            try:
                step()
            except Problem as problem:
                wrong += problem.lines
        return wrong

    def _put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _unit(self, unit: Unit) -> Callable[[], None]:
        def step() -> None:
            if unit.kind == "lesson":
                text = self.pages.lesson(unit, self.run(self.root / unit.source))
            else:
                text = self.pages.lab(unit)
            self._put(cards.file_of(unit), text)

        return step

    def _files(self) -> list[str]:
        return [*ROOT_PAGES, *documents(self.root)]

    def _document(self, file: str) -> Callable[[], None]:
        def step() -> None:
            text = (self.root / file).read_text("utf-8")
            name, title = ROOT_PAGES.get(file, (file.removesuffix(".md"), None))
            if title:
                text = re.sub(r"\A# .*", title, text)
            if file == LEDGER:
                text = ledger_page.page(text)
            self._put(f"{name}.md", self.links.markdown(text, file))

        return step

    # --- Pages made from the catalogue -----------------------------------------------

    def _made(self) -> None:
        topics = {t: list(u) for t, u in groupby(self.units, key=lambda u: u.topic)}
        for topic, units in topics.items():
            self._put(f"course/{topic}/index.md", _topic(topic, units))
        self._put("map.md", _map())
        self._put("paths.md", front.paths())
        self._put("checklist.md", front.checklist())
        known = library.modules(self.root / library.PACKAGE)
        self._put("commands.md", front.commands(known))
        grouped = library.groups(known, self.root)
        for module in known.values():
            self._put(f"library/{module.name}.md", library.page(module))
        self._put("library/index.md", _library(grouped))
        self._put("index.md", self._home(topics))

    def _home(self, topics: dict[str, list[Unit]]) -> str:
        parts = [front.landing(self.folder)]
        parts.append(_toctree("Start", ["about", "map", "paths"]))
        for digit, name in catalogue.stages().items():
            own = [f"course/{topic}/index" for topic in topics if topic[:1] == digit]
            parts += [_toctree(name, own)] * bool(own)
        guides = [f.removesuffix(".md") for f in documents(self.root) if f != LEDGER]
        parts.append(_toctree("Guides", ["checklist", *guides]))
        parts.append(
            _toctree(
                "Reference",
                [LEDGER[:-3], "commands", "library/index", "contributing", "security"],
            )
        )
        return "\n\n".join(parts) + "\n"

    def _others(self) -> None:
        """Write the other files that pages link to: text as pages, media as such."""
        for file in sorted(self.links.texts):
            text = (self.root / file).read_text("utf-8").rstrip("\n")
            language = LANGUAGES.get(Path(file).suffix, "text")
            title = file.replace("_", "\\_")
            page = f"---\norphan: true\n---\n# {title}\n\n"
            self._put(f"files/{file}.md", f"{page}``````{language}\n{text}\n``````\n")
        for file in sorted(self.links.media):
            for place in (self.folder / file, self.folder / "_extra" / file):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.root / file, place)


def _toctree(caption: str, names: Sequence[str]) -> str:
    options = [":hidden:"] + [f":caption: {caption}"] * bool(caption)
    return "\n".join(["```{toctree}", *options, "", *names, "```"])


def _topic(topic: str, units: list[Unit]) -> str:
    """Return a topic's page: what to take home, its units, what can go wrong."""
    stage = catalogue.stages()[topic[:1]]
    parts = [f"# {catalogue.topics()[topic]}"]
    parts.append(f'<p class="quiet">Stage {topic[:1]}, {cards.text(stage)}</p>')
    parts.append(f"*{units[0].checklist}*")
    parts.append(cards.unit_list(units, "../../"))
    found = [t for t in risk_map.threats() if t.topic == topic]
    if found:
        parts.append("## What can go wrong")
        parts += [
            f'- <a href="../../map.html#{t.id}">{cards.text(t.title)}</a>: {t.wrong}'
            for t in found
        ]
    names = [f"/{cards.file_of(unit).removesuffix('.ipynb')}" for unit in units]
    parts.append(_toctree("", names))
    return "\n\n".join(parts) + "\n"


def _map() -> str:
    """Return the map of threats: columns by stage, then each threat in words."""
    parts = ["---\nhide-toc: true\n---\n# The threat map"]
    parts.append(
        "What can go wrong in the life of a model, from collection to deployment, what "
        "stops it, its names in MITRE ATLAS and OWASP's list, and where to learn it."
    )
    parts.append(cards.risk_map(""))
    for digit, members in risk_map.stages().items():
        parts.append(f"## {catalogue.stages()[digit]}")
        for this in members:
            parts.append(f'<div id="{this.id}" class="anchor"></div>')
            parts += [f"### {this.title}", cards.threat(this)]
    return "\n\n".join(parts) + "\n"


def _library(grouped: dict[str, list[library.Module]]) -> str:
    """Return the list of the library's modules, by the stage that uses them."""
    names = catalogue.stages() | {
        library.SEVERAL: "Used in several stages",
        library.OTHER: "Commands and the course itself",
    }
    parts = [
        "# The library",
        "Attacks and defences as small functions, one file a topic. Each stage lists "
        "the modules that its notebooks use.",
    ]
    for key, members in grouped.items():
        parts.append(f"## {names[key]}")
        rows = [
            [
                f'<a href="{module.name}.html"><code>{module.name}</code></a>',
                cards.text(module.title),
            ]
            for module in members
        ]
        parts.append(cards.table(["Module", "What it is"], rows, "modules"))
    return "\n\n".join(parts) + "\n"
