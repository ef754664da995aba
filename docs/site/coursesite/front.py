"""The pages that say what there is: landing page, paths, checklist, commands."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import entry_points
from itertools import groupby
from pathlib import Path

import yaml

from coursesite import cards, library
from securetrain import catalogue, cli, ledger, risk_map, role_paths

HOOKS = ".pre-commit-hooks.yaml"
HOOK_TOPIC = re.compile(r"(?m)^\| `([\w-]+)` \| (\d\d) \|")


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
            "```bash\nmake lab   # install, then open the course in your browser\n```",
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
    figures = sorted((folder / "_static" / "figures" / first.id).glob("*.png"))
    page = folder / cards.file_of(first)
    if not figures or not page.is_file():
        return ""
    place = figures[0].relative_to(folder).as_posix()
    found = re.search(
        rf'<img[^>]*{re.escape(place)}\\" alt=\\"([^"\\]*)\\" width=\\"(\d+)\\" '
        r'height=\\"(\d+)\\"',
        page.read_text("utf-8"),
    )
    alt, width, height = found.groups()
    return (
        f'<figure class="surprise"><a href="{cards.page_of(first)}">'
        f'<img class="figure" src="{place}" alt="{alt}" width="{width}" '
        f'height="{height}"></a>'
        "<figcaption>The first minute: two changed characters of a data set, and a "
        "test that stays green.</figcaption></figure>"
    )


def _lifecycle() -> str:
    """Return every stage with its topics, in the order of the catalogue."""
    columns = []
    for digit, of_stage in groupby(catalogue.units(), key=lambda unit: unit.stage):
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


def checklist(root: Path) -> str:
    """Return the checklist by stage: each line, where it is taught, and its hooks."""
    hooks = {h["id"]: h for h in yaml.safe_load((root / HOOKS).read_text("utf-8"))}
    topics: dict[str, list[str]] = {}
    page = root / "docs" / "hooks.md"
    listed = HOOK_TOPIC.findall(page.read_text("utf-8")) if page.is_file() else []
    for hook, number in listed:
        topics.setdefault(number, []).append(hook)
    parts = ["# The checklist"]
    parts.append(
        "One line a topic, to take to your own repository. A line with a hook runs "
        "before every commit: [how to install the hooks](docs/hooks.html)."
    )
    for digit, of_stage in groupby(catalogue.units(), key=lambda unit: unit.stage):
        parts.append(f"## {catalogue.stages()[digit]}")
        for topic, units in groupby(of_stage, key=lambda unit: unit.topic):
            members = list(units)
            names = [name for name in topics.get(topic[:2], []) if name in hooks]
            runs = ", ".join(
                f'<code title="{cards.text(hooks[name]["name"])}">{name}</code>'
                for name in names
            )
            taught = ", ".join(map(cards.anchor, members))
            parts.append(
                f'<div class="card check"><p class="title">{members[0].checklist}</p>'
                f'<p class="quiet">{taught}{" · Hook: " * bool(runs)}{runs}</p></div>'
            )
    return "\n\n".join(parts) + "\n"


def commands(root: Path) -> str:
    """Return every command with its first line and the module behind it."""
    found = {name: (module, says) for name, (module, says) in cli.COMMANDS.items()}
    for entry in entry_points(group="securetrain.commands"):
        found[entry.name] = (entry.module, _first_line(entry.module))
    known = library.modules(root / library.PACKAGE)
    rows = []
    for name, (module, says) in sorted(found.items()):
        page = module.rpartition(".")[2]
        behind = f"<code>{module}</code>"
        if module.startswith(library.PACKAGE) and page in known:
            behind = f'<a href="library/{page}.html">{behind}</a>'
        words = cards.text(says[:1].upper() + says[1:]).rstrip(".")
        rows.append([f"<code>securetrain {name}</code>", words, behind])
    return (
        "# The commands\n\n`securetrain COMMAND --help` says what each takes.\n\n"
        + cards.table(["Command", "What it does", "Module"], rows)
        + "\n"
    )


def _first_line(module: str) -> str:
    """Return the first line of a module's docstring, without importing it."""
    file = importlib.util.find_spec(module).origin
    doc = ast.get_docstring(ast.parse(Path(file).read_text("utf-8")))
    return (doc or "").partition("\n")[0]
