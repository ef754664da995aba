"""The mock account: real calls, nothing leaves, nothing of the learner's is touched."""

import os
import socket
from random import Random

import pytest

from securetrain import (
    cloud,
    cloud_account,
    cloud_attacks,
    cloud_iam,
    cloud_mock,
    cloud_requests,
)


def role_findings(policies, needs, thefts, context):
    """Return what a role may do and must not, and the other way round."""
    wrong = []
    for calls, wanted in ((needs, cloud_iam.ALLOW), (thefts, cloud_iam.DENY)):
        for name, call in calls.items():
            found = cloud_iam.decide(*call, context, policies)
            if found.verdict != wanted:
                wrong.append(f"{name}: {found.verdict} ({found.why})")
    return wrong


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Give hostile AWS settings, and refuse every connection."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text("[default]\nregion = mars\n[broken\n")
    (folder / "credentials").write_text("[broken\n")
    (folder / "models").mkdir()
    (folder / "models").chmod(0)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "AWS_PROFILE": "no-such-profile",
        "AWS_ENDPOINT_URL": "https://example.org",
        "AWS_DEFAULT_REGION": "mars",
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_DEFAULTS_MODE": "nonsense",
        "AWS_MAX_ATTEMPTS": "many",
    }.items():
        monkeypatch.setenv(name, value)
    tried = []

    def connect(_, address):
        tried.append(address)
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **_: connect(None, a))
    before = settings()
    yield
    assert settings() == before and not tried


def settings():
    """Return what belongs to AWS in the environment."""
    return {k: v for k, v in os.environ.items() if k.startswith(("AWS_", "HOME"))}


def test_a_thief_and_what_moto_and_the_evaluator_say(alone):
    with cloud_mock.account(1) as mock:
        assert "moto" in cloud_mock.versions()
        needs = cloud_account.needed(mock.site, cloud_requests.REGION)
        thefts = cloud_account.theft(mock.site, cloud_requests.REGION)
        thefts["read a secret"] = "secretsmanager:GetSecretValue", mock.secret
        cloud_mock.make_role(mock, "admin", cloud_mock.document(cloud_mock.allow("*")))
        mock.client("iam").create_user(UserName="x")
        outside, differ = {"aws:SourceVpce": None}, {}
        for name, policy in cloud_mock.roles(mock.site).items():
            role = f"training-{name.replace(' ', '-')}"
            keys = cloud_mock.make_role(mock, role, policy)
            read = cloud_account.policies(mock.client("iam"), role)
            assert read == [policy]
            calls = needs | thefts
            ours = {
                call: cloud_iam.decide(*calls[call], outside, read).verdict == "allow"
                for call in calls
            }
            for call, worked in cloud_mock.steal(mock, keys).items():
                if worked != ours[call]:
                    differ.setdefault(name, []).append(call)
            wrong = role_findings(read, needs, thefts, outside)
            assert bool(wrong) == (name != "least"), (name, wrong)
        jobs_only = cloud_mock.document(cloud_mock.allow("sagemaker:CreateTrainingJob"))
        keys = cloud_mock.make_role(mock, "starter", jobs_only)
        assert cloud_mock.steal(mock, keys)["start a job"], "moto asks for PassRole now"
        # moto passes over NotResource in a Deny, and over conditions
        assert set(differ) == {"deny the rest", "inside only"}
        assert differ["deny the rest"] == ["read the payroll"]
        assert len(differ["inside only"]) == 4


def test_jobs_are_kept_and_their_drift_is_seen(alone):
    with cloud_mock.account(2) as mock:
        sage = mock.client("sagemaker")
        open_job = cloud_requests.tutorial(mock.site) | {"TrainingJobName": "open"}
        sage.create_training_job(**open_job)
        described = sage.describe_training_job(TrainingJobName="open")
        secret = described["HyperParameters"]["registry_password"]
        assert secret == mock.site.secret
        closed = cloud_requests.approved(mock.site)
        changed = cloud_requests.change(closed, ("EnableNetworkIsolation", False))
        sage.create_training_job(**changed)
        runs = cloud_account.settings(
            sage.describe_training_job(TrainingJobName="signs-1")
        )
        drift = [cloud.dotted(path) for path in cloud.drift(closed, runs)]
        assert "EnableNetworkIsolation" in drift
        invented = "AlgorithmSpecification.MetricDefinitions"
        assert set(drift) == {"EnableNetworkIsolation", invented}, "moto changed"


def test_a_bucket_is_read_as_it_is_set(alone):
    with cloud_mock.account(3) as mock:
        s3, rules = mock.client("s3"), mock.site.rules
        opened = cloud_account.bucket_findings(
            cloud_account.bucket(s3, "signs-train"), rules
        )
        assert len(opened) == 6
        cloud_mock.close(s3, "signs-train", mock.site)
        state = cloud_account.bucket(s3, "signs-train")
        assert cloud_account.bucket_findings(state, rules) == []


