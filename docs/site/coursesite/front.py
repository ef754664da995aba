"""The pages that say what there is: landing page, paths, checklist, commands."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

from coursesite import cards, library
from securetrain import catalogue, cli, home, ledger, notebooks, risk_map, role_paths
from securetrain import checklist as lines

IDEA = (
    "Attack the training of a small model, watch the defence stop it, watch the "
    "attacker adapt, and take home the check that would have caught it."
)
HEAD = f"""\
---
hide-toc: true
myst:
  html_meta:
    description: "A hands-on course in securing the training of AI models. {IDEA}"
---
# Secure AI Training"""
TAKE_HOME = """\
Each topic ends as one line of [a checklist](checklist.html), and most lines as
[a hook](docs/hooks.html) that runs before every commit. Every number is in
[the ledger](docs/claims.html), with what did not hold. [The threat map](map.html) shows
what can go wrong at which stage."""


def landing(folder: Path) -> str:
    """Return the first page: what a visitor sees, can try, and finds here.

    folder: where the figures of executed lessons lie
    """
    first = catalogue.units()[0]
    hero = (
        f'<div class="hero"><p class="lead">{IDEA}</p>'
        f'<p><a class="button" href="{cards.page_of(first)}">Read the first lesson</a> '
        '<a class="button second" href="about.html">Run it yourself</a></p></div>'
    )
    return "\n\n".join(
        [
            HEAD,
            hero,
            _surprise(first, folder),
            _run_it(),
            _numbers(),
            "## From the data to the deployed model",
            _lifecycle(),
            "## Your path",
            "Nobody needs every unit. Choose the role whose week looks like yours.",
            _roles(),
            "## What you take home",
            TAKE_HOME,
        ]
    )


def _run_it() -> str:
    """Return how to open the course, and in CI, which knows its address, to get it."""
    lines = ["make lab  # install, open the course"]
    if name := os.environ.get("GITHUB_REPOSITORY"):
        address = f"{os.environ['GITHUB_SERVER_URL']}/{name}"
        lines = [f"git clone {address}", f"cd {Path(name).name}", *lines]
    return "\n".join(["```bash", *lines, "```"])


def _numbers() -> str:
    """Return how much there is, counted from the catalogue, the map and the ledger."""
    units = catalogue.units()
    lessons = sum(unit.kind == "lesson" for unit in units)
    measured = Counter(row["verdict"] for row in ledger.measured().values())
    missed = sum(measured.values()) - measured["reproduced"]
    facts = {
        f"{lessons} lessons, {len(units) - lessons} graded labs": (
            f"{role_paths.hours(units)} in all, on a laptop without a GPU"
        ),
        f"{len(risk_map.threats())} threats": "from the data to a served model",
        f"{sum(measured.values())} measured claims": (
            f"over several seeds; {missed} did not hold, and stay on record"
        ),
    }
    told = "".join(f"<li><strong>{a}</strong> {b}</li>" for a, b in facts.items())
    return f'<ul class="totals">{told}</ul>'


def _surprise(first: catalogue.Unit, folder: Path) -> str:
    """Return the first figure of the first lesson, as this build measured it."""
    figures = (
        page
        for cell in notebooks.read(folder / cards.file_of(first))["cells"]
        for output in cell.get("outputs", [])
        if (page := output.get("data", {}).get("text/html", "")).startswith("<img")
    )
    if not (figure := next(figures, "")):
        return ""
    figure = figure.replace('src="../../', 'src="').replace(' loading="lazy"', "")
    return (
        f'<figure class="surprise"><a href="{cards.page_of(first)}">{figure}</a>'
        "<figcaption>The first minute: two changed characters of a data set, and a "
        "test that stays green.</figcaption></figure>"
    )


def _lifecycle() -> str:
    """Return every stage with its topics, in the order of the catalogue."""
    columns = []
    for digit, of_stage in home.by_stage(catalogue.units()):
        units = list(of_stage)
        topics = "".join(
            f'<li><a href="course/{topic}/index.html">'
            f"{cards.text(catalogue.topics()[topic])}</a></li>"
            for topic in dict.fromkeys(unit.topic for unit in units)
        )
        columns.append(
            f'<li class="card"><p class="title">{catalogue.stages()[digit]}</p>'
            f'<p class="quiet">{_count(units)}, {role_paths.hours(units)}</p>'
            f"<ul>{topics}</ul></li>"
        )
    return f'<ul class="stages">{"".join(columns)}</ul>'


