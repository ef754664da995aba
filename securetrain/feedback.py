"""Two questions at the end of a unit, whose answers an author can act on.

Each answer is an event of the learner's own record (`progress`); the last one counts.
Asked only where a person is likely to read: in a live notebook whose page says which
cell it runs, as JupyterLab does and a headless run does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from securetrain import catalogue, progress

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
    return widget.keep(
        give=lambda answers: give(unit_id, **answers),
        read=lambda: given(unit_id),
        say=_kept,
    )


def _kept(stored: dict[str, int | str]) -> str:
    number = sum(map(bool, stored.values()))
    where = progress.place()
    return f"{number} of 2 answers are kept in {where} on this machine, without a name."
