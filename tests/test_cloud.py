"""The policy over requests for training jobs: what it refuses, and what passes."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from securetrain import (
    cli,
    cloud,
    cloud_account,
    cloud_attacks,
    cloud_guard,
    cloud_requests,
)
from securetrain.quiet import excerpt

SEEDS = range(3)
PLAIN = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    [],
    [1],
    {},
    {"x": 1},
    [[]],
    [{}],
    {"a": [{}]},
]


def site(seed=0):
    return cloud_requests.site(Random(seed))


def check(request, provider="sagemaker", seed=0):
    return cloud.findings(request, provider, site(seed).rules)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_changed_setting_is_found_where_it_stands(seed):
    here = site(seed)
    for attempt in cloud_attacks.attempts(here):
        found = check(attempt.request, attempt.provider, seed)
        name = f"{attempt.provider}: {attempt.name}"
        assert attempt.question in [one.question for one in found], name
        assert len(found) <= 2, (name, found)
        for one in found:
            assert one.wrong and one.write and one.path, name


@pytest.mark.parametrize("seed", SEEDS)
def test_honest_requests_pass_gate_and_guard(seed):
    here = site(seed)
    guard = cloud_guard.policy(here.rules)
    for attempt in cloud_attacks.honest(here):
        assert check(attempt.request, attempt.provider, seed) == [], attempt.name
        if attempt.provider == "sagemaker":
            decision = cloud_guard.verdict(attempt.request, guard)
            assert decision.verdict == "allow", (attempt.name, decision)


def test_requests_are_ones_that_the_real_client_would_send():
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.Session().get_service_model("sagemaker")
    shape = model.operation_model("CreateTrainingJob").input_shape
    here = site()
    every = [*cloud_attacks.attempts(here), *cloud_attacks.honest(here)]
    requests = [one.request for one in every if one.provider == "sagemaker"]
    for request in [*requests, cloud_requests.tutorial(here)]:
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()


def test_settings_that_sagemaker_has_and_the_policy_does_not_know_are_refused():
    import botocore.session

    from securetrain.cloud_sagemaker import KNOWN

    model = botocore.session.Session().get_service_model("sagemaker")
    members = set(model.operation_model("CreateTrainingJob").input_shape.members)
    assert members >= KNOWN, "a setting that SageMaker does not have"
    for name in members - KNOWN:
        found = check(cloud_requests.approved(site()) | {name: {}})
        assert [one.path for one in found] == [(name,)]


def test_every_place_for_a_bucket_a_key_or_an_image_is_asked_about():
    """Fill each setting of SageMaker's model that names one with a stranger's."""
    import botocore.session

    from securetrain.cloud_sagemaker import KNOWN

    here = site()
    values = {
        "S3Uri": "s3://stranger/",
        "S3OutputPath": "s3://stranger/",
        "KmsKeyId": cloud_requests.key(here.stranger, here),
        "AlgorithmImage": cloud_requests.image(here.stranger, f"@sha256:{here.digest}"),
        "RoleArn": f"arn:aws:iam::{here.stranger}:role/training-x",
    }
    model = botocore.session.Session().get_service_model("sagemaker")
    shape = model.operation_model("CreateTrainingJob").input_shape

    def places(shape, path=()):
        if shape.type_name == "structure":
            for name, part in shape.members.items():
                yield from places(part, (*path, name))
        elif shape.type_name == "list":
            yield from places(shape.member, (*path, 0))
        elif shape.name in values:
            yield path, values[shape.name]

    tried = [found for found in places(shape) if found[0][0] in KNOWN]
    assert len(tried) >= 13
    for path, value in tried:
        request = cloud_requests.approved(here)
        here_in = request
        for step, after in zip(path, path[1:], strict=False):
            empty = [] if after == 0 else {}
            if isinstance(here_in, list):
                if not here_in:
                    here_in.append(empty)
                here_in = here_in[0]
            else:
                here_in = here_in.setdefault(step, empty)
        here_in[path[-1]] = value
        assert path in [one.path for one in check(request)], (path, value)


CLOSED = {
    "sagemaker": [
        "RoleArn", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption",
        "VpcConfig", "VpcConfig.Subnets", "VpcConfig.SecurityGroupIds",
        "OutputDataConfig", "OutputDataConfig.KmsKeyId", "ResourceConfig",
        "ResourceConfig.VolumeKmsKeyId", "AlgorithmSpecification",
        "AlgorithmSpecification.TrainingImage", "StoppingCondition",
    ],
    "vertex": [
        "jobSpec", "jobSpec.serviceAccount", "jobSpec.network", "encryptionSpec",
        "encryptionSpec.kmsKeyName", "jobSpec.workerPoolSpecs",
        "jobSpec.workerPoolSpecs.0", "jobSpec.workerPoolSpecs.0.containerSpec",
        "jobSpec.workerPoolSpecs.0.containerSpec.imageUri", "jobSpec.scheduling",
        "jobSpec.scheduling.timeout",
    ],
}  # fmt: skip


@pytest.mark.parametrize("provider", CLOSED)
def test_a_closed_setting_of_another_type_is_not_closed(provider):
    base = cloud_requests.approved(site())
    if provider == "vertex":
        base = cloud_requests.approved_vertex(site())
    for path in CLOSED[provider]:
        lists = path.endswith(("Subnets", "SecurityGroupIds"))
        for odd in [one for one in PLAIN if one is not True and not (lists and one)]:
            changed = cloud_requests.change(base, (path, odd))
            assert check(changed, provider), (path, odd)


@pytest.mark.parametrize("provider", CLOSED)
def test_no_type_anywhere_crashes_the_policy(provider):
    base = cloud_requests.approved(site())
    if provider == "vertex":
        base = cloud_requests.approved_vertex(site())

    def paths(value, path=()):
        parts = enumerate(value) if isinstance(value, list) else value.items()
        for key, part in parts:
            yield (*path, key)
            if isinstance(part, dict | list):
                yield from paths(part, (*path, key))

    for odd in PLAIN:
        check(odd, provider)
        for path in paths(base):
            dotted = ".".join(map(str, path))
            check(cloud_requests.change(base, (dotted, odd)), provider)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("EnableNetworkIsolation", "true"), "EnableNetworkIsolation"),
        (("enableNetworkIsolation", True), "enableNetworkIsolation"),
        (("HyperParameters.k", "S3://Elsewhere/x"), "HyperParameters.k"),
        (("HyperParameters.k", "s3a://elsewhere/x"), "HyperParameters.k"),
        (("Environment.registryApiKey", "hunter2"), "Environment.registryApiKey"),
        (
            ("Environment.DB", "postgres://u:{}@db/x".format("p4ss" + "w0rd-long")),
            "Environment.DB",
        ),
        (
            ("InputDataConfig.0.DataSource.S3DataSource.S3Uri", "https://s3.x/b/"),
            "InputDataConfig[0].DataSource.S3DataSource.S3Uri",
        ),
        (("ResourceConfig.InstanceCount", True), "ResourceConfig.InstanceCount"),
    ],
)
def test_tricks_with_spelling(change, path):
    request = cloud_requests.change(cloud_requests.approved(site()), change)
    assert path in [cloud.dotted(one.path) for one in check(request)]


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["bash", "-c", "x"], True),
        (["/usr/bin/env", "sh", "-lc", "x"], True),
        (["python3.11", "-c", "x"], True),
        (["perl", "-e", "x"], True),
        (["python", "-cimport os", "x"], True),
        (["python", "-W", "x.py", "-c", "y"], True),
        (["env", "-S", "bash -c x"], True),
        (["python", "-m", "trainer", "--epochs=3", "--code", "x"], False),
        (["python", "train.py", "-c", "config.yaml"], True),  # a price of being strict
        (["bash", "train.sh"], False),
        (["train", "--config=c.yaml", "-e"], False),
        ("bash -c x", False),  # no list: SageMaker's client refuses it
    ],
)
def test_code_in_a_command(words, refused):
    request = cloud_requests.change(
        cloud_requests.approved(site()),
        ("AlgorithmSpecification.ContainerEntrypoint", words),
    )
    assert bool(check(request)) == refused


@pytest.mark.parametrize(
    ("path", "value", "refused"),
    [
        ("network", "projects/420042/x", True),
        ("network", "projects/420042/global/networks/default", True),
        ("network", "projects/420042/global/networks/a/b", True),
        ("network", "projects/420042/global/networks/training", False),
        ("pscInterfaceConfig", {"networkAttachment": "projects/420042/x"}, True),
        ("pscInterfaceConfig.dnsPeeringConfigs", [{"targetProject": "other-1"}], True),
        ("pscInterfaceConfig.dnsPeeringConfigs", [{"domain": "x."}], True),
        ("pscInterfaceConfig.dnsPeeringConfigs", {"targetProject": "420042"}, True),
        ("pscInterfaceConfig.dnsPeeringConfigs", [{"targetProject": "420042"}], False),
    ],
)
def test_networks_of_vertex(path, value, refused):
    request = cloud_requests.approved_vertex(site())
    if path == "pscInterfaceConfig":
        del request["jobSpec"]["network"]
    request = cloud_requests.change(request, (f"jobSpec.{path}", value))
    found = [one.question for one in check(request, "vertex")]
    assert ("reach" in found) == refused, found


@pytest.mark.parametrize(
    ("registry", "ours"),
    [
        ("gcr.io", True),
        ("eu.gcr.io", True),
        ("mirror.gcr.io", False),  # a cache of Docker Hub, where anyone may push
        ("evil.gcr.io", False),
    ],
)
def test_registries_of_google(registry, ours):
    here = site()
    name = f"{registry}/{here.project}/signs@sha256:{here.digest}"
    path = "jobSpec.workerPoolSpecs.0.containerSpec.imageUri"
    request = cloud_requests.change(cloud_requests.approved_vertex(here), (path, name))
    assert (check(request, "vertex") == []) == ours


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["perl", "-E", "x"], True),
        (["node", "--eval", "x"], True),
        (["node", "--eval=x"], True),
        (["node", "-p", "x"], True),
        (["php", "-r", "x"], True),
        (["fish", "-c", "x"], True),
        (["pypy3", "-c", "x"], True),
        (["Rscript", "-e", "x"], True),
        (["lua", "-e", "x"], True),
        (["awk", "BEGIN{system(1)}"], True),
        (["pip", "install", "x"], True),
        (["python3", "-m", "pip", "install", "x"], True),
        (["python3", "/opt/ml/input/data/train/run.py"], True),
        (["python3", "-W", "ignore", "/opt/ml/input/data/train/run.py"], True),
        (["/opt/ml/input/data/train/run"], True),
        (["python3", "/gcs/signs-train/run"], True),
        (["python3", "train.py", "--data", "/opt/ml/input/data/train"], False),
        (["python3", "train.py", "--data=/opt/ml/input/data/train"], False),
        (["python", "train.py", "-p", "4", "-r", "2"], False),
        (["python", "-m", "trainer", "install"], False),
    ],
)
def test_more_ways_to_bring_code(words, refused):
    aws = cloud_requests.change(
        cloud_requests.approved(site()),
        ("AlgorithmSpecification.ContainerEntrypoint", words),
    )
    assert bool(check(aws)) == refused
    google = cloud_requests.change(
        cloud_requests.approved_vertex(site()),
        ("jobSpec.workerPoolSpecs.0.containerSpec.command", words),
    )
    found = check(google, "vertex")
    assert ("image" in [one.question for one in found]) == refused


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "BASH_ENV"]
)
def test_variables_that_load_code(name):
    request = cloud_requests.change(
        cloud_requests.approved(site()), ("Environment", {name: "/opt/ml/input/x"})
    )
    assert [one.question for one in check(request)] == ["image"]
    request = cloud_requests.change(
        cloud_requests.approved_vertex(site()),
        ("jobSpec.workerPoolSpecs.0.containerSpec.env", [{"name": name, "value": "x"}]),
    )
    assert [one.question for one in check(request, "vertex")] == ["image"]


NAMES = [
    "PGPASSWORD", "DBPASSWORD", "MYSQL_PWD", "DB_PASS", "DB_PW", "PASSWORD_PROD",
    "password1", "passwords", "SECRET_VALUE", "GITHUB_PAT", "AUTH", "AUTHORIZATION",
    "SSH_KEY", "SIGNING_KEY", "ENCRYPTION_KEY", "TOKENS",
]  # fmt: skip
INNOCENT = [
    "tokenizer", "num_passes", "bypass", "path", "patience", "author", "key_dim",
    "secretary", "PASSWORD_FILE", "SECRET_NAME",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES + INNOCENT)
def test_names_of_secrets(name):
    value, here = "".join(["gU7x", "Lq2m", "Zr9w"]), site()
    wanted = ["secrets"] * (name in NAMES)
    for change in (
        ("Environment", {name: value}),
        ("Tags", [{"Key": name, "Value": value}]),
        ("DebugHookConfig", {"HookParameters": {name: value}}),
    ):
        request = cloud_requests.change(cloud_requests.approved(here), change)
        assert [one.question for one in check(request)] == wanted, change
    rule = {
        "RuleConfigurationName": "r",
        "RuleEvaluatorImage": cloud_requests.image(
            here.account, f"@sha256:{here.digest}"
        ),
        "RuleParameters": {name: value},
    }
    request = cloud_requests.change(
        cloud_requests.approved(here), ("DebugRuleConfigurations", [rule])
    )
    assert [one.question for one in check(request)] == wanted
    request = cloud_requests.approved_vertex(here) | {"labels": {name: value}}
    assert [one.question for one in check(request, "vertex")] == wanted


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("arn:aws:ssm:eu-west-1:111122223333:parameter/db/password", False),
        ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-a1B2c3", False),
        ("arn:aws:ssm:hunter2-hunter2", True),
        ("arn:aws:secretsmanager:hunter2", True),
        ("projects/p/secrets/", True),
        ("Bearer " + "gU7xLq2mZr9w", True),
    ],
)
def test_only_a_whole_reference_is_one(value, refused):
    request = cloud_requests.change(
        cloud_requests.approved(site()), ("Environment", {"PASSWORD": value})
    )
    ours = cloud.Rules(frozenset((site().account, "111122223333")))
    found = cloud.findings(request, "sagemaker", ours)
    assert ("secrets" in [one.question for one in found]) == refused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/workspace"),
        ("special_tokens", "additional"),
        ("stop_tokens", "newlines"),
    ],
)
def test_names_that_only_look_like_secrets(name, value):
    request = cloud_requests.change(
        cloud_requests.approved(site()), ("Environment", {name: value})
    )
    assert check(request) == []


def test_a_token_with_its_scheme():
    value = " ".join(["Bearer", "gU7xLq2mZr9w"])
    request = cloud_requests.change(
        cloud_requests.approved(site()), ("Environment", {"AUTHORIZATION": value})
    )
    assert [one.question for one in check(request)] == ["secrets"]


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("sagemaker", "AlgorithmSpecification.NewThing"),
        ("sagemaker", "InputDataConfig.0.NewThing"),
        ("sagemaker", "InputDataConfig.0.DataSource.NewThing"),
        ("sagemaker", "OutputDataConfig.Mirror"),
        ("sagemaker", "ResourceConfig.Foo"),
        ("sagemaker", "VpcConfig.Foo"),
        ("sagemaker", "StoppingCondition.Foo"),
        ("sagemaker", "CheckpointConfig.Foo"),
        ("sagemaker", "SessionChainingConfig.EnableSessionTagChaining"),
        ("vertex", "jobSpec.workerPoolSpecs.0.machineSpec.new"),
        ("vertex", "jobSpec.workerPoolSpecs.0.machineSpec.reservationAffinity.x"),
        ("vertex", "jobSpec.workerPoolSpecs.0.diskSpec.new"),
        ("vertex", "jobSpec.scheduling.new"),
        ("vertex", "jobSpec.pscInterfaceConfig.new"),
        ("vertex", "jobSpec.baseOutputDirectory.new"),
        ("vertex", "encryptionSpec.new"),
    ],
)
def test_a_new_setting_below_the_top_is_refused(provider, path):
    base = cloud_requests.approved(site())
    if provider == "vertex":
        base = cloud_requests.approved_vertex(site())
    found = check(cloud_requests.change(base, (path, True)), provider)
    parts = {cloud.dotted(one.path).replace("[0]", ".0") for one in found}
    assert path in parts or "SessionChainingConfig" in parts


def test_what_is_known_below_the_top_is_what_sagemaker_has():
    import botocore.session

    from securetrain.cloud_sagemaker import PARTS

    model = botocore.session.Session().get_service_model("sagemaker")
    for path, known in PARTS.items():
        shape = model.operation_model("CreateTrainingJob").input_shape
        for step in path:
            shape = shape.members[step]
            shape = shape.member if shape.type_name == "list" else shape
        assert set(shape.members) >= known, path


@pytest.mark.parametrize(
    ("size", "refused"),
    [(1, False), (1024, False), (1025, True), (16384, True), (0, True), (-1, True),
     (True, True), ("30", True), (30.5, True), ([], True), (None, False)],
)  # fmt: skip
def test_disks_have_a_bound(size, refused):
    here = site()
    for provider, base, path in (
        ("sagemaker", cloud_requests.approved(here), "ResourceConfig.VolumeSizeInGB"),
        (
            "vertex",
            cloud_requests.approved_vertex(here),
            "jobSpec.workerPoolSpecs.0.diskSpec.bootDiskSizeGb",
        ),
    ):
        found = check(cloud_requests.change(base, (path, size)), provider)
        assert [one.question for one in found] == ["limits"] * refused, provider
        more = replace(here.rules, max_disk_gb=16384)
        large = cloud_requests.change(base, (path, 16384))
        assert cloud.findings(large, provider, more) == []


def test_a_registry_is_a_folder_not_a_beginning():
    assert cloud.welcome("host/team/x@sha256:1", "host/team")
    assert not cloud.welcome("host/team2/x@sha256:1", "host/team")
    assert not cloud.welcome("host/team-evil.example/x", "host/team")


def test_whoever_names_nothing_owns_nothing():
    found = cloud.findings(cloud_requests.approved(site()), "sagemaker", cloud.Rules())
    assert {one.question for one in found} == {"who", "keys", "image", "data"}
    with pytest.raises(ValueError, match="azure"):
        cloud.findings({}, "azure", cloud.Rules())


def test_drift_names_what_changed_and_forgives_what_is_off():
    request = cloud_requests.approved(site())
    running = copy.deepcopy(request) | {"EnableManagedSpotTraining": False, "Tags": []}
    assert cloud.drift(request, running) == []
    assert cloud.digest(request) == cloud.digest(dict(reversed(request.items())))
    running["ProfilerConfig"] = {"S3OutputPath": "s3://elsewhere"}
    running["EnableNetworkIsolation"] = 1
    running["VpcConfig"]["Subnets"] = [*running["VpcConfig"]["Subnets"], "subnet-x"]
    del running["HyperParameters"]
    assert {cloud.dotted(path) for path in cloud.drift(request, running)} == {
        "ProfilerConfig", "EnableNetworkIsolation", "VpcConfig.Subnets[1]",
        "HyperParameters",
    }  # fmt: skip
    assert cloud.digest(request) != cloud.digest(running)
    with pytest.raises(ValueError, match="plain data"):
        cloud.digest({"x": {1, 2}})


# --- An account -------------------------------------------------------------------


def test_buckets():
    here = site()
    key = cloud_requests.key(here.account, here)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    row = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{here.account}:root"}}
    good = {
        "block": dict.fromkeys(cloud_account.BLOCK, True),
        "versioning": {"Status": "Enabled"},
        "encryption": {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
        "policy": {"Statement": [row]},
    }
    assert cloud_account.bucket_findings(good, here.rules) == []
    theirs = {"AWS": f"arn:aws:iam::{here.stranger}:root"}
    bad = [
        {"block": {}},
        {"versioning": {"Status": "Suspended"}},
        {"encryption": {}},
        {"encryption": {"Rules": [{"ApplyServerSideEncryptionByDefault": default | {
            "KMSMasterKeyID": cloud_requests.key(here.stranger, here)}}]}},
        *({"policy": {"Statement": row | {"Principal": who}}}
          for who in ("*", {"AWS": "*"}, {"AWS": ["x", "*"]}, theirs, {"x": 3}, None,
                      [theirs])),
    ]  # fmt: skip
    for change in bad:
        assert cloud_account.bucket_findings(good | change, here.rules), change
    deny = {"Statement": [row | {"Effect": "Deny", "Principal": "*"}]}
    assert cloud_account.bucket_findings(good | {"policy": deny}, here.rules) == []


# --- The command ------------------------------------------------------------------


def write(path, request):
    path.write_text(json.dumps(request, indent=1), "utf-8")
    return str(path)


def flags(here):
    named = [f"--account={here.account}", f"--project={here.project}"]
    named += ["--project=420042", "--bucket=signs-train", "--bucket=signs-models"]
    return named


def test_the_command_names_file_and_line(tmp_path, capsys):
    here = site()
    good = write(tmp_path / "good.json", cloud_requests.approved(here))
    google = write(tmp_path / "google.json", cloud_requests.approved_vertex(here))
    assert cli.main(["cloud", "check", *flags(here), good, google]) == 0
    assert "2 files checked, 0 settings refused" in capsys.readouterr().out
    bad = write(
        tmp_path / "bad.json",
        cloud_requests.approved(here) | {"EnableNetworkIsolation": False},
    )
    line = 1 + Path(bad).read_text().splitlines().index(
        ' "EnableNetworkIsolation": false,'
    )
    assert cli.main(["cloud", "check", *flags(here), good, bad]) == 1
    said = capsys.readouterr().err
    assert f"{bad}:{line}: what can it reach? EnableNetworkIsolation" in said
    assert here.account not in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ":1: no job in it"),
        ("a: [", "not YAML"),
        ("x: 1", ":1: neither"),
        ("- RoleArn", "neither"),
        ("3", "neither"),
        ("RoleArn: x\njobSpec: {}", ":1: neither"),
        ("RoleArn: x\nRoleArn: y", ":2: the key 'RoleArn'"),
        ("RoleArn: x\r\nEnableNetworkIsolation: yes\r\n", ":2: what can it reach"),
        ("RoleArn: &r arn\nTags: [*r, *r]", "who runs it?"),
        ("RoleArn: x\n---\nnothing: 1", ":3: neither"),
        ("jobSpec: []", ":1: which code runs? jobSpec"),
        ("workerPoolSpecs: {}", "workerPoolSpecs: expected a list"),
        (b"\xff\xfe", "expected UTF-8"),
        ("RoleArn: 010", "read in two ways"),
        ("a: 1\n" * 300_000, "bytes"),
    ],
)
def test_odd_files_are_refused_with_a_reason(tmp_path, capsys, content, says):
    path = tmp_path / "job.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["cloud", "check", str(path)]) == 1
    assert says in capsys.readouterr().err


def test_messages(tmp_path, capsys):
    here = site()
    aws, google = cloud_requests.approved(here), cloud_requests.approved_vertex(here)
    end = ("StoppingCondition.MaxRuntimeInSeconds", 14400.0)
    job = write(tmp_path / "a.json", cloud_requests.change(aws, end))
    assert cli.main(["cloud", "check", *flags(here), job]) == 1
    said = capsys.readouterr()
    assert "14400.0 is no whole number" in said.err
    assert "1 file checked, 1 setting refused" in said.out
    job = write(tmp_path / "b.json", google["jobSpec"])
    assert cli.main(["cloud", "check", *flags(here), job]) == 1
    assert "a gcloud config cannot name a key" in capsys.readouterr().err
    assert cli.main(["cloud", "check", "--bucket", "s3://x", job]) == 2
    assert "a name without s3://" in capsys.readouterr().err


def test_an_excerpt_says_how_much_it_leaves_out():
    assert excerpt(["a", "b"], most=2) == "a\nb"
    assert excerpt(["a", "b", "c"], most=2) == "a\nb\n… and 1 more"
    assert max(map(len, excerpt(["word " * 40]).splitlines())) <= 96


def test_wrong_use(tmp_path, capsys):
    job = write(tmp_path / "job.json", {})
    for line in (
        ["check", str(tmp_path / "none.yaml")],
        ["check", str(tmp_path)],
        ["check", "--account", "12", job],
        ["check", "--bucket", "s3 x", job],
        ["check", "--max-hours", "0", job],
        ["check", "--max-disk-gb", "0", job],
        ["check", "--bucket", "s3://x", job],
        ["check", "--bucket", "x/y", job],
        ["check", "--project", "projects/x", job],
    ):
        assert cli.main(["cloud", *line]) == 2, line
        assert "expected" in capsys.readouterr().err


def test_the_command_writes_the_guard_and_loads_nothing_heavy(tmp_path):
    here = site()
    job = write(tmp_path / "job.json", cloud_requests.approved(here))
    line = ["guard", "--account", here.account]
    code = (
        "import sys; from securetrain import cli; "
        f"assert cli.main({['cloud', 'check', *flags(here), job]!r}) == 0; "
        f"cli.main({['cloud', *line]!r}); "
        "print([n for n in ('boto3', 'botocore', 'moto', 'torch', 'IPython') "
        "if n in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stderr == "[]\n"
    assert len("".join(ran.stdout.split())) < 5120, "AWS takes no longer ones"
    written = json.loads(ran.stdout[ran.stdout.index("{") :])
    assert written == cloud_guard.policy(cloud.Rules(frozenset((here.account,))))
