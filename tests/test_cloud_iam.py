"""Policy documents: what they allow, what they deny, and what cannot be told."""

import pytest

from securetrain import cloud_guard
from securetrain.cloud_iam import ALLOW, DENY, UNKNOWN, decide

OBJECT = "arn:aws:s3:::signs/a.csv"


def policy(*rows):
    whole = []
    for row in rows:
        row = {"Effect": "Allow"} | row
        if "NotAction" not in row:
            row = {"Action": "s3:GetObject"} | row
        if "NotResource" not in row:
            row = {"Resource": "*"} | row
        whole.append(row)
    return {"Version": "2012-10-17", "Statement": whole}


def ask(*rows, action="s3:GetObject", resource=OBJECT, context=None, guards=()):
    return decide(action, resource, context or {}, [policy(*rows)], guards).verdict


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({}, ALLOW),
        ({"Action": "*"}, ALLOW),
        ({"Action": "S3:getobject"}, ALLOW),  # actions know no case
        ({"Action": "s3:Get*"}, ALLOW),
        ({"Action": "s3:GetObjec?"}, ALLOW),
        ({"Action": ["s3:PutObject", "s3:Get*"]}, ALLOW),
        ({"Action": "s3:PutObject"}, DENY),
        ({"Action": "s3:Get"}, DENY),
        ({"Action": "s3.GetObject"}, DENY),  # a dot is a dot
        ({"NotAction": "s3:PutObject"}, ALLOW),
        ({"NotAction": "s3:*"}, DENY),
        ({"Resource": "arn:aws:s3:::signs/*"}, ALLOW),
        ({"Resource": "arn:aws:s3:::signs"}, DENY),
        ({"Resource": "arn:aws:s3:::Signs/*"}, DENY),  # resources know case
        ({"Resource": "arn:aws:s3:::sign[s]/*"}, DENY),
        ({"NotResource": "arn:aws:s3:::signs/*"}, DENY),
        ({"NotResource": "arn:aws:s3:::other/*"}, ALLOW),
        ({"Resource": "arn:aws:s3:::${aws:username}/*"}, UNKNOWN),
        ({"NotResource": "arn:aws:s3:::${aws:username}/*"}, UNKNOWN),
    ],
)
def test_actions_and_resources(row, verdict):
    assert ask(row) == verdict


def test_an_explicit_deny_wins_and_nothing_is_no():
    assert ask({}, {"Effect": "Deny"}) == DENY
    assert ask({"Effect": "Deny", "Action": "s3:PutObject"}, {}) == ALLOW
    assert decide("s3:GetObject", OBJECT, {}, []).verdict == DENY
    assert ask({}, {"Effect": "Deny", "NotResource": "arn:aws:s3:::signs/*"}) == ALLOW
    assert ask({}, {"Effect": "Deny", "NotResource": "arn:aws:s3:::other/*"}) == DENY


@pytest.mark.parametrize(
    ("condition", "context", "verdict"),
    [
        ({"StringEquals": {"k": "a"}}, {"k": "a"}, ALLOW),
        ({"StringEquals": {"K": ["b", "a"]}}, {"k": "a"}, ALLOW),
        ({"StringEquals": {"k": "a"}}, {"k": "A"}, DENY),
        ({"StringEquals": {"k": "a"}}, {"k": None}, DENY),
        ({"StringEquals": {"k": "a"}}, {}, UNKNOWN),
        ({"StringEquals": {"k": "a", "l": "b"}}, {"k": "x"}, DENY),
        ({"StringEquals": {"k": "a", "l": "b"}}, {"k": "a"}, UNKNOWN),
        ({"StringEqualsIfExists": {"k": "a"}}, {"k": None}, ALLOW),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, DENY),
        ({"StringNotEquals": {"k": "a"}}, {"k": None}, ALLOW),
        ({"StringLike": {"k": "vpce-*"}}, {"k": "vpce-1"}, ALLOW),
        ({"StringEquals": {"k": "${aws:username}"}}, {"k": "a"}, UNKNOWN),
        ({"Bool": {"k": "true"}}, {"k": True}, ALLOW),
        ({"Bool": {"k": True}}, {"k": False}, DENY),
        ({"Null": {"k": "true"}}, {"k": None}, ALLOW),
        ({"Null": {"k": "true"}}, {"k": []}, ALLOW),
        ({"Null": {"k": False}}, {"k": ["x"]}, ALLOW),
        ({"Null": {"k": "perhaps"}}, {"k": None}, UNKNOWN),
        ({"NumericLessThanEquals": {"k": "5"}}, {"k": 5}, ALLOW),
        ({"NumericGreaterThan": {"k": "5"}}, {"k": 5}, DENY),
        ({"NumericLessThan": {"k": "five"}}, {"k": 5}, UNKNOWN),
        ({"ArnLike": {"k": "arn:aws:kms:*:1:key/*"}}, {"k": "arn:aws:kms:x:1:key/a"},
         ALLOW),
        ({"ArnLike": {"k": "arn:aws:kms:*:1:key/*"}},
         {"k": "arn:aws:kms:x:2:y:1:key/a"}, DENY),
        ({"ArnNotLike": {"k": "arn:aws:kms:*:1:key/*"}}, {"k": None}, ALLOW),
        ({"ForAllValues:StringEquals": {"k": ["a", "b"]}}, {"k": ["a"]}, ALLOW),
        ({"ForAllValues:StringEquals": {"k": "a"}}, {"k": ["a", "b"]}, DENY),
        ({"ForAllValues:StringEquals": {"k": "a"}}, {"k": []}, ALLOW),
        ({"ForAnyValue:StringEquals": {"k": "a"}}, {"k": ["a", "b"]}, ALLOW),
        ({"ForAnyValue:StringEquals": {"k": "a"}}, {"k": None}, DENY),
        ({"ForAnyValue:StringNotLike": {"k": "a*"}}, {"k": ["ab", "b"]}, ALLOW),
        ({"StringEquals": {"k": "a"}}, {"k": ["a", "b"]}, UNKNOWN),
        ({"IpAddress": {"k": "10.0.0.0/8"}}, {"k": "10.1.1.1"}, UNKNOWN),
        ({"DateLessThan": {"k": "2026-01-01"}}, {"k": "2025-01-01"}, UNKNOWN),
        ({"StringEquals": {"k": []}}, {"k": "a"}, UNKNOWN),
        ({"StringEquals": {"k": {}}}, {"k": "a"}, UNKNOWN),
        ({"ForAllValues:Nonsense": {"k": "a"}}, {"k": "a"}, UNKNOWN),
    ],
)  # fmt: skip
def test_conditions(condition, context, verdict):
    assert ask({"Condition": condition}, context=context) == verdict
    denied = ask({}, {"Effect": "Deny", "Condition": condition}, context=context)
    assert denied == {ALLOW: DENY, DENY: ALLOW, UNKNOWN: UNKNOWN}[verdict]


