"""Notebooks as the site shows them: outputs without a kernel, figures as files."""

from __future__ import annotations

import base64
import copy
import html
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coursesite import Problem, cards
from coursesite.links import Links
from securetrain import catalogue, notebooks, paths, quiz
from securetrain.catalogue import Unit
from securetrain.execution import Run
from securetrain.notebook_rules import source

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
WIDGETS = "securetrain.widgets"
PROGRESS = "HBoxModel"  # what tqdm draws its bar in
IMAGE = re.compile(r"<img\b[^>]*>")
ALT = re.compile(r'\balt="[^"]*[^"\s][^"]*"')
STYLE = re.compile(r"<style>.*?</style>", re.S)
# What a lesson says of a lab whose copy lies outside the course's folder.
OWN_COPY = re.compile(r"([^<>\"]{1,120}) \(/[^()<>]*/work/([\w.-]+/[\w.-]+)\.ipynb\)")
FIGURES = "_static/figures"
# Films and pictures inside HTML; small ones, such as captions, stay where they are.
INSIDE = re.compile(r'"data:(?:image|video)/(\w+);base64,([\w+/=]{4000,})"')
NO_CLIP = re.compile(r"The clip '([\w-]+)' is not here")
# Keys are made up in each run; a page that holds one whole would alarm scanners.
KEY = re.compile(r"\b(AKIA[0-9A-Z]{4})[0-9A-Z]{12}\b")


def problems(unit: Unit, run: Run) -> list[str]:
    """Return why an executed lesson cannot be shown, one readable line each."""
    found = [f"{unit.source}: {failure}" for failure in run.failures]
    for cell, shown in _outputs(run.notebook):
        data, meta = shown.get("data", {}), shown.get("metadata", {})
        if missing := NO_CLIP.search("".join(shown.get("text", ""))):
            found.append(f"{unit.source}: cell '{cell}': no clip '{missing[1]}'")
        images = IMAGE.findall("".join(data.get("text/html", "")))
        bare = "image/png" in data and not meta.get("image/png", {}).get("alt")
        if bare or any(not ALT.search(image) for image in images):
            found.append(
                f"{unit.source}: cell '{cell}': a figure without alternative text; "
                "show it with securetrain.alt.show"
            )
    return found


