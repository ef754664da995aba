"""pip-audit against advisories on this machine, and a tool whose tags were moved."""

import json
import os
import subprocess
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from packaging.version import Version

from securetrain import advisories, installers, moved_tags, sbom

KNOWN = [
    {
        "id": "A-1",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "Signs_Loader"},
                "ranges": [
                    {
                        "type": "ECOSYSTEM",
                        "events": [{"introduced": "1.2"}, {"fixed": "1.4"}],
                    }
                ],
                "versions": ["9.9"],
            }
        ],
    }
]


@pytest.mark.parametrize(
    ("version", "hit"),
    [
        ("1.1", False), ("1.2", True), ("1.2.0", True), ("1.3.9", True), ("1.4", False),
        ("1.4rc1", True), ("1.3+cpu", True), ("9.9", True), ("9.9.0", True),
        ("10", False), ("latest", False), ("", False),
    ],
)  # fmt: skip
def test_versions_are_compared_as_installers_do(version, hit):
    found = advisories.affecting("signs-loader", version, KNOWN)
    assert [one["id"] for one in found] == (["A-1"] if hit else [])
    assert advisories.affecting("other", version, KNOWN) == []


def test_an_advisory_without_a_repair_affects_all_later_versions():
    one = json.loads(json.dumps(KNOWN))
    one[0]["affected"][0]["ranges"][0]["events"] = [{"introduced": "0"}]
    assert advisories.affecting("signs.loader", "77", one)


@pytest.mark.parametrize(
    ("version", "hit"),
    [
        ("0.9", False), ("1.0", True), ("1.1", False), ("1.5", False), ("2.0", True),
        ("2.3", True), ("2.3.1", False), ("3", True),
    ],
)  # fmt: skip
def test_every_pair_of_a_range_counts(version, hit):
    one = json.loads(json.dumps(KNOWN))
    one[0]["affected"][0]["ranges"] = [
        {"type": "GIT", "events": [{"introduced": "a" * 40}]},
        {
            "type": "ECOSYSTEM",
            "events": [
                {"introduced": "2.0"}, {"last_affected": "2.3"}, {"introduced": "3"},
                {"introduced": "1.0"}, {"fixed": "1.1"},
            ],
        },
    ]  # fmt: skip
    assert bool(advisories.affecting("signs-loader", version, one)) is hit


@pytest.mark.parametrize(
    ("version", "hit"),
    [("1.26.16", True), ("1.26.17", False), ("2.0.5", True), ("2.0.6", False)],
)
def test_both_lines_of_urllib3_are_in_the_bundle(version, hit):
    found = advisories.affecting("urllib3", version, advisories.bundle()["advisories"])
    assert ("CVE-2023-43804" in [one["id"] for one in found]) is hit


def test_the_bundle_is_dated_whole_and_in_osvs_form():
    bundle = advisories.bundle()
    assert len(bundle["date"]) == 10 and bundle["note"]
    ids = [one["id"] for one in bundle["advisories"]]
    assert len(ids) == len(set(ids)) > 10
    for one in bundle["advisories"]:
        assert one["summary"] and one["published"] <= bundle["date"] + "T99"
        for part in one["affected"]:
            assert part["package"]["ecosystem"] == "PyPI"
            assert part.get("ranges") or part.get("versions")
    day = f"{int(bundle['date'][-2:])} November 2026"
    assert day in advisories.heading() and "pip-audit 2" in advisories.heading()


def test_every_repair_repairs_and_the_version_before_is_hit():
    known = advisories.bundle()["advisories"]
    for name, fixed in advisories.repairs().items():
        assert advisories.affecting(name, fixed, known) == []
        earlier = advisories.before(fixed)
        assert advisories.affecting(name, earlier, known)
        assert Version(earlier) < Version(fixed)
    with pytest.raises(ValueError, match="no version is before 0.0"):
        advisories.before("0.0")


def ask(address, body):
    with urlopen(Request(address, body)) as answer:
        return json.load(answer)


def test_the_source_answers_as_osv_does():
    query = {"package": {"name": "torch", "ecosystem": "PyPI"}, "version": "2.5.1"}
    with advisories.serve() as address:
        assert address.startswith("http://127.0.0.1:")
        found = ask(address, json.dumps(query).encode())["vulns"]
        assert {"CVE-2025-32434", "CVE-2026-24747"} == {one["id"] for one in found}
        assert ask(address, json.dumps(query | {"version": "2.14.1"}).encode()) == {}
        bodies = [b"", b"[]", b"{", b'{"package": 1, "version": "1"}', b"\xff"]
        for body in bodies:
            with pytest.raises(HTTPError) as error:
                ask(address, body)
            assert error.value.code == 400
            error.value.close()


