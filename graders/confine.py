"""Give one submission a world of its own; runs inside the jail, as root of nothing.

bubblewrap builds the jail once and keeps it for a whole class. Here a fork of its warm
process leaves for new namespaces (users, processes, mounts, network, messages), where
it sees no other process, has empty folders of its own, and gives up every right before
a student's first line runs. When its first process ends, the kernel ends all others.

Only the standard library: the C library is called through ctypes.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable
from contextlib import suppress

USER = 1000  # a student's user id as the student sees it
MEGABYTE = 1 << 20
SPARE_MB = 8192  # of addresses: what threads and allocators reserve and never use
# From the kernel's headers: sched.h, mount.h, prctl.h, seccomp.h.
NEW = {"user": 1 << 28, "mount": 1 << 17, "pid": 1 << 29, "net": 1 << 30}
NEW |= {"ipc": 1 << 27, "uts": 1 << 26, "cgroup": 1 << 25}
NO_SUID, NO_DEVICES, NO_PROGRAMS, READ_ONLY = 2, 4, 8, 1
CAPBSET_DROP, NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 24, 38, 22, 2
CAPABILITY_VERSION = 0x20080522

# What no lab needs and an attacker would like: syscall numbers of x86-64, aarch64.
FORBIDDEN = {
    "ptrace": (101, 117),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "io_uring_setup": (425, 425),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "pidfd_getfd": (438, 438),
    "clone3": (435, 435),  # its flags lie in memory, out of a filter's sight
    "socket": (41, 198),
    "setsockopt": (54, 208),  # makes a socket's queue hold megabytes
    # Memory that is no process's and that no scales see.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    # What others do with the files that all of us read.
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "syslog": (103, 116),
    # A process that everyone else goes before is never done.
    "setpriority": (141, 140),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "modify_ldt": (154, None),
}
# Refused for some arguments: numbers, which argument, its mask, a value, and whether
# that value is the refused one or the only one that is not.
SOME = {
    "clone into namespaces": ((56, 220), 0, sum(NEW.values()), 0, False),
    "mmap of shared, nameless memory": ((9, 222), 3, 0x21, 0x21, True),
    "fcntl that makes others wait for a file": ((72, 25), 1, ~0, 1024, True),
    "socketpair but of this machine's": ((53, 199), 0, ~0, 1, False),
}
NEWEST = 450  # later calls are told to be missing, as on an older kernel
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: object) -> None:
    """Call the C library. Raises OSError, naming the function."""
    if getattr(libc, name)(*args) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def spawn(
    life: Callable[[], None], real_user: int, tmp_mb: int, trust: bool
) -> tuple[int, int]:
    """Run `life` in namespaces of its own; return (child, first process there).

    real_user: whose rights outside the jail it has; another one than ours needs the
        capabilities to set user ids; trust: run it in a plain fork
    Raises OSError when the kernel refuses.
    """
    if trust:
        if child := os.fork():
            return child, child
        try:
            life()
        finally:
            os._exit(0)
    heard, say = os.pipe()
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(heard)
            os.close(go)
            status = _leave(life, say, wait, tmp_mb)
        finally:
            os._exit(status)
    for end in (say, wait):
        os.close(end)
    try:
        if os.read(heard, 1) == b"1":
            _map_user(child, real_user)
            os.write(go, b"1")
            if first := os.read(heard, 20):
                return child, int(first)
    finally:
        for end in (heard, go):
            os.close(end)
    os.waitpid(child, 0)
    raise OSError("the kernel gives a submission no namespaces of its own")


def _map_user(child: int, real_user: int) -> None:
    """Make a student's user the only one that the new namespace knows."""
    for name, text in (
        ("setgroups", "deny"),
        ("gid_map", f"{USER} {real_user or os.getgid()} 1"),
        ("uid_map", f"{USER} {real_user or os.getuid()} 1"),
    ):
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(text)


def _leave(life: Callable[[], None], say: int, wait: int, tmp_mb: int) -> int:
    """Enter new namespaces, start their first process, and wait for its end."""
    with suppress(PermissionError):  # only root has groups to lose, and may lose them
        os.setgroups([])
    call("unshare", sum(NEW.values()))
    os.write(say, b"1")
    os.read(wait, 1)
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    flags = NO_SUID | NO_DEVICES
    for folder, size in (("/tmp", tmp_mb), ("/dev/shm", 16)):
        data = f"size={size}m,nr_inodes=20k,mode=0700".encode()
        call("mount", b"tmpfs", folder.encode(), b"tmpfs", flags, data)
    call("mount", b"none", b"/proc", b"tmpfs", flags | READ_ONLY, b"size=4k")
    # Terminals of its own: the machine has few for all, and `!command` takes one.
    flags, data = NO_SUID | NO_PROGRAMS, b"newinstance,ptmxmode=0666,max=16"
    call("mount", b"devpts", b"/dev/pts", b"devpts", flags, data)
    first = os.fork()
    if first == 0:
        status = 1
        try:
            os.close(say)
            os.close(wait)
            status = _first(life)
        finally:
            os._exit(status)
    os.write(say, str(first).encode())
    os.close(say)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0x7F


