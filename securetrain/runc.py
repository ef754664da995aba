"""The settings of `isolation` as a bundle of runc, the runtime under most clusters.

runc's own process is no parent of the program: ending it would leave the program.
So the container is removed by its name, whatever happens.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from securetrain.bubblewrap import MERGED, system

if TYPE_CHECKING:
    from securetrain.isolation import Bind, Isolation

MASKED = [
    f"/proc/{name}"
    for name in ("acpi", "kcore", "keys", "latency_stats", "timer_list", "sched_debug")
]
READ_ONLY = [f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")]
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
]


def config(
    settings: Isolation, program: Sequence[str], root: str, binds: Sequence[Bind]
) -> dict[str, Any]:
    """Return the bundle's config.json, as the OCI runtime specification has it.

    root: the folder that becomes /
    """
    namespaces = ["pid", "ipc", "uts", "mount"]
    namespaces += ["network"] if settings.network == "none" else []
    return {
        "ociVersion": "1.0.2",
        "process": _process(settings, program),
        "root": {"path": root, "readonly": settings.read_only_root},
        "hostname": "sandbox",
        "mounts": MOUNTS + _mounts(settings, binds),
        "linux": {
            "namespaces": [{"type": name} for name in namespaces],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    }


def _process(settings: Isolation, program: Sequence[str]) -> dict[str, Any]:
    kept = list(settings.capabilities)
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    limits = []
    if settings.memory_mb is not None:
        limits.append(("RLIMIT_AS", settings.memory_mb * 1024 * 1024))
    if settings.processes is not None:
        limits.append(("RLIMIT_NPROC", settings.processes))
    return {
        "terminal": False,
        "user": {"uid": settings.user, "gid": settings.user},
        "args": list(program),
        "env": [f"{name}={value}" for name, value in settings.environment.items()],
        "cwd": "/",
        "capabilities": dict.fromkeys(sets, kept),
        "rlimits": [{"type": n, "hard": most, "soft": most} for n, most in limits],
        "noNewPrivileges": settings.no_new_privileges,
    }


def _bind(source: str, place: str, writable: bool = False) -> dict[str, Any]:
    options = ["rbind", "nosuid", "nodev", "rw" if writable else "ro"]
    return {"destination": place, "type": "bind", "source": source, "options": options}


def _system(settings: Isolation, root: Path) -> list[dict[str, Any]]:
    """Return the mounts of this machine's programs; put links beside them in `root`."""
    paths = list(system(settings.network))
    for name in MERGED:
        if (link := Path("/", name)).is_symlink():
            (root / name).symlink_to(link.readlink())
        else:
            paths.append(str(link))
    return [_bind(path, path) for path in paths if Path(path).exists()]


def _mounts(settings: Isolation, binds: Sequence[Bind]) -> list[dict[str, Any]]:
    mounts = [
        {
            "destination": place,
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "nodev", "mode=1777"],
        }
        for place in settings.writable
    ]
    for bind in binds:
        if not bind.optional or Path(bind.source).exists():
            mounts.append(_bind(bind.source, bind.place or bind.source, bind.writable))
    return mounts


@contextmanager
def bundle(
    runc: str,
    settings: Isolation,
    program: Sequence[str],
    root: str | Path | None,
    binds: Sequence[Bind],
) -> Iterator[tuple[list[str], Path, Callable[[], bool]]]:
    """Write a bundle, give the line that runs it, runc's log, and what removes it.

    The container is removed at the end in any case.
    runc: where it lies; root: None shows this machine's programs and nothing else
    """
    name = f"securetrain-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory(prefix="securetrain-runc-") as temporary:
        folder = Path(temporary)
        (folder / "rootfs").mkdir()
        shown = [] if root else _system(settings, folder / "rootfs")
        made = config(settings, program, str(root or folder / "rootfs"), binds)
        made["mounts"][len(MOUNTS) : len(MOUNTS)] = shown
        (folder / "config.json").write_text(json.dumps(made, indent=1))
        state = [runc, "--root", str(folder / "state")]
        log = folder / "runc.log"
        told = ["--log", str(log), "--log-format", "json"]

        def delete() -> bool:
            end = [*state, "delete", "--force", name]
            return not subprocess.run(end, capture_output=True, timeout=60).returncode

        try:
            yield [*state, *told, "run", "--bundle", str(folder), name], log, delete
        finally:
            delete()


def refused(log: Path) -> str:
    """Return why runc itself failed, "" where it ran the program, from its own log."""
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    return " ".join(x for x in lines if '"level":"error"' in x)[-600:]