def test_guards_take_away_and_never_give():
    assert ask({}, guards=[cloud_guard.ALL]) == ALLOW
    assert ask({}, guards=[policy({"Action": "ec2:*"})]) == DENY
    assert ask({}, guards=[cloud_guard.ALL, policy({}, {"Effect": "Deny"})]) == DENY
    assert ask({"Action": "ec2:*"}, guards=[cloud_guard.ALL]) == DENY
    maybe = policy({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})
    assert ask({}, guards=[maybe]) == UNKNOWN


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"Statement": []},
        {"Version": "2008-10-17", "Statement": []},
        {"Version": "2012-10-17", "Statement": "x"},
        {"Version": "2012-10-17", "Statement": [1]},
        policy({"Effect": "allow"}),
        policy({"Principal": "*"}),
        policy({"Action": []}),
        policy({"Action": 3}),
        policy({"Resource": [3]}),
        policy({"NotAction": "x", "Action": "y"}),
        policy({"Condition": []}),
        policy({"Condition": {"Bool": 3}}),
    ],
)
def test_documents_that_aws_would_not_take_are_errors(document):
    with pytest.raises(ValueError):
        decide("s3:GetObject", OBJECT, {}, [document])


def test_the_guard_sees_a_shell_that_is_opened_later():
    from securetrain.cloud import Rules

    guard = cloud_guard.policy(Rules(frozenset(("111122223333",))))
    for wanted, verdict in ((True, DENY), (False, ALLOW)):
        later = {"RemoteDebugConfig": {"EnableRemoteDebug": wanted}}
        decision = cloud_guard.verdict(later, guard, cloud_guard.UPDATE)
        assert decision.verdict == verdict, decision


def guard():
    from securetrain.cloud import Rules

    return cloud_guard.policy(Rules(frozenset(("111122223333",))))


def test_the_guard_names_every_call_that_trains():
    tutorial = {"EnableNetworkIsolation": False}
    for action in ("CreateTrainingJob", "CreateHyperParameterTuningJob"):
        found = cloud_guard.verdict(tutorial, guard(), f"sagemaker:{action}")
        assert found.verdict == DENY, action


@pytest.mark.parametrize(
    "action",
    [
        "CreateProcessingJob", "CreateTransformJob", "CreateAutoMLJob",
        "CreateAutoMLJobV2", "CreateNotebookInstance", "CreateApp",
    ],
)  # fmt: skip
def test_the_guard_closes_the_other_doors(action):
    assert cloud_guard.verdict({}, guard(), f"sagemaker:{action}").verdict == DENY


def test_the_guard_leaves_other_services_and_reading_alone():
    for action in ("sagemaker:DescribeTrainingJob", "s3:GetObject"):
        assert cloud_guard.verdict({}, guard(), action).verdict == ALLOW


@pytest.mark.parametrize(
    ("modes", "verdict"),
    [([], ALLOW), (["ro"], ALLOW), (["rw"], DENY), (["ro", "rw"], DENY)],
)
def test_the_guard_asks_whether_data_may_be_written(modes, verdict):
    import random

    from securetrain import cloud_requests

    here = cloud_requests.site(random.Random(0))
    request = cloud_requests.approved(here)
    request["InputDataConfig"] += [
        {"DataSource": {"FileSystemDataSource": {"FileSystemAccessMode": mode}}}
        for mode in modes
    ]
    policy = cloud_guard.policy(here.rules)
    assert cloud_guard.verdict(request, policy).verdict == verdict
