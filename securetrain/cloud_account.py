"""What a request cannot say: what its role may do, and who may write to its bucket.

The attacker has taken over one job and holds its role's keys. Pure functions judge what
an account answers; reading it asks nothing but Get, List and Describe.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from securetrain import cloud
from securetrain.cloud import Finding, Rules, get
from securetrain.cloud_sagemaker import KEY

Call = tuple[str, str]  # action, resource
BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy")
BLOCK = (*BLOCK, "RestrictPublicBuckets")
SWITCH = "SECURETRAIN_CLOUD"
ACCOUNTS, BUCKETS = f"{SWITCH}_ACCOUNTS", f"{SWITCH}_BUCKETS"
# What DescribeTrainingJob answers and CreateTrainingJob never takes.
ANSWERED = frozenset(
    [
        "AutoMLJobArn",
        "BillableTimeInSeconds",
        "BillableTokenCount",
        "CreationTime",
        "DebugRuleEvaluationStatuses",
        "FailureReason",
        "FinalMetricDataList",
        "LabelingJobArn",
        "LastModifiedTime",
        "MlflowDetails",
        "ModelArtifacts",
        "OutputModelPackageArn",
        "ProfilerRuleEvaluationStatuses",
        "ProfilingStatus",
        "ProgressInfo",
        "ResponseMetadata",
        "SecondaryStatus",
        "SecondaryStatusTransitions",
        "TrainingEndTime",
        "TrainingJobArn",
        "TrainingJobStatus",
        "TrainingStartTime",
        "TrainingTimeInSeconds",
        "TuningJobArn",
        "WarmPoolStatus",
    ]
)


def needed(site: Any, region: str) -> dict[str, Call]:
    """Return what the job must be able to do, or it does not train."""
    key = f"arn:aws:kms:{region}:{site.account}:key/{site.key}"
    return {
        "read the data": ("s3:GetObject", "arn:aws:s3:::signs-train/train/a.csv"),
        "write the model": ("s3:PutObject", "arn:aws:s3:::signs-models/model.tar.gz"),
        "use its key": ("kms:GenerateDataKey", key),
    }


def theft(site: Any, region: str) -> dict[str, Call]:
    """Return what a thief would do with the role of a job."""
    account = site.account
    admin = f"arn:aws:iam::{account}:role/admin"
    kept = f"arn:aws:secretsmanager:{region}:{account}:secret"
    secret = f"{kept}:payroll-{site.digest[:6]}"
    job = f"arn:aws:sagemaker:{region}:{account}:training-job/mine"
    drop = f"arn:aws:s3:::drop-{site.stranger}/loot"
    return {
        "change the data": ("s3:PutObject", "arn:aws:s3:::signs-train/train/a.csv"),
        "read the payroll": ("s3:GetObject", "arn:aws:s3:::payroll/may.csv"),
        "carry it out": ("s3:PutObject", drop),
        "read a secret": ("secretsmanager:GetSecretValue", secret),
        "become admin": ("sts:AssumeRole", admin),
        "lend admin to a job": ("iam:PassRole", admin),
        "start a job": ("sagemaker:CreateTrainingJob", job),
        "make a lasting key": ("iam:CreateAccessKey", f"arn:aws:iam::{account}:user/x"),
    }


def bucket_findings(state: Mapping[str, Any], rules: Rules) -> list[Finding]:
    """Return what is wrong with a bucket.

    state: `block`, `versioning`, `encryption` and `policy` as `bucket` reads them
    """
    found = []
    for name in BLOCK:
        if get(state, "block", name) is not True:
            wrong = "the bucket may become public"
            found.append(Finding(("block", name), "data", wrong, "write true"))
    if get(state, "versioning", "Status") != "Enabled":
        wrong = "what is overwritten is gone"
        found.append(Finding(("versioning",), "data", wrong, "write Enabled"))
    found += _encryption(state.get("encryption"), rules)
    rows = get(state, "policy", "Statement")
    rows = [rows] if isinstance(rows, Mapping) else rows
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        if get(row, "Effect") != "Deny":
            for principal in strangers(get(row, "Principal"), rules):
                wrong = f"{principal} may use the bucket"
                path = ("policy", "Statement", number, "Principal")
                found.append(Finding(path, "data", wrong, "name roles of ours"))
    return found


def strangers(principal: Any, rules: Rules) -> list[str]:
    """Return whom a resource's policy welcomes that is not ours, `*` among them."""
    if not isinstance(principal, Mapping):
        return ["everyone" if principal == "*" else f"{principal!r:.60}"]
    named = []
    for kind, values in principal.items():
        for value in values if isinstance(values, list) else [values]:
            parts = str(value).split(":")
            account = parts[4] if len(parts) > 5 else str(value)
            if kind == "Service" or (kind == "AWS" and account in rules.accounts):
                continue
            named.append("everyone" if value == "*" else f"{value!s:.60}")
    return named


