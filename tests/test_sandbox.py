"""The jail used directly: what is inside, which limits hold, what happens at a limit.

Each test is a submission of its own in one shared jail, so they also show that the jail
goes on whatever the last submission did.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import graders.sandbox
from graders.checker import Proxy, Session
from graders.sandbox import FIRST_USER, Gone, Jail, Limits, NoJail
from securetrain.cli import main

ROOT = Path(__file__).resolve().parents[1]
SMALL = Limits(
    cpu_step=1, cpu_total=4, memory_mb=400, processes=24, tmp_mb=8, idle=3, wall=120
)
WIDE = Limits(cpu_step=60, cpu_total=120, memory_mb=1000)
FEW = replace(WIDE, processes=24)
LIBC = ctypes.CDLL(None)


@pytest.fixture(scope="module")
def jail():
    with closing(Jail(["numpy"], slot=40)) as jail:
        jail.wait()
        yield jail


def run(student, code):
    """Run a cell; return what it printed. Its error, if any, is a failure here."""
    answer = student.ask({"op": "run", "code": textwrap.dedent(code)})
    assert answer["error"] is None, answer["error"]
    return answer["text"]


def error(student, code):
    """Run a cell; return the name and the message of its error."""
    answer = student.ask({"op": "run", "code": textwrap.dedent(code)})
    assert answer["error"], answer
    return f"{answer['error'][0]}: {answer['error'][1]}"


def told(jail, code, limits=WIDE):
    """Return what a submission that runs a cell prints, read as JSON."""
    with jail.submission(limits) as student:
        return json.loads(run(student, code))


def gone(jail, code, limits=SMALL):
    """Run a cell that ends its process; return why."""
    with jail.submission(limits) as student, pytest.raises(Gone) as caught:
        error(student, code)
    assert not caught.value.wall
    return str(caught.value)


# What is inside.


def test_only_the_library_and_its_python_are_there(jail):
    """The course's folder and the home are searched from inside."""
    known = [str(place) for place in graders.sandbox.visible().values()]
    assert not any(Path(place).is_relative_to(ROOT) for place in known)
    unknown = told(
        jail,
        f"""
        import json, os
        unknown = []
        for top in {[str(ROOT), str(Path.home())]!r}:
            for folder, inner, files in os.walk(top):
                inner[:] = [n for n in inner if os.path.join(folder, n) not in {known}]
                unknown += [os.path.join(folder, name) for name in files]
        import securetrain.catalogue
        try:
            import graders
            unknown.append(graders.__path__)
        except ImportError:
            pass
        print(json.dumps(unknown))
        """,
    )
    assert unknown == []


def test_the_rest_of_the_machine_is_bare(jail):
    seen = told(
        jail,
        """
        import json, os
        folders = ("/", "/etc", "/proc", "/tmp", "/dev/shm", "/dev", "/grader")
        print(json.dumps({name: sorted(os.listdir(name)) for name in folders}))
        """,
    )
    assert seen["/proc"] == seen["/tmp"] == seen["/dev/shm"] == []
    assert set(seen["/etc"]) <= {"alternatives", "ld.so.cache"}
    assert seen["/grader"] == ["confine.py", "jail.py", "wire.py"]
    assert not {"sda", "vda", "kmsg", "mem", "kvm", "fuse", "net"} & set(seen["/dev"])
    system = {"bin", "dev", "etc", "grader", "lib", "lib32", "lib64", "proc", "sbin"}
    shown = {place.parts[1] for place in graders.sandbox.visible().values()}
    assert set(seen["/"]) <= system | {"tmp", "usr"} | shown


def test_nothing_of_the_graders_own_environment_comes_along(monkeypatch, tmp_path):
    (tmp_path / "note").write_text("a secret file")
    monkeypatch.setenv("A_TOKEN_OF_THE_GRADER", "a secret word")
    with (
        open(tmp_path / "note") as file,
        closing(Jail([], slot=41)) as own,
    ):
        os.set_inheritable(file.fileno(), True)
        own.wait()
        seen = told(
            own,
            """
            import json, os, sys
            found = {}
            for number in range(3, 256):
                try:
                    found[number] = os.fstat(number).st_mode >> 12
                except OSError:
                    pass
            first = {n: os.fstat(n).st_rdev for n in range(3)}
            said = {"files": found, "first": first, "environment": dict(os.environ)}
            print(json.dumps(said | {"path": sys.path, "words": sys.argv}))
            """,
        )
    a_socket = 0o14
    assert list(seen["files"].values()) == [a_socket]
    assert set(seen["first"].values()) == {os.stat("/dev/null").st_rdev}
    assert "A_TOKEN_OF_THE_GRADER" not in seen["environment"]
    assert set(seen["environment"]) - {"PWD"} == set(graders.sandbox.environment())
    assert not any(str(tmp_path) in str(value) for value in seen.values())


