"""Pieces of HTML that several pages of the site share."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from securetrain import catalogue
from securetrain import risk_map as threats
from securetrain.catalogue import Unit
from securetrain.quiz import Question
from securetrain.risk_map import Threat

LIVE = "run this cell in JupyterLab"


def text(words: object) -> str:
    """Return words as HTML shows them."""
    return html.escape(str(words))


def page_of(unit: Unit) -> str:
    """Return a unit's page, from the site's root, with its ending."""
    return f"{file_of(unit).removesuffix('.ipynb')}.html"


def file_of(unit: Unit) -> str:
    """Return the notebook that the site shows: a lesson, or a lab as released."""
    return f"{'course' if unit.kind == 'lesson' else 'labs'}/{unit.id}.ipynb"


def anchor(unit: Unit, up: str = "") -> str:
    """Return a link to a unit; up: the way to the site's root, such as "../../"."""
    return f'<a href="{up}{page_of(unit)}">{text(unit.title)}</a>'


def facts(unit: Unit) -> str:
    """Return what stands below a unit's title: kind, time, roles, how to open it."""
    roles, known = catalogue.roles(), catalogue.threats()
    ids = " ".join(
        f'<span title="{text(known[id])}">{id}</span>'
        for id in (*unit.atlas, *unit.owasp)
    )
    needs = [anchor(catalogue.unit(need), "../../") for need in unit.needs]
    rows = [("For", ", ".join(text(roles[role]) for role in unit.roles))]
    rows += [("Take first", ", ".join(needs))] * bool(needs)
    rows += [("Threats", f'<span class="ids">{ids}</span>')] * bool(ids)
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return (
        '<div class="facts"><p>'
        f'<span class="badge {unit.kind}">{_kind(unit)}</span> '
        f'<span class="badge">{unit.minutes} minutes</span></p>'
        f"<p>{text(unit.goal)}</p><dl>{listed}</dl>{_open(unit)}</div>"
    )


def _kind(unit: Unit) -> str:
    return "Lesson" if unit.kind == "lesson" else "Graded lab"


def _open(unit: Unit) -> str:
    """Return how to run the unit: this page is read, JupyterLab is for doing."""
    what = (
        "These outputs are of one run with the seed in git; made-up keys are cut"
        if unit.kind == "lesson"
        else "Here the lab stands as learners get it: answers and outputs are yours"
    )
    return (
        "<details><summary>Open it in JupyterLab</summary><p>In the course's folder, "
        f"run <code>make lab</code> and open <code>{unit.path}</code>, or choose "
        f"<em>{text(unit.title)}</em> on the home page. {what}.</p></details>"
    )


def unit_list(units: Iterable[Unit], up: str) -> str:
    """Return units as a list of cards: title, kind, time, goal."""
    return (
        '<ul class="units">'
        + "".join(
            f'<li class="card"><p class="title">{anchor(unit, up)}</p><p class="quiet">'
            f"{_kind(unit)} · {unit.minutes} minutes</p><p>{text(unit.goal)}</p></li>"
            for unit in units
        )
        + "</ul>"
    )


def quiz(questions: Sequence[Question]) -> str:
    """Return a quiz to read: answers in sight, what is right folded away."""
    parts = [
        f'<p class="quiet">To answer, and to have it recorded: {LIVE}. Here '
        "you find the questions, with what to say of each answer folded below.</p>"
    ]
    for number, question in enumerate(questions, start=1):
        answers = "".join(f"<li>{text(a.text)}</li>" for a in question.answers)
        said = "".join(
            f"<li>{'<strong>Right.</strong>' if a.correct else 'Not this one.'} "
            f"{text(a.feedback)}</li>"
            for a in question.answers
        )
        parts.append(
            f'<div class="card"><p><strong>{number}. {text(question.question)}</strong>'
            f'</p><ol type="a">{answers}</ol><details><summary>What is right in '
            f'question {number}</summary><ol type="a">{said}</ol></details></div>'
        )
    return f'<div class="quiz">{"".join(parts)}</div>'


def survey(state: dict[str, Any]) -> str:
    """Return the statements of a survey; they are rated in the notebook only."""
    items = "".join(
        f"<li><span class='quiet'>{text(item['stage'])}</span> "
        f"{text(item['text'])}</li>"
        for item in state["items"]
    )
    scale = state["scale"]
    ends = f"1 ({text(scale[0])}) to {len(scale)} ({text(scale[-1])})"
    return (
        f'<div class="card"><p><strong>{text(state["question"])}</strong></p>'
        f"<ul>{items}</ul><p class='quiet'>To rate them from {ends}, {LIVE}. Your "
        "answers stay on your machine.</p></div>"
    )


def slider(state: dict[str, Any], result: str) -> str:
    """Return a slider as it stood: its label, range, and the result at its value."""
    low, high, now = (f"{state[name]:g}" for name in ("minimum", "maximum", "value"))
    return (
        f'<div class="card"><p><strong>{text(state["label"])}</strong>: {now} '
        f'<span class="quiet">(a slider from {low} to {high}; {LIVE} to '
        f"move it)</span></p>{result}</div>"
    )


def risk_map(up: str) -> str:
    """Return the map of threats: one column a stage, each threat a link.

    up: the way to the site's root, "" where the page `map` itself is meant
    """
    page = f"{up}map.html" if up else ""
    columns = []
    for digit, members in threats.stages().items():
        items = "".join(
            f'<li><a class="harm-{t.harm}" href="{page}#{t.id}">{text(t.title)}'
            f"<small>{text(threats.harms()[t.harm])}</small></a></li>"
            for t in members
        )
        name = text(catalogue.stages()[digit])
        columns.append(
            f'<li><p class="stage-name">{digit} {name}</p><ul>{items}</ul></li>'
        )
    return f'<ul class="map">{"".join(columns)}</ul>'


def threat(this: Threat) -> str:
    """Return one threat of the map, for the page that holds the map."""
    units = "".join(f"<li>{anchor(unit)} ({unit.kind})</li>" for unit in this.units)
    ids = "".join(f"<li>{text(id)}</li>" for id in threats.names(this, "AML", "ML"))
    rows = {
        "Leads to": f"<p>{text(threats.harms()[this.harm])}</p>",
        "Goes wrong": f"<p>{text(this.wrong)}</p>",
        "Stops it": f"<p>{text(this.stops)}</p>",
        "Learn it": f"<ul>{units}</ul>",
        "Named": f"<ul>{ids}</ul>",
    }
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
    return f'<dl class="threat harm-{this.harm}">{listed}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table; the first cell of each row is its heading.

    rows: cells that are HTML already; on a narrow page each row becomes a card
    """
    top = "".join(f'<th scope="col">{text(name)}</th>' for name in head)
    body = "".join(
        "<tr>"
        + f'<th scope="row">{first}</th>'
        + "".join(
            f'<td data-head="{text(name)}">{cell}</td>'
            for name, cell in zip(head[1:], rest, strict=True)
        )
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<table class="stacked {kind}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )
