"""How long a commit waits for each hook: through pre-commit, and its command alone.

The commits are those that tests/test_hooks.py lets through. We aim at two seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from timing import side_by_side

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from test_hooks import BIN, DEMONSTRATIONS, HOOKS, commit, configuration, git  # noqa: E402

AIM = 2.0  # seconds
ENV = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def repository(folder: Path, hook: str) -> tuple[list[str], list[str]]:
    """Make a repository that has the good commit staged; return what is to be timed.

    The first command runs the hook as a commit does, the second without pre-commit.
    """
    shown = DEMONSTRATIONS[hook]()
    config = configuration(hook, shown.arguments)
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    (folder / ".pre-commit-config.yaml").write_text(config)
    made, said = commit(folder, {})
    assert made, said
    for name, content in shown.good.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    git(folder, "add", "--all")
    names = list(shown.good) if HOOKS[hook].get("pass_filenames", True) else []
    command = HOOKS[hook]["entry"].split()[1:]
    alone = [sys.executable, "-m", "securetrain.cli", *command, *shown.arguments]
    return [str(BIN / "pre-commit"), "run", hook], alone + names


def call(line: list[str], folder: Path) -> None:
    """Run a command that must end well."""
    done = subprocess.run(line, cwd=folder, env=ENV, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def hooks(repeats: int = 5) -> dict:
    """Time every hook on its good commit; print those above the aim as such."""
    print(f"\nHooks: seconds of a commit, and of the command alone (aim {AIM:.0f})")
    report = {}
    for hook in HOOKS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "repository"
            whole, alone = repository(folder, hook)

            calls = {
                "commit": partial(call, whole, folder),
                "command": partial(call, alone, folder),
            }
            spent = side_by_side(calls, repeats)
        took = spent["commit"]["median"]
        above = "" if took <= AIM else f"  above {AIM:.0f} seconds"
        print(f"{took:10.2f} {spent['command']['median']:8.2f}  {hook}{above}")
        report[hook] = spent
    return report


if __name__ == "__main__":
    hooks()
