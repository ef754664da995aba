"""Which cells of a unit ran in this kernel, where the page says which cell it runs.

JupyterLab does; a headless run (nbclient, papermill) does not, and nothing is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from securetrain import lab_copies, notebooks, paths
from securetrain.catalogue import Unit

if TYPE_CHECKING:
    from IPython.core.interactiveshell import (
        ExecutionInfo,
        ExecutionResult,
        InteractiveShell,
    )


class Watch:
    """Notes the cells that ran without an error since a unit was started."""

    def __init__(self) -> None:
        self.shell: InteractiveShell | None = None
        self.unit_id = ""
        self.now = ""
        self.ran: set[str] = set()

    def start(self, shell: InteractiveShell, unit_id: str) -> None:
        """Watch a shell; another unit in the same kernel begins at nothing."""
        if unit_id != self.unit_id:
            self.ran = set()
        self.unit_id = unit_id
        if self.shell is not shell:
            self.shell = shell
            shell.events.register("pre_run_cell", self._before)
            shell.events.register("post_run_cell", self._after)

    def _before(self, info: ExecutionInfo) -> None:
        self.now = info.cell_id or ""

    def _after(self, result: ExecutionResult) -> None:
        if result.success and result.info and result.info.cell_id:
            self.ran.add(result.info.cell_id)


WATCH = Watch()


def is_read(shell: InteractiveShell | None) -> bool:
    """Say whether the running cell has an id: whether a page shows what it returns."""
    return shell is not None and WATCH.shell is shell and bool(WATCH.now)


def score(unit: Unit) -> dict[str, int] | None:
    """Return how many of a unit's code cells ran, this one included; None if unknown.

    The result is an xAPI score, {"raw": cells, "min": 0, "max": all of them}.
    """
    if WATCH.unit_id != unit.id or not WATCH.now:
        return None
    lab = unit.kind == "lab"
    path = lab_copies.released(unit) if lab else paths.root() / unit.path
    try:
        cells = notebooks.read(path)["cells"]
    except (OSError, ValueError, KeyError):
        return None
    code = {cell.get("id") for cell in cells if cell.get("cell_type") == "code"}
    ran = code & {*WATCH.ran, WATCH.now}
    return {"raw": len(ran), "min": 0, "max": len(code)}
