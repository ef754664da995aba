"""A mock of AWS inside this process: moto. It keeps settings; nothing trains in it.

The thief holds the keys of one job's role and calls from outside our network. No
request leaves this process, and nothing of the learner's own AWS settings is read or
changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from random import Random
from typing import Any
from unittest.mock import patch

import boto3
import botocore.session
from botocore import configprovider
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.authorization import enable_iam_authentication
from moto.core.base_backend import AccountSpecificBackend
from moto.core.botocore_stubber import MockRawResponse

from securetrain import cloud, cloud_account, cloud_requests
from securetrain.cloud_guard import VERSION
from securetrain.cloud_requests import REGION, Site

FILES = ("config_file", "credentials_file")  # the learner's, in ~/.aws
OURS = {"core": {"mock_credentials": False, "reset_boto3_session": False}}


@dataclass
class Mock:
    """An account that exists in memory.

    secret: the ARN of another team's secret
    """

    site: Site
    secret: str
    _session: botocore.session.Session

    def client(self, service: str, keys: Mapping[str, str] | None = None) -> Any:
        """Return a client of one service; without keys, its owner's."""
        return _client(self._session, service, keys)


def versions() -> str:
    """Return what is in use."""
    return f"boto3 {boto3.__version__}, moto {version('moto')}, in this process"


def _session() -> botocore.session.Session:
    """Return a session that reads no variable and no file of the learner's."""
    session = botocore.session.Session()
    store = session.get_component("config_store")
    for name, row in configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        value = os.devnull if name in FILES else row[2]
        store.set_config_provider(name, configprovider.ConstantProvider(value))
    built_in = Loader.BUILTIN_DATA_PATH
    loader = Loader([built_in], include_default_search_paths=False)
    session.register_component("data_loader", loader)
    events = session.get_component("event_emitter")
    events.register_last("before-send", _stay_inside)
    return session


def _stay_inside(request: Any, **_: Any) -> AWSResponse:
    """Answer what moto did not answer: botocore sends nothing once it has an answer."""
    return AWSResponse(request.url, 400, {}, MockRawResponse(b""))


def _client(session: Any, service: str, keys: Mapping[str, str] | None) -> Any:
    keys = keys or {"AccessKeyId": "mock" * 5, "SecretAccessKey": "mock" * 10}
    return session.create_client(
        service,
        region_name=REGION,
        config=Config(ignore_configured_endpoint_urls=True),
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
    )


@contextmanager
def account(seed: int) -> Iterator[Mock]:
    """Give an account with two buckets of ours, a payroll, a secret and a key.

    It is gone afterwards, also after an interrupt.
    """
    drawn, session = cloud_requests.site(Random(seed)), _session()
    mock, ours = mock_aws(config=OURS), boto3.Session(botocore_session=session)
    with (  # for lists of regions and services, moto would read the learner's settings
        patch.object(AccountSpecificBackend, "get_session", lambda: ours),
        patch("moto.core.utils.Session", lambda: session),
    ):
        mock.start()
        try:
            yield _furnish(drawn, session)
        finally:
            mock.stop()


def _furnish(drawn: Site, session: Any) -> Mock:
    s3 = _client(session, "s3", None)
    where = {"LocationConstraint": REGION}
    for name in ("signs-train", "signs-models", "payroll"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    s3.put_object(Bucket="signs-train", Key="train/a.csv", Body=b"stop,1\n")
    s3.put_object(Bucket="payroll", Key="may.csv", Body=b"somebody,1\n")
    secrets = _client(session, "secretsmanager", None)
    made = secrets.create_secret(Name="payroll", SecretString=drawn.secret)
    key = _client(session, "kms", None).create_key()["KeyMetadata"]["KeyId"]
    parts = ACCOUNT, drawn.stranger, drawn.project, key, drawn.digest, drawn.secret
    return Mock(Site(*parts), made["ARN"], session)


def close(s3: Any, name: str, site: Site) -> None:
    """Close a bucket: private, versioned, encrypted with our key."""
    block = dict.fromkeys(cloud_account.BLOCK, True)
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    on = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=on)
    key = cloud_requests.key(site.account, site)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    encrypted = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=encrypted)