def test_nothing_can_be_written_outside_the_two_folders(jail):
    outside = told(
        jail,
        """
        import json, os
        found = []
        for folder, inner, _ in os.walk("/"):
            inner[:] = inner if folder.count("/") < 4 else []
            try:
                open(os.path.join(folder, "mark"), "w").close()
                found.append(folder)
            except OSError:
                pass
        print(json.dumps(found))
        """,
    )
    assert sorted(outside) == ["/dev/shm", "/tmp"]


def test_no_other_process_is_in_sight(jail):
    seen = told(
        jail,
        """
        import json, os
        found = []
        for number in range(1, 70_000):
            try:
                os.kill(number, 0)
                found.append(number)
            except ProcessLookupError:
                pass
        print(json.dumps({"found": found, "own": [os.getppid(), os.getpid()]}))
        """,
    )
    assert seen == {"found": [1, 2], "own": [1, 2]}


def test_nothing_is_left_for_the_next_submission(jail):
    leave = """
        import builtins, json, os, subprocess, sys, numpy
        for name in ("/tmp/left", "/dev/shm/left"):
            open(name, "w").write("my answers")
        os.environ["LEFT"] = builtins.left = numpy.left = json.left = "my answers"
        sys.modules["left"] = json
        daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        print("[]")
        """
    with jail.submission(WIDE) as student:
        run(student, leave)
        inside = student.watch.parent.children(recursive=True)
        assert "sleep" in [process.name() for process in inside]
    psutil.wait_procs(inside, timeout=20)
    assert [process for process in inside if process.is_running()] == []
    assert (
        told(
            jail,
            """
        import builtins, json, os, sys, numpy
        found = os.listdir("/tmp") + os.listdir("/dev/shm")
        found += [name for name in ("LEFT",) if name in os.environ]
        found += [repr(m) for m in (builtins, json, numpy) if hasattr(m, "left")]
        print(json.dumps(found + [name for name in ("left",) if name in sys.modules]))
        """,
        )
        == []
    )


def test_two_submissions_draw_different_random_numbers(jail):
    draw = "import json, random, numpy\n"
    draw += "print(json.dumps([random.random(), numpy.random.rand()]))"
    first, second = told(jail, draw), told(jail, draw)
    assert first[0] != second[0] and first[1] != second[1]


def test_a_listener_on_this_machine_hears_nothing(jail):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        with jail.submission(WIDE) as student:
            reach = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)"
            assert error(student, reach).startswith("PermissionError")
            for kind in ("AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"):
                said = error(student, f"socket.socket(socket.{kind}, socket.SOCK_RAW)")
                assert said.startswith("PermissionError")
        with pytest.raises(BlockingIOError):
            server.accept()


