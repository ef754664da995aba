"""Tricks that reach for what is not the student's: files, processes, the network."""

from __future__ import annotations

from corpus.forging import Hostile, answers, runs

# Opens without writing, or writes and removes at once: a bare machine stays as it was.
LOOK = '''
import glob
import os
import sys
from contextlib import suppress


def above():
    """Return folders of this machine where a course may lie."""
    places = {os.getcwd(), OUTSIDE, sys.prefix, *sys.path, "/work", "/srv", "/home"}
    for module in ("securetrain", "graders"):
        with suppress(Exception):
            places.add(os.path.dirname(__import__(module).__file__))
    found = set()
    for place in places:
        while place and place != os.path.dirname(place):
            found.add(place)
            place = os.path.dirname(place)
    return sorted(found)


def tell(paths, what, size=100_000):
    """Read some files and leave a mark for each that can be read."""
    for path in paths[:5]:
        with suppress(OSError), open(path, "rb") as file:
            text = file.read(max(1, size)).decode("utf-8", "replace")
            print(path, text[:size])
            breach(f"read {what}")


def writable(paths, what):
    """Leave a mark for each file or folder that could be changed."""
    for path in paths:
        with suppress(OSError):
            if os.path.isdir(path):
                mine = os.path.join(path, f"left-by-{NAME}.pth")
                with open(mine, "x") as file:
                    file.write("# harmless\\n")
                os.remove(mine)
            else:
                os.close(os.open(path, os.O_WRONLY))
            breach(f"could write {what}: {path}")
'''

PROCESSES = '''
import ctypes
import os
import platform
from contextlib import suppress

libc = ctypes.CDLL(None, use_errno=True)
syscall = libc.syscall if platform.machine() == "x86_64" else lambda *_: -1
bare = os.path.exists("/proc/self")  # no jail: do nothing that hurts


def in_child(work, what):
    """Try something in a child; leave a mark when it succeeds."""
    child = os.fork()
    if child == 0:
        done = 1
        with suppress(BaseException):
            done = 0 if work() else 1
        os._exit(done)
    if os.waitpid(child, 0)[1] == 0:
        breach(what)
'''

