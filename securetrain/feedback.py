"""Two questions at the end of a unit, whose answers an author can act on.

Each answer is an event of the learner's own record (`progress`); the last one counts.
Asked only where a person is likely to read: in a live notebook whose page says which
cell it runs, as JupyterLab does and a headless run does not.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from securetrain import catalogue, paths, progress

if TYPE_CHECKING:
    from securetrain.widgets import Feedback

USEFUL = "How useful is this unit for your work?"
SCALE = ("not at all", "a little", "fairly", "quite", "very")
CHANGE = "What should change first?"
CHANGE_PART = "feedback/change"
CHANGES = {
    "nothing": "Nothing",
    "clearer": "Explain more",
    "shorter": "Make it shorter",
    "deeper": "Go deeper",
    "closer": "Bring it closer to my work",
    "broken": "Mend something that did not run",
}


def give(unit_id: str, useful: int | None = None, change: str = "") -> None:
    """Append answers to the learner's record; what is not given is not asked.

    useful: 1 (not at all) to 5 (very); change: a key of `CHANGES`
    Raises ValueError for anything else. A record that cannot be written is a warning.
    """
    unit = catalogue.unit(unit_id)
    if useful is not None and (type(useful) is not int or not 1 <= useful <= 5):
        raise ValueError(f"Expected a whole number from 1 to 5, but came {useful!r}.")
    if change and change not in CHANGES:
        known = ", ".join(CHANGES)
        raise ValueError(f"No change '{change}'. There are: {known}.")
    before = given(unit.id)
    if useful is not None and useful != before["useful"]:
        score = {"raw": useful, "min": 1, "max": 5}
        progress.record("rated", unit.id, part=progress.USEFUL, score=score)
    if change and change != before["change"]:
        progress.record("chose", unit.id, part=CHANGE_PART, response=change)


def given(unit_id: str) -> dict[str, int | str]:
    """Return the last answers: {"useful": 1 to 5 or 0, "change": a key or ""}."""
    change, events = "", progress.events()
    for event in events:
        if event["object"]["id"] == f"{progress.URN}{unit_id}#{CHANGE_PART}":
            response = event["result"].get("response")
            change = response if response in list(CHANGES) else change
    return {"useful": progress.summary(events)[unit_id].useful, "change": change}


def show(unit_id: str) -> Feedback:
    """Return the two questions for the notebook to show, with what was answered."""
    from securetrain.widgets import Feedback  # needs Jupyter, which the rest does not

    widget = Feedback(
        title=catalogue.unit(unit_id).title,
        useful=USEFUL,
        scale=list(SCALE),
        change=CHANGE,
        changes=CHANGES,
    )
    _refresh(widget, unit_id)
    widget.on_msg(lambda _, answers, __: _store(widget, unit_id, answers))
    return widget


def _store(widget: Feedback, unit_id: str, answers: dict) -> None:
    """Record the answers that are new, and tell the widget what is stored now."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        give(unit_id, answers.get("useful"), answers.get("change", ""))
        _refresh(widget, unit_id, *dict.fromkeys(str(w.message) for w in caught))


def _refresh(widget: Feedback, unit_id: str, *trouble: str) -> None:
    """Show what the record holds, read from the record itself, and what went wrong."""
    widget.stored = given(unit_id)
    number = sum(map(bool, widget.stored.values()))
    where = progress.file()
    if where.is_relative_to(paths.root()):
        where = where.relative_to(paths.root())
    said = f"{number} of 2 answers are kept in {where} on this machine, without a name."
    widget.status = " ".join([said, *trouble])
    widget.saves += 1  # the browser waits for this, also when nothing has changed
