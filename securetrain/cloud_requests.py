"""Requests for training jobs: as tutorials write them, and as they should be.

Accounts, keys and secrets are drawn anew from `rng`; nothing here exists anywhere.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from random import Random
from typing import Any

from securetrain.cloud import Rules

REGION = "eu-west-1"
GONE = object()  # a setting that is taken out
HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Site:
    """What is ours, and one stranger."""

    account: str
    stranger: str
    project: str
    key: str
    digest: str
    secret: str

    @property
    def rules(self) -> Rules:
        """What the policy is told."""
        return Rules(
            frozenset((self.account,)),
            frozenset((self.project, "420042")),
            frozenset(("signs-train", "signs-models")),
            ("public.ecr.example/signs",),
        )


def site(rng: Random) -> Site:
    """Return fresh account numbers, keys and a secret."""

    def digits() -> str:
        return "".join(rng.choices("123456789", k=12))

    def some(n: int) -> str:
        return "".join(rng.choices(HEX, k=n))

    account, stranger = digits(), digits()
    key = f"{some(8)}-{some(4)}-{some(4)}-{some(4)}-{some(12)}"
    return Site(account, stranger, f"signs-{some(6)}", key, some(64), some(40))


def image(account: str, end: str) -> str:
    """Return the name of an image in an account's registry."""
    return f"{account}.dkr.ecr.{REGION}.amazonaws.com/signs-trainer{end}"


def key(account: str, site: Site) -> str:
    """Return the ARN of a key in an account."""
    return f"arn:aws:kms:{REGION}:{account}:key/{site.key}"


def channel(uri: str) -> dict[str, Any]:
    """Return one input channel."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return {"ChannelName": "train", "DataSource": {"S3DataSource": source}}


def tutorial(site: Site) -> dict[str, Any]:
    """Return a request as most tutorials write it: it works, and nothing is closed."""
    return {
        "TrainingJobName": "signs-1",
        "AlgorithmSpecification": {
            "TrainingImage": image(site.stranger, ":latest"),
            "TrainingInputMode": "File",
        },
        "RoleArn": f"arn:aws:iam::{site.account}:role/AdministratorAccess",
        "InputDataConfig": [channel("s3://signs-public/train/")],
        "OutputDataConfig": {"S3OutputPath": "s3://signs-public/models/"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.xlarge",
            "InstanceCount": 2,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 28 * 24 * 3600},
        "HyperParameters": {"epochs": "3", "registry_password": site.secret},
    }


def approved(site: Site) -> dict[str, Any]:
    """Return the same job with every setting closed."""
    return {
        "TrainingJobName": "signs-1",
        "AlgorithmSpecification": {
            "TrainingImage": image(site.account, f"@sha256:{site.digest}"),
            "TrainingInputMode": "File",
        },
        "RoleArn": f"arn:aws:iam::{site.account}:role/training-signs",
        "InputDataConfig": [channel("s3://signs-train/train/")],
        "OutputDataConfig": {
            "S3OutputPath": "s3://signs-models/",
            "KmsKeyId": key(site.account, site),
        },
        "ResourceConfig": {
            "InstanceType": "ml.m5.xlarge",
            "InstanceCount": 2,
            "VolumeSizeInGB": 30,
            "VolumeKmsKeyId": key(site.account, site),
        },
        "VpcConfig": {"SecurityGroupIds": ["sg-0a1b2c3d"], "Subnets": ["subnet-0a1b"]},
        "EnableNetworkIsolation": True,
        "EnableInterContainerTrafficEncryption": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 4 * 3600},
        "HyperParameters": {"epochs": "3"},
    }


def approved_vertex(site: Site) -> dict[str, Any]:
    """Return the closed job as a Vertex AI CustomJob."""
    registry = f"europe-west4-docker.pkg.dev/{site.project}/trainers/signs"
    pool = {
        "machineSpec": {"machineType": "n1-standard-8"},
        "replicaCount": 1,
        "containerSpec": {
            "imageUri": f"{registry}@sha256:{site.digest}",
            "args": ["--data=/gcs/signs-train/train", "--epochs=3"],
        },
    }
    ring = f"projects/{site.project}/locations/europe-west4/keyRings/training"
    return {
        "displayName": "signs-1",
        "jobSpec": {
            "workerPoolSpecs": [pool],
            "serviceAccount": f"training-signs@{site.project}.iam.gserviceaccount.com",
            "network": "projects/420042/global/networks/training",
            "baseOutputDirectory": {"outputUriPrefix": "gs://signs-models/signs-1/"},
            "scheduling": {"timeout": "14400s"},
        },
        "encryptionSpec": {"kmsKeyName": f"{ring}/cryptoKeys/signs"},
    }


def change(request: dict[str, Any], *changes: tuple[str, Any]) -> dict[str, Any]:
    """Return a copy with settings replaced; a path is written as a.0.b."""
    new = copy.deepcopy(request)
    for path, value in changes:
        *way, last = [int(s) if s.isdigit() else s for s in path.split(".")]
        here = new
        for step in way:
            here = here[step] if isinstance(here, list) else here.setdefault(step, {})
        if value is GONE:
            del here[last]
        else:
            here[last] = value
    return new
