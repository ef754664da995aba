"""The policy of `cloud` over a Vertex AI CustomJob, as its REST interface takes it.

Google's parsers read `enable_web_access` and `enableWebAccess` alike. This policy knows
the second form only, and refuses the first as a setting that it does not know. Vertex
AI has no setting that isolates a container: what its network lets out is for firewall
rules and VPC Service Controls, which no job's specification shows. A file for gcloud's
`--config` names no key; write the whole CustomJob.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from securetrain import cloud, cloud_code
from securetrain.cloud import Finding, Found, Path, Rules, get
from securetrain.cloud_sagemaker import arguments

JOB = frozenset(("displayName", "jobSpec", "labels", "encryptionSpec"))
SPEC = frozenset(
    [
        "workerPoolSpecs",
        "scheduling",
        "serviceAccount",
        "network",
        "reservedIpRanges",
        "pscInterfaceConfig",
        "baseOutputDirectory",
        "protectedArtifactLocationId",
        "tensorboard",
        "enableWebAccess",
        "enableDashboardAccess",
        "experiment",
        "experimentRun",
    ]
)
POOL = frozenset(
    ["machineSpec", "replicaCount", "containerSpec", "pythonPackageSpec", "diskSpec"]
)
CONTAINER = frozenset(("imageUri", "command", "args", "env"))
PYTHON = frozenset(("executorImageUri", "packageUris", "pythonModule", "args", "env"))
_MACHINE = "machineType acceleratorType acceleratorCount tpuTopology gpuPartitionSize"
_SCHEDULE = "timeout restartJobOnWorkerRestart strategy disableRetries maxWaitDuration"
_MACHINES = ("workerPoolSpecs", "machineSpec")
PARTS: dict[tuple[str, ...], set[str]] = {  # what is known below a jobSpec
    _MACHINES: {*f"{_MACHINE} reservationAffinity".split()},
    (*_MACHINES, "reservationAffinity"): {"reservationAffinityType", "key", "values"},
    ("workerPoolSpecs", "diskSpec"): {"bootDiskType", "bootDiskSizeGb"},
    ("scheduling",): {*_SCHEDULE.split()},
    ("pscInterfaceConfig",): {"networkAttachment", "dnsPeeringConfigs"},
    ("pscInterfaceConfig", "dnsPeeringConfigs"): {
        "domain",
        "targetProject",
        "targetNetwork",
    },
    ("baseOutputDirectory",): {"outputUriPrefix"},
}
ACCOUNT = re.compile(
    r"[a-z][a-z0-9-]{4,28}[a-z0-9]@([a-z0-9.:-]+)\.iam\.gserviceaccount\.com"
)
DEFAULT = re.compile(r".*@(developer|appspot)\.gserviceaccount\.com")
KEY = re.compile(r"projects/([^/]+)/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
IMAGE = re.compile(
    r"([a-z0-9-]+-docker\.pkg\.dev|(?:(?:us|eu|asia)\.)?gcr\.io)/([^/]+)/"
)
NETWORK = re.compile(r"projects/[^/]+/global/networks/(?!default$)[^/]+")
ATTACHMENT = re.compile(r"projects/[^/]+/regions/[^/]+/networkAttachments/[^/]+")
PROJECT = re.compile(r"(?:^|/)projects/([^/\s]+)/")
BUCKET = re.compile(r"(?i)(?:gs://|/gcs/)([^/\s\"',;]*)")
TABLE = re.compile(r"(?i)bq://([^./\s]+)")
SECONDS = re.compile(r"([0-9]{1,9})(\.[0-9]+)?s")


def findings(job: Mapping, rules: Rules) -> Found:
    """Yield what is wrong with a CustomJob."""
    base: Path = ("jobSpec",)
    if "jobSpec" not in job and "workerPoolSpecs" in job:  # what gcloud calls a config
        job, base = {"jobSpec": job}, ()
    else:
        yield from cloud.unknown(job, JOB)
    spec = job.get("jobSpec")
    if not isinstance(spec, Mapping):
        yield Finding(("jobSpec",), "image", "expected a mapping", "write the job here")
        spec = {}
    yield from cloud.unknown(spec, SPEC, base)
    for path, known in PARTS.items():
        yield from cloud.unknown_below(spec, path, frozenset(known), base)
    yield from cloud.unknown_below(job, ("encryptionSpec",), frozenset(("kmsKeyName",)))
    yield from cloud.secrets_in(job.get("labels"), ("labels",))
    yield from _who(spec, base, rules)
    yield from _reach(spec, base, rules)
    yield from _keys(job, base, rules)
    yield from _pools(spec, base, rules)
    yield from _data(spec if not base else job, rules)
    yield from _limits(spec, base, rules)


def _who(spec: Mapping, base: Path, rules: Rules) -> Found:
    value, path = spec.get("serviceAccount"), (*base, "serviceAccount")
    match = ACCOUNT.fullmatch(value) if isinstance(value, str) else None
    write = "write a service account made for this job"
    if match is None:
        wrong = "no service account, so the default one runs it" if not value else (
            "the default account can do far more than this job"
            if isinstance(value, str) and DEFAULT.fullmatch(value)
            else f"{value!r:.80} is no service account"
        )  # fmt: skip
        yield Finding(path, "who", wrong, write)
    elif match[1] not in rules.projects:
        wrong = f"the account is of project {match[1]:.40}, which is not ours"
        yield Finding(path, "who", wrong, "use one of ours, or name it: --project")


def _reach(spec: Mapping, base: Path, rules: Rules) -> Found:
    private, form = spec.get("pscInterfaceConfig"), ATTACHMENT
    value = get(private, "networkAttachment")
    if spec.get("network") is not None or value is None:
        value, form = spec.get("network"), NETWORK
    if not isinstance(value, str) or not form.fullmatch(value):
        wrong = "no network of ours: its traffic goes where it likes"
        write = "write projects/NUMBER/global/networks/NAME, or a pscInterfaceConfig"
        yield Finding((*base, "network"), "reach", wrong, write)
    peers = get(private, "dnsPeeringConfigs")
    path = (*base, "pscInterfaceConfig", "dnsPeeringConfigs")
    named = peers if isinstance(peers, list) else [peers] * (peers is not None)
    for number, peer in enumerate(named):
        project = get(peer, "targetProject") if isinstance(peers, list) else None
        if project not in rules.projects:
            wrong = "names are looked up in a project that is not ours"
            write = "write a targetProject of ours, or name it: --project"
            yield Finding((*path, number), "reach", wrong, write)
    for name in ("enableWebAccess", "enableDashboardAccess"):
        if spec.get(name) not in (None, False):
            what = "a shell in" if name == "enableWebAccess" else "a page into"
            wrong = f"it opens {what} the container"
            yield Finding((*base, name), "reach", wrong, "write false")


def _keys(job: Mapping, base: Path, rules: Rules) -> Found:
    path = ("encryptionSpec", "kmsKeyName")
    value = get(job, *path)
    match = KEY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        wrong = "no key of ours" if not value else f"{value!r:.60} is no key"
        write = "write projects/P/locations/L/keyRings/R/cryptoKeys/K beside jobSpec"
        if not base:
            write = "a gcloud config cannot name a key: write the whole CustomJob"
        yield Finding(path, "keys", wrong, write)
    elif match[1] not in rules.projects:
        wrong = f"the key is in project {match[1]:.40}, which is not ours"
        yield Finding(path, "keys", wrong, "use a key of ours")


def _pools(spec: Mapping, base: Path, rules: Rules) -> Found:
    pools = spec.get("workerPoolSpecs")
    if not isinstance(pools, list) or not any(pools):
        wrong = "expected a list of pools"
        yield Finding((*base, "workerPoolSpecs"), "image", wrong, "write at least one")
        return
    for number, pool in enumerate(pools):
        path: Path = (*base, "workerPoolSpecs", number)
        yield from cloud.unknown(pool, POOL, path)
        kinds = {"containerSpec": CONTAINER, "pythonPackageSpec": PYTHON}
        given = [kind for kind in kinds if get(pool, kind) is not None]
        if not given and pool != {}:  # an empty pool is how a place is left out
            wrong = "no containerSpec"
            yield Finding(path, "image", wrong, "write one")
        for kind in given:
            yield from _container(pool[kind], (*path, kind), kinds[kind], rules)


def _container(part: Any, path: Path, known: frozenset[str], rules: Rules) -> Found:
    yield from cloud.unknown(part, known, path)
    key = "imageUri" if "imageUri" in known else "executorImageUri"
    value = get(part, key)
    match = IMAGE.match(value) if isinstance(value, str) else None
    ours = bool(match) and match[2] in rules.projects
    yield from cloud.image(value, (*path, key), ours, rules)
    if get(part, "packageUris"):
        wrong = "the code is fetched from a bucket, and can be replaced there"
        write = "put the code into the image"
        yield Finding((*path, "packageUris"), "image", wrong, write)
    env = get(part, "env")
    if env is not None and not isinstance(env, list):
        yield Finding((*path, "env"), "secrets", "expected a list", "write name, value")
    for number, row in enumerate(env if isinstance(env, list) else []):
        at = (*path, "env", number)
        yield from cloud.secret(str(get(row, "name")), get(row, "value"), at)
        yield from cloud_code.loads(str(get(row, "name")), at)
    words = [get(part, name) for name in ("command", "args")]
    words = [one for some in words if isinstance(some, list) for one in some]
    yield from cloud_code.inline(words, (*path, "command"))
    for name in ("command", "args"):
        yield from arguments(get(part, name), (*path, name))


def _data(job: Mapping, rules: Rules) -> Found:
    for path, text in cloud.strings(job):
        for bucket in BUCKET.findall(text):
            if bucket not in rules.buckets:
                wrong = f"the bucket {bucket!r:.70} is not ours"
                yield Finding(path, "data", wrong, "use ours, or name it: --bucket")
        if {"kmsKeyName", "serviceAccount"} & set(path):
            continue
        for project in {*PROJECT.findall(text), *TABLE.findall(text)}:
            if project not in rules.projects:
                wrong = f"names something in project {project:.40}, which is not ours"
                yield Finding(path, "data", wrong, "use ours, or name it: --project")
        if "env" not in path:
            yield from cloud.secret("", text, path)
    prefix = get(job, "jobSpec", "baseOutputDirectory", "outputUriPrefix")
    prefix = prefix or get(job, "baseOutputDirectory", "outputUriPrefix")
    if prefix is not None and not str(prefix).startswith("gs://"):
        path = ("jobSpec", "baseOutputDirectory", "outputUriPrefix")
        wrong = f"{prefix!r:.60} is not written as gs://BUCKET/PREFIX"
        yield Finding(path, "data", wrong, "write it so")


def _limits(spec: Mapping, base: Path, rules: Rules) -> Found:
    path, most = (*base, "scheduling", "timeout"), rules.max_hours * 3600
    value = get(spec, "scheduling", "timeout")
    match = SECONDS.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < float(value[:-1]) <= most:
        wrong = (
            "no end is set, so it may run for 7 days" if not value else f"{value!r:.20}"
        )
        write = f"write at most {most}s ({rules.max_hours} hours)"
        yield Finding(path, "limits", wrong, write)
    pools = spec.get("workerPoolSpecs")
    pools = pools if isinstance(pools, list) else []
    for number, pool in enumerate(pools):
        size = get(pool, "diskSpec", "bootDiskSizeGb")
        at = (*base, "workerPoolSpecs", number, "diskSpec", "bootDiskSizeGb")
        yield from cloud.disk(size, at, rules)
    pools = [pool for pool in pools if pool != {}]
    counts = [cloud.whole(get(pool, "replicaCount")) for pool in pools]
    counts = [
        int(text) if isinstance(text := get(pool, "replicaCount"), str)
        and re.fullmatch("[0-9]{1,6}", text) else count
        for pool, count in zip(pools, counts, strict=True)
    ]  # fmt: skip
    bad = None in counts or any(count < 1 for count in counts if count is not None)
    if bad or sum(counts) > rules.max_instances:
        wrong = "no count of machines" if bad else f"{sum(counts)} machines"
        at = (*base, "workerPoolSpecs")
        write = f"write a replicaCount, together at most {rules.max_instances}"
        yield Finding(at, "limits", wrong, write)