def _encryption(rules_read: Any, rules: Rules) -> list[Finding]:
    path = ("encryption", "Rules", 0, "ApplyServerSideEncryptionByDefault")
    default = get(rules_read, *path[1:])
    match = KEY.fullmatch(str(get(default, "KMSMasterKeyID")))
    if get(default, "SSEAlgorithm") != "aws:kms" or match is None:
        wrong = "checkpoints here are not encrypted with a key of ours"
    elif match[1] not in rules.accounts:
        wrong = f"the key is in account {match[1]}, which is not ours"
    else:
        return []
    return [Finding(path, "keys", wrong, "write aws:kms and the ARN of a key")]


# --- Reading an account ------------------------------------------------------------


def bucket(s3: Any, name: str) -> dict[str, Any]:
    """Return a bucket's state; what was never set, or may not be read, is {}."""
    asks: dict[str, tuple[Callable, str | None]] = {
        "block": (s3.get_public_access_block, "PublicAccessBlockConfiguration"),
        "versioning": (s3.get_bucket_versioning, None),
        "encryption": (s3.get_bucket_encryption, "ServerSideEncryptionConfiguration"),
        "policy": (s3.get_bucket_policy, "Policy"),
    }
    state = {}
    for part, (ask, key) in asks.items():
        try:
            answer = ask(Bucket=name)
        except s3.exceptions.ClientError:
            answer, key = {}, None
        state[part] = answer[key] if key else answer
    if isinstance(state["policy"], str):
        state["policy"] = json.loads(state["policy"])
    return state


def policies(iam: Any, role: str) -> list[Any]:
    """Return the documents of a role, its own and those attached to it."""
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    found = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in names
    ]
    for row in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = row["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found.append(
            iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"][
                "Document"
            ]
        )
    return found


def settings(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a described job was asked to do: all but what the service answers.

    A setting that nobody here knows stays in.
    """
    return {key: value for key, value in described.items() if key not in ANSWERED}


def own_rules() -> Rules:
    """Return what is the learner's: accounts and buckets from two variables.

    Raises ValueError unless each account is a number of 12 digits, and there is one.
    """
    accounts, buckets = (
        os.environ.get(name, "").replace(",", " ").split()
        for name in (ACCOUNTS, BUCKETS)
    )
    if not accounts or not all(re.fullmatch("[0-9]{12}", one) for one in accounts):
        raise ValueError(f"{ACCOUNTS}: expected account numbers of 12 digits each")
    return Rules(accounts=frozenset(accounts), buckets=frozenset(buckets))


def real(most: int = 10) -> dict[str, list[Finding]] | None:
    """Check the newest jobs of the learner's own account; None unless they asked.

    Asks with SECURETRAIN_CLOUD=aws only, with the learner's own settings and keys, and
    calls ListTrainingJobs and DescribeTrainingJob, nothing else. What is theirs, they
    name in SECURETRAIN_CLOUD_ACCOUNTS and SECURETRAIN_CLOUD_BUCKETS.
    Raises ValueError for another value of a variable, and when AWS does not answer.
    """
    asked = os.environ.get(SWITCH, "")
    if not asked:
        return None
    if asked != "aws":
        raise ValueError(f"{SWITCH}={asked!r:.40}: expected aws, or nothing")
    rules = own_rules()
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _newest(rules, most)
    except (BotoCoreError, ClientError) as error:
        says = "set AWS_DEFAULT_REGION and keys that may List and Describe"
        raise ValueError(f"{says}: {error}") from None


def _newest(rules: Rules, most: int) -> dict[str, list[Finding]]:
    import boto3

    client = boto3.client("sagemaker")
    listed = client.list_training_jobs(
        SortBy="CreationTime", SortOrder="Descending", MaxResults=most
    )
    found = {}
    for row in listed["TrainingJobSummaries"]:
        name = row["TrainingJobName"]
        job = settings(client.describe_training_job(TrainingJobName=name))
        found[name] = cloud.findings(job, "sagemaker", rules)
    return found
