"""What a hand-in might take from a machine past the scales, or from its neighbours.

Memory that belongs to no process, time that nobody sees, and the kernel's calls that
reach what all of us share: each is tried as root's hand-in and as anyone's.
"""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from test_sandbox import OUTER, SOMEONE, WIDE, error, gone, run, told

from graders.sandbox import Jail, Limits

ROOT = Path(__file__).resolve().parents[1]
TOOLS = """
import ctypes, fcntl, json, mmap, os, resource, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)


def outcome(name, *args):
    ctypes.set_errno(0)
    call = getattr(libc, name) if isinstance(name, str) else libc.syscall
    done = call(*args) if isinstance(name, str) else call(name, *args)
    return "done" if done >= 0 else ctypes.get_errno()

"""
EPERM, ENOSYS = 1, 38
intel = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of calls")


@pytest.fixture(scope="module")
def jail():
    with closing(Jail(["numpy"], slot=46)) as jail:
        jail.wait()
        yield jail


# Memory that no process has.


def test_memory_without_an_owner_is_refused(jail):
    """Shared pages that a process has let go of: its size shrinks, they stay."""
    with jail.submission(WIDE) as student:
        run(student, TOOLS)
        said = error(student, "mmap.mmap(-1, 50 << 20)")
        assert said.startswith("PermissionError")
        zero = "mmap.mmap(os.open('/dev/zero', os.O_RDWR), 50 << 20)"
        assert error(student, zero).startswith(("OSError", "PermissionError"))
        assert error(student, "os.memfd_create('a')").startswith("PermissionError")
        private = "m = mmap.mmap(-1, 50 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"
        assert run(student, f"{private}\nm[0] = 1\nprint(m[0])") == "1\n"
        file = "f = open('/tmp/a', 'wb+')\nf.truncate(1 << 20)\n"
        file += "m = mmap.mmap(f.fileno(), 1 << 20)\nm[5] = 7\nprint(m[5])"
        assert run(student, file) == "7\n", "a file of one's own may be shared"


def test_tables_of_empty_pages_are_bounded(jail):
    """Half a terabyte of nothing takes a gigabyte to write down."""
    with jail.submission(WIDE) as student:
        code = "m = mmap.mmap(-1, 600 << 30, mmap.MAP_PRIVATE | 0x4020, mmap.PROT_READ)"
        said = error(student, f"{TOOLS}{code}")
        assert "Cannot allocate memory" in said or said.startswith("MemoryError")


def test_what_a_socket_holds_is_bounded(jail):
    code = """
held = 0
for one, _ in [socket.socketpair() for _ in range(100)]:
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 28)
    except PermissionError:
        pass
    one.setblocking(False)
    held += one.send(b"x" * (4 << 20))
print(held)
"""
    assert told(jail, TOOLS + code) < 30_000_000


def test_many_small_processes_that_share_their_memory_are_few_megabytes(jail):
    limits = Limits(memory_mb=400, processes=40)
    code = """
        import os, time
        ours, theirs = os.pipe()
        for _ in range(20):
            if os.fork() == 0:
                time.sleep(1)
                os._exit(0)
        for _ in range(20):
            os.wait()
        print("well")
        """
    with jail.submission(limits) as student:
        assert run(student, code) == "well\n"


# Time that nobody sees.


@pytest.mark.parametrize(
    "code",
    [
        """
        # The parent waits as if for a disk, the child sleeps.
        if libc.syscall(56, 0x4000 | 17, 0, 0, 0, 0) == 0:
            time.sleep(1000)
        """,
        """
        while True:  # a little work again and again
            end = time.process_time() + 0.012
            while time.process_time() < end:
                pass
            time.sleep(0.15)
        """,
    ],
    ids=["vfork", "naps"],
)
@intel
def test_sleep_in_disguise_is_ended(jail, code):
    limits = Limits(cpu_step=60, cpu_total=60, idle=3, wall=100)
    said = gone(jail, TOOLS + "\n".join(s[8:] for s in code.split("\n")), limits)
    assert said == "it slept for 3 seconds instead of answering"


