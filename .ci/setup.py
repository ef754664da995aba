"""Make `.venv/` or bring it up to date from a hashed lock.

    python3 .ci/setup.py course    what a learner needs (make lab)
    python3 .ci/setup.py dev       the same and the tests' needs (make test)
    python3 .ci/setup.py rest      print the learner's lock without PyTorch

Standard library only, in syntax that an old Python reads, so that a missing
prerequisite ends in one line that says what to do. What is installed is noted
in `.venv/setup.json` last of all: an interrupted set-up is taken up again.

Environment: PYTHON names the Python to use; CPU=1 takes PyTorch's CPU builds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"course": "requirements.lock", "dev": "requirements-dev.lock"}
COVERS = {"course": ("course",), "dev": ("course", "dev")}
OLDEST, TESTED = (3, 11), (3, 11)
GIGABYTES = {"full": 10.0, "cpu": 3.0}  # while installing: unpacked plus downloads
CUDA = re.compile(r"(torch|torchvision|triton|nvidia-[\w-]+|cuda-[\w-]+)==")


class Problem(Exception):
    """Something the user can put right; the message says how."""


def version(python: str) -> tuple[int, ...]:
    """Return (major, minor) of an interpreter, or () when it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True)
    except OSError:
        return ()
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


def dotted(found: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, found)) or "missing"


def interpreter() -> str:
    """Return the Python to build with: $PYTHON, else 3.11, else a newer one."""
    named = os.environ.get("PYTHON")
    seen = []
    for name in [named] if named else ["python3.11", "python3", "python"]:
        found = version(name)
        if found >= OLDEST:
            if found != TESTED:
                say(f"Python {dotted(found)}: the course is tested with 3.11 only.")
            return name
        seen.append(f"{name} is {dotted(found)}")
    raise Problem(
        f"Python 3.11 or newer is needed; {', '.join(seen)}. Install it (Debian, "
        "Ubuntu: sudo apt install python3.11 python3.11-venv) or name one: "
        "make lab PYTHON=/path/to/python3.11"
    )


def check_venv_module(python: str) -> None:
    """Raise Problem when this Python cannot make an environment (Debian)."""
    code = "import ensurepip, venv"
    if subprocess.run([python, "-I", "-c", code], capture_output=True).returncode:
        raise Problem(
            f"{python} lacks its venv module. Install it (Debian, Ubuntu: sudo apt "
            f"install python{dotted(version(python))}-venv) and run the same command "
            "again."
        )


def check_disk(folder: Path, build: str) -> None:
    """Raise Problem when the disk is too small for what is still to come."""
    here = folder / ".venv"
    have = sum(p.lstat().st_size for p in here.rglob("*") if not p.is_dir()) / 1e9
    need = max(GIGABYTES[build] - have, 0.5)
    free = shutil.disk_usage(folder).free / 1e9
    if free < need:
        smaller = "" if build == "cpu" else "; CPU=1 make lab needs 3 GB"
        raise Problem(
            f"Not enough disk space: {need:.1f} GB needed, {free:.1f} GB free in "
            f"{folder}. Free some{smaller}."
        )


def installed_build(venv: Path) -> str | None:
    """Return which PyTorch an environment holds: "cpu", "full" or None."""
    for info in venv.glob("lib/python*/site-packages/torch-*.dist-info"):
        return "cpu" if "+cpu" in info.name else "full"
    return None


def wanted_build(venv: Path) -> str:
    """Return "cpu" or "full": what CPU says, else what is there, else full.

    Raises Problem when the environment holds the other one.
    """
    there, cpu = installed_build(venv), os.environ.get("CPU")
    if not cpu or not sys.platform.startswith("linux"):  # elsewhere there is only one
        return there or "full"
    build = "full" if cpu == "0" else "cpu"
    if there not in (None, build):
        raise Problem(
            f".venv holds PyTorch's {there} build. To change to the {build} build, "
            "remove the folder .venv and run the same command again."
        )
    return build


def torch_pins(lock: str) -> list[str]:
    """Return the pins of PyTorch in a lock, as names of its CPU builds."""
    return [p + "+cpu" for p in re.findall(r"(?m)^torch(?:vision)?==[\w.]+", lock)]


def cpu_index() -> str:
    """Return the address of PyTorch's CPU builds, which Binder uses, too."""
    text = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8")
    return re.search(r"--extra-index-url (\S+)", text)[1]


def without_torch(lock: str) -> str:
    """Return a lock without PyTorch and what only its CUDA builds need."""
    kept, keep = [], True
    for line in lock.splitlines(keepends=True):
        if not line[0].isspace():  # a pin; its hashes and comments are indented
            keep = not CUDA.match(line)
        if keep:
            kept.append(line)
    return "".join(kept)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wanted(folder: Path, profile: str) -> dict[str, str]:
    """Return what `.venv/setup.json` says when nothing is left to do."""
    state = {name: digest(folder / LOCKS[name]) for name in COVERS[profile]}
    state["package"] = digest(folder / "pyproject.toml")
    state["folder"] = str(folder)  # scripts in .venv/bin name it: a moved one is stale
    return state


def noted(venv: Path) -> dict[str, str]:
    """Return what `.venv/setup.json` says, {} when there is none."""
    try:
        return json.loads((venv / "setup.json").read_text())
    except (OSError, ValueError):
        return {}


