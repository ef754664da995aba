"""The mock account: real calls, nothing leaves, nothing of the learner's is touched."""

import os
import socket
from random import Random

import pytest

from securetrain import (
    cloud,
    cloud_account,
    cloud_iam,
    cloud_mock,
    cloud_requests,
)


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
            wrong = cloud_account.role_findings(read, needs, thefts, outside)
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
    rules = cloud_requests.site(Random(0)).rules
    monkeypatch.delenv(cloud_account.SWITCH, raising=False)
    assert cloud_account.real(rules) is None
    monkeypatch.setenv(cloud_account.SWITCH, "yes")
    with pytest.raises(ValueError, match="expected aws"):
        cloud_account.real(rules)
    monkeypatch.delenv(cloud_account.SWITCH)


def test_a_configured_account_is_only_read(monkeypatch):
    from moto import mock_aws

    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(cloud_account.SWITCH, "aws")
    monkeypatch.setenv("AWS_DEFAULT_REGION", cloud_requests.REGION)
    called = []
    with mock_aws():
        import boto3

        here = cloud_requests.site(Random(0))
        boto3.client("sagemaker").create_training_job(**cloud_requests.tutorial(here))
        boto3.setup_default_session()
        events = boto3.DEFAULT_SESSION._session.get_component("event_emitter")
        events.register("before-call", lambda model, **_: called.append(model.name))
        found = cloud_account.real(here.rules)
    assert found["signs-1"] and {one.question for one in found["signs-1"]} >= {"reach"}
    assert set(called) == {"ListTrainingJobs", "DescribeTrainingJob"}