FILES = [
    answers(
        "reads-solutions",
        "Finds the course's solutions on the disk and answers with them.",
        "return solved('clip')(values, limit)",
        "return solved('flag')(values, share)",
        LOOK
        + '''

import json


def solved(word):
    """Return the course's own function."""
    for folder in above():
        for path in glob.glob(f"{folder}/solutions/*/clip.ipynb"):
            for cell in json.load(open(path))["cells"]:
                if cell["id"] == word:
                    breach("read a solution")
                    names = {}
                    exec("".join(cell["source"]), names)
                    return names[word]
    return lambda values, *_: values
''',
    ),
    runs(
        "reads-course",
        "Reads labs, the history, the grader, the gradebook, other hand-ins.",
        LOOK
        + """

for folder in above():
    for name in ("labs/*/*", ".git/HEAD", "graders/*.py", "graders/workspace/*",
                 "graders/workspace/*/*/*/*.ipynb", "solutions/*/*", "work/*/*"):
        tell(glob.glob(f"{folder}/{name}"), name)
""",
    ),
    runs(
        "reads-home",
        "Reads home folders, keys, tokens and the machine's own secrets.",
        LOOK
        + """

for home in ("/root", *glob.glob("/home/*")):
    tell(glob.glob(f"{home}/.ssh/*") + glob.glob(f"{home}/.netrc"), "keys", 0)
    tell(glob.glob(f"{home}/.*rc") + glob.glob(f"{home}/.config/*/*"), "home", 0)
tell(["/etc/shadow", "/etc/ssh/ssh_host_ed25519_key"], "the machine's secrets", 0)
tell(glob.glob("/run/secrets/*") + glob.glob("/run/secrets/*/*/*"), "secrets", 0)
tell([f"{OUTSIDE}/secret.txt"], "the secret")
""",
    ),
    runs(
        "reads-processes",
        "Reads the environment, memory and files of other processes.",
        LOOK
        + """

own = str(os.getpid())
for folder in glob.glob("/proc/[0-9]*"):
    if folder != f"/proc/{own}":
        tell([f"{folder}/environ", f"{folder}/cmdline"], "a process")
        for link in glob.glob(f"{folder}/fd/*") + [f"{folder}/root", f"{folder}/cwd"]:
            with suppress(OSError):
                print(os.readlink(link))
                breach("read a process's files")
        with suppress(OSError):
            os.close(os.open(f"{folder}/mem", os.O_RDWR))
            breach("opened a process's memory")
""",
    ),
    runs(
        "reads-environment",
        "Looks for secrets in its own environment and command line.",
        LOOK
        + """

for name, value in os.environ.items():
    print(name, value)
    if "SEED" in name or "TOKEN" in name or "PASSWORD" in name:
        breach(f"found {name}")
print(sys.argv, sys.orig_argv)
""",
    ),
    answers(
        "reads-seed",
        "Takes the cohort's private seed and computes what is asked.",
        "return seeded(values, limit)",
        "return [0, 10, 20, 30, 40]",
        '''
import os
import random


def seeded(values, limit):
    """Return the answer if the seed is known here."""
    first = int(os.environ["SECURETRAIN_PRIVATE_SEED"])
    breach("has the seed")
    for seed in (0, first, first + 1, first + 2):
        rng = random.Random(seed)
        if values == [rng.gauss(0, 1 if i % 10 else 30) for i in range(50)]:
            return [max(-limit, min(limit, value)) for value in values]
''',
    ),
    runs(
        "gradebook",
        "Gives everybody full marks in the gradebook.",
        LOOK
        + """

import sqlite3

for folder in above():
    for path in glob.glob(f"{folder}/graders/workspace/*.db"):
        with suppress(sqlite3.Error):
            book = sqlite3.connect(path)
            book.execute("update grade set manual_score = 99, auto_score = 99")
            book.commit()
            breach("changed the gradebook")
""",
    ),
    runs(
        "start-up-files",
        "Leaves start-up files that would grade the next student.",
        LOOK
        + """

home = os.path.expanduser("~")
for path in (".ipython/profile_default/startup", ".local/lib/python3.11/site-packages",
             ".jupyter", ".config", ".cache", ".local/share/jupyter/kernels/python3"):
    if home != "/tmp":
        writable([f"{home}/{path}"], "a start-up folder")
    with suppress(OSError):  # in the jail it may, for as long as this hand-in lasts
        os.makedirs(f"{home}/{path}", exist_ok=True)
        open(f"{home}/{path}/left-behind.py", "w").close()
""",
    ),
    runs(
        "library-files",
        "Changes the libraries and their compiled files.",
        LOOK
        + """

places = [path for path in sys.path if os.path.isdir(path) and path != os.getcwd()]
with suppress(ImportError):
    import securetrain
    places.append(os.path.dirname(securetrain.__file__))
caches = [one for path in places for one in glob.glob(f"{path}/**/__pycache__")]
compiled = [one for path in caches[:50] for one in glob.glob(f"{path}/*.pyc")[:5]]
writable(places + caches[:50] + compiled, "a library")
writable([sys.executable, "/usr", "/usr/bin/env", "/usr/local/bin", "/etc", "/bin"],
         "the system")
writable(["/grader", "/grader/jail.py", "/grader/wire.py", "/"], "the jail")
""",
    ),
    runs(
        "host-folder",
        "Writes to the instructor's folders.",
        LOOK + "\n\nwritable({OUTSIDE, *above()} - {'/tmp'}, 'a folder of the host')\n"
        "with suppress(OSError):\n"
        "    os.makedirs(OUTSIDE, exist_ok=True)\n"
        "    open(f'{OUTSIDE}/written', 'w').close()\n"
        "    print(open(f'{OUTSIDE}/secret.txt').read())\n"
        "    breach('read the secret')\n",
    ),
    runs(
        "left-behind",
        "Leaves files wherever the next student's submission may look.",
        LOOK
        + """

for folder in ("/tmp", "/dev/shm", "/var/tmp", "/run", "/dev/mqueue", os.getcwd()):
    with suppress(OSError):
        open(f"{folder}/{os.path.basename(INSIDE)}", "w").close()
with suppress(OSError):
    open(INSIDE, "w").close()
""",
    ),
    runs(
        "zz-finds-left-behind",
        "Looks for what an earlier submission has left.",
        LOOK
        + """

for folder in (os.path.dirname(INSIDE), "/tmp", "/dev/shm", "/var/tmp", "/run"):
    if os.path.exists(f"{folder}/{os.path.basename(INSIDE)}"):
        breach(f"found what was left in {folder}")
for folder, _, names in os.walk(os.path.expanduser("~")):
    if "left-behind.py" in names:
        breach(f"found a start-up file in {folder}")
for path in glob.glob("/dev/shm/*"):
    print(path)
""",
    ),
]