def status_of(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def test_seen_from_outside_it_has_no_rights(jail):
    with jail.submission(WIDE) as student:
        run(student, "import subprocess\np = subprocess.Popen(['sleep', '1000'])")
        kin = student.watch.parent.children(recursive=True)
        states = [status_of(process) for process in kin]
    codes = [state for state in states if state["Seccomp"] == "2"]
    assert [state["Name"] for state in codes[1:]] == ["sleep"]
    for state in codes:
        sets = [state[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
        assert sets == ["0" * 16] * 5 and state["NoNewPrivs"] == "1"
    for state in states:
        users = {int(number) for number in state["Uid"].split()}
        assert users == {(FIRST_USER + 40) if os.getuid() == 0 else os.getuid()}


def test_no_right_can_be_had_from_inside(jail):
    """A uid of 0, and the calls that an attacker would like: each by the C library."""
    outcomes = told(
        jail,
        """
        import ctypes, json, os
        libc = ctypes.CDLL(None, use_errno=True)
        calls = {
            "setuid": (0,), "setgid": (0,), "unshare": (0x10000000,),
            "mount": (b"none", b"/tmp", b"tmpfs", 0, None), "umount2": (b"/tmp", 2),
            "chroot": (b"/tmp",), "setns": (0, 0), "ptrace": (0, 0, None, None),
            "process_vm_readv": (1, None, 0, None, 0, 0), "pivot_root": (b"/", b"/"),
            "sethostname": (b"a", 1), "memfd_create": (b"a", 0),
            "shmget": (0, 4096, 0o1600), "msgget": (0, 0o1600),
            "semget": (0, 1, 0o1600),
        }
        found = {}
        for name, args in calls.items():
            ctypes.set_errno(0)
            done = getattr(libc, name)(*args)
            found[name] = ctypes.get_errno() if done < 0 else "done"
        print(json.dumps(found))
        """,
    )
    # No user id 0 exists there, so the kernel calls it invalid instead of forbidden.
    assert outcomes.pop("setuid") == outcomes.pop("setgid") == 22
    assert outcomes == dict.fromkeys(outcomes, 1)


# Limits.


def test_a_step_that_loops_is_stopped_and_the_next_one_runs(jail):
    with jail.submission(SMALL) as student:
        said = error(student, "while True:\n    pass")
        assert said.startswith("OutOfTime: it used up the CPU time that one step has")
        assert run(student, "print(6 * 7)") == "42\n"


def test_a_step_that_will_not_stop_is_ended(jail):
    code = """
        def spin():
            while True: pass
        while True:
            try: spin()
            except BaseException: pass
        """
    assert gone(jail, code) == "it used more than 4 seconds of CPU time"


CHILDREN_LOOP = """
    import os
    for _ in range(6):
        if os.fork() == 0:
            while True: pass
    os.wait()
    """


def test_cpu_time_of_all_children_counts(jail):
    assert gone(jail, CHILDREN_LOOP) == "it used more than 4 seconds of CPU time"


def test_nothing_of_one_submission_is_charged_to_the_next(jail):
    """Who is killed leaves an orphan to the jail: its time counted, and itself."""
    for _ in range(3):
        assert gone(jail, CHILDREN_LOOP) == "it used more than 4 seconds of CPU time"
        (warm,) = psutil.Process(jail.process.pid).children()
        assert warm.children() == []


def test_memory_of_one_process_is_bounded(jail):
    with jail.submission(SMALL) as student:
        assert error(student, "x = bytearray(800_000_000)").startswith("MemoryError")
        import_it = "import numpy\nnumpy.ones(10**8)"
        assert "MemoryError" in error(student, import_it)
        assert run(student, "print('well')") == "well\n"


@pytest.mark.parametrize(
    "name, code",
    [
        (
            "children",
            """
            import os, time
            for _ in range(4):
                if os.fork() == 0:
                    x = bytearray(b"1") * 150_000_000
                    time.sleep(1000)
            time.sleep(1000)
            """,
        ),
    ],
)
def test_memory_of_all_processes_counts(jail, name, code):
    assert gone(jail, code) == "it used more than 400 MB of memory"


def test_processes_are_bounded(jail):
    code = """
        import os, time
        for made in range(3000):
            try:
                if os.fork() == 0:
                    time.sleep(1000)
                time.sleep(0.001)
            except BlockingIOError:
                print(made)
                break
        """
    with jail.submission(FEW) as student:
        try:
            assert 0 < int(run(student, code)) < FEW.processes
        except Gone as gone:  # where the kernel does not count a student's processes
            assert str(gone) == "it started more than 24 processes or threads"


def test_threads_are_bounded(jail):
    code = """
        import threading, time
        for _ in range(3000):
            threading.Thread(target=time.sleep, args=[1000], daemon=True).start()
            time.sleep(0.001)
        """
    with jail.submission(FEW) as student:
        try:
            assert error(student, code) == "RuntimeError: can't start new thread"
        except Gone as gone:
            assert str(gone) == "it started more than 24 processes or threads"


def test_a_bomb_of_forks_goes_off_inside(jail):
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    used, many = "used more than (4 seconds|400 MB) of .+", "started more than 24 .+"
    assert re.fullmatch(f"it ({used}|{many})", gone(jail, code))


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(10**6)",
        "import signal\nsignal.pause()",
        "input_ = open('/dev/null')\nimport os\nr, w = os.pipe()\nos.read(r, 1)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "import os, time\nif os.fork() == 0: time.sleep(10**6)\nos.wait()",
    ],
    ids=["sleep", "pause", "pipe", "stop", "wait for a child"],
)
def test_sleep_is_ended(jail, code):
    assert gone(jail, code) == "it slept for 3 seconds instead of answering"


def test_the_wall_clock_is_said_to_be_no_fault_of_the_student(jail):
    limits = Limits(cpu_step=60, cpu_total=120, wall=2)
    with jail.submission(limits) as student, pytest.raises(Gone) as caught:
        error(student, "while True: pass")
    assert str(caught.value) == "it was not done after 2 seconds" and caught.value.wall


def test_a_flood_of_output_is_cut(jail):
    with jail.submission(WIDE) as student:
        text = run(
            student,
            """
            import os, sys
            for _ in range(50):
                print("x" * 10**6)
                sys.stderr.write("y" * 10**6)
                os.write(1, b"z" * 10**6)
                sys.__stdout__ and sys.__stdout__.write("w" * 10**6)
            """,
        )
        assert len(text) <= 2**20 and "z" not in text
        said = error(student, "raise ValueError('m' * 10**8)")
        assert len(said) < 10_000
        flood = "from IPython.display import display, Image\n"
        flood += "[display(Image(b'\\x89PNG' * 10**6, format='png')) for _ in range(9)]"
        assert "MB are too much for one value" in error(student, flood)
        assert run(student, "print('well')") == "well\n"


def test_the_folder_fills_up_for_the_student_alone(jail):
    with jail.submission(SMALL) as student:
        for fill in (
            "open('/tmp/a', 'wb').write(bytes(9 * 10**6))",
            "open('/dev/shm/a', 'wb').write(bytes(17 * 10**6))",
            "for n in range(30_000): open(f'/tmp/{n}', 'w').close()",
        ):
            assert "No space left on device" in error(student, fill)
    with jail.submission(SMALL) as student:
        run(student, "open('/tmp/a', 'wb').write(bytes(7 * 10**6))")
    large = Limits(tmp_mb=200)
    with jail.submission(large) as student:
        assert "File too large" in error(
            student, "open('/tmp/a', 'wb').write(bytes(70 * 10**6))"
        )


# What ends a process, and what does not.


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(0)",
        "import os\nos.abort()",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import ctypes\nctypes.string_at(0)",
        "import os\nos.closerange(0, 300)",
        "import os\nos.execv('/bin/true', ['true'])",
    ],
    ids=lambda code: code.splitlines()[-1],
)
def test_a_process_that_ends_itself_is_gone(jail, code):
    assert gone(jail, code) == "it ended its own process"


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.default_int_handler])
def test_no_signal_of_a_students_reaches_the_first_process(handler):
    """Whatever the grader was started with: a shell lets jobs ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        with closing(Jail([], slot=41)) as jail:
            jail.wait()
            with jail.submission(SMALL) as student:
                run(student, "import os\nfor n in range(1, 32): os.kill(1, n)")
                assert run(student, "print('here')") == "here\n"
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_of_a_finer_kind_is_caught_like_its_kind(jail):
    """A check that awaits a ValueError gets one for JSON, text and a new class, too."""
    session = Session(jail, WIDE)
    session.run(
        textwrap.dedent(
            """
            import json
            class Refused(ValueError): pass
            def read(text): return json.loads(text)
            def decode(data): return data.decode("ascii")
            def refuse(value): raise Refused("no")
            def stop(value): raise AssertionError("no")
            """
        )
    )
    cases = {"read": "{", "decode": b"\xff", "refuse": 1}
    for name, value in cases.items():
        with pytest.raises(ValueError) as caught:
            Proxy(session, name)(value)
        assert caught.value.by_student[1]
    assert caught.value.by_student[:2] == ("Refused", "no")
    with pytest.raises(RuntimeError, match="no"):  # never what a check itself raises
        Proxy(session, "stop")(1)
    session.close()


def test_leaving_politely_is_an_error_like_any(jail):
    with jail.submission(SMALL) as student:
        for code in ("exit()", "import sys\nsys.exit(3)", "raise KeyboardInterrupt"):
            student.ask({"op": "run", "code": code})
        assert run(student, "print('well')") == "well\n"


FIND = """
import os, stat, struct
channel = next(n for n in range(3, 256) if stat.S_ISSOCK(os.fstat(n).st_mode))
"""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 12,
        b"\0\0\0\x02" + bytes(8) + b"[]",
        b"\0\0\0\x0c" + bytes(8) + b'{"error": 1}',
        b"\0\0\0\x10" + bytes(8) + b'{"dict":[["a"]]}',
    ],
    ids=["noise", "empty", "a list", "a strange error", "half a pair"],
)
def test_what_is_written_past_the_protocol_is_called_unreadable(jail, data):
    code = FIND + f"os.write(channel, {data!r})\nimport time\ntime.sleep(1000)"
    said = gone(jail, code)
    assert said.startswith(("it answered with something unreadable", "it slept"))


def test_one_that_is_killed_from_outside_is_gone_and_the_jail_goes_on(jail):
    with jail.submission(SMALL) as student:
        kin = student.watch.parent.children(recursive=True)
        kin[-1].kill()
        with pytest.raises(Gone, match="it ended its own process"):
            run(student, "1")
    assert told(jail, "print(1)") == 1


def test_a_wild_submission_leaves_its_neighbour_alone(jail):
    """Side by side: one is bombs and floods, the other does its sums."""
    with closing(Jail([], slot=42)) as other:
        other.wait()
        with other.submission(SMALL) as wild, jail.submission(WIDE) as student:
            wild.watch.awaited = True
            bomb = "import os\nwhile True:\n    try:\n        os.fork()\n"
            bomb += "        x = bytearray(10**8)\n    except BaseException: pass"
            graders.sandbox.wire.send(wild.channel, {"op": "run", "code": bomb})
            for number in range(20):
                sums = f"print(sum(range({number} * 100_000)))"
                assert int(run(student, sums)) == sum(range(number * 100_000))
            with pytest.raises(EOFError):
                while True:
                    graders.sandbox.wire.receive(wild.channel)
            assert "it used more than" in wild.watch.reason
        assert told(other, "print(1)") == 1


def test_when_the_jail_is_closed_all_in_it_ends():
    with closing(Jail([], slot=43)) as own:
        own.wait()
        with pytest.raises(NoJail), own.submission(WIDE) as student:
            run(student, "import os\nos.fork() or os.setsid()")
            inside = psutil.Process(own.process.pid).children(recursive=True)
            assert len(inside) >= 4
            own.close()
    psutil.wait_procs(inside, timeout=20)
    assert [process for process in inside if process.is_running()] == []


# Machines that have no jail, or other users.


def test_without_bubblewrap_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoJail, match=r"bubblewrap is missing.*apt install bubblewrap"):
        Jail([], slot=0)


def graded(course, *around):
    """Grade the small class in another world; return the finished process."""
    environment = os.environ | {"SECURETRAIN_ROOT": str(course)}
    line = [sys.executable, "-m", "securetrain.cli", "grade", "01-clip", "--jobs", "1"]
    return subprocess.run(
        [*around, *line, "--json"], env=environment, capture_output=True, text=True
    )


@pytest.fixture
def ada(course):
    """Return the small course, with a hand-in that knows half the answers."""
    from test_grading_chain import DROPS, LAB, SOURCE, WORKSPACE, answer

    assert main(["release"]) == 0
    copy = course / WORKSPACE / "submitted" / "ada" / "01-clip" / "clip.ipynb"
    answer(course / SOURCE, course / LAB, copy, {"clip": DROPS})
    return course


OUTER = ["bwrap", "--unshare-user", "--dev-bind", "/", "/", "--proc", "/proc"]
SOMEONE = ["--uid", "1000", "--gid", "1000"]


def test_without_bubblewrap_nothing_is_graded(ada, tmp_path):
    """The environment's own Python, and a PATH that has all but bubblewrap."""
    for name in ("env", "alembic"):
        if found := shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/bin"):
            (tmp_path / name).symlink_to(found)
    done = graded(ada, "/usr/bin/env", f"PATH={tmp_path}")
    assert done.returncode == 2 and done.stdout == ""
    assert "apt install bubblewrap" in done.stderr and "Traceback" not in done.stderr
    assert not (ada / "graders" / "workspace" / "autograded").exists()


@pytest.mark.parametrize("user", [["--uid", "0", "--gid", "0"], SOMEONE])
def test_where_the_kernel_gives_no_namespaces_nothing_is_graded(ada, user):
    done = graded(ada, *OUTER, *user, "--disable-userns")
    assert done.returncode == 2 and done.stdout == ""
    assert "user.max_user_namespaces" in done.stderr, done.stderr
    assert not (ada / "graders" / "workspace" / "autograded").exists()


def test_one_who_is_not_root_grades_too(ada):
    done = graded(ada, *OUTER, *SOMEONE)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    scores = {mark["id"]: mark["score"] for mark in result["marks"]}
    assert scores == {"check-clip": 0, "check-flag": 3, "limits": None}


def test_the_limits_hold_for_one_who_is_not_root():
    chosen = ["memory_of", "cpu_time_of_all", "from_outside", "no_right", "are_bounded"]
    chosen += ["no_other_process", "sleep_is_ended", "written_outside", "ends_itself"]
    words = ["-q", "-p", "no:cacheprovider", "-k", " or ".join(chosen), __file__]
    done = subprocess.run(
        [*OUTER, *SOMEONE, sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