def _first(life: Callable[[], None]) -> int:
    """Be process 1: start the student's, bury the orphans, end when it ends.

    Without a handler the kernel keeps every signal of the student's from process 1.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    student = os.fork()
    if student == 0:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            life()
            status = 0
        finally:
            os._exit(status)
    os.closerange(0, 1024)
    while True:
        dead, status = os.waitpid(-1, 0)
        if dead == student:
            return os.waitstatus_to_exitcode(status) & 0x7F


def give_up(keep: int, limits: dict[str, int], mapped_mb: int) -> None:
    """Give up every right, and every open file but one; there is no way back.

    limits: cpu_total and memory_mb hold for each process; the grader outside watches
        their sum, and gets a few seconds to end them first: it can say why;
        of processes, threads count too
    mapped_mb: of addresses, what a submission starts with
    """
    os.setsid()
    _quiet(keep)
    addresses = mapped_mb + limits["memory_mb"] + SPARE_MB
    for name, limit in {
        "CPU": (limits["cpu_total"] + 5, limits["cpu_total"] + 10),
        "DATA": (limits["memory_mb"] * MEGABYTE,) * 2,
        "AS": (addresses * MEGABYTE,) * 2,  # tables of empty pages take memory, too
        "NPROC": (limits["processes"],) * 2,
        "FSIZE": (64 * MEGABYTE,) * 2,
        "NOFILE": (256,) * 2,
        "SIGPENDING": (256,) * 2,
        "CORE": (0, 0),
        "MSGQUEUE": (0, 0),
        "MEMLOCK": (0, 0),
    }.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), limit)
    for capability in range(64):
        libc.prctl(CAPBSET_DROP, capability, 0, 0, 0)
    head = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    call("capset", ctypes.c_char_p(head), ctypes.c_char_p(bytes(24)))
    call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _filter_syscalls()


def _quiet(keep: int) -> None:
    """Close every file but one; input is empty, what is printed past Python is lost."""
    os.closerange(0, keep)
    os.closerange(keep + 1, 4096)
    for number, mode in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        if keep != number:
            opened = os.open("/dev/null", mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)


def _filter_syscalls() -> None:
    """Answer EPERM to what no lab needs, by a seccomp filter.

    On a processor whose numbers are not known here there is no filter; namespaces,
    capabilities and limits hold without it.
    """
    if platform.machine() not in ARCHITECTURES:
        return
    column, audit = ARCHITECTURES[platform.machine()]
    load, equal, above, keep, ret = 0x20, 0x15, 0x35, 0x54, 0x06
    deny, allow, kill, missing = 0x50001, 0x7FFF0000, 0x80000000, 0x50000 | 38
    program = [(load, 0, 0, 4), (equal, 1, 0, audit), (ret, 0, 0, kill)]
    program += [(load, 0, 0, 0), (above, 0, 1, 0x40000000), (ret, 0, 0, kill)]
    program += [(above, 0, 1, NEWEST + 1), (ret, 0, 0, missing)]
    for name, numbers in FORBIDDEN.items():
        if numbers[column] is not None:
            # Told that clone3 is missing, the C library falls back to clone.
            answer = missing if name == "clone3" else deny
            program += [(equal, 0, 1, numbers[column]), (ret, 0, 0, answer)]
    for numbers, place, mask, value, refused in SOME.values():
        program += [(equal, 0, 5, numbers[column]), (load, 0, 0, 16 + 8 * place)]
        program += [(keep, 0, 0, mask & 0xFFFFFFFF), (equal, 0, 1, value)]
        answers = (deny, allow) if refused else (allow, deny)
        program += [(ret, 0, 0, answer) for answer in answers]
    program += [(ret, 0, 0, allow)]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    lines = ctypes.create_string_buffer(code)
    head = struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(lines))
    call("prctl", SET_SECCOMP, FILTER, ctypes.c_char_p(head), 0, 0)


def kill(process: int) -> None:
    """Kill a process of ours, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def bury() -> None:
    """Wait for the end of every child, an orphan that came to us too.

    One that nobody waits for would count as the next submission's: its time and itself.
    """
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
