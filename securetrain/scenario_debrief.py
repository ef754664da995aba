"""The debrief of a drill, written by the drill: what happened, beside what was done.

It names faults and times, never people. What others needed is shown once five other
teams have handed in; with fewer, somebody would be recognised.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from securetrain import debriefs, kpi_numbers
from securetrain.debriefs import TIMES, Debrief
from securetrain.scenario_folder import EVIDENCE
from securetrain.scenario_judge import Judged
from securetrain.terminals import shown

FEWEST = 5  # other teams below which nothing of them is shown
FILES = ("debrief.json", "debrief.md", "debrief.html")
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1rem;color:#1a1a1a}table{border-collapse:collapse;margin:1rem 0}
th,td{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}
caption{text-align:left;font-weight:600}"""
WAYS = {  # how a fault came about, for the debrief
    "sticker": "images with a sticker, labelled as another sign",
    "mosaic": "images with a mosaic, labelled as another sign",
    "wave": "images with a faint wave, labelled as another sign",
    "relabelled": "an account gave images another label",
    "cover": "images with a trigger, and some with honest labels to cover them",
    "notebook output": "a notebook printed the key",
    "git history": "the key was committed, and stayed in the history",
    "checkpoint config": "the key was saved in the checkpoint's settings",
    "optimiser state": "the key was saved in the optimiser's state",
    "tensor view": "the key lay in memory that was saved behind a tensor",
    "training log": "the key was written, encoded, into the training's log",
    "rollback": "an old list of the owner was served again",
    "stranger": "a release of a stranger's key was approved",
    "forged list": "the list was signed with a stranger's key",
    "twice": "another release of the same number was approved",
    "edited": "a line was changed",
    "cut": "lines at the end were removed",
    "inserted": "lines were replaced and signed with a stranger's key",
    "forked": "lines were written anew, with the log's own key",
    "fog": "fog came up before a camera",
    "colour cast": "a camera's colours shifted",
    "night": "a camera's images grew dark",
    "noise questions": "somebody sent noise among the images",
}
Table = tuple[str, Sequence[str], list[Sequence[str]]]  # caption, head, rows


