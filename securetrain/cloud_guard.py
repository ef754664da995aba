"""The same policy on the account's side: a service control policy that refuses calls.

Whoever holds an account's keys can pass by every check in git, and cannot pass by this
one. It sees only what AWS hands it as condition keys: no image, bucket or environment.
It does not bind the organisation's management account, and in this form it is for an
account in which SageMaker only trains: every role passed to it is called training-…,
and calls that start other containers than a training job's are refused.
Source: Service Authorization Reference, actions and condition keys of SageMaker AI
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from securetrain import cloud_iam
from securetrain.cloud import Rules, get
from securetrain.cloud_sagemaker import OWN_DISKS, machine_types

VERSION = "2012-10-17"
ALL = {
    "Version": VERSION,
    "Statement": [
        {"Sid": "AllByDefault", "Effect": "Allow", "Action": "*", "Resource": "*"}
    ],
}  # what every account starts with; a service control policy only takes away
START, UPDATE, PASS = (
    "sagemaker:CreateTrainingJob",
    "sagemaker:UpdateTrainingJob",
    "iam:PassRole",
)
STARTS = [START, "sagemaker:CreateHyperParameterTuningJob"]  # with the same keys
OTHERS = [  # calls that start a container, and are no training
    f"sagemaker:Create{one}"
    for one in [
        "ProcessingJob",
        "TransformJob",
        "AutoMLJob*",
        "NotebookInstance",
        "App",
    ]
]
MODE = "sagemaker:FileSystemAccessMode"
SERVICE = "sagemaker.amazonaws.com"
# condition key -> where the request says it
KEYS = {
    "sagemaker:NetworkIsolation": ("EnableNetworkIsolation",),
    "sagemaker:InterContainerTrafficEncryption": (
        "EnableInterContainerTrafficEncryption",
    ),
    "sagemaker:VpcSubnets": ("VpcConfig", "Subnets"),
    "sagemaker:VpcSecurityGroupIds": ("VpcConfig", "SecurityGroupIds"),
    "sagemaker:VolumeKmsKey": ("ResourceConfig", "VolumeKmsKeyId"),
    "sagemaker:OutputKmsKey": ("OutputDataConfig", "KmsKeyId"),
    "sagemaker:MaxRuntimeInSeconds": ("StoppingCondition", "MaxRuntimeInSeconds"),
    "sagemaker:EnableRemoteDebug": ("RemoteDebugConfig", "EnableRemoteDebug"),
}


def policy(rules: Rules) -> dict[str, Any]:
    """Return a service control policy that asks what AWS lets it ask.

    A Deny with `IfExists`, or with a negated operator, also meets the call that leaves
    the setting out.
    """
    roles, keys = (
        [f"arn:aws:{form.format(number)}" for number in sorted(rules.accounts)]
        for form in ("iam::{}:role/training-*", "kms:*:{}:key/*")
    )
    asked = {
        "Isolated": {"BoolIfExists": {"sagemaker:NetworkIsolation": "false"}},
        "EncryptedBetweenMachines": {
            "BoolIfExists": {"sagemaker:InterContainerTrafficEncryption": "false"}
        },
        "InOurNetwork": {"Null": {"sagemaker:VpcSubnets": "true"}},
        "BehindOurRules": {"Null": {"sagemaker:VpcSecurityGroupIds": "true"}},
        "OnMachines": {"Null": {"sagemaker:InstanceTypes": "true"}},
        "VolumeKey": {
            "ArnNotLike": {"sagemaker:VolumeKmsKey": keys},
            "ForAnyValue:StringNotLike": {
                "sagemaker:InstanceTypes": [f"{one}*" for one in OWN_DISKS]
            },
        },
        "OutputKey": {"ArnNotLike": {"sagemaker:OutputKmsKey": keys}},
        "AnEnd": {
            "NumericGreaterThanIfExists": {
                "sagemaker:MaxRuntimeInSeconds": str(rules.max_hours * 3600)
            }
        },
        "DataReadOnly": {"ForAnyValue:StringEquals": {MODE: "rw"}},
    }
    rows = [_deny(name, STARTS, Condition=asks) for name, asks in asked.items()]
    shell = {"Bool": {"sagemaker:EnableRemoteDebug": "true"}}
    rows.append(_deny("NoShell", [*STARTS, UPDATE], Condition=shell))
    rows.append(_deny("OnlyTraining", OTHERS))
    whom = {"StringEquals": {"iam:PassedToService": SERVICE}}
    other = _deny("OnlyTrainingRoles", PASS, Condition=whom) | {"NotResource": roles}
    del other["Resource"]
    rows.append(other)
    return {"Version": VERSION, "Statement": [*ALL["Statement"], *rows]}


def _deny(sid: str, action: str | list[str], **more: Any) -> dict[str, Any]:
    row = {"Sid": sid, "Effect": "Deny", "Action": action, "Resource": "*"}
    return row | more


def context(request: Mapping) -> dict[str, Any]:
    """Return the condition keys that AWS would fill from a request."""
    keys = {key: get(request, *path) for key, path in KEYS.items()}
    channels = request.get("InputDataConfig")
    at = ("DataSource", "FileSystemDataSource", "FileSystemAccessMode")
    modes = [get(one, *at) for one in channels] if isinstance(channels, list) else []
    keys[MODE] = [mode for mode in modes if mode is not None]
    return keys | {"sagemaker:InstanceTypes": machine_types(request)}


def verdict(
    request: Mapping, guard: Mapping, action: str = START
) -> cloud_iam.Decision:
    """Say whether the guard lets an administrator make this call, role passed along."""
    here = context(request)
    calls = [(action, "*", here)]
    if "RoleArn" in request:
        whom = {"iam:PassedToService": SERVICE}
        calls.append((PASS, str(request["RoleArn"]), here | whom))
    decisions = [cloud_iam.decide(*call, [ALL], [guard]) for call in calls]
    refused = [d for d in decisions if d.verdict != cloud_iam.ALLOW]
    return refused[0] if refused else decisions[0]