@pytest.fixture(scope="module")
def osv():
    with installers.warm("pip_audit"), advisories.serve() as address:
        yield address


def audit(osv, tmp_path, text, **more):
    lock = tmp_path / "requirements.txt"
    lock.write_text(text)
    return advisories.audit(lock, osv, **more)


def test_a_vulnerable_pin_is_found_and_a_repaired_one_is_not(osv, tmp_path):
    found = audit(osv, tmp_path, "torch==2.5.1+cpu\nnumpy==2.0\n")
    assert found.status == advisories.FOUND and set(found.found) == {"torch"}
    assert audit(osv, tmp_path, "torch==2.14.1\n") == advisories.Audit(0)


def test_a_skipped_pin_is_green_unless_strict(osv, tmp_path):
    text = "torch @ http://127.0.0.1:1/torch-2.5.1-py3-none-any.whl\n"
    found = audit(osv, tmp_path, text)
    assert found.status == advisories.CLEAN and "URL" in found.skipped["torch"]
    strict = audit(osv, tmp_path, text, strict=True)
    assert strict.status == 1 and "URL requirements cannot be" in strict.error


def test_what_pip_audit_cannot_read_is_an_error(osv, tmp_path):
    found = audit(osv, tmp_path, "torch>=2\n")
    assert found.status == 1 and found.error and not found.found


def test_no_other_source_is_ever_asked(tmp_path):
    for address in ("http://a.example/v1/query", "http://127.0.0.1.a.example/", ""):
        with pytest.raises(ValueError, match="an address of 127.0.0.1"):
            advisories.audit(tmp_path / "r.txt", address)


def test_a_missing_pip_audit_is_said(tmp_path, monkeypatch):
    def missing(*_):
        return subprocess.CompletedProcess([], 1, "", "No module named pip_audit")

    monkeypatch.setattr(installers, "run", missing)
    with pytest.raises(ValueError, match="pip-audit is not installed"):
        advisories.audit(tmp_path / "r.txt", "http://127.0.0.1:1/v1/query")


def test_an_environment_is_listed_by_its_metadata_alone(tmp_path):
    python = installers.new_environment(tmp_path / "venv")
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    about = site / "signs_loader-1.4.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-b\nVersion: 1.4\n")
    (site / "sitecustomize.py").write_text("")
    assert sbom.installed(python) == ["a-b"]
    assert sbom.tool().startswith("cyclonedx-bom 7")
    with pytest.raises(ValueError, match="gave no list"):
        sbom.installed(tmp_path / "none")


# --- Moved tags -----------------------------------------------------------------------


def test_a_moved_tag_runs_the_thief_and_a_commit_does_not(tmp_path):
    tool = tmp_path / "tool"
    clean = moved_tags.commit(tool, "print('0 findings')\n")
    moved_tags.tag(tool, ["v1", "v2"], clean)
    code = moved_tags.payload("seen") + "print('0 findings')\n"
    theft = moved_tags.commit(tool, code)
    moved_tags.tag(tool, ["v1"], theft)
    assert moved_tags.tags(tool) == {"v1": theft, "v2": clean}
    keys = {"A_TOKEN": "x", "B_TOKEN": "y", "PATH": os.defpath}
    here = tmp_path / "a"
    assert moved_tags.borrow(tool, "v1", here, keys) == (theft, "0 findings")
    assert (here / "seen").read_text() == "2"
    assert moved_tags.borrow(tool, clean, tmp_path / "b", keys)[0] == clean
    assert moved_tags.borrow(tool, "v2", tmp_path / "b", keys)[0] == clean
    assert not (tmp_path / "b" / "seen").exists()
    moved_tags.borrow(tool, "v1", tmp_path / "c", {})
    assert (tmp_path / "c" / "seen").read_text() == "0"


def test_the_users_settings_do_not_reach_git(tmp_path, monkeypatch):
    (tmp_path / "config").write_text("[init]\n  defaultBranch = other\n[broken\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    moved_tags.commit(tmp_path / "tool", "")
    assert moved_tags.version().startswith("git version")


def test_a_missing_git_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(moved_tags.shutil, "which", lambda name: None)
    with pytest.raises(moved_tags.NoGit, match="git is not installed"):
        moved_tags.version()