def _outputs(notebook: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for cell in notebook["cells"]:
        for shown in cell.get("outputs", []):
            yield cell.get("id", ""), shown


class Pages:
    """Turns notebooks into what Sphinx reads; figures go into `folder`."""

    def __init__(self, links: Links, folder: Path) -> None:
        self.links, self.folder = links, folder

    def lesson(self, unit: Unit, run: Run) -> str:
        """Return an executed lesson as the text of a notebook.

        Raises Problem for a failed cell, a figure without text or an unknown widget.
        """
        if found := problems(unit, run):
            raise Problem(found)
        state = run.notebook["metadata"].get("widgets", {}).get(STATE, {})
        return self._written(unit, run.notebook, unit.source, state.get("state", {}))

    def lab(self, unit: Unit) -> str:
        """Return a lab as it is released, not executed, as the text of a notebook."""
        file = f"labs/{unit.id}.ipynb"
        return self._written(unit, notebooks.read(paths.root() / file), file, {})

    def _written(
        self, unit: Unit, notebook: dict[str, Any], file: str, states: dict[str, Any]
    ) -> str:
        cells = [copy.deepcopy(cell) for cell in notebook["cells"]]
        for cell in cells:
            tags = cell["metadata"].get("tags", [])
            cell["metadata"] = {"tags": ["parameters"]} if "parameters" in tags else {}
            if cell["cell_type"] != "code":
                cell["source"] = self.links.markdown(source(cell), file)
                continue
            shown = [
                self._output(unit, cell["id"], number, output, states)
                for number, output in enumerate(cell["outputs"])
            ]
            cell["outputs"] = [output for output in shown if output]
        head, _, rest = source(cells[0]).partition("\n")
        if not head.startswith("# "):
            raise Problem([f"{file}: its first line is no title: {head[:60]!r}"])
        cells[0]["source"] = "\n".join([head, "", cards.facts(unit), rest])
        return notebooks.dumps(notebooks.tidy({"cells": []}) | {"cells": cells})

    # --- Outputs -------------------------------------------------------------------

    def _output(
        self, unit: Unit, cell: str, number: int, output: dict, states: dict[str, Any]
    ) -> dict | None:
        """Return an output without what needs a kernel; None for progress bars."""
        if output.get("name") == "stderr":
            return None
        data = output.get("data")
        if data is None:
            return _shortened(output)
        if VIEW in data:
            model = states.get(data[VIEW]["model_id"], {})
            if model.get("model_name") == PROGRESS:
                return None
            said = "".join(data.get("text/plain", ""))
            page = self._widget(unit, f"{cell}-{number}", model, said)
        elif "image/png" in data:
            page = self._figure(unit, f"{cell}-{number}", data, output["metadata"])
        elif "text/html" in data:
            page = "".join(data["text/html"])
            page = self._page(unit, f"{cell}-{number}", page)
        else:
            return _shortened(output)
        return {"output_type": "display_data", "data": {"text/html": page}} | {
            "metadata": {}
        }

    def _figure(self, unit: Unit, name: str, data: dict, meta: dict) -> str:
        """Write an image to a file and return the HTML that shows it."""
        facts = meta["image/png"]
        png = base64.b64decode("".join(data["image/png"]))
        address = self._file(unit, f"{name}.png", png)
        wide, high = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        width = facts.get("width", wide)
        return (
            f'<img class="figure" src="{address}" '
            f'alt="{html.escape(facts["alt"])}" width="{width}" '
            f'height="{round(high * width / wide)}" loading="lazy">'
        )

    def _file(self, unit: Unit, name: str, content: bytes) -> str:
        """Write a file that a unit shows, and return how its page names it."""
        place = self.folder / unit.id / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return f"../../{FIGURES}/{unit.id}/{name}"

    def _page(self, unit: Unit, name: str, page: str) -> str:
        """Return HTML of a lesson with our own style sheet and links of the site."""
        if "st-front" in page:
            page = STYLE.sub("", page)
        number = itertools.count()

        def outside(found: re.Match[str]) -> str:
            file = f"{name}-{next(number)}.{found[1]}"
            return f'"{self._file(unit, file, base64.b64decode(found[2]))}"'

        page = INSIDE.sub(outside, self.links.html(page, unit.source))
        page = OWN_COPY.sub(_lab_link, page)  # after: it is slow on long texts
        return KEY.sub(r"\1…", page)

    def _widget(self, unit: Unit, name: str, model: dict[str, Any], said: str) -> str:
        """Return what stands in a widget's place.

        said: what the widget says of itself in words, as each of our own does
        """
        state = model.get("state", {})
        package, _, kind = str(state.get("_anywidget_id", "")).rpartition(".")
        if kind == "Quiz":
            return cards.quiz(quiz.load(unit.id))
        if kind == "Survey":
            return cards.survey(state)
        if kind == "Slider":
            return cards.slider(state, self._page(unit, name, state["result"]))
        if kind == "RiskMap":
            return cards.risk_map("../../")
        if package == WIDGETS and said.strip():
            return f'<div class="card"><p>{cards.text(said)}</p></div>'
        raise Problem(
            [f"{unit.source}: {name}: a widget ({kind or 'unknown'}) that the "
             "site cannot show; say how in docs/site/coursesite/lessons.py"]
        )  # fmt: skip


def _shortened(output: dict) -> dict:
    """Return an output of text without whole keys."""
    changed = copy.deepcopy(output)
    for place, name in ((changed, "text"), (changed.get("data", {}), "text/plain")):
        if name in place:
            place[name] = KEY.sub(r"\1…", "".join(place[name]))
    return changed


def _lab_link(found: re.Match[str]) -> str:
    words, id = found.groups()
    if id not in {unit.id for unit in catalogue.units()}:
        return found[0]
    return f'<a href="../../labs/{id}.html">{words}</a>'
