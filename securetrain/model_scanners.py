"""Three real scanners of model files, asked about the same file side by side.

A verdict is what this version of a tool said today about one file. Tools learn new
names every month, and attackers too: none of them is a boundary.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from datetime import UTC, datetime
from pathlib import Path

from securetrain.quiet import quiet

CLEAN, FLAGGED, ERROR, ABSENT = "clean", "flagged", "error", "not installed"
TOOLS = ("picklescan", "modelscan", "fickling")


def version(tool: str) -> str:
    """Return a tool's version, "" when it is not installed."""
    if importlib.util.find_spec(tool) is None:
        return ""
    return importlib.metadata.version(tool)


def heading() -> str:
    """Return the tools with their versions, and the day: a verdict ages."""
    names = [f"{tool} {version(tool) or ABSENT}" for tool in TOOLS]
    return f"{', '.join(names)}; {datetime.now(UTC):%Y-%m-%d}"


def scan(tool: str, path: Path) -> tuple[str, str]:
    """Return a scanner's verdict on one file, and what it said.

    "error" where the tool could not read the file, skipped it, or failed: that is no
    "clean". Raises ValueError for an unknown tool.
    """
    if tool not in TOOLS:
        raise ValueError(f"unknown scanner {tool!r}, expected one of {TOOLS}")
    if not version(tool):
        return ABSENT, f"{tool} is not installed: pip install {tool}"
    if not path.is_file():
        return ERROR, f"{path} is no file"
    try:
        with quiet():
            return {
                "picklescan": _picklescan,
                "modelscan": _modelscan,
                "fickling": _fickling,
            }[tool](path)
    except Exception as error:  # a scanner that fails has not seen the file
        return ERROR, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _picklescan(path: Path) -> tuple[str, str]:
    from picklescan.scanner import scan_file_path

    result = scan_file_path(str(path))
    bad = [g for g in result.globals if g.safety.value == "dangerous"]
    if result.issues_count:
        return FLAGGED, ", ".join(sorted(f"{g.module}.{g.name}" for g in bad))
    if result.scan_err or not result.scanned_files:
        return ERROR, "could not read the file, or scanned nothing in it"
    return CLEAN, f"{len(result.globals)} names seen"


def _modelscan(path: Path) -> tuple[str, str]:
    from modelscan.modelscan import ModelScan

    # Its console report breaks lines inside the JSON: this is what it is made from.
    report = ModelScan().scan(str(path))
    if report["summary"]["total_issues"]:
        found = {f"{i['module']}.{i['operator']}" for i in report["issues"]}
        return FLAGGED, ", ".join(sorted(found))
    if report["errors"]:
        return ERROR, "; ".join(str(e["description"]) for e in report["errors"])[:200]
    scanned = report["summary"]["scanned"]["total_scanned"]
    if not scanned:
        return ERROR, "skipped the file"
    return CLEAN, f"{scanned} parts scanned"


def _fickling(path: Path) -> tuple[str, str]:
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import Pickled
    from fickling.pytorch import PyTorchModelWrapper

    with open(path, "rb") as file:
        archive = file.read(2) == b"PK"
        file.seek(0)
        # The command cannot read PyTorch's zip files; the wrapper can. Without a path
        # for its report, nothing is left in the working folder.
        found = PyTorchModelWrapper(path).pickled if archive else Pickled.load(file)
        result = check_safety(found, json_output_path=None)
    if result.severity == Severity.LIKELY_SAFE:
        return CLEAN, "likely safe"
    return FLAGGED, result.severity.name.replace("_", " ").lower()


def verdicts(path: Path) -> dict[str, str]:
    """Return the verdict on a file of each tool that is installed."""
    return {tool: scan(tool, path)[0] for tool in TOOLS if version(tool)}
