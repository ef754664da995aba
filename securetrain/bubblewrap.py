"""The settings of `isolation` as a command line of bubblewrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securetrain.isolation import Bind, Isolation

SYSTEM = ("/usr", "/etc/ld.so.cache", "/etc/alternatives", "/etc/nsswitch.conf")
ONLINE = ("/etc/hosts", "/etc/resolv.conf", "/etc/ssl")  # only with a network
STAGE = "/mnt"
MERGED = ("bin", "sbin", "lib", "lib32", "lib64")


def command(
    settings: Isolation,
    program: Sequence[str],
    *,
    root: str | Path | None = None,
    binds: Sequence[Bind] = (),
    as_root: bool = False,
    status: int | None = None,
) -> list[str]:
    """Return the command line that runs a program under bubblewrap.

    root: a folder that becomes /, as an unpacked image; None shows this machine's
        programs and nothing else. In a read-only one, mount points must exist.
    as_root: whether the caller is root, who first turns into `user` for good
    status: number of an open file where bubblewrap says how the program ended
    A limit of processes is set inside, where the kernel counts the sandbox's alone: a
    root of its own needs the program prlimit for it.
    Raises ValueError for an empty program, and for what bubblewrap cannot do.
    """
    if not program or not all(isinstance(word, str) and word for word in program[:1]):
        raise ValueError(f"expected a program and its arguments, got {program!r}")
    if not settings.no_new_privileges:
        raise ValueError('bubblewrap always sets no_new_privs; use runtime="runc"')
    binds, line = list(binds), []
    if settings.memory_mb is not None:
        line = ["prlimit", f"--as={settings.memory_mb * 1024 * 1024}", "--"]
    if as_root and settings.user:
        line += _become(settings.user, root, binds)
        root = f"{STAGE}/root" if root else None
        binds = [
            replace(bind, source=f"{STAGE}/{n}", place=bind.place or bind.source)
            for n, bind in enumerate(binds)
        ]
    line += ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    line += [] if status is None else ["--json-status-fd", str(status)]
    line += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    line += ["--unshare-net"] if settings.network == "none" else []
    if settings.user or not as_root:
        line += ["--unshare-user", "--uid", str(settings.user)]
        line += ["--gid", str(settings.user)]
    line += ["--hostname", "sandbox", "--cap-drop", "ALL"]
    for name in settings.capabilities:
        line += ["--cap-add", name]
    line += _root(settings, root) + ["--proc", "/proc", "--dev", "/dev"]
    line += _places(settings, binds, bool(root))
    for name, value in settings.environment.items():
        line += ["--setenv", name, value]
    line += ["--chdir", "/", "--"]
    if settings.processes is not None:
        line += ["prlimit", f"--nproc={settings.processes}", "--"]
    return [*line, *program]


def _places(settings: Isolation, binds: Sequence[Bind], given: bool) -> list[str]:
    """Return options for what can be written and what is shown; a given root has it."""
    line = []
    for path in settings.writable:
        line += [*_parents(path), "--perms", "1777", "--tmpfs", path]
    for bind in binds:
        place = bind.place or bind.source
        line += [*([] if given else _parents(place)), _way(bind), bind.source, place]
    return (
        line
        + ["--remount-ro", "/dev"]
        + (["--remount-ro", "/"] if settings.read_only_root else [])
    )


def _way(bind: Bind) -> str:
    way = "--bind" if bind.writable else "--ro-bind"
    return f"{way}-try" if bind.optional else way


def _become(user: int, root: str | Path | None, binds: Sequence[Bind]) -> list[str]:
    """Return how root turns into someone else before the sandbox is made.

    What is bound is put on a stage first: it may lie where only root can look.
    """
    line = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/"]
    line += ["--perms", "0755", "--tmpfs", STAGE]
    line += ["--bind", str(root), f"{STAGE}/root"] if root else []
    for number, bind in enumerate(binds):
        line += [_way(bind), bind.source, f"{STAGE}/{number}"]
    ids = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return [*line, "--", "setpriv", *ids, "--"]


def _root(settings: Isolation, root: str | Path | None) -> list[str]:
    if root:
        way = "--ro-bind" if settings.read_only_root else "--bind"
        return [way, str(root), "/"]
    line = ["--perms", "0755", "--dir", "/etc"]
    for path in system(settings.network):
        line += ["--ro-bind-try", path, path]
    for name in MERGED:
        if Path("/", name).is_symlink():
            line += ["--symlink", f"usr/{name}", f"/{name}"]
        else:
            line += ["--ro-bind-try", f"/{name}", f"/{name}"]
    return line


def system(network: str) -> tuple[str, ...]:
    """Return what of this machine a program sees where it gets no root of its own."""
    return SYSTEM + (ONLINE if network == "host" else ())


def _parents(path: str) -> list[str]:
    """Return options that make a path's parents passable: bubblewrap's are not."""
    made = []
    for folder in reversed(Path(path).parents[:-1]):
        made += ["--perms", "0755", "--dir", str(folder)]
    return made
