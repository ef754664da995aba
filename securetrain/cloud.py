"""Policy as code over the request that starts a training job in a cloud.

The attacker reads and writes what a careless request leaves open: a network, a role, a
bucket, an image by tag. They want data, models, keys and computing time, and will take
any setting that nobody asked about; so what the policy does not know, it refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from securetrain import key_scanners

# The same questions for every provider.
QUESTIONS = {
    "who": "who runs it",
    "reach": "what can it reach",
    "keys": "which keys encrypt it",
    "image": "which code runs",
    "data": "where does it read and write",
    "secrets": "what stands in it in clear",
    "limits": "how long may it run",
}
DIGEST = re.compile(r"(?P<name>[^\s@]+)@sha256:[0-9a-f]{64}")
PASSWORD = re.compile(  # a name of a file, or of a secret, is none
    r"(?i).*(passw(or)?ds?|passphrase|pwd|secret|credentials?)"
    r"([_.-](?!(file|path|name|arn|length)$).*|[0-9]*)"
    r"|(.*[_.-])?(api|access|secret|private|account|signing|encryption|ssh)[_-]?key"
)
TOKEN = re.compile(  # special_tokens are no secrets
    r"(?i)(.*[_.-])?(token|pass|pw|pat|auth(orization)?|dsn)"
    r"|((api|auth|access|refresh|hf)[_.-])?tokens"
)
FOLDER = re.compile(r"(OLD)?PWD=/\S*")  # a shell's own, and no password
SCHEME = re.compile(r"(?i)(bearer|basic|token)\s+")
OPAQUE = re.compile(r"[\w+/=.~!@#$%^&*-]{8,}")  # `</s>` is a token, but no secret
REFERENCE = re.compile(
    r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+"
    r"|ssm:[a-z0-9-]+:\d{12}:parameter/[\w/.-]+)"
    r"|projects/[^/\s]+/secrets/[\w-]+(/versions/\w+)?"
)
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Rules:
    """What is ours; everything else is somebody else's.

    accounts: AWS account numbers; projects: Google Cloud project ids and numbers;
    registries: beginnings of image names that are welcome though not in our accounts
    max_disk_gb: of each machine; a bound of ours, as the services name none
    """

    accounts: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()
    buckets: frozenset[str] = frozenset()
    registries: tuple[str, ...] = ()
    max_hours: int = 24
    max_instances: int = 8
    max_disk_gb: int = 1024


@dataclass(frozen=True)
class Finding:
    """One setting that must not stay so.

    path: of the setting in the request; question: a key of QUESTIONS
    """

    path: Path
    question: str
    wrong: str
    write: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.wrong}; {self.write}"


Found = Iterator[Finding]


def findings(request: Any, provider: str, rules: Rules) -> list[Finding]:
    """Return what is wrong with a job's request, in the order of QUESTIONS.

    request: the arguments of SageMaker's CreateTrainingJob, or a Vertex AI CustomJob,
    as plain data; provider: "sagemaker" or "vertex". Values of any type are welcome and
    never pass unread. Raises ValueError for another provider.
    """
    from securetrain import cloud_sagemaker, cloud_vertex

    asked: dict[str, Callable[[Mapping, Rules], Found]] = {
        "sagemaker": cloud_sagemaker.findings,
        "vertex": cloud_vertex.findings,
    }
    if provider not in asked:
        raise ValueError(f"expected a provider of {list(asked)}, got {provider!r}")
    if not isinstance(request, Mapping):
        kind = type(request).__name__
        return [Finding((), "who", f"a job is a mapping, this is {kind}", "write one")]
    order = list(QUESTIONS)
    found = dict.fromkeys(asked[provider](request, rules))
    return sorted(found, key=lambda one: order.index(one.question))


def provider_of(request: Any) -> str | None:
    """Return whose job this looks like; None when it is neither's, or both's."""
    if not isinstance(request, Mapping):
        return None
    aws = {"TrainingJobName", "AlgorithmSpecification", "RoleArn"} & set(request)
    google = {"jobSpec", "job_spec", "workerPoolSpecs", "worker_pool_specs"}
    google &= set(request)
    if bool(aws) == bool(google):
        return None
    return "sagemaker" if aws else "vertex"


# --- What both providers need ------------------------------------------------------


def get(value: Any, *path: str | int) -> Any:
    """Return the value at a path, None where the way there is not as expected."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def strings(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text in a request with its path, keys of mappings included."""
    waiting: list[tuple[Path, Any]] = [(path, value)]
    while waiting:
        at, one = waiting.pop()
        if isinstance(one, str):
            yield at, one
        elif isinstance(one, Mapping):
            waiting += [((*at, key), part) for key, part in one.items()]
            waiting += [((*at, key), str(key)) for key in one]
        elif isinstance(one, list | tuple):
            waiting += [((*at, number), part) for number, part in enumerate(one)]


