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
if "PYTEST_XDIST_WORKER" in os.environ:  # a thread each where processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A run in the background may be started with Ctrl-C ignored, and what we start would
# inherit that; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
RUNS = pytest.StashKey[list[execution.Run]]()
REPORTS = pytest.StashKey[list[str]]()
# Files whose tests run one after the other in one process, what takes longest first;
# the rest is shared out by file. The grader's jails have the same users in every run,
# the site takes the lessons as they were executed, and some tests count containers.
TOGETHER = {
    "lessons": "containers execution isolation site_pages",
    "grader": "badge_issue check check_magic checker cluster cohort confine exchange "
    "export formgrader grade grading_chain hints hostile intake kpis_command load "
    "mutants outputs proxies rebuild recovery release repository resume rooms sandbox "
    "vault_lab wire zip_collect",
}
GROUPS = {
    f"test_{name}": group for group, names in TOGETHER.items() for name in names.split()
}


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


def pytest_collection_modifyitems(items):
    """Start with what takes longest."""
    order = {group: place for place, group in enumerate(TOGETHER)}
    items.sort(key=lambda item: order.get(group(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Return who hands out the tests to several processes: whole groups, in order."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


def group(nodeid):
    """Return the group of a test: its file's, or a group of the file's own."""
    stem = Path(nodeid.partition("::")[0]).stem
    return GROUPS.get(stem, stem)


def pytest_sessionfinish(session):
    """Hand on the report on notebooks, from the process that ran them."""
    if not (done := session.config.stash.get(RUNS, [])):
        return
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["notebooks"] = report(done)
    else:
        session.config.stash.setdefault(REPORTS, []).append(report(done))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take a report that another process handed on."""
    if text := getattr(node, "workeroutput", {}).get("notebooks"):
        node.config.stash.setdefault(REPORTS, []).append(text)


def pytest_terminal_summary(terminalreporter, config):
    """Print what each notebook cost."""
    for text in config.stash.get(REPORTS, []):
        terminalreporter.section("notebooks")
        terminalreporter.write_line(text)


def report(done):
    """Return what each notebook cost, and write it to build/notebooks.json."""
    place = ROOT / "build" / "notebooks.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(execution.summary(done), indent=1) + "\n")
    lines = [execution.table(done)]
    for run in done:
        name = str(run.path.relative_to(ROOT))
        noted = notebooks.outliers(notebooks.read(run.path), name)
        lines += [f"note: {line}" for line in noted]
        lines += [f"note: {name}: {line}" for line in execution.over_budget(run)]
    return "\n".join(lines)
