"""What an exploit inside a container reaches, and whether the service still answers.

The service has a hole: somebody runs code in it. What they get then is decided by the
container's settings alone. `reaches` and `answers` judge settings as plain data;
container_trial.py runs the same settings for real, and tests hold the two together.

Not judged: the kernel, which a container shares, and what the service itself may do.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from securetrain.isolation import Isolation

# What an exploit wants, and what it means.
GOALS = {
    "root": "it runs as root",
    "capabilities": "it holds rights of root",
    "planted": "it leaves a file in the image",
    "model": "it changes the model on the host",
    "token": "it reads the publishing token",
    "network": "it talks to another service of the host",
    "control": "it talks to the daemon that starts containers",
    "memory": "it takes a gigabyte of memory",
    "processes": "it starts a hundred processes",
}
# What can be shown inside: a name of the host's -> what an exploit finds there.
SOURCES = {
    "model": {"model"},
    "run": set(),
    "token": {"token"},
    "control": {"control"},
    "home": {"model", "token", "control"},
}
SOCKET_FOLDER, SCRATCH = "/run/service", "/tmp"
TOKEN = "TOKEN"  # stands in settings where the token goes
TAKES_MB, STARTS = 1024, 100  # what the exploit tries to take
NEEDS_MB = 96  # what a service has to be left
KEYS = {"network", "read_only_root", "writable", "user", "capabilities"}
KEYS |= {"environment", "memory_mb", "processes", "binds"}
LOOSE: dict[str, Any] = {
    "network": "host",
    "read_only_root": False,
    "writable": [],
    "user": 0,
    "capabilities": ["CAP_DAC_OVERRIDE", "CAP_NET_RAW"],
    "environment": {"SERVICE_MODEL": "/model/model.json", "PUBLISH_TOKEN": TOKEN},
    "memory_mb": None,
    "processes": None,
    "binds": [
        {"source": "model", "place": "/model", "writable": True},
        {"source": "run", "place": SOCKET_FOLDER, "writable": True},
        {"source": "control", "place": "/run/control.sock", "writable": False},
    ],
}
TIGHT: dict[str, Any] = {
    "network": "none",
    "read_only_root": True,
    "writable": [SCRATCH],
    "user": 65534,
    "capabilities": [],
    "environment": {"SERVICE_MODEL": "/model/model.json"},
    "memory_mb": 512,
    "processes": 32,
    "binds": [
        {"source": "model", "place": "/model", "writable": False},
        {"source": "run", "place": SOCKET_FOLDER, "writable": True},
    ],
}


def isolation(settings: Mapping[str, Any], token: str = "") -> Isolation:
    """Return settings as the runtimes take them.

    token: put where the settings say TOKEN. Raises ValueError, saying what is wrong.
    """
    check(settings)
    environment = {
        name: text.replace(TOKEN, token) if token else text
        for name, text in settings["environment"].items()
    }
    kept = {k: settings[k] for k in ("network", "read_only_root", "user", "memory_mb")}
    kept["processes"] = settings["processes"]
    lists = {k: tuple(settings[k]) for k in ("writable", "capabilities")}
    return Isolation(**kept, **lists, environment=environment)


def check(settings: Any) -> None:
    """Raise ValueError unless these are the whole settings of a container."""
    if not isinstance(settings, Mapping) or settings.keys() != KEYS:
        raise ValueError(f"expected exactly the settings {', '.join(sorted(KEYS))}")
    if type(settings["read_only_root"]) is not bool:
        raise ValueError("read_only_root is True or False")
    for key in ("user", "memory_mb", "processes"):
        if type(settings[key]) is not int and not (
            settings[key] is None and key != "user"
        ):
            raise ValueError(f"{key}: expected a whole number, got {settings[key]!r}")
    for key in ("writable", "capabilities", "binds"):
        if not isinstance(settings[key], (list, tuple)):
            raise ValueError(f"{key}: expected a list, got {settings[key]!r}")
    for key in ("writable", "capabilities"):
        if not all(isinstance(text, str) for text in settings[key]):
            raise ValueError(f"{key}: expected texts, got {settings[key]!r}")
    environment = settings["environment"]
    if not isinstance(environment, Mapping) or not all(
        isinstance(text, str) for pair in environment.items() for text in pair
    ):
        raise ValueError("environment: expected a table of texts")
    places = [_bind(bind) for bind in settings["binds"]]
    if len(set(places)) != len(places):
        raise ValueError("binds: two of them have the same place")


def _bind(bind: Any) -> str:
    if not isinstance(bind, Mapping) or bind.keys() != {"source", "place", "writable"}:
        raise ValueError("a bind has source, place and writable")
    if bind["source"] not in SOURCES or type(bind["writable"]) is not bool:
        raise ValueError(f"a bind of one of {', '.join(SOURCES)}, got {bind!r}")
    place = bind["place"]
    if not isinstance(place, str) or not place.startswith("/") or ".." in place:
        raise ValueError(f"a bind's place is an absolute path, got {place!r}")
    return place


def reaches(settings: Mapping[str, Any], as_root: bool = True) -> set[str]:
    """Return which GOALS an exploit reaches in a container with these settings.

    as_root: root of the host starts it, so that user 0 inside is root of the host, whom
    no limit of processes binds. Raises ValueError as `check` does.
    """
    isolation(settings)
    shown = {goal: False for goal in ("model", "token", "control")}
    for bind in settings["binds"]:
        for goal in SOURCES[bind["source"]]:
            # A socket is talked to through a read-only bind as well.
            shown[goal] |= bind["writable"] if goal == "model" else True
    environment = settings["environment"].values()
    shown["token"] |= any(TOKEN in text for text in environment)
    megabytes, processes = settings["memory_mb"], settings["processes"]
    root = settings["user"] == 0
    return {goal for goal, seen in shown.items() if seen} | {
        goal
        for goal, seen in {
            "root": root,
            "capabilities": bool(settings["capabilities"]),
            "planted": not settings["read_only_root"],
            "network": settings["network"] == "host",
            "memory": megabytes is None or megabytes > TAKES_MB,
            "processes": processes is None or processes > STARTS or (root and as_root),
        }.items()
        if seen
    }


def answers(settings: Mapping[str, Any]) -> str:
    """Return what keeps the service from answering, "" when nothing does.

    Raises ValueError as `check` does.
    """
    isolation(settings)
    at = {bind["place"]: bind for bind in settings["binds"]}
    path = settings["environment"].get("SERVICE_MODEL", "")
    folder, _, name = path.rpartition("/")
    model = at.get(folder, {}).get("source") == "model" and name == "model.json"
    home = at.get(folder.removesuffix("/model"), {}).get("source") == "home"
    if not (model or (home and path.endswith("/model/model.json"))):
        return "it finds no model where SERVICE_MODEL says"
    run = at.get(SOCKET_FOLDER, {})
    if run.get("source") != "run" or not run["writable"]:
        return f"it cannot make its socket in {SOCKET_FOLDER}"
    if settings["read_only_root"] and SCRATCH not in settings["writable"]:
        return f"it cannot write its scratch file in {SCRATCH}"
    if settings["memory_mb"] is not None and settings["memory_mb"] < NEEDS_MB:
        return "memory_mb is too low for it"
    return ""


def mixed(rng: Random) -> dict[str, Any]:
    """Return settings that nobody chose, under which the service starts or not."""
    model, run = TIGHT["binds"]
    extra = [
        {"source": "token", "place": "/run/secrets/token", "writable": False},
        {"source": "control", "place": "/var/run/docker.sock", "writable": False},
        {"source": "home", "place": "/host/home", "writable": rng.random() < 0.5},
    ]
    return {
        "network": rng.choice(("none", "host")),
        "read_only_root": rng.random() < 0.5,
        "writable": rng.choice(([], [SCRATCH], [SCRATCH, "/var/tmp"])),
        "user": rng.choice((0, 1000, 65534)),
        "capabilities": rng.choice(([], ["CAP_NET_RAW"], ["CAP_CHOWN"])),
        "environment": rng.choice((LOOSE, TIGHT))["environment"],
        "memory_mb": rng.choice((None, 256, 512, 4096)),
        "processes": rng.choice((None, 16, 64, 4096)),
        "binds": [
            model | {"writable": rng.random() < 0.5},
            run,
            *rng.sample(extra, rng.randint(0, 2)),
        ],
    }