INVENTED = ("AlgorithmSpecification", "MetricDefinitions")  # moto describes them always


def drift(mock: Mock, approved: Any, request: Any, name: str) -> list[cloud.Path]:
    """Start a job by another name; return where its description is not as approved."""
    sage = mock.client("sagemaker")
    sage.create_training_job(**(request | {"TrainingJobName": name}))
    answer = sage.describe_training_job(TrainingJobName=name)
    runs = cloud_account.settings(answer)
    found = cloud.drift(approved | {"TrainingJobName": name}, runs)
    return [path for path in found if path[:2] != INVENTED]


# --- Roles, and a thief who holds one ----------------------------------------------


def document(*rows: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy document."""
    return {"Version": VERSION, "Statement": list(rows)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that allows."""
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def roles(site: Site) -> dict[str, dict[str, Any]]:
    """Return five policies for a job's role, from careless to careful."""
    data, models = "arn:aws:s3:::signs-train/train/*", "arn:aws:s3:::signs-models/*"
    key = cloud_requests.key(site.account, site)
    crypt = ["kms:Decrypt", "kms:GenerateDataKey"]
    objects = ["s3:GetObject", "s3:PutObject"]
    start = ["iam:PassRole", "sagemaker:CreateTrainingJob"]
    inside = {"StringEquals": {"aws:SourceVpce": "vpce-0a1b2c3d"}}
    only = {"Effect": "Deny", "Action": "s3:*", "NotResource": [data, models]}
    return {
        "tutorial": document(allow("*")),
        "few actions": document(allow([*objects, *crypt, *start])),
        "deny the rest": document(allow([*objects, *crypt]), only),
        "inside only": document(allow([*objects, *crypt], Condition=inside)),
        "least": document(
            allow("s3:GetObject", data),
            allow("s3:PutObject", models),
            allow(crypt, key),
        ),
    }


def make_role(mock: Mock, name: str, policy: Mapping[str, Any]) -> Mapping[str, str]:
    """Make a role that anybody may assume, and return keys of a session in it."""
    welcome = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam = mock.client("iam")
    made = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(document(welcome))
    )
    iam.put_role_policy(
        RoleName=name, PolicyName="job", PolicyDocument=json.dumps(policy)
    )
    arn = made["Role"]["Arn"]
    return mock.client("sts").assume_role(RoleArn=arn, RoleSessionName="job")[
        "Credentials"
    ]


def steal(mock: Mock, keys: Mapping[str, str]) -> dict[str, bool]:
    """Try every call that moto has with a role's keys; return which succeeded.

    moto asks for permission here, as AWS does, within moto's limits.
    """
    s3, sts = mock.client("s3", keys), mock.client("sts", keys)
    secrets, sage = mock.client("secretsmanager", keys), mock.client("sagemaker", keys)
    iam = mock.client("iam", keys)
    admin = f"arn:aws:iam::{ACCOUNT}:role/admin"
    job = cloud_requests.tutorial(mock.site)
    job |= {"TrainingJobName": f"mine-{keys['AccessKeyId'][-8:]}", "RoleArn": admin}
    tries: dict[str, Callable[[], Any]] = {
        "read the data": lambda: s3.get_object(Bucket="signs-train", Key="train/a.csv"),
        "write the model": lambda: s3.put_object(
            Bucket="signs-models", Key="model.tar.gz", Body=b"m"
        ),
        "change the data": lambda: s3.put_object(
            Bucket="signs-train", Key="train/a.csv", Body=b"stop,0\n"
        ),
        "read the payroll": lambda: s3.get_object(Bucket="payroll", Key="may.csv"),
        "read a secret": lambda: secrets.get_secret_value(SecretId=mock.secret),
        "become admin": lambda: sts.assume_role(RoleArn=admin, RoleSessionName="me"),
        "start a job": lambda: sage.create_training_job(**job),
        "make a lasting key": lambda: iam.create_access_key(UserName="x"),
    }
    with enable_iam_authentication():
        return {name: _succeeds(call) for name, call in tries.items()}


def _succeeds(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status != 403:  # a refusal is expected, anything else is a fault of ours
            raise
        return False
    return True