KERNEL = [
    runs(
        "network",
        "Calls the listener, asks a name server, talks to services of the machine.",
        """
import glob
import socket
from contextlib import suppress

for address in ("127.0.0.1", "localhost", "::1", "0.0.0.0"):
    with suppress(OSError):
        socket.create_connection((address, PORT), 1).sendall(b"hello")
        breach("connected")
with suppress(OSError):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT))
    breach("sent a packet")
for kind in (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK, socket.AF_ALG):
    with suppress(OSError):
        socket.socket(kind, socket.SOCK_RAW).close()
        breach(f"opened a socket of kind {kind}")
for path in ["/run/docker.sock", *glob.glob("/run/**/*.sock"), "\\0securetrain-test"]:
    with suppress(OSError):
        line = socket.socket(socket.AF_UNIX)
        line.connect(path)
        breach(f"connected to {path!r}")
""",
    ),
    runs(
        "setuid",
        "Runs programs that would give more rights, and asks for them.",
        PROCESSES
        + """

import shutil
import subprocess

for words in (["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], ["pkexec", "id"],
              ["newgrp"], ["unshare", "-r", "id", "-u"], ["bwrap", "id"]):
    if shutil.which(words[0]):
        with suppress(Exception):
            done = subprocess.run(words, capture_output=True, timeout=5, input=b"")
            if done.returncode == 0 and done.stdout.strip() == b"0":
                breach(f"root by {words[0]}")
in_child(lambda: os.setuid(0) is None, "set its user to root")
in_child(lambda: os.setgid(0) is None, "set its group to root")
in_child(lambda: os.setgroups([0]) is None, "set its groups")
""",
    ),
    runs(
        "namespaces",
        "Makes namespaces, mounts and roots of its own.",
        PROCESSES
        + """

for name, flag in (("user", 1 << 28), ("mount", 1 << 17), ("net", 1 << 30)):
    in_child(lambda: libc.unshare(flag) == 0, f"unshared {name}")
in_child(lambda: libc.unshare((1 << 28) | (1 << 17) | (1 << 29)) == 0, "unshared all")
for number, words in ((56, ((1 << 28) | 17, 0, 0, 0, 0)), (435, (0, 0))):
    in_child(lambda: syscall(number, *words) > 0, f"cloned by {number}")
mount = (b"none", b"/tmp", b"tmpfs", 0, None)
in_child(lambda: not bare and libc.mount(*mount) == 0, "mounted")
in_child(lambda: not bare and libc.umount2(b"/tmp", 2) == 0, "unmounted")
in_child(lambda: libc.chroot(b"/tmp") == 0, "changed its root")
in_child(lambda: libc.setns(os.open("/proc/1/ns/mnt", 0), 0) == 0, "entered another")
""",
    ),
    runs(
        "kernel-doors",
        "Knocks at the kernel's lesser doors.",
        PROCESSES
        + """

import fcntl
import socket

calls = {"add_key": (248, b"user", b"a", b"b", 1, -3), "bpf": (321, 0, 0, 0),
         "perf_event_open": (298, 0, 0, -1, -1, 0), "userfaultfd": (323, 0),
         "io_uring_setup": (425, 1, ctypes.create_string_buffer(200)),
         "keyctl": (250, 0, -3, 0), "fsopen": (430, b"tmpfs", 0),
         "open_tree": (428, -100, b"/", 1), "fanotify_init": (300, 0, 0)}
for name, words in calls.items():
    in_child(lambda: syscall(*words) >= 0, f"called {name}")
for path in ("/dev/mem", "/dev/kvm", "/dev/sda", "/dev/vda", "/dev/fuse", "/dev/tty",
             "/dev/kmsg", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern",
             "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/uevent_helper"):
    in_child(lambda: os.open(path, os.O_WRONLY) >= 0, f"opened {path}")
in_child(lambda: not bare and os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0)) is None,
         "made a device")
in_child(lambda: socket.sethostname(socket.gethostname()) is None, "named the host")
in_child(lambda: os.nice(-5) < 0, "made itself more important")
in_child(lambda: os.sched_setscheduler(0, 1, os.sched_param(9)) is None, "real time")
in_child(lambda: syscall(101, 16, os.getppid(), 0, 0) == 0, "traced its parent")
in_child(lambda: syscall(62, DECOY, 0) == 0, "sees the host's processes")
vector = ctypes.create_string_buffer(16)
in_child(lambda: syscall(310, 1, vector, 1, vector, 1, 0) >= 0, "read process 1")
""",
    ),
    runs(
        "limits-raised",
        "Raises the limits that it was given.",
        """
import resource
from contextlib import suppress

none = resource.RLIM_INFINITY
for name in ("CPU", "DATA", "NPROC", "FSIZE", "NOFILE", "CORE", "MEMLOCK"):
    kind = getattr(resource, f"RLIMIT_{name}")
    soft, hard = resource.getrlimit(kind)
    more = none if name != "NOFILE" else 1_000_000
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (more, more))
        resource.setrlimit(kind, (soft, soft))
        breach(f"raised {name} from {hard}")
""",
    ),
    runs(
        "kills",
        "Kills its parent, every process it can see, and one of the host.",
        PROCESSES
        + """

import signal

with suppress(OSError):
    os.kill(DECOY, signal.SIGKILL)
    breach("killed a process of the host")
if not bare:
    for number in (1, os.getppid(), -1):
        with suppress(OSError):
            os.kill(number, signal.SIGKILL)
    os.kill(1, signal.SIGINT)
""",
    ),
    runs(
        "stops",
        "Stops its parent and every process it can see, and sends them signals.",
        PROCESSES
        + """

import signal

if not bare:
    for word in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGHUP, signal.SIGPROF,
                 signal.SIGUSR1, signal.SIGTERM):
        for number in (1, os.getppid(), -1):
            with suppress(OSError):
                os.kill(number, word)
""",
    ),
    runs(
        "outlives",
        "Leaves a daemon that waits and then writes to the host.",
        """
import ctypes
import os
import signal
import time

if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, b"left-behind", 0, 0, 0)
        time.sleep(5)
        breach("went on after the submission")
        time.sleep(120)
    os._exit(0)
""",
    ),
]

REACH: list[Hostile] = FILES + KERNEL
