"""The command line: `securetrain COMMAND …`."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from securetrain import terminals

# name: (module, what it does). A module is imported only when its command is
# called, and offers main(argv: list[str]) -> int, the exit status.
COMMANDS = {
    "lab": ("securetrain.lab", "open JupyterLab at the learner's home page"),
    "start": ("securetrain.lab_copies", "make your own copy of a lab under work/"),
    "progress": ("securetrain.progress_command", "show or export your own record"),
    "feedback": ("securetrain.feedback_command", "say which units to adjust"),
    "tidy": ("securetrain.notebooks", "strip outputs and stray metadata"),
    "provenance": ("securetrain.provenance_command", "sign and verify a data set"),
    "gate": ("securetrain.gate_command", "refuse models that must not be deployed"),
    "secrets": ("securetrain.secrets_command", "scan files, read an audit log"),
    "dependencies": ("securetrain.dependencies_command", "check pins, list packages"),
    "alerts": ("securetrain.alerts_command", "refuse alert rules that cannot fire"),
    "cloud": ("securetrain.cloud_command", "refuse jobs that leave something open"),
    "cluster": ("securetrain.cluster_command", "judge Kubernetes manifests"),
    "serving": ("securetrain.serving_command", "serve with closed settings only"),
    "workflows": ("securetrain.workflows_command", "check pipelines, gate commits"),
    "policy": ("securetrain.policy_command", "hold a repository to its own rules"),
    "reports": ("securetrain.reports_command", "sign what a scan found, ask for it"),
    "runs": ("securetrain.runs_command", "check the signed log of training runs"),
    "badge": ("securetrain.badge_command", "issue badges, check them anywhere"),
    "scenario": ("securetrain.scenario_command", "rehearse a fresh incident"),
    "clips": ("securetrain.clips_command", "film the clips whose source changed"),
    "claims": ("securetrain.ledger", "run every claim over several seeds"),
}


def find(name: str) -> Callable[[list[str]], int] | None:
    """Return the function behind a command, or None when there is none."""
    if name in COMMANDS:
        return importlib.import_module(COMMANDS[name][0]).main
    for entry in entry_points(group="securetrain.commands", name=name):
        return entry.load()
    return None


def listed() -> dict[str, tuple[str, str]]:
    """Return every command, the graders' last: its name -> its module, what it does."""
    found = dict(COMMANDS)
    for entry in sorted(entry_points(group="securetrain.commands")):
        says = _first_line(entry.module).rstrip(".")
        found[entry.name] = entry.module, says[:1].lower() + says[1:]
    return found


def usage() -> str:
    """Return the list of commands."""
    lines = ["usage: securetrain COMMAND [--help]", "", "commands:"]
    lines += [f"  {name:<12} {says}" for name, (_, says) in listed().items()]
    return "\n".join(lines)


def _first_line(module: str) -> str:
    """Return the first line of a module's docstring, without importing it."""
    file = importlib.util.find_spec(module).origin
    doc = ast.get_docstring(ast.parse(Path(file).read_text("utf-8")))
    return (doc or "").partition("\n")[0]


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    command = find(name)
    if command is None:
        print(f"securetrain: no command '{name}'\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        return command(rest)
    except (OSError, ValueError) as error:
        print(f"securetrain {name}: {_says(error)}", file=sys.stderr)
        return 2


def _says(error: Exception) -> str:
    """Return an error in words; the system's own names the file first."""
    said = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        said = f"{error.filename}: {error.strerror}"
    return terminals.lines(said)  # both may hold what somebody else wrote


if __name__ == "__main__":
    sys.exit(main())
