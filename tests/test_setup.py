"""Set-up as a user meets it: the real script, a real environment, a tiny lock."""

import ast
import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / ".ci" / "setup.py"

# Builds the tiny course itself, so that no network and no hatchling is needed.
# While a file named `hold` exists it waits: the moment at which a test interrupts.
BACKEND = """
import pathlib, time, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    pathlib.Path("building").touch()
    while pathlib.Path("hold").exists():
        time.sleep(0.02)
    name = "tiny_course-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        info = "tiny_course-1.dist-info/"
        wheel.writestr("tiny_course.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tiny-course\\n"
                       "Version: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny-course"
version = "1"
"""


def load():
    """Import the set-up script, which is no package."""
    spec = importlib.util.spec_from_file_location("setup_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


setup = load()


def wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel of one empty module; return its pin with its hash."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    record = base64.urlsafe_b64encode(hashlib.sha256(b"").digest()).rstrip(b"=")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,sha256={record.decode()},0\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


class Course:
    """A tiny course with the real Makefile and set-up script."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels = folder / "the course", folder / "wheels"
        (self.folder / ".ci").mkdir(parents=True)
        self.wheels.mkdir()
        shutil.copy(SCRIPT, self.folder / ".ci")
        (self.folder / "backend.py").write_text(BACKEND)
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        learner = wheel(self.wheels, "learner", "1")
        self.lock = self.folder / "requirements.lock"
        self.lock.write_text(learner)
        both = learner + wheel(self.wheels, "tester", "1")
        (self.folder / "requirements-dev.lock").write_text(both)
        self.env = {
            **os.environ,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "PYTHON": sys.executable,
        }
        self.env.pop("CPU", None)

    def command(self, profile: str) -> list[str]:
        return [sys.executable, str(self.folder / ".ci" / "setup.py"), profile]

    def set_up(self, profile: str = "course", **env) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(profile),
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def installed(self) -> set[str]:
        """Return which of the three modules the environment imports."""
        code = "import importlib.util as u; print(*[n for n in ('learner', 'tester', "
        code += "'tiny_course') if u.find_spec(n)])"
        python = self.folder / ".venv" / "bin" / "python"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
        return set(done.stdout.split())

    def note(self) -> dict:
        return setup.noted(self.folder / ".venv")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Course:
    """A course set up once for learners."""
    course = Course(tmp_path_factory.mktemp("made"))
    done = course.set_up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Set-up is complete." in done.stdout
    return course


def test_a_learner_gets_what_a_learner_needs(made):
    assert made.installed() == {"learner", "tiny_course"}


def test_a_second_run_does_nothing(made):
    before = (made.folder / ".venv" / "setup.json").stat().st_mtime_ns
    done = made.set_up()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (made.folder / ".venv" / "setup.json").stat().st_mtime_ns == before


def test_tests_upgrade_a_learners_environment_which_still_serves_learners(made):
    assert made.set_up("dev").returncode == 0
    assert made.installed() == {"learner", "tester", "tiny_course"}
    assert made.set_up("course").stdout == ""
    assert made.set_up("dev").stdout == ""


def test_a_changed_lock_is_installed(made):
    made.lock.write_text(wheel(made.wheels, "learner", "2"))
    assert "Installing 1 packages" in made.set_up().stdout
    assert list(made.folder.glob(".venv/lib/*/site-packages/learner-2.dist-info"))
    assert made.set_up().stdout == ""


def test_a_changed_pyproject_installs_the_package_only(made):
    with open(made.folder / "pyproject.toml", "a") as file:
        file.write('description = "changed"\n')
    done = made.set_up()
    assert done.stdout == "Set-up is complete.\n", done.stderr


def test_a_wrong_hash_stops_with_the_reason_and_leaves_no_note(made):
    good = made.lock.read_text()
    pin = wheel(made.wheels, "learner", "3")
    made.lock.write_text(pin[:-9] + "00000000\n")
    done = made.set_up()
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in (made.folder / ".venv/setup.log").read_text()
    assert "setup.log" in done.stderr and "Traceback" not in done.stderr
    assert made.note() == {}
    made.lock.write_text(good)
    assert made.set_up().returncode == 0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_set_up_is_taken_up_again(made, sign):
    (made.folder / ".venv" / "setup.json").unlink()
    hold, building = made.folder / "hold", made.folder / "building"
    building.unlink(missing_ok=True)
    hold.touch()
    run = subprocess.Popen(made.command("course"), env=made.env)
    try:
        for _ in range(1500):
            if building.exists() or run.poll() is not None:
                break
            time.sleep(0.02)
        assert building.exists(), "the set-up never reached the package"
        run.send_signal(sign)
    finally:
        hold.unlink()
        run.wait(60)
    assert run.returncode == (130 if sign == signal.SIGINT else -signal.SIGKILL)
    assert made.note() == {}
    assert made.set_up().returncode == 0
    assert made.note()["folder"] == str(made.folder)


def test_a_moved_course_gets_a_new_environment(made, tmp_path):
    moved = Course(tmp_path)
    shutil.copytree(made.folder, moved.folder, symlinks=True, dirs_exist_ok=True)
    moved.env["PIP_FIND_LINKS"] = made.wheels.as_uri()
    assert "Making .venv" in moved.set_up().stdout
    pip = (moved.folder / ".venv" / "bin" / "pip").read_text()
    assert str(moved.folder) in pip and str(made.folder) not in pip


def test_half_an_environment_is_made_again(tmp_path):
    course = Course(tmp_path)
    (course.folder / ".venv" / "bin").mkdir(parents=True)
    (course.folder / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    done = course.set_up()
    assert done.returncode == 0, done.stderr
    assert course.installed() == {"learner", "tiny_course"}


# What is missing is said in one line.


def fake_python(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def fails_in_one_line(course: Course, **env) -> str:
    done = course.set_up(**env)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (course.folder / ".venv" / "setup.json").exists()
    return done.stderr


def test_a_python_that_is_too_old_is_named(tmp_path):
    fake_python(tmp_path, "python3", "echo 3 8")
    fake_python(tmp_path, "python3.11", "exit 127")  # as a pyenv shim answers
    course = Course(tmp_path)
    says = fails_in_one_line(course, PYTHON="", PATH=str(tmp_path))
    assert "Python 3.11 or newer is needed" in says
    assert "python3 is 3.8" in says and "python3.11 is missing" in says
    says = fails_in_one_line(course, PYTHON=str(tmp_path / "none"))
    assert f"{tmp_path / 'none'} is missing" in says


def test_debians_python_without_venv_names_the_package(tmp_path):
    body = 'case "$*" in *ensurepip*) exit 1;; *) echo 3 11;; esac'
    fake_python(tmp_path, "python3.11", body)
    course = Course(tmp_path)
    says = fails_in_one_line(course, PYTHON="", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "apt install python3.11-venv" in says


def test_an_environment_of_an_old_python_is_not_touched(tmp_path):
    course = Course(tmp_path)
    (course.folder / ".venv" / "bin").mkdir(parents=True)
    fake_python(course.folder / ".venv" / "bin", "python", "echo 3 9")
    assert "made with Python 3.9" in fails_in_one_line(course)
    assert (course.folder / ".venv" / "bin" / "python").exists()


@pytest.mark.parametrize(
    ("build", "free", "enough"),
    [("full", 20e9, True), ("full", 2e9, False), ("cpu", 4e9, True), ("cpu", 1e9, 0)],
)
def test_a_small_disk_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, build, free, enough
):
    usage = shutil.disk_usage(tmp_path)._replace(free=int(free))
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda folder: usage)
    if enough:
        setup.check_disk(tmp_path, build)
    else:
        with pytest.raises(setup.Problem, match=rf"needed, {free / 1e9:.1f} GB free"):
            setup.check_disk(tmp_path, build)


def test_what_is_installed_already_needs_no_second_room(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=int(2e9))
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda folder: usage)
    (tmp_path / ".venv").mkdir()
    with open(tmp_path / ".venv" / "torch", "wb") as file:
        file.truncate(int(setup.GIGABYTES["full"] * 1e9) - int(1e9))  # sparse
    setup.check_disk(tmp_path, "full")


def test_make_without_python_says_so(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = ["make", "--no-print-directory", "lab", "PYTHON=no-python-here"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "no-python-here is missing. Install Python 3.11" in done.stderr


def test_an_old_python_can_read_the_script():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))


# CPU builds


LOCK = (ROOT / "requirements.lock").read_text()


def blocks(lock: str) -> list[str]:
    """Split a lock into its pins, each with its hashes and comments."""
    return re.findall(r"(?m)^[\w.-]+==.*\n(?:\s+.*\n)*", lock)


def test_the_lock_without_torch_keeps_every_other_pin_and_its_hashes():
    before, after = blocks(LOCK), blocks(setup.without_torch(LOCK))
    gone = {block.split("==")[0] for block in before if block not in after}
    assert {"torch", "torchvision", "triton", "cuda-toolkit"} <= gone
    assert all(re.match("torch|triton|nvidia-|cuda-", name) for name in gone)
    assert after == [b for b in before if b.split("==")[0] not in gone]


def test_the_cpu_builds_have_the_locks_versions():
    assert setup.torch_pins(LOCK) == ["torch==2.14.1+cpu", "torchvision==0.29.1+cpu"]


def fake_torch(folder: Path, version: str) -> Path:
    site = folder / ".venv" / "lib" / "python3.11" / "site-packages"
    (site / f"torch-{version}.dist-info").mkdir(parents=True)
    return folder / ".venv"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has two builds")
def test_a_build_once_chosen_stays(tmp_path, monkeypatch):
    monkeypatch.delenv("CPU", raising=False)
    assert setup.wanted_build(tmp_path / ".venv") == "full"
    monkeypatch.setenv("CPU", "1")
    assert setup.wanted_build(tmp_path / ".venv") == "cpu"
    venv = fake_torch(tmp_path, "2.14.1+cpu")
    assert setup.wanted_build(venv) == "cpu"
    monkeypatch.delenv("CPU")
    assert setup.wanted_build(venv) == "cpu"
    monkeypatch.setenv("CPU", "0")
    with pytest.raises(setup.Problem, match="remove the folder .venv"):
        setup.wanted_build(venv)


def test_cpu_builds_come_from_pytorchs_index_and_the_rest_with_hashes(
    tmp_path, monkeypatch
):
    calls = []
    monkeypatch.setattr(setup, "pip_install", lambda venv, *a, **k: calls.append(a))
    setup.install(tmp_path, ROOT / "requirements.lock", "cpu")
    torch, rest = calls
    assert torch[:3] == ("--no-deps", "--index-url", setup.cpu_index())
    assert rest[:2] == ("--no-deps", "--require-hashes")
    assert Path(rest[-1]).read_text() == setup.without_torch(LOCK)


def test_the_readmes_lines_without_make_print_the_same_rest():
    done = subprocess.run([sys.executable, SCRIPT, "rest"], capture_output=True)
    assert done.stdout.decode() == setup.without_torch(LOCK)


# Binder


def test_binder_is_accepted_by_repo2docker():
    command = [Path(sys.executable).with_name("jupyter-repo2docker"), "--no-build"]
    done = subprocess.run([*command, "--debug", ROOT], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    assert "conda environment for python=3.11" in said
    for step in ("pip install --no-cache-dir -r \"binder/requirements.txt\"",
                 "RUN ./binder/postBuild",
                 "R2D_ENTRYPOINT=\"${REPO_DIR}/binder/start\""):  # fmt: skip
        assert step in said


def test_binder_has_the_locks_pytorch():
    lines = (ROOT / "binder" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if "==" in line] == setup.torch_pins(LOCK)
    assert f"--extra-index-url {setup.cpu_index()}" in lines
    assert f"--index-url {setup.cpu_index()} " in (ROOT / "README.md").read_text()


def test_binder_opens_the_home_page_with_the_courses_settings(tmp_path):
    """The start script runs the server; here it prints its settings."""
    server = [Path(sys.executable).with_name("jupyter-lab"), "--show-config-json"]
    env = {**os.environ, "HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "binder" / "start", *server],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    settings = json.loads(done.stdout)
    home = settings["LabApp"]["default_url"].removeprefix("/lab/tree/")
    assert (ROOT / home).is_file()
    assert settings["LabApp"]["news_url"] is None
    extensions = settings["ServerApp"]["jpserver_extensions"]
    assert "nbgrader.server_extensions.formgrader': False" in extensions


# The jail that grading is going to need


def test_bubblewrap_cuts_the_network():
    """A listening port on this machine is out of reach from inside."""
    if shutil.which("bwrap") is None:
        message = "bubblewrap is missing (Debian, Ubuntu: sudo apt install bubblewrap)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    code = (
        "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        visit = [sys.executable, "-c", code, str(server.getsockname()[1])]
        jail = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-all"]
        outside, inside = (
            subprocess.run([*start, *visit], capture_output=True, text=True)
            for start in ([], [*jail, "--die-with-parent"])
        )
    assert outside.returncode == 0, outside.stderr
    assert "Connection refused" in inside.stderr or "unreachable" in inside.stderr