def test_what_moto_does_not_know_stays_inside(alone):
    from botocore.exceptions import BotoCoreError, ClientError

    with cloud_mock.account(4) as mock:
        client = mock._session.create_client(
            "s3",
            region_name="eu-west-1",
            endpoint_url="https://elsewhere.example",
            aws_access_key_id="mock" * 5,
            aws_secret_access_key="mock" * 5,
        )
        with pytest.raises((ClientError, BotoCoreError)):
            client.list_buckets()


def test_the_mock_ends_when_interrupted(alone):
    from moto.core.models import MockAWS

    with pytest.raises(KeyboardInterrupt), cloud_mock.account(5):
        raise KeyboardInterrupt
    assert MockAWS._nested_count == 0


def test_a_real_account_is_read_only_when_asked(alone, monkeypatch):
    monkeypatch.delenv(cloud_account.SWITCH, raising=False)
    assert cloud_account.real() is None
    monkeypatch.setenv(cloud_account.SWITCH, "yes")
    with pytest.raises(ValueError, match="expected aws"):
        cloud_account.real()
    monkeypatch.setenv(cloud_account.SWITCH, "aws")
    for accounts in ("", " , ", "12", "111122223333,x"):
        monkeypatch.setenv(cloud_account.ACCOUNTS, accounts)
        with pytest.raises(ValueError, match="ACCOUNTS.*12 digits"):
            cloud_account.real()
    for name in (cloud_account.SWITCH, cloud_account.ACCOUNTS):
        monkeypatch.delenv(name)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Ask for a real account, which moto plays, and give what is ours there."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(cloud_account.SWITCH, "aws")
    here = cloud_requests.site(Random(0))
    monkeypatch.setenv(cloud_account.ACCOUNTS, f"444455556666, {here.account}")
    monkeypatch.setenv(cloud_account.BUCKETS, "signs-train,signs-models")
    return here


def test_a_configured_account_is_only_read(asked, monkeypatch):
    from moto import mock_aws

    monkeypatch.setenv("AWS_DEFAULT_REGION", cloud_requests.REGION)
    called = []
    with mock_aws():
        import boto3

        sage = boto3.client("sagemaker")
        sage.create_training_job(**cloud_requests.tutorial(asked))
        closed = cloud_requests.approved(asked) | {"TrainingJobName": "closed"}
        sage.create_training_job(**closed)
        boto3.setup_default_session()
        events = boto3.DEFAULT_SESSION._session.get_component("event_emitter")
        events.register("before-call", lambda model, **_: called.append(model.name))
        found = cloud_account.real()
    assert {one.question for one in found["signs-1"]} >= {"reach"}
    assert found["closed"] == [], "the account that was named is not ours"
    assert set(called) == {"ListTrainingJobs", "DescribeTrainingJob"}


def test_an_account_that_cannot_be_read_says_what_to_set(asked, monkeypatch):
    from moto import mock_aws

    with mock_aws():
        import boto3

        boto3.setup_default_session()
        with pytest.raises(ValueError, match="set AWS_DEFAULT_REGION and keys"):
            cloud_account.real()


def test_only_what_the_service_answers_is_left_out_of_the_settings():
    import botocore.session

    model = botocore.session.Session().get_service_model("sagemaker")
    asked = set(model.operation_model("CreateTrainingJob").input_shape.members)
    told = set(model.operation_model("DescribeTrainingJob").output_shape.members)
    assert told - asked <= cloud_account.ANSWERED, "the service answers more now"
    assert not cloud_account.ANSWERED & asked
    described = dict.fromkeys(told | {"ResponseMetadata", "SomethingNew"}, "x")
    kept = cloud_account.settings(described)
    assert {"MlflowConfig", "ModelPackageConfig", "ServerlessJobConfig"} <= set(kept)
    assert "SomethingNew" in kept
    approved = {"TrainingJobName": "x"}
    running = {"TrainingJobName": "x", "MlflowConfig": {"MlflowResourceArn": "a"}}
    drift = cloud.drift(approved, cloud_account.settings(running))
    assert drift == [("MlflowConfig", "MlflowResourceArn")] or drift == [
        ("MlflowConfig",)
    ]


def test_drift_of_what_the_mock_describes(alone):
    with cloud_mock.account(6) as mock:
        closed = cloud_requests.approved(mock.site)
        assert cloud_mock.drift(mock, closed, closed, "same") == []
        missed = [
            one.name
            for number, one in enumerate(cloud_attacks.attempts(mock.site))
            if one.provider == "sagemaker"
            and not cloud_mock.drift(mock, closed, one.request, f"job-{number}")
        ]
        assert missed == [
            "a shell", "metrics to a stranger", "profiles to a stranger",
            "a password in the environment",
        ], "moto describes more now"  # fmt: skip


def test_few_actions_can_start_a_job_as_an_administrator(alone):
    with cloud_mock.account(7) as mock:
        thefts = cloud_account.theft(mock.site, cloud_requests.REGION)
        policy = cloud_mock.roles(mock.site)["few actions"]
        for call in ("lend admin to a job", "start a job"):
            assert cloud_iam.decide(*thefts[call], {}, [policy]).verdict == "allow"
