"""Tricks that use up the machine: processes, memory, disk, time, output.

Each stops by itself far beyond what a submission may use, and says so in a mark.
"""

from __future__ import annotations

from corpus.forging import Hostile, answers, runs
from corpus.lab import RIGHT

GROW = '''
import os
import resource
import time

MEGABYTE = 1 << 20
ENOUGH = 4500  # megabytes: far more than one submission may have


def grow(more, what):
    """Take memory in steps; leave a mark when nobody objects."""
    kept = []
    for step in range(ENOUGH // 50):
        kept.append(more(50 * MEGABYTE))
        time.sleep(0.02)
    breach(f"held {ENOUGH} MB of {what}")
'''

MEMORY = [
    runs(
        "memory",
        "Takes more and more memory.",
        GROW + "\n\ngrow(lambda size: b'x' * size, 'memory')\n",
    ),
    answers(
        "memory-in-call",
        "Takes more and more memory while it is checked.",
        "grow(lambda size: b'x' * size, 'memory')\nreturn values",
        before=GROW,
    ),
    runs(
        "memory-of-many",
        "Takes memory in many children, none of them greedy.",
        GROW
        + """

ours, theirs = os.pipe()
for _ in range(12):
    if os.fork() == 0:
        try:
            kept = [b"x" * (50 * MEGABYTE) for _ in range(8) if not time.sleep(0.05)]
            os.write(theirs, b".")
            time.sleep(20)
        finally:
            os._exit(0)
done = b""
while len(done) < 12:
    done += os.read(ours, 12)
time.sleep(5)  # the scales look a few times a second
breach("held 4800 MB in twelve children")
""",
    ),
    runs(
        "memory-shared",
        "Takes memory that is shared with a child.",
        GROW
        + """

import mmap


def shared(size):
    area = mmap.mmap(-1, size)
    area.write(b"x" * size)
    return area


grow(shared, "shared memory")
""",
    ),
    runs(
        "memory-files",
        "Takes memory in files that have no name and belong to no process's pages.",
        GROW
        + """

def nameless(size):
    number = os.memfd_create("x")
    for _ in range(size // MEGABYTE):
        os.write(number, b"x" * MEGABYTE)
    return number


grow(nameless, "files without a name")
""",
    ),
    runs(
        "memory-segments",
        "Takes memory in segments that it lets go of without freeing them.",
        GROW
        + """

import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
made = []


def segment(size):
    number = libc.shmget(0, ctypes.c_size_t(size), 0o1600)
    if number < 0:
        raise MemoryError("no segment")
    made.append(number)
    address = libc.shmat(number, None, 0)
    ctypes.memset(address, 1, size)
    libc.shmdt(ctypes.c_void_p(address))


try:
    grow(segment, "segments")
finally:
    for number in made:
        libc.shmctl(number, 0, None)
""",
    ),
    runs(
        "memory-pipes",
        "Takes the kernel's own memory in pipes and sockets.",
        GROW
        + """

import fcntl
import socket

held, ends = 0, []
try:
    for _ in range(4000):
        pair = socket.socketpair()
        pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 28)
        pair[0].setblocking(False)
        ends.append(pair)
        held += pair[0].send(b"x" * (8 * MEGABYTE))
except OSError:
    pass
if held > 500 * MEGABYTE:
    breach(f"held {held // MEGABYTE} MB in sockets")
""",
    ),
]

DISK = '''
import os
import shutil
import tempfile


def fill(folder, limit):
    """Write up to 500 MB and 30 000 files; leave a mark above `limit` megabytes."""
    if not os.access(folder, os.W_OK):
        return
    place, size, files = tempfile.mkdtemp(dir=folder), 0, 0
    try:
        for number in range(250):
            with open(f"{place}/{number}", "wb") as file:
                size += file.write(b"x" * (2 << 20)) >> 20
    except OSError as error:
        print(folder, error)
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place, exist_ok=True)
    try:
        for number in range(30_000):
            open(f"{place}/{number}", "w").close()
            files += 1
    except OSError as error:
        print(folder, error)
    shutil.rmtree(place, ignore_errors=True)
    if size > limit or files > 25_000:
        breach(f"wrote {size} MB and {files} files to {folder}")
'''

MANY = [
    runs(
        "disk",
        "Fills the disk and the shared memory with files.",
        DISK + "\n\nfor folder in ('/tmp', '/dev/shm', '/var/tmp', '/run', '/'):\n"
        "    fill(folder, 100)\n",
    ),
    runs(
        "processes",
        "Starts hundreds of processes.",
        """
import os
import time

started = 0
try:
    for _ in range(300):
        if os.fork() == 0:
            time.sleep(15)
            os._exit(0)
        started += 1
except OSError as error:
    print(error)
if started > 100:
    breach(f"started {started} processes")
""",
    ),
    runs(
        "processes-double",
        "Starts processes that start processes.",
        """
import os
import time

child = 0
for _ in range(9):  # 2 ** 9 at most
    try:
        child += os.fork() == 0
    except OSError:
        break
if child:
    time.sleep(15)
    os._exit(0)
""",
    ),
    runs(
        "threads",
        "Starts hundreds of threads.",
        """
import threading
import time

started = 0
try:
    for _ in range(500):
        threading.Thread(target=time.sleep, args=(15,), daemon=True).start()
        started += 1
except RuntimeError as error:
    print(error)
if started > 100:
    breach(f"started {started} threads")
""",
    ),
    runs(
        "files-open",
        "Opens thousands of files.",
        """
import os

opened = []
try:
    for _ in range(5000):
        opened.append(os.open("/usr", os.O_RDONLY))
except OSError as error:
    print(error)
if len(opened) > 1000:
    breach(f"opened {len(opened)} files")
for number in opened:
    os.close(number)
""",
    ),
]

