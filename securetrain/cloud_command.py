"""`securetrain cloud`: refuse a training job's request that leaves something open.

    securetrain cloud check --account 111122223333 --bucket signs-train job.yaml …
    securetrain cloud guard --account 111122223333 > scp.json

`check` reads the arguments of SageMaker's CreateTrainingJob and Vertex AI CustomJobs,
as YAML or JSON, and names file and line of each setting that must not stay so. What you
do not name as yours is somebody else's. Hours, machines and disks have a bound; what
they cost, and whether a job needs such machines, is not judged.

`guard` writes a service control policy that asks the same in the account itself, as far
as AWS lets it ask. It is for an account in which SageMaker only trains: every role
passed to it must be called training-…. It does not bind the management account. Try it
on a test account first.

Exit status: 0 nothing found; 1 something is refused, or is not such a job; 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from securetrain import cloud, cloud_guard, plain_yaml, terminals

GUARD = (
    "For an account in which SageMaker only trains: every role passed to it must be "
    "called training-…. It does not bind the management account. Try it on a test "
    "account first."
)


def rules(options: argparse.Namespace) -> cloud.Rules:
    """Return what the command line says is ours. Raises ValueError for nonsense."""
    for number in options.account:
        if not re.fullmatch("[0-9]{12}", number):
            raise ValueError(f"--account {number}: expected 12 digits")
    for name in ("project", "bucket", "registry"):
        for value in getattr(options, name, []):
            if not re.fullmatch(r"[a-z0-9][\w.:/-]*", value):
                raise ValueError(f"--{name} {value!r:.60}: expected a plain name")
            if name != "registry" and set(value) & set(":/"):
                says = "expected a name without s3://, gs:// or a path"
                raise ValueError(f"--{name} {value!r:.60}: {says}")
    for name in ("max_hours", "max_instances", "max_disk_gb"):
        if getattr(options, name, 1) < 1:
            raise ValueError(f"--{name.replace('_', '-')}: expected 1 or more")
    return cloud.Rules(
        frozenset(options.account),
        frozenset(getattr(options, "project", [])),
        frozenset(getattr(options, "bucket", [])),
        tuple(getattr(options, "registry", [])),
        options.max_hours,
        getattr(options, "max_instances", 1),
        getattr(options, "max_disk_gb", 1),
    )


def check(options: argparse.Namespace) -> int:
    """Check every file; 1 when something in one is refused."""
    ours = rules(options)
    if missing := [path for path in options.files if not path.is_file()]:
        raise ValueError(f"{missing[0]}: expected a file")
    lines = [line for path in options.files for line in judge(path, ours)]
    for line in lines:
        print(terminals.lines(str(line)), file=sys.stderr)
    many = f"{len(options.files)} file{'' if len(options.files) == 1 else 's'}"
    settings = f"{len(lines)} setting{'' if len(lines) == 1 else 's'}"
    print(f"{many} checked, {settings} refused")
    return int(bool(lines))


def judge(path: Path, ours: cloud.Rules) -> Iterator[str]:
    """Yield `file:line: what is wrong` for one file, what cannot be read included."""
    try:
        documents = plain_yaml.read_file(path)
    except plain_yaml.YamlError as error:
        yield str(error)
        return
    if not documents:
        yield f"{path}:1: no job in it; expected one of SageMaker or Vertex AI"
    for document in documents:
        provider = cloud.provider_of(document.data)
        if provider is None:
            wrong = "neither a CreateTrainingJob of SageMaker nor a CustomJob"
            yield f"{document.where()}: {wrong} of Vertex AI"
            continue
        for finding in cloud.findings(document.data, provider, ours):
            question = cloud.QUESTIONS[finding.question]
            yield f"{document.where(*finding.path)}: {question}? {finding}"


def guard(options: argparse.Namespace) -> int:
    """Print a service control policy."""
    print(json.dumps(cloud_guard.policy(rules(options)), indent=2))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain cloud",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="check | guard")
    one = parts.add_parser("check", help="refuse requests that leave something open")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE")
    some = {"action": "append", "default": []}
    one.add_argument("--account", help="an AWS account of ours", **some)
    one.add_argument("--project", help="a Google Cloud project, id or number", **some)
    one.add_argument("--bucket", help="a bucket of ours", **some)
    says = "the beginning of image names that are welcome"
    one.add_argument("--registry", help=says, **some)
    one.add_argument("--max-hours", type=int, default=24)
    one.add_argument("--max-instances", type=int, default=8)
    one.add_argument("--max-disk-gb", type=int, default=1024, help="of each machine")
    one.set_defaults(do=check)
    one = parts.add_parser(
        "guard", help="write a service control policy", description=GUARD
    )
    one.add_argument("--account", required=True, help="an AWS account of ours", **some)
    one.add_argument("--max-hours", type=int, default=24)
    one.set_defaults(do=guard)
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when a setting or a file is refused."""
    options = parser().parse_args(argv)
    return options.do(options)
