"""A program that tries to get out, run for real under each runtime that is here."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from securetrain import isolation, processes, runc
from securetrain.isolation import Bind, Isolation, NoIsolation, command

BWRAP = shutil.which("bwrap") is not None
RUNC = os.getuid() == 0 and any(map(shutil.which, ("runc", "/usr/sbin/runc")))
needs_bwrap = pytest.mark.skipif(not BWRAP, reason="bubblewrap is not installed")
RUNTIMES = [
    pytest.param("bubblewrap", marks=needs_bwrap),
    pytest.param("runc", marks=pytest.mark.skipif(not RUNC, reason="no runc as root")),
]
REPOSITORY = Path(isolation.__file__).parents[1]
PATH = {"PATH": "/usr/bin:/bin"}
SMALL = Isolation(environment=PATH)
STATUS = "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/self/status"


def sh(text: str, settings: Isolation = SMALL, **more):
    return isolation.run(settings, ["/bin/sh", "-c", text], **more)


@pytest.fixture
def listener():
    """Return a port of 127.0.0.1 that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def connects(port: int, settings: Isolation, **more) -> isolation.Result:
    return sh(f"exec 3<>/dev/tcp/127.0.0.1/{port}", settings, **more)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_least_is_the_default(runtime):
    said = sh(f"{STATUS}; env; hostname", runtime=runtime)
    assert said.exit_code == 0, said.stderr
    fields = dict(x.split(":\t") for x in said.stdout.splitlines() if ":\t" in x)
    assert set(fields["Uid"].split()) == {"65534"}
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    # runc gives a HOME of its own: /
    names = {x.split("=")[0] for x in said.stdout.splitlines() if "=" in x}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD", "HOME"} == {"PATH"}
    assert "sandbox" in said.stdout


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_only_where_it_is_given(runtime, listener):
    text = f"exec 3<>/dev/tcp/127.0.0.1/{listener} && echo reached"
    for network, reached in (("none", False), ("host", True)):
        settings = Isolation(network=network, environment=PATH)
        said = isolation.run(settings, ["/bin/bash", "-c", text], runtime=runtime)
        assert ("reached" in said.stdout) is reached, said
        assert (said.exit_code == 0) is reached


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_to_write_on_but_what_is_given(runtime):
    for place in ("/", "/usr", "/etc", "/dev", "/opt"):
        said = sh(f"mkdir -p {place}/x && echo x > {place}/x/y", runtime=runtime)
        assert said.exit_code != 0, place
    settings = Isolation(environment=PATH, writable=("/tmp", "/var/work"))
    said = sh("echo a > /tmp/a && echo b > /var/work/b && cat /tmp/a", settings)
    assert said.stdout == "a\n", said.stderr
    settings = Isolation(environment=PATH, writable=("/tmp",))
    assert sh("ls -A /tmp", settings, runtime=runtime).stdout == ""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_binds_show_what_is_given_and_keep_what_is_written(runtime):
    with isolation.scratch() as folder:
        (folder / "in").write_text("data")
        (folder / "in").chmod(0o644)
        binds = [Bind(str(folder), "/job", writable=True)]
        said = sh("cat /job/in && echo out > /job/out", binds=binds, runtime=runtime)
        assert (said.exit_code, said.stdout) == (0, "data"), said.stderr
        assert (folder / "out").read_text() == "out\n"
        binds = [Bind(str(folder), "/job"), Bind("/absent", optional=True)]
        said = sh("echo more >> /job/out", binds=binds, runtime=runtime)
        assert said.exit_code != 0
        assert (folder / "out").read_text() == "out\n"
    assert not folder.exists()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_our_files_environment_and_processes_are_out_of_sight(runtime, monkeypatch):
    monkeypatch.setenv("MOCK_TOKEN", "mock-value")
    said = sh(
        f"env; cat {REPOSITORY}/README.md; ls /root /home; cat /proc/[0-9]*/environ",
        runtime=runtime,
    )
    assert "mock-value" not in said.stdout + said.stderr
    assert "Secure" not in said.stdout
    seen = sh("ls -d /proc/[0-9]*", runtime=runtime).stdout.split()
    assert len(seen) < 6, "processes of this machine are seen"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_time_is_up(runtime):
    before = time.monotonic()
    said = sh("echo begun; sleep 61.25", seconds=2, runtime=runtime)
    assert said.timed_out and said.exit_code is None
    assert said.stdout == "begun\n"
    assert time.monotonic() - before < 30
    assert _running("sleep 61.25") == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_endless_output_is_cut(runtime):
    said = sh("head -c 5000000 /dev/zero | tr '\\0' x; echo end >&2", runtime=runtime)
    assert said.exit_code == 0 and said.truncated
    assert len(said.stdout) == processes.KEPT and said.stderr == "end\n"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_exit_codes_are_the_programs(runtime):
    assert sh("exit 1", runtime=runtime).exit_code == 1
    assert sh("exit 77", runtime=runtime).exit_code == 77
    assert sh("sh -c 'kill -9 $$'; exit $?", runtime=runtime).exit_code == 137
    said = sh(
        "echo '{ \"exit-code\": 0 }'; echo bwrap: no >&2; exit 1", runtime=runtime
    )
    assert said.exit_code == 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_was_not_started_is_an_error(runtime):
    with pytest.raises(NoIsolation, match="not started"):
        isolation.run(SMALL, ["/no/such/program"], runtime=runtime)
    with pytest.raises(NoIsolation, match="not started"):
        sh("true", binds=[Bind("/no/such/folder")], runtime=runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_limits(runtime):
    python = ["/usr/bin/python3", "-c", "x = bytearray(900 << 20); print(len(x))"]
    if not Path(python[0]).exists():
        python[0] = sys.executable
    binds = isolation.python_binds()
    small = Isolation(environment=PATH, memory_mb=300)
    said = isolation.run(small, python, binds=binds, runtime=runtime)
    assert said.exit_code == 1 and "MemoryError" in said.stderr
    few = Isolation(environment=PATH, processes=8)
    text = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3 & done; wait"
    said = sh(text, few, runtime=runtime)
    assert "fork" in said.stderr.lower(), said


@needs_bwrap
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("user", [61235, isolation.NOBODY])
def test_only_what_is_inside_counts_to_a_limit_of_processes(user):
    """Somebody's desktop has hundreds of processes: they must not keep a job out."""
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    text = "for n in $(seq 40); do sleep 63.25 & done; echo up; wait"
    with processes.running([*become, "/bin/bash", "-c", text], b"") as busy:
        until = time.monotonic() + 60
        while "up" not in busy.output and time.monotonic() < until:
            time.sleep(0.05)
        said = subprocess.run(
            [*become, sys.executable, "-c", LIMITED],
            env=PATH | {"PYTHONPATH": str(REPOSITORY)}, cwd="/",
            capture_output=True, text=True,
        )  # fmt: skip
        assert said.stdout == "ours\n", said.stderr
        few = Isolation(environment=PATH, processes=8)
        assert sh("echo ours", few).stdout == "ours\n"


LIMITED = """
from securetrain.isolation import Isolation, run
print(run(Isolation(processes=8), ["/bin/sh", "-c", "echo ours"]).stdout, end="")
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_capabilities_that_are_given_arrive(runtime):
    settings = Isolation(environment=PATH, capabilities=("CAP_NET_BIND_SERVICE",))
    said = sh(STATUS, settings, runtime=runtime)
    fields = dict(x.split(":\t") for x in said.stdout.splitlines())
    assert int(fields["CapEff"], 16) == 1 << 10


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_root_of_its_own(runtime):
    with isolation.scratch() as root:
        for name in ("bin", "lib", "lib64", "proc", "dev", "usr"):
            (root / name).mkdir()
        binds = [Bind("/usr")]
        for name in ("bin", "lib", "lib64"):
            (root / name).rmdir()
            (root / name).symlink_to(f"usr/{name}")
        (root / "label").write_text("ours")
        (root / "label").chmod(0o644)
        more = {"root": root, "binds": binds, "runtime": runtime}
        said = sh("cat /label; echo x > /label", **more)
        assert said.stdout == "ours" and said.exit_code != 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_service_answers_and_is_gone_after(runtime):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    settings = Isolation(network="host", environment=PATH)
    more = {"binds": isolation.python_binds(), "port": port, "runtime": runtime}
    with isolation.start(settings, served, **more) as service:
        assert service.pid and _running(f"http.server {port}")
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.0 200")
    assert not _running(f"http.server {port}")
    with pytest.raises(ZeroDivisionError), isolation.start(settings, served, **more):
        raise ZeroDivisionError
    assert not _running(f"http.server {port}")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_service_that_ends_early_says_so(runtime):
    settings = Isolation(network="host", environment=PATH)
    program = ["/bin/sh", "-c", "echo no luck >&2; exit 3"]
    with (
        pytest.raises(NoIsolation, match="no luck"),
        isolation.start(settings, program, port=9, runtime=runtime),
    ):
        pytest.fail("it was given as a running service")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_interrupt_leaves_nothing_running(runtime):
    text = f"""
from securetrain.isolation import Isolation, run, start
print("go", flush=True)
with start(Isolation(), ["/bin/sleep", "71.25"], runtime={runtime!r}):
    run(Isolation(), ["/bin/sleep", "72.25"], runtime={runtime!r})
"""
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY))
    outer = subprocess.Popen(
        [sys.executable, "-c", text],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        outer.stdout.readline()
        until = time.monotonic() + 60
        while not (_running("sleep 71.25") and _running("sleep 72.25")):
            assert time.monotonic() < until, "it never started"
            time.sleep(0.1)
        outer.send_signal(signal.SIGINT)
        assert outer.wait(60) != 0
        assert not _running("sleep 71.25") and not _running("sleep 72.25")
    finally:
        outer.kill()
        outer.wait()
        outer.stdout.close()


@needs_bwrap
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become someone else")
def test_as_an_unprivileged_user():
    text = """
from securetrain.isolation import Isolation, run
settings = Isolation(environment={"PATH": "/usr/bin:/bin"})
said = run(settings, ["/bin/sh", "-c", "id -u; exec 3<>/dev/tcp/127.0.0.1/PORT"])
print(said.stdout.strip(), said.exit_code)
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = text.replace("PORT", str(server.getsockname()[1]))
        text = text.replace("/bin/sh", "/bin/bash")
        become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        done = subprocess.run(
            [*become, sys.executable, "-c", text],
            env=PATH | {"PYTHONPATH": str(REPOSITORY)},
            cwd="/",
            capture_output=True,
            text=True,
        )
    assert done.stdout == "65534 1\n", done.stderr


def test_the_command_line_is_plain():
    line = command(SMALL, ["prog", "--flag"], as_root=True)
    assert line.index("setpriv") < line.index("--clearenv")
    assert "setpriv" not in command(SMALL, ["prog"])
    assert line[-3:] == ["--", "prog", "--flag"]
    assert "--unshare-net" in line and "--clearenv" in line
    limited = Isolation(memory_mb=100, processes=9)
    line = command(limited, ["prog"])
    assert line[:3] == ["prlimit", "--as=104857600", "--"]
    assert line[-4:] == ["prlimit", "--nproc=9", "--", "prog"]
    online = command(Isolation(network="host", user=0), ["prog"], as_root=True)
    assert "--unshare-net" not in online and "setpriv" not in online
    assert "/etc/resolv.conf" in online and "/etc/resolv.conf" not in line


def test_runc_gets_the_same_settings():
    settings = Isolation(memory_mb=100, processes=9, no_new_privileges=False)
    made = json.loads(json.dumps(runc.config(settings, ["prog"], "/r", [])))
    assert made["root"] == {"path": "/r", "readonly": True}
    assert {"type": "network"} in made["linux"]["namespaces"]
    assert made["process"]["noNewPrivileges"] is False
    assert made["process"]["terminal"] is False
    assert {x["type"]: x["hard"] for x in made["process"]["rlimits"]} == {
        "RLIMIT_AS": 100 << 20,
        "RLIMIT_NPROC": 9,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": "off"},
        {"user": -1},
        {"capabilities": ("NET_ADMIN",)},
        {"writable": ("tmp",)},
        {"writable": ("/",)},
        {"environment": {"A=B": "c"}},
        {"environment": {"A": "b\0c"}},
        {"memory_mb": 0},
        {"processes": 0},
    ],
)
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match="|".join((*wrong, "capab", "limit", "name"))):
        Isolation(**wrong)


def test_wrong_use(monkeypatch):
    for program in ([], [""], [None]):
        with pytest.raises(ValueError, match="expected a program"):
            command(SMALL, program)
    with pytest.raises(ValueError, match="absolute"):
        Bind("here")
    with pytest.raises(ValueError, match="runtime"):
        isolation.tool("docker")
    with pytest.raises(ValueError, match="no_new_privs"):
        command(Isolation(no_new_privileges=False), ["prog"])
    with (
        pytest.raises(ValueError, match='network="host"'),
        isolation.start(SMALL, ["prog"], port=1),
    ):
        pass
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    for runtime, package in (("bubblewrap", "bubblewrap"), ("runc", "runc")):
        with pytest.raises(NoIsolation, match=f"apt install {package}"):
            isolation.tool(runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_tool_says_what_it_is(runtime):
    found = isolation.tool(runtime)
    assert found.name == runtime and found.version[0].isdigit()
    assert str(found) == f"{runtime} {found.version}"


def _running(words: str) -> list[str]:
    """Return the processes whose command line holds these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if words in line and "python -c" not in line and "pytest" not in line:
            found.append(line)
    return found