@pytest.mark.parametrize(
    "end, least, most", [("SIG_DFL", 10, 16), ("SIG_IGN", 5, 1000)]
)
def test_the_time_of_children_that_come_and_go_counts(jail, end, least, most):
    """Twelve seconds; where nobody waits for a child, its time is guessed, not low."""
    code = f"""
signal.signal(signal.SIGCHLD, signal.{end})
for _ in range(240):
    if os.fork() == 0:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        os._exit(0)
    try:
        os.wait()
    except ChildProcessError:
        pass
time.sleep(1)
"""
    limits = Limits(cpu_step=600, cpu_total=1000)
    with jail.submission(limits) as student:
        run(student, TOOLS + code)
        assert least < student.watch.cpu_seconds < most


# What all of us share.


@intel
def test_calls_that_reach_the_neighbours_are_refused(jail):
    found = told(
        jail,
        TOOLS
        + """
pair, one = (ctypes.c_int * 2)(), socket.socketpair()[0].fileno()
file = os.open(f"{sys.prefix}/pyvenv.cfg", os.O_RDONLY)
lease = [outcome("fcntl", file, 1024, kind) for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK)]
print(json.dumps({
    "lease": lease,
    "watches": [outcome(253), outcome(294, 0), outcome(300, 0x200, 0)],
    "sockets": [outcome("socketpair", kind, 1, 0, pair) for kind in (2, 10, 16, 40)],
    "options": [outcome("setsockopt", one, 1, 7, pair, 4)],
    "rank": [outcome(141, 0, 0, 5), outcome(144, 0, 5, pair), outcome(314, 0, pair, 0)],
    "others": [outcome(447, 0), outcome(154, 0, 0, 0)],
    "newer": [outcome(number, 0, 0, 0, 0) for number in (451, 457, 467, 600)],
    "own": [outcome("socketpair", 1, 1, 0, pair), outcome("fcntl", file, 1, 0)],
}))
""",
    )
    assert set(found.pop("newer")) == {ENOSYS}
    assert found.pop("own") == ["done", "done"]
    assert found == {name: [EPERM] * len(said) for name, said in found.items()}


def test_terminals_are_each_ones_own(jail):
    take = """
        import os
        taken = []
        try:
            while len(taken) < 200:
                taken.append(os.open("/dev/ptmx", os.O_RDWR))
        except OSError:
            pass
        print(len(taken))
        """
    with jail.submission(WIDE) as student:
        assert int(run(student, take)) <= 16
        assert run(student, "print(len(os.listdir('/dev/pts')))") == "17\n"
    with jail.submission(WIDE) as student:
        assert run(student, "print(__import__('os').listdir('/dev/pts'))") == (
            "['ptmx']\n"
        )
        run(student, "!echo hello > /tmp/said")
        assert run(student, "print(open('/tmp/said').read())") == "hello\n\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root has groups to lose")
def test_roots_other_groups_are_lost():
    code = (
        "import os\nos.setgroups([0, 4, 61999])\n"
        "from contextlib import closing\nfrom graders.sandbox import Jail, Limits\n"
        "with closing(Jail([], slot=47)) as jail:\n"
        "    jail.wait()\n"
        "    with jail.submission(Limits()) as student:\n"
        "        student.ask({'op': 'run', 'code': ''})\n"  # then all three are there
        "        for one in student.watch.parent.children(recursive=True):\n"
        "            text = open(f'/proc/{one.pid}/status').read()\n"
        "            print(text.partition('Groups:')[2].split('\\n')[0].strip())\n"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [] and done.stdout.count("\n") == 3


@pytest.mark.skipif(os.getuid() != 0, reason="this is the test that runs them so")
def test_all_of_this_holds_for_one_who_is_not_root():
    words = ["-q", "-p", "no:cacheprovider", "-k", "not disguise and not time"]
    done = subprocess.run(
        [*OUTER, *SOMEONE, sys.executable, "-m", "pytest", *words, __file__],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
