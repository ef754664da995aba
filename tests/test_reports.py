"""Signed reports: about these files, of this kind, passed; all else is refused."""

import json
import subprocess
from pathlib import Path

import pytest

from securetrain import manifests, reports, reports_command
from securetrain.archives import Refused
from securetrain.reports import Report

FILES = {"a.csv": b"1,stop\n", "b/c.csv": b"2,yield\n"}
OTHER = FILES | {"a.csv": b"1,speed\n"}
KEY, PUBLIC = manifests.new_key()
ABOUT = reports.fingerprint(manifests.describe(FILES))


def signed(kind="poison-scan", files=FILES, passed=True, key=KEY, **more):
    about = reports.fingerprint(manifests.describe(files))
    return reports.write(Report(kind, about, passed, **more), key)


def test_a_report_about_these_files_is_accepted():
    found = {
        "poison-scan": signed(numbers={"flagged": 0.01}),
        "labels": signed("labels"),
    }
    reports.check(["poison-scan", "labels"], ABOUT, found, PUBLIC)


def test_a_folder_and_its_manifest_have_one_fingerprint(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    text = manifests.write_manifest(manifests.describe(FILES), "signs", 1, "ours")
    listed = manifests.read_manifest(text).files
    assert reports.fingerprint(manifests.describe(tmp_path)) == ABOUT
    assert reports.fingerprint(listed) == ABOUT
    assert reports.fingerprint(manifests.describe(OTHER)) != ABOUT


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "no signed report 'poison-scan'"),
        (signed(files=OTHER), "about other files"),
        (signed("labels"), "it is a report 'labels'"),
        (signed(passed=False, reasons=("class 3 splits",)), "class 3 splits"),
        (signed(passed=False), "no reason is given"),
        (signed(key=manifests.new_key()[0]), "not the trusted key's"),
        ((signed()[0], b""), "no signed report"),
        ((signed()[0].replace(b"0", b"1"), signed()[1]), "not the trusted key's"),
    ],
)
def test_any_other_report_is_refused(found, says):
    given = {"poison-scan": found} if found else {}
    with pytest.raises(Refused, match=says):
        reports.check(["poison-scan"], ABOUT, given, PUBLIC)


def test_a_signature_for_something_else_is_none():
    text, _ = signed()
    as_manifest = manifests.sign(text, KEY)
    with pytest.raises(Refused, match="not the trusted key's"):
        reports.read(text, as_manifest, PUBLIC)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        (b"[]", "exactly the keys"),
        (b"no", "not JSON"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"format": "other"}', "exactly the keys"),
    ],
)
def test_what_is_no_report_is_refused_even_when_signed(tree, says):
    signature = manifests.sign(tree, KEY, reports.CONTEXT)
    with pytest.raises(Refused, match=says):
        reports.read(tree, signature, PUBLIC)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({}, "passed None"),
        ({"passed": "yes"}, "expected true or false"),
        ({"passed": True, "reasons": ["poison"]}, "gives reasons against"),
        ({"passed": False, "reasons": "poison"}, "a list of texts"),
        ({"passed": True, "numbers": {"a": "b"}}, "a table of numbers"),
        ({"passed": True, "numbers": {"a": True}}, "a table of numbers"),
        ([], "no object"),
    ],
)
def test_a_result_that_does_not_say_whether_it_passed_is_refused(result, says):
    with pytest.raises(Refused, match=says):
        reports.of_result("labels", ABOUT, json.dumps(result).encode())


def test_a_kind_is_one_word():
    with pytest.raises(Refused, match="expected a word"):
        reports.write(Report("../labels", ABOUT, True), KEY)


def test_the_gate_for_labels_writes_such_a_result():
    import torch

    from securetrain import label_gate

    y = torch.arange(40) % 4
    sure = torch.nn.functional.one_hot(y, 4) * 0.9 + 0.025
    good = label_gate.gate(torch.zeros(40, 1), y, sure).to_json().encode()
    bad = label_gate.gate(torch.zeros(40, 1), (y + 1) % 4, sure).to_json().encode()
    assert reports.of_result("labels", ABOUT, good).passed
    assert "models agree" in reports.of_result("labels", ABOUT, bad).reasons[0]


# The command


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    Path("scan.json").write_text('{"passed": true}')
    Path("scan.key").write_bytes(KEY)
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


WRITE = "write --kind poison-scan --of data --result scan.json --key scan.key --to r"
CHECK = f"check --of data --in r --need poison-scan --key {PUBLIC.hex()}"


def run(words: str) -> int:
    return reports_command.main(words.split())


def test_only_what_is_staged_counts(repository, capsys):
    assert run(WRITE) == 0
    subprocess.run(["git", "add", "data"], check=True)
    assert run(CHECK) == 1  # the report lies there, and git does not know it
    assert "no signed report" in capsys.readouterr().err
    subprocess.run(["git", "add", "r"], check=True)
    assert run(CHECK) == 0
    Path("data/a.csv").write_bytes(OTHER["a.csv"])
    assert run(CHECK) == 0  # the change is not staged
    assert run(f"{CHECK} --plain") == 1
    subprocess.run(["git", "add", "data"], check=True)
    assert run(CHECK) == 1
    assert "about other files" in capsys.readouterr().err


def test_a_manifest_stands_for_data_outside_of_git(repository, capsys):
    text = manifests.write_manifest(manifests.describe(FILES), "signs", 1, "ours")
    Path("manifest.json").write_bytes(text)
    assert run(WRITE.replace("--of data", "--of manifest.json")) == 0
    subprocess.run(["git", "add", "manifest.json", "r"], check=True)
    assert run(CHECK.replace("--of data", "--of manifest.json")) == 0
    assert run(f"{CHECK} --plain") == 0


def test_wrong_use_says_what_was_expected(repository):
    with pytest.raises(ValueError, match="expected 64 hex digits"):
        run(CHECK.replace(PUBLIC.hex(), "12"))
    with pytest.raises(ValueError, match="nothing of it is in the next commit"):
        run(CHECK.replace("--of data", "--of date"))
    with pytest.raises(ValueError, match="expected a folder, or a manifest"):
        run(WRITE.replace("--of data", "--of date"))
