"""What several tests share: a small course to break, and the notebooks' report."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from grading_runs import grading  # noqa: F401 (a fixture)
from postgres_server import postgres, postgres_server  # noqa: F401 (fixtures)

from securetrain import execution, notebooks

ROOT = Path(__file__).resolve().parents[1]
# matplotlib's list of fonts holds absolute paths: one kept for all environments of a
# user warns about fonts of an environment that is gone.
os.environ.setdefault("MPLCONFIGDIR", str(Path(sys.prefix) / "var" / "matplotlib"))
# A run in the background may be started with Ctrl-C ignored, and what we start would
# inherit that; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
RUNS = pytest.StashKey[list[execution.Run]]()


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Return a writable course of one short lesson and one lab, made the root."""
    here = tmp_path.resolve() / "course-copy"
    shutil.copytree(ROOT / "tests" / "fixtures" / "course", here)
    monkeypatch.setenv("SECURETRAIN_ROOT", str(here))
    monkeypatch.delenv("SECURETRAIN_WORK", raising=False)
    return here


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Return the learner's own folder: a new one, not made yet."""
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.fixture
def edit():
    """Return a function that changes cells of a notebook: edit(path, clip=…)."""

    def change(path: Path, **cells) -> None:
        notebook = notebooks.read(path)
        for cell in notebook["cells"]:
            if replace := cells.get(cell["id"].replace("-", "_")):
                replace(cell)
        notebooks.write(path, notebook)

    return change


@pytest.fixture
def instructor(course, tmp_path):
    """Return a function that runs nbgrader as an instructor does, in graders/."""
    shutil.copy(ROOT / "graders" / "nbgrader_config.py", course / "graders")
    environment = {
        key: value for key, value in os.environ.items() if "JUPYTER" not in key
    } | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "JUPYTER_CONFIG_DIR": str(tmp_path / "no-config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
    }

    def run(*words: str, cwd: Path = course / "graders") -> str:
        done = subprocess.run(
            ["nbgrader", *words],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"nbgrader {' '.join(words)}\n{done.stdout}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def jail():
    """Return a warm jail; it takes one submission at a time."""
    from graders.sandbox import Jail

    jail = Jail(["numpy"], slot=44)
    jail.wait()
    yield jail
    jail.close()


@pytest.fixture
def started(jail):
    """Return a function that starts a student's process with some cells run."""
    from graders.checker import Session
    from graders.sandbox import Limits

    small = Limits(cpu_step=2, cpu_total=8, memory_mb=600, processes=32, idle=3)
    sessions = []

    def start(*cells, limits=small):
        for before in sessions[-1:]:
            before.close()
        sessions.append(Session(jail, limits))
        for code in cells:
            assert sessions[-1].run(code)["error"] is None
        return sessions[-1]

    yield start
    for last in sessions[-1:]:
        last.close()


@pytest.fixture(scope="session")
def runs(pytestconfig):
    """Return the list of notebook runs that the report is made from."""
    return pytestconfig.stash.setdefault(RUNS, [])


def pytest_terminal_summary(terminalreporter, config):
    """Print what each notebook cost, and write it to build/notebooks.json."""
    if not (done := config.stash.get(RUNS, [])):
        return
    report = ROOT / "build" / "notebooks.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(execution.summary(done), indent=1) + "\n")
    terminalreporter.section("notebooks")
    terminalreporter.write_line(execution.table(done))
    for run in done:
        name = str(run.path.relative_to(ROOT))
        for line in notebooks.outliers(notebooks.read(run.path), name):
            terminalreporter.write_line(f"note: {line}")
        for line in execution.over_budget(run):
            terminalreporter.write_line(f"note: {name}: {line}")