def _count(units: Sequence[catalogue.Unit]) -> str:
    return f"{len(units)} unit{'s' * (len(units) != 1)}"


def _roles() -> str:
    items = []
    for role, title in catalogue.roles().items():
        units = list(role_paths.path(role))
        items.append(
            f'<li class="card"><p class="title"><a href="paths.html#{role}">'
            f'{cards.text(title)}</a></p><p class="quiet">{_count(units)}, '
            f"{role_paths.hours(units)}, {_weeks(role)}</p></li>"
        )
    return f'<ul class="roles">{"".join(items)}</ul>'


def _weeks(role: str) -> str:
    plan = role_paths.weeks(role)
    if len(plan) == 1:
        return "in one go"
    return f"in {len(plan)} weeks"


def paths() -> str:
    """Return each role's path, week by week, and what goes further."""
    parts = ["# Paths by role"]
    parts.append("A path is what a role takes first; its other units go further.")
    for role, title in catalogue.roles().items():
        rows = [
            [role_paths.week_name(role, n), _listed(week), role_paths.hours(week)]
            for n, week in enumerate(role_paths.weeks(role), start=1)
        ]
        units, more = role_paths.path(role), role_paths.further(role)
        rows += [["Go further", _listed(more), role_paths.hours(more)]] * bool(more)
        parts += [f'<div id="{role}" class="anchor"></div>', f"## {title}"]
        parts.append(f"{_count(units)}, {role_paths.hours(units)}, {_weeks(role)}.")
        parts.append(cards.table(["When", "Units", "Time"], rows))
    return "\n\n".join(parts) + "\n"


def _listed(units: Sequence[catalogue.Unit]) -> str:
    items = "".join(
        f"<li>{cards.anchor(u)} <span class='quiet'>{u.kind}, {u.minutes} min</span>"
        "</li>"
        for u in units
    )
    return f"<ul>{items}</ul>"


def checklist() -> str:
    """Return the checklist by stage: each line, where it is taught, who enforces it."""
    parts = ["# The checklist"]
    parts.append(
        "One line a topic, to take to your own repository, and who enforces it there: "
        "[a hook](docs/hooks.html) before every commit, a command in CI or where it is "
        "deployed, or a person. `securetrain policy print --html FILE` prints it in "
        "parts, with boxes to tick."
    )
    for digit, of_stage in home.by_stage(catalogue.units()):
        parts.append(f"## {catalogue.stages()[digit]}")
        for topic, units in groupby(of_stage, key=lambda unit: unit.topic):
            parts.append(_line(topic, list(units)))
    return "\n\n".join(parts) + "\n"


def _line(topic: str, units: Sequence[catalogue.Unit]) -> str:
    """Return one line of the checklist as a card."""
    members = lines.of(topic)
    rows = {
        "Taught in": map(cards.anchor, units),
        "Hook": (f"<code>{hook}</code>" for part in members for hook in part.hooks),
        "Command": (
            f"<code>securetrain {name}</code>" for p in members for name in p.commands
        ),
        "By hand": (cards.text(p.hand.replace("`", "")) for p in members if p.hand),
    }
    listed = {name: dict.fromkeys(found) for name, found in rows.items()}
    told = "".join(
        f'<p class="quiet">{name}: {"; ".join(found)}</p>'
        for name, found in listed.items()
        if found
    )
    title = cards.text(units[0].checklist)
    return f'<div class="card check"><p class="title">{title}</p>{told}</div>'


def commands(known: Collection[str]) -> str:
    """Return every command with its first line and the module behind it.

    known: the library's modules that have a page
    """
    rows = []
    for name, (module, says) in sorted(cli.listed().items()):
        page = module.rpartition(".")[2]
        behind = f"<code>{module}</code>"
        if module.startswith(library.PACKAGE) and page in known:
            behind = f'<a href="library/{page}.html">{behind}</a>'
        words = cards.text(says[:1].upper() + says[1:])
        rows.append([f"<code>securetrain {name}</code>", words, behind])
    return (
        "# The commands\n\n`securetrain COMMAND --help` says what each takes.\n\n"
        + cards.table(["Command", "What it does", "Module"], rows)
        + "\n"
    )