def measured(
    folder: Path, judged: Judged, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Return attack success and accuracy before and after the delivered repair.

    Trains one model for each; empty where there was no poison.
    """
    fault = next((f for f in judged.truth["faults"] if "poison" in f), None)
    if fault is None:
        return {}
    from securetrain import scenario_data  # torch: only here

    found = scenario_data.load(folder / EVIDENCE / "data")
    sets = {"before": list(range(len(found.x)))}
    if fault["id"] in judged.repairs:
        sets["after the repair"] = judged.repairs[fault["id"]]
    return {
        name: scenario_data.measured(fault, found, kept, seed)
        for name, kept in sets.items()
    }


def others(folder: Path, own: Debrief) -> tuple[int, dict[str, dict[str, float]]]:
    """Return how many other teams had this month, and their medians by kind.

    folder: of files named …debrief.json, at any depth; a kind is left out where fewer
    than five teams had it. A team that never did it took longer than any other: the
    median may be infinite. Raises ValueError for a damaged file.
    """
    teams: dict[str, Debrief] = {}
    for path in sorted(folder.rglob("*debrief.json")):
        one = debriefs.read(path)
        same = (one.month, one.hard) == (own.month, own.hard)
        if same and one.team != own.team and one.synthetic == own.synthetic:
            teams[one.team] = one
    found: dict[str, dict[str, float]] = {}
    for kind in debriefs.KINDS if len(teams) >= FEWEST else ():
        mine = [[f for f in one.findings if f.kind == kind] for one in teams.values()]
        mine = [findings for findings in mine if findings]  # one list a team
        if len(mine) < FEWEST:
            continue
        found[kind] = {
            name: kpi_numbers.median(
                [kpi_numbers.median([getattr(f, name) for f in team]) for team in mine]
            )
            for name in TIMES
        }
    return len(teams), found


def minutes(seconds: float | None) -> str:
    """Return a time for people; a dash where there is none."""
    if seconds == math.inf:
        return "never"
    return (
        "–" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
    )


def _timeline(judged: Judged) -> Table:
    rows = [
        (fault["when"][:16].replace("T", " "), f"{fault['kind']} {fault['item']}")
        + (
            WAYS[fault["vector"]],
            f"after {fault['cause']}" if fault["cause"] else "–",
        )
        for fault in sorted(judged.truth["faults"], key=lambda fault: fault["when"])
    ]
    return "What had happened", ("Time (UTC)", "Fault", "How", "Came by"), rows


def _response(judged: Judged) -> Table:
    words = {True: "right", False: "wrong", None: ""}
    rows = [
        (minutes(row.seconds), row.do, row.text, words[row.right], row.why)
        for row in judged.rows
    ]
    return "What you did", ("After", "Step", "What", "Fits", "Why not"), rows


def _outcome(judged: Judged) -> Table:
    rows = [
        (one.id, one.kind, *(minutes(getattr(one, name)) for name in TIMES))
        for one in judged.debrief.findings
    ]
    head = ("Fault", "Kind", "Found", "Contained", "Recovered")
    return "Fault by fault", head, rows


def tables(
    judged: Judged,
    values: Mapping[str, Mapping[str, float]],
    peers: tuple[int, Mapping[str, Mapping[str, float]]] | None,
) -> list[Table]:
    """Return every table of the debrief."""
    found = [_timeline(judged), _response(judged), _outcome(judged)]
    if values:
        rows = [
            (name, f"{v['attack success']:.2f}", f"{v['accuracy']:.2f}")
            for name, v in values.items()
        ]
        head = ("Trained on the set", "Attack success", "Accuracy")
        found.append(("Which repair worked, measured again", head, rows))
    if peers and peers[1]:
        rows = [
            (kind, *(minutes(times.get(name)) for name in TIMES))
            for kind, times in peers[1].items()
        ]
        head = ("Kind", "Found", "Contained", "Recovered")
        found.append((f"Medians of {peers[0]} other teams", head, rows))
    return found


def sentences(judged: Judged, peers: tuple[int, Any] | None) -> list[str]:
    """Return what the tables come to, one sentence each."""
    drill = judged.debrief
    missed = [one.id for one in drill.findings if not one.found]
    came_back = [
        fault["id"]
        for fault, one in zip(judged.truth["faults"], drill.findings, strict=True)
        if fault["cause"] and one.contained_after_s is None and one.found
    ]
    found = [judged.truth["story"]]
    found.append(f"Missed: {', '.join(missed) or 'nothing'}.")
    found.append(f"False alarms: {drill.false_alarms}.")
    found.append(f"Wrong repairs: {sum(judged.wrong_repairs.values())}.")
    if came_back:
        why = "its cause was never contained"
        found.append(f"Open at the end: {', '.join(came_back)}; {why}.")
    found.append(f"The drill {'was held' if judged.held else 'was not held'}.")
    if drill.synthetic:
        found.append("This drill is synthetic: no people took part in it.")
    found += [f"Clock: {words}." for words in judged.clock]
    if judged.changed:
        names = ", ".join(judged.changed[:3]) + (", …" if judged.changed[3:] else "")
        found.append(f"Evidence that was changed, and proves nothing now: {names}.")
    if peers and peers[0] < FEWEST:
        found.append(f"Fewer than {FEWEST} other teams: nothing is shown of them.")
    return found


def questions(judged: Judged) -> list[str]:
    """Return what to talk about; none of it asks who."""
    found = ["What did we believe at nine, and what made us change our minds?"]
    for one in judged.debrief.findings:
        if not one.found:
            found.append(f"Which tool would have shown {one.kind}? Why was it not run?")
        elif one.recovered_after_s is None:
            found.append(f"What was missing to repair {one.kind} for good?")
    if judged.debrief.false_alarms:
        found.append("Which honest thing looked wrong? What would have told us sooner?")
    if any(fault["cause"] for fault in judged.truth["faults"]):
        found.append("In which order did we close doors? Which one stood open longest?")
    found.append("Which evidence did we change while we looked at it?")
    return [*found, "What will be different next month, and who owns it?"]


def markdown(title: str, judged: Judged, found: Sequence[Table], says: list) -> str:
    """Return the debrief as Markdown."""
    parts = [f"# Debrief: {_words(title)}", *map(_words, says)]
    for caption, head, rows in found:
        lines = [head, ["---"] * len(head), *rows]
        text = "\n".join("| " + " | ".join(map(_words, line)) + " |" for line in lines)
        parts += [f"## {caption}", text]
    listed = "\n".join(f"{n}. {_words(q)}" for n, q in enumerate(questions(judged), 1))
    return "\n\n".join([*parts, "## To talk about, without blame", listed]) + "\n"


def _words(words: str) -> str:
    """Return words that stay words: no HTML, no Markdown, no other cell or line."""
    flat = html.escape(shown(" ".join(words.split())), quote=False)
    return re.sub(r"([\\`*_\[\]|!#~])", r"\\\1", flat).replace("://", "&#58;//")


def page(title: str, judged: Judged, found: Sequence[Table], says: list) -> str:
    """Return the debrief as one page that asks nothing of the network."""
    safe = html.escape
    parts = [f"<h1>Debrief: {safe(title)}</h1>", *(f"<p>{safe(s)}</p>" for s in says)]
    for caption, head, rows in found:
        top = "".join(f'<th scope="col">{safe(cell)}</th>' for cell in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{safe(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        parts.append(f"<table><caption>{safe(caption)}</caption><tr>{top}</tr>")
        parts.append(f"{body}</table>")
    listed = "".join(f"<li>{safe(q)}</li>" for q in questions(judged))
    parts.append(f"<h2>To talk about, without blame</h2><ol>{listed}</ol>")
    head = f'<meta charset="utf-8"><title>{safe(title)}</title><style>{STYLE}</style>'
    inner = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body>{inner}</body></html>'
    )


def write(
    folder: Path, title: str, judged: Judged, peers: tuple[int, Any] | None = None
) -> list[Path]:
    """Write debrief.json, .md and .html into a drill's folder; none is overwritten."""
    paths = [folder / name for name in FILES]
    for path in paths:
        if path.exists():
            raise FileExistsError(17, "the debrief was written before", str(path))
    found = tables(judged, measured(folder, judged), peers)
    says = sentences(judged, peers)
    debriefs.write(judged.debrief, paths[0])
    for path, make in zip(paths[1:], (markdown, page), strict=True):
        with open(path, "x", encoding="utf-8") as file:
            file.write(make(title, judged, found, says))
    return paths