def unknown(part: Any, known: frozenset[str], path: Path = ()) -> Found:
    """Find settings that this policy has no question for."""
    if isinstance(part, Mapping):
        for key in part:
            if key not in known:
                wrong = "this policy does not know the setting"
                write = "take it out, or extend the policy"
                yield Finding((*path, key), "reach", wrong, write)


def unknown_below(part: Any, way: Path, known: frozenset[str], at: Path = ()) -> Found:
    """Find settings at a place below the top that this policy does not know.

    way: of names; a list on it stands for each of its rows
    """
    if isinstance(part, list):
        for number, row in enumerate(part):
            yield from unknown_below(row, way, known, (*at, number))
    elif way:
        below = get(part, way[0])
        yield from unknown_below(below, way[1:], known, (*at, way[0]))
    else:
        yield from unknown(part, known, at)


def image(value: Any, path: Path, ours: bool, rules: Rules) -> Found:
    """Ask of an image: pinned by digest, and from a registry of ours?"""
    if not isinstance(value, str) or not value:
        yield Finding(path, "image", "no image is named", "write IMAGE@sha256:DIGEST")
        return
    if not DIGEST.fullmatch(value):
        wrong = f"{value:.80} can become another image tomorrow"
        yield Finding(path, "image", wrong, "write IMAGE@sha256:DIGEST")
    if not ours and not any(welcome(value, name) for name in rules.registries):
        wrong = f"{value:.80} comes from a registry that is not ours"
        yield Finding(path, "image", wrong, "copy it to ours, or name it: --registry")


def welcome(name: str, registry: str) -> bool:
    """Say whether an image is in a registry; `host/team` does not hold `host/team2`."""
    return name.startswith(registry.rstrip("/") + "/")


def secret(name: str, value: Any, path: Path) -> Found:
    """Ask of a named value that others can read: is it a secret?"""
    if isinstance(value, bool | int | float) or value is None:
        value = str(value) if isinstance(value, int) and value > 9999 else ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    bare = SCHEME.sub("", text.strip().strip("\"'"), count=1)
    write = "store it in a secret manager, and name it by its reference"
    if not bare or REFERENCE.fullmatch(bare) or FOLDER.fullmatch(f"{name}={bare}"):
        return
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # apiKey is api_Key
    named = PASSWORD.fullmatch(name)
    if named or (TOKEN.fullmatch(name) and OPAQUE.fullmatch(bare)):
        wrong = "a secret in clear: whoever may describe the job reads it"
        yield Finding(path, "secrets", wrong, write)
        return
    try:
        keys = key_scanners.find(f"{name}={text}".encode())
    except key_scanners.Unread as error:
        yield Finding(path, "secrets", f"cannot be scanned: {error}", write)
        return
    if keys:
        yield Finding(path, "secrets", "holds something of the form of a key", write)


def secrets_in(values: Any, path: Path) -> Found:
    """Ask of names and values that others can read: is one a secret?"""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from secret(str(name), value, (*path, name))


def whole(value: Any) -> int | None:
    """Return a whole number, None for anything else; True is not 1."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def disk(value: Any, path: Path, rules: Rules) -> Found:
    """Ask of the size of a machine's disk: is it in bounds, where one is named?"""
    size = whole(value)
    if value is not None and (size is None or not 0 < size <= rules.max_disk_gb):
        write = f"write a whole number up to {rules.max_disk_gb}, or --max-disk-gb"
        yield Finding(path, "limits", f"a disk of {value!r:.20} GB", write)


def dotted(path: Path) -> str:
    """Return a path as a reader writes it."""
    text = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path)
    return text.lstrip(".") or "the job"


# --- What was reviewed, and what runs ----------------------------------------------


def digest(request: Mapping) -> str:
    """Return the hash of a request, the same for every order of its keys.

    Raises ValueError for values that are not plain data, NaN included.
    """
    try:
        text = json.dumps(request, sort_keys=True, allow_nan=False, ensure_ascii=True)
    except TypeError as error:
        raise ValueError(f"expected plain data: {error}") from None
    return sha256(text.encode()).hexdigest()


def drift(approved: Any, running: Any, path: Path = ()) -> list[Path]:
    """Return the paths where what runs is not what was approved.

    A setting that runs and was never approved counts, unless it is off: False, "", 0,
    an empty list or mapping, or null. True and 1 differ.
    """
    if isinstance(approved, Mapping) and isinstance(running, Mapping):
        names = sorted({*approved, *running}, key=str)
        pairs = [(name, approved.get(name), running.get(name)) for name in names]
    elif isinstance(approved, list) and isinstance(running, list):
        longest = range(max(len(approved), len(running)))
        pairs = [(n, get(approved, n), get(running, n)) for n in longest]
    elif (not approved and not running) or _same(approved, running):
        return []
    else:
        return [path]
    return [at for name, a, b in pairs for at in drift(a, b, (*path, name))]


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