TIME = [
    answers("endless", "Loops for ever.", "while True:\n    pass"),
    runs(
        "endless-cell", "Loops for ever in a cell of its own.", "while True:\n    pass"
    ),
    answers(
        "endless-stubborn",
        "Loops for ever and catches all that would stop it.",
        "import signal\n"
        "for number in (signal.SIGPROF, signal.SIGXCPU, signal.SIGINT):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "signal.setitimer(signal.ITIMER_PROF, 0)\n"
        "while True:\n"
        "    try:\n"
        "        while True:\n"
        "            pass\n"
        "    except BaseException:\n"
        "        pass",
    ),
    answers(
        "endless-in-c",
        "Computes in one long step that no signal interrupts.",
        "return [3 ** (7 ** 11) % 7]",
    ),
    answers(
        "endless-short",
        "Burns CPU time in short-lived children, 60 seconds in all.",
        """
import os
import time
burnt = 0.0
while burnt < 60:
    if os.fork() == 0:
        while time.process_time() < 0.05:
            pass
        os._exit(0)
    _, _, used = os.wait4(-1, 0)
    burnt += used.ru_utime + used.ru_stime
breach("burnt 60 seconds in children")
return values
""",
    ),
    answers("sleeps", "Sleeps for an hour.", "__import__('time').sleep(3600)"),
    answers(
        "stops-itself",
        "Stops its own process without ending it.",
        "import os\nos.kill(os.getpid(), 19)\nreturn values",
    ),
    runs(
        "blocks-line",
        "Never reads what the grader asks.",
        "import threading\nthreading.Event().wait()\n",
    ),
]

ENDS = [
    answers("exits", "Ends the process.", "import os\nos._exit(0)"),
    answers(
        "crashes",
        "Crashes the process.",
        "import ctypes\nctypes.string_at(0)",
        "import os\nos.abort()",
    ),
    answers(
        "kills-itself",
        "Kills its own process and replaces it by another program.",
        "import os\nos.kill(os.getpid(), 9)",
        "import os\nos.execv('/bin/sleep', ['sleep', '15'])",
    ),
    answers(
        "stack",
        "Overflows the stack.",
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "deep = lambda: [*map(lambda _: deep(), [0])]\nreturn deep()",
    ),
    answers(
        "half-right",
        "Answers one task well, and ends the process when the other is checked.",
        RIGHT["clip"] + "return clip(values, limit)",
        "import os\nos._exit(0)",
        expect={"check-clip": 2.0, "check-flag": 0.0},
    ),
    runs("exits-early", "Ends the process before a task.", "import os\nos._exit(0)"),
    runs("exits-shell", "Asks IPython to leave.", "exit()\nquit()\nraise SystemExit"),
]

OUTPUT = [
    runs(
        "output",
        "Prints fifty megabytes.",
        "for _ in range(500):\n    print('x' * 100_000)\n",
    ),
    runs(
        "output-line",
        "Prints fifty megabytes in one line.",
        "import sys\n\nsys.stdout.write('x' * 50_000_000)\n",
    ),
    answers(
        "output-endless",
        "Prints for ever while it is checked.",
        "while True:\n    print('x' * 1000)",
    ),
    runs(
        "output-past-python",
        "Writes to the process's own files, past Python's.",
        "import os\n\nfor number in (0, 1, 2):\n"
        "    for _ in range(50):\n"
        "        try:\n"
        "            os.write(number, b'x' * 1_000_000)\n"
        "        except OSError:\n"
        "            break\n",
    ),
    runs(
        "output-shown",
        "Shows a hundred thousand things.",
        "from IPython.display import display\n\n"
        "for number in range(100_000):\n    display(number)\n",
    ),
    runs(
        "output-unclosed",
        "Replaces the streams that are printed to.",
        "import sys\n\nsys.stdout.close()\nsys.stdout = sys.stderr = None\n"
        "sys.__stdout__ = 7\n",
    ),
]

SLOW = [
    runs(
        "source-blank",
        "Hands in a hundred thousand empty lines.",
        "\n" * 100_000 + "x = 1\n",
    ),
    runs(
        "source-magic", "Hands in ten thousand shell commands.", "a = !true\n" * 9_000
    ),
    runs(
        "source-deep",
        "Hands in code nested very deep.",
        "x = " + "(" * 5000 + ")" * 5000,
    ),
    runs(
        "source-minus",
        "Hands in a number with many signs.",
        "x = " + "-" * 90_000 + "1",
    ),
    runs(
        "source-dots", "Hands in a very long chain of names.", "x = a" + ".a" * 90_000
    ),
    runs("source-strings", "Hands in brackets that never close.", "x = [" * 20_000),
]

LIMITS: list[Hostile] = MEMORY + MANY + TIME + ENDS + OUTPUT + SLOW
