"""The policy of `cloud` over a request to SageMaker's CreateTrainingJob.

Whoever may describe a job reads its environment; whoever may update one can open a
shell in it. The attacker holds neither the account nor its keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from securetrain import cloud, cloud_code
from securetrain.cloud import Finding, Found, Path, Rules, get

_TOP = """TrainingJobName HyperParameters AlgorithmSpecification RoleArn InputDataConfig
    OutputDataConfig ResourceConfig VpcConfig StoppingCondition Tags
    EnableNetworkIsolation EnableInterContainerTrafficEncryption
    EnableManagedSpotTraining CheckpointConfig DebugHookConfig
    DebugRuleConfigurations TensorBoardOutputConfig ExperimentConfig ProfilerConfig
    ProfilerRuleConfigurations Environment RetryStrategy RemoteDebugConfig
    InfraCheckConfig"""
KNOWN = frozenset(_TOP.split())
_VPC = "SecurityGroupIds Subnets"
_SPEC = "TrainingImage AlgorithmName TrainingInputMode MetricDefinitions"
_SPEC += " EnableSageMakerMetricsTimeSeries ContainerEntrypoint ContainerArguments"
_ROW = "ChannelName DataSource ContentType CompressionType RecordWrapperType InputMode"
_S3 = "S3DataType S3Uri S3DataDistributionType AttributeNames InstanceGroupNames"
_FILE = "FileSystemId FileSystemAccessMode FileSystemType DirectoryPath"
_MACHINES = "InstanceType InstanceCount VolumeSizeInGB VolumeKmsKeyId"
_MACHINES += " KeepAlivePeriodInSeconds InstanceGroups TrainingPlanArn"
_MACHINES += " InstancePlacementConfig InstancePreferences SelectedInstanceType"
_STOP = "MaxRuntimeInSeconds MaxWaitTimeInSeconds MaxPendingTimeInSeconds"
_SOURCE = ("InputDataConfig", "DataSource")
PARTS: dict[tuple[str, ...], set[str]] = {  # what is known below the top
    ("AlgorithmSpecification",): {*f"{_SPEC} TrainingImageConfig".split()},
    ("InputDataConfig",): {*f"{_ROW} ShuffleConfig".split()},
    _SOURCE: {"S3DataSource", "FileSystemDataSource"},
    (*_SOURCE, "S3DataSource"): {*f"{_S3} ModelAccessConfig HubAccessConfig".split()},
    (*_SOURCE, "FileSystemDataSource"): {*_FILE.split()},
    ("OutputDataConfig",): {"KmsKeyId", "S3OutputPath", "CompressionType"},
    ("ResourceConfig",): {*f"{_MACHINES} SelectedInstanceCount".split()},
    ("VpcConfig",): {*_VPC.split()},
    ("StoppingCondition",): {*_STOP.split()},
    ("CheckpointConfig",): {"S3Uri", "LocalPath"},
}
ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/[\w+=,.@/-]+")
KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:(\d{12}):key/[\w-]+")
ECR = re.compile(r"(\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/")
ARN = re.compile(r"arn:aws[a-z-]*:([a-z0-9-]*):[a-z0-9-]*:([^:\s]*):([^\s\"',]*)")
S3 = re.compile(r"(?i)\bs3[an]?://([^/\s\"',;]*)")
# Disks of these types are encrypted by the machine; SageMaker refuses a key for them.
_DISKS = {  # family: what follows it
    "g": ("4dn", "5", "6", "6e"),
    "p": ("3dn", "4d", "4de", "5", "5e", "5en"),
    "trn": ("1", "1n", "2"),
    "c": ("5d",),
    "m": ("5d",),
    "r": ("5d",),
}
OWN_DISKS = tuple(f"ml.{a}{b}." for a, some in _DISKS.items() for b in some)
ASKED = ("RoleArn", "KmsKeyId", "VolumeKmsKeyId")  # of these, others ask more
PARAMETERS = [
    ("DebugRuleConfigurations", "RuleParameters"),
    ("ProfilerRuleConfigurations", "RuleParameters"),
    ("DebugHookConfig", "HookParameters"),
    ("ProfilerConfig", "ProfilingParameters"),
]
CODE = "sagemaker_submit_directory"  # the code of script mode, fetched by path


def findings(request: Mapping, rules: Rules) -> Found:
    """Yield what is wrong with a request to SageMaker."""
    yield from cloud.unknown(request, KNOWN)
    for path, known in PARTS.items():
        yield from cloud.unknown_below(request, path, frozenset(known))
    yield from _who(request, rules)
    yield from _reach(request)
    yield from _keys(request, rules)
    yield from _image(request, rules)
    yield from _data(request, rules)
    yield from _secrets(request)
    yield from _limits(request, rules)


def account_of(value: Any, form: re.Pattern[str]) -> str | None:
    """Return the account in a role, key or image, None for any other value."""
    match = form.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def _who(request: Mapping, rules: Rules) -> Found:
    role, path = request.get("RoleArn"), ("RoleArn",)
    account = account_of(role, ROLE)
    if account is None:
        wrong = "no role is named" if not role else f"{role!r:.80} is no role"
        yield Finding(path, "who", wrong, "write the ARN of a role made for this job")
    elif account not in rules.accounts:
        wrong = f"the role is in account {account}, which is not ours"
        yield Finding(path, "who", wrong, "use a role of ours, or name it: --account")
    elif re.search(r"(?i)admin|poweruser|:role/aws-service-role/", role):
        wrong = "a role by that name is not made for one job"
        yield Finding(path, "who", wrong, "make a role that can do this job alone")


def _reach(request: Mapping) -> Found:
    path: Path = ("EnableNetworkIsolation",)
    if request.get(path[0]) is not True:
        yield Finding(path, "reach", "the container may call anyone", "write true")
    for name in ("Subnets", "SecurityGroupIds"):
        ids = get(request, "VpcConfig", name)
        if not (isinstance(ids, list) and ids and all(_text(one) for one in ids)):
            wrong = f"no {name}: its traffic does not pass our network"
            yield Finding(("VpcConfig", name), "reach", wrong, "name those of our VPC")
    path = ("EnableInterContainerTrafficEncryption",)
    if request.get(path[0]) is not True:  # with one machine it costs nothing
        wrong = "gradients pass between machines in clear"
        yield Finding(path, "reach", wrong, "write true")
    path = ("RemoteDebugConfig", "EnableRemoteDebug")
    if get(request, *path) not in (None, False):
        yield Finding(path, "reach", "it opens a shell in the container", "write false")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def machine_types(request: Mapping) -> list[Any]:
    """Return the types of machine that a job may take."""
    resources = request.get("ResourceConfig")
    groups = [
        part
        for name in ("InstanceGroups", "InstancePreferences")
        for part in _rows(get(resources, name))
    ]
    one = get(resources, "InstanceType")
    return [get(group, "InstanceType") for group in groups] + ([one] if one else [])


def _machines(request: Mapping) -> int | None:
    """Return how many machines a job takes at most, None when that cannot be told."""
    resources = request.get("ResourceConfig")
    preferred = get(resources, "InstancePreferences")
    groups = get(resources, "InstanceGroups")
    if isinstance(groups, list) and groups and not preferred:
        counts = [cloud.whole(get(group, "InstanceCount")) for group in groups]
    elif isinstance(preferred, list) and preferred:
        many = [cloud.whole(get(one, "InstanceCount")) for one in preferred]
        counts = [None if None in many else max(many)]
    else:
        counts = [cloud.whole(get(resources, "InstanceCount"))]
    return None if None in counts or min(counts) < 1 else sum(counts)


def _keys(request: Mapping, rules: Rules) -> Found:
    volume = ("ResourceConfig", "VolumeKmsKeyId")
    output = ("OutputDataConfig", "KmsKeyId")
    types = machine_types(request)
    own = bool(types) and all(_text(t) and t.startswith(OWN_DISKS) for t in types)
    asked = [output] if own and get(request, *volume) is None else [volume, output]
    for path in asked:
        value = get(request, *path)
        account = account_of(value, KEY)
        if account is None:
            wrong = (
                "no key of ours" if not value else f"{value!r:.60} names no one's key"
            )
            write = "write arn:aws:kms:REGION:ACCOUNT:key/ID"
            yield Finding(path, "keys", wrong, write)
        elif account not in rules.accounts:
            wrong = (
                f"the key is in account {account}, which can take it away or keep it"
            )
            yield Finding(path, "keys", wrong, "use a key of ours")


def _image(request: Mapping, rules: Rules) -> Found:
    spec = request.get("AlgorithmSpecification")
    named: list[tuple[Path, Any]] = [
        (("AlgorithmSpecification", "TrainingImage"), get(spec, "TrainingImage"))
    ]
    if get(spec, "AlgorithmName"):
        path = ("AlgorithmSpecification", "AlgorithmName")
        wrong = "an algorithm brings an image that nobody here has seen"
        yield Finding(path, "image", wrong, "write TrainingImage")
    for part in ("DebugRuleConfigurations", "ProfilerRuleConfigurations"):
        rows = request.get(part) or []
        rows = rows if isinstance(rows, list) else [rows]
        key = "RuleEvaluatorImage"
        named += [((part, n, key), get(row, key)) for n, row in enumerate(rows)]
    for path, value in named:
        match = ECR.match(value) if isinstance(value, str) else None
        ours = bool(match) and match[1] in rules.accounts
        yield from cloud.image(value, path, ours, rules)
    path = ("AlgorithmSpecification", "ContainerEntrypoint")
    words = _rows(get(spec, path[-1])) + _rows(get(spec, "ContainerArguments"))
    yield from cloud_code.inline(words, path)
    if code := get(request, "HyperParameters", CODE):
        wrong = f"the code is fetched from {code!r:.80}, and can be replaced there"
        write = "put the code into the image"
        yield Finding(("HyperParameters", CODE), "image", wrong, write)


def _data(request: Mapping, rules: Rules) -> Found:
    for path, text in cloud.strings(request):
        named = path[-1] in ("S3Uri", "S3OutputPath") and text != path[-1]
        if named and not text.startswith("s3://"):
            wrong = f"{text!r:.60} is not written as s3://BUCKET/PREFIX"
            yield Finding(path, "data", wrong, "write it so")
        for bucket in S3.findall(text):
            yield from _bucket(bucket, path, rules)
        for service, account, rest in ARN.findall(text):
            if service == "s3" and not account:
                yield from _bucket(rest.partition("/")[0], path, rules)
            elif account and account not in rules.accounts and path[-1] not in ASKED:
                wrong = f"names something in account {account}, which is not ours"
                yield Finding(path, "data", wrong, "use ours, or name it: --account")
    for number, channel in enumerate(_rows(request.get("InputDataConfig"))):
        path = ("InputDataConfig", number, "DataSource", "FileSystemDataSource")
        kind = get(channel, "DataSource", "S3DataSource", "S3DataType")
        if kind not in (None, "S3Prefix"):  # a manifest may name any bucket
            wrong = "what a list names is not in this request"
            at = (*path[:3], "S3DataSource", "S3DataType")
            yield Finding(at, "data", wrong, "write S3Prefix")
        source = get(channel, *path[2:])
        if source is not None and get(source, "FileSystemAccessMode") != "ro":
            wrong = "the job may change the data it learns from"
            yield Finding((*path, "FileSystemAccessMode"), "data", wrong, "write ro")


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _bucket(name: str, path: Path, rules: Rules) -> Found:
    if name not in rules.buckets:
        wrong = f"the bucket {name!r:.70} is not ours"
        yield Finding(path, "data", wrong, "use a bucket of ours, or name it: --bucket")


def _secrets(request: Mapping) -> Found:
    for part in ("Environment", "HyperParameters"):
        values = request.get(part)
        if isinstance(values, Mapping):
            for name, value in values.items():
                yield from cloud.secret(str(name), value, (part, name))
                yield from cloud_code.loads(str(name), (part, name))
        elif values is not None:
            yield Finding((part,), "secrets", "expected names and values", "write such")
    for number, row in enumerate(_rows(request.get("Tags"))):
        name, value = str(get(row, "Key")), get(row, "Value")
        yield from cloud.secret(name, value, ("Tags", number, "Value"))
    for part, name in PARAMETERS:
        rows = request.get(part)
        for number, row in enumerate(rows if isinstance(rows, list) else [rows]):
            at = (part, number, name) if isinstance(rows, list) else (part, name)
            yield from cloud.secrets_in(get(row, name), at)
    for name in ("ContainerArguments", "ContainerEntrypoint"):
        path: Path = ("AlgorithmSpecification", name)
        yield from arguments(get(request, *path), path)
    for path, text in cloud.strings(request):
        if path[0] not in ("Environment", "HyperParameters"):
            yield from cloud.secret("", text, path)


def arguments(values: Any, path: Path) -> Found:
    """Find secrets among the words of a command: --token=WORD and --token WORD."""
    words = values if isinstance(values, list) else []
    for number, word in enumerate(words):
        if not isinstance(word, str) or not word.startswith("-"):
            continue
        name, has_value, value = word.lstrip("-").partition("=")
        if not has_value:
            value = get(words, number + 1)
        yield from cloud.secret(name, value, (*path, number))


def _limits(request: Mapping, rules: Rules) -> Found:
    path: Path = ("StoppingCondition", "MaxRuntimeInSeconds")
    most, seconds = rules.max_hours * 3600, cloud.whole(get(request, *path))
    if seconds is None or not 0 < seconds <= most:
        value = get(request, *path)
        odd = f"{value!r:.20} is no whole number"
        wrong = odd if seconds is None else f"{seconds:,} seconds"
        wrong = "no end is set" if value is None else wrong
        write = f"write at most {most} ({rules.max_hours} hours)"
        yield Finding(path, "limits", wrong, write)
    path = ("ResourceConfig", "KeepAlivePeriodInSeconds")
    kept = get(request, *path)
    if kept is not None and (cloud.whole(kept) is None or not 0 <= kept <= 3600):
        wrong = f"machines are kept for {kept!r:.20} seconds after the job"
        yield Finding(path, "limits", wrong, "write at most 3600")
    many = _machines(request)
    if many is None or many > rules.max_instances:
        wrong = "no count of machines" if many is None else f"{many} machines"
        write = f"write at most {rules.max_instances}"
        yield Finding(("ResourceConfig", "InstanceCount"), "limits", wrong, write)
    path = ("ResourceConfig", "VolumeSizeInGB")
    yield from cloud.disk(get(request, *path), path, rules)
