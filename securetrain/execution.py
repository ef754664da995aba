"""Run a notebook as CI does: papermill, a fresh kernel, and what it cost."""

from __future__ import annotations

import ast
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securetrain.notebook_rules import source
from securetrain.notebooks import read
from securetrain.paths import root

CELL_TIMEOUT = 600  # seconds; a backstop against an endless cell, never a budget
AIM_SECONDS, AIM_MB = 60, 1000


@dataclass(frozen=True)
class Failure:
    """A cell that raised: its id, the exception's name and its message."""

    cell: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"cell '{self.cell}': {self.kind}: {self.message}"


@dataclass(frozen=True)
class Run:
    """One run of a notebook.

    seconds, cpu_seconds: from the kernel's start to the end of the last cell
    peak_mb: the kernel's largest resident memory, in MB (10^6 bytes)
    claims: what `claims.claim` recorded, one dict a claim
    notebook: the executed notebook, as plain JSON
    """

    path: Path
    seconds: float
    cpu_seconds: float
    peak_mb: float
    claims: tuple[dict[str, Any], ...]
    failures: tuple[Failure, ...]
    notebook: dict[str, Any] = field(repr=False)

    @property
    def error(self) -> str | None:
        """The first failure, or None."""
        return str(self.failures[0]) if self.failures else None


def run(
    path: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    keep_going: bool = False,
) -> Run:
    """Execute a notebook in its own folder and return what it did and cost.

    parameters: replace those of the cell tagged `parameters`
    output: where the executed notebook is kept; by default nowhere
    env: added to the kernel's environment; unless SECURETRAIN_WORK is among it,
        the learner's folder is a temporary one, so that nobody's record is touched
    keep_going: run the cells after one that raises, too
    Raises as `notebooks.read` does, and ValueError for a parameter that the notebook
    does not have; what a cell raises is in `failures`.
    """
    path = Path(path).resolve()
    if unknown := set(parameters or {}) - (known := _parameters(read(path))):
        raise ValueError(
            f"{path}: no parameter {', '.join(sorted(unknown))}; its cell tagged "
            f"`parameters` sets: {', '.join(sorted(known)) or 'nothing'}"
        )
    with tempfile.TemporaryDirectory(prefix="securetrain-") as scratch:
        claims = Path(scratch, "claims.jsonl")
        output = Path(output or Path(scratch, "executed.ipynb")).resolve()
        kernel = _Kernel(
            Path(scratch, "kernel"),
            os.environ
            | {"SECURETRAIN_WORK": str(Path(scratch, "work"))}
            | dict(env or {})
            | {"SECURETRAIN_CLAIMS": str(claims)},
        )
        stop = _execute(path, output, dict(parameters or {}), kernel, keep_going)
        executed = read(output)
        lines = claims.read_text("utf-8").splitlines() if claims.exists() else []
    return Run(
        path=path,
        seconds=kernel.seconds,
        cpu_seconds=kernel.cpu_seconds,
        peak_mb=kernel.peak_mb,
        claims=tuple(json.loads(line) for line in lines),
        failures=(*stop, *_failures(executed)),
        notebook=executed,
    )


def _parameters(notebook: dict[str, Any]) -> set[str]:
    """Return the names that the cell tagged `parameters` sets."""
    tagged = [
        source(cell)
        for cell in notebook["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    return {
        node.id
        for node in ast.walk(ast.parse("\n".join(tagged)))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


class _Kernel:
    """What we give a kernel, its environment, and what we note of it, its cost."""

    def __init__(self, sockets: Path, env: dict[str, str]) -> None:
        self.sockets, self.env = sockets, env
        self.pid = 0
        self.cell = ""  # the one that runs, or ran last
        self.started = self.seconds = self.cpu_seconds = self.peak_mb = 0.0

    def manager(self) -> type:
        """Return the class of kernel managers that papermill shall use."""
        from jupyter_client.manager import AsyncKernelManager

        class Manager(AsyncKernelManager):
            async def start_kernel(manager, **options: Any) -> None:
                manager.transport = "ipc"  # files: out of other users' reach
                manager.ip = str(self.sockets)
                self.started = time.perf_counter()
                await super().start_kernel(env=self.env, **options)
                self.pid = manager.provisioner.pid

        return Manager

    def on_cell_start(self, cell: dict[str, Any], **_: Any) -> None:
        self.cell = cell.get("id", "")

    def on_cell_executed(self, **_: Any) -> None:
        """Note what the kernel has cost up to now."""
        import psutil

        self.seconds = time.perf_counter() - self.started
        self.cpu_seconds = sum(psutil.Process(self.pid).cpu_times()[:4])
        status = Path(f"/proc/{self.pid}/status")
        if status.exists():  # Linux remembers the peak
            kilobytes = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]
            self.peak_mb = int(kilobytes) * 1024 / 1e6
        else:
            memory = psutil.Process(self.pid).memory_info().rss / 1e6
            self.peak_mb = max(self.peak_mb, memory)


def _execute(
    path: Path,
    output: Path,
    parameters: dict[str, Any],
    kernel: _Kernel,
    keep_going: bool,
) -> list[Failure]:
    """Let papermill run the cells; return what ended the run, if not a cell's error."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        papermill.execute_notebook(
            path,
            output,
            parameters,
            cwd=path.parent,
            progress_bar=False,
            kernel_manager_class=kernel.manager(),
            allow_errors=keep_going,
            execution_timeout=CELL_TIMEOUT,
            on_cell_start=kernel.on_cell_start,
            on_cell_executed=kernel.on_cell_executed,
        )
    except papermill.PapermillExecutionError:
        pass  # the executed notebook holds it
    except (CellTimeoutError, DeadKernelError) as error:
        return [Failure(kernel.cell, type(error).__name__, str(error))]
    return []


def _failures(notebook: dict[str, Any]) -> list[Failure]:
    colours = re.compile(r"\x1b\[[0-9;]*m")
    return [
        Failure(cell["id"], shown["ename"], colours.sub("", shown["evalue"]))
        for cell in notebook["cells"]
        for shown in cell.get("outputs", [])
        if shown["output_type"] == "error"
    ]


def over_budget(run: Run) -> list[str]:
    """Return where a run leaves the course's budgets; a list to read, no failure."""
    found = []
    if run.seconds > AIM_SECONDS:
        found.append(f"{run.seconds:.0f} s, aim {AIM_SECONDS} s on two quiet cores")
    if run.peak_mb > AIM_MB:
        found.append(f"{run.peak_mb:.0f} MB, aim {AIM_MB} MB")
    return found


def summary(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Return the runs as plain data, for a report."""
    return [
        {
            "notebook": _name(run.path),
            "seconds": round(run.seconds, 1),
            "cpu_seconds": round(run.cpu_seconds, 1),
            "peak_mb": round(run.peak_mb),
            "claims": len(run.claims),
            "error": run.error,
        }
        for run in runs
    ]


def _name(path: Path) -> str:
    here = root()
    return str(path.relative_to(here)) if path.is_relative_to(here) else path.name


def table(runs: Iterable[Run]) -> str:
    """Return the runs as a table to print."""
    lines = [f"{'seconds':>8} {'CPU s':>7} {'peak MB':>8}  notebook"]
    lines += [
        f"{row['seconds']:8.1f} {row['cpu_seconds']:7.1f} {row['peak_mb']:8d}  "
        f"{row['notebook']}"
        for row in summary(runs)
    ]
    return "\n".join(lines)