def make_venv(venv: Path, moved: bool) -> None:
    """Make the environment unless one is there that works."""
    python = str(venv / "bin" / "python")
    there = version(python)
    if there and there < OLDEST:
        raise Problem(
            f".venv was made with Python {dotted(there)}; 3.11 or newer is needed. "
            "Remove the folder .venv and run the same command again."
        )
    if there and not moved:
        pip = [python, "-I", "-m", "pip", "--version"]
        if subprocess.run(pip, stdout=subprocess.DEVNULL).returncode == 0:
            return
    best = interpreter()
    check_venv_module(best)
    say("Making .venv ...")
    subprocess.run([best, "-I", "-m", "venv", "--clear", str(venv)], check=True)


def pip_install(venv: Path, *args: str, total: int = 0) -> None:
    """Run pip quietly; its whole output goes to `.venv/setup.log`."""
    command = [str(venv / "bin" / "python"), "-I", "-m", "pip", "install", "--no-input"]
    command += ["--progress-bar", "off", *args]
    log = venv / "setup.log"
    # /tmp is often too small for PyTorch. A folder of its own for each run: a pip
    # that a killed set-up left behind must not meet the next one's files.
    scratch = Path(tempfile.mkdtemp(prefix="tmp-", dir=venv))
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    env.update(PIP_USER="0", TMPDIR=str(scratch), PIP_DISABLE_PIP_VERSION_CHECK="1")
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    lines = []
    with subprocess.Popen(command, env=env, **pipe) as pip:
        try:
            for raw in pip.stdout:
                lines.append(raw.decode("utf-8", "replace"))
                show_progress(lines, total)
        except BaseException:  # Ctrl-C: leave no pip at work behind us
            pip.terminate()
            raise
    shutil.rmtree(scratch, ignore_errors=True)
    log.write_text("".join(lines), encoding="utf-8")
    if pip.returncode:
        raise Problem(
            f"pip stopped:\n{''.join(lines[-6:])}The whole output is in {log}. Run the "
            "same command again: it goes on where it stopped. If it stops at the same "
            "place, remove the folder .venv first."
        )


def show_progress(lines: list[str], total: int) -> None:
    """Rewrite one line on a terminal: how many packages have been fetched."""
    if not (total and sys.stdout.isatty()):
        return
    word, _, name = lines[-1].partition(" ")
    if word == "Collecting":
        count = sum(line.startswith("Collecting ") for line in lines)
        print(f"\r\033[K  {count} of {total}: {name.split()[0]}", end="", flush=True)
    elif word in ("Installing", "Successfully"):
        end = " unpacking ..." if word == "Installing" else " done\n"
        print(f"\r\033[K {end}", end="", flush=True)


def install(venv: Path, lock: Path, build: str) -> None:
    """Install every pin of a lock, checked against its hashes."""
    text = lock.read_text(encoding="utf-8")
    if build == "cpu":
        pins, index = torch_pins(text), cpu_index()
        say(f"Installing {' '.join(pins)} from {index}, not hashed ...")
        pip_install(venv, "--no-deps", "--index-url", index, *pins)
        text = without_torch(text)
        lock = venv / ("rest-" + lock.name)
        lock.write_text(text, encoding="utf-8")
    pins = re.findall(r"(?m)^[\w.-]+==.*", text)
    here = f"sys_platform == '{sys.platform}'"
    total = sum(";" not in pin or here in pin for pin in pins)
    say(f"Installing {total} packages, about 2 to 5 minutes on a fast line ...")
    # The lock is complete, so there is nothing to resolve.
    pip_install(venv, "--no-deps", "--require-hashes", "-r", str(lock), total=total)


def set_up(folder: Path, profile: str) -> None:
    """Bring `.venv/` to what a profile needs; do nothing when it is there."""
    venv = folder / ".venv"
    build, want, have = wanted_build(venv), wanted(folder, profile), noted(venv)
    if want.items() <= have.items() and version(str(venv / "bin" / "python")):
        return
    check_disk(folder, build)
    moved = have.get("folder", str(folder)) != str(folder)
    make_venv(venv, moved)
    note = venv / "setup.json"
    if note.exists():
        note.unlink()
    if moved or any(have.get(name) != want[name] for name in COVERS[profile]):
        have = {}
        install(venv, folder / LOCKS[profile], build)
    package = ("--no-deps", "--no-build-isolation", "--editable", str(folder))
    pip_install(venv, *package)
    for stale in venv.glob("tmp-*"):
        shutil.rmtree(stale, ignore_errors=True)
    note.write_text(json.dumps({**have, **want}, indent=2) + "\n", encoding="utf-8")
    say("Set-up is complete.")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def main(argv: list[str]) -> int:
    """Run one profile and return the exit status."""
    if len(argv) != 1 or argv[0] not in ("course", "dev", "rest"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if argv[0] == "rest":
            lock = (ROOT / LOCKS["course"]).read_text(encoding="utf-8")
            print(without_torch(lock), end="")
        elif os.name == "nt":
            raise Problem("Windows is not supported: use WSL 2 (wsl --install).")
        else:
            set_up(ROOT, argv[0])
    except Problem as problem:
        print(f"Set-up: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
