"""Indexes on this machine, real pip against them, and names that are nearly another."""

import http.client
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from random import Random
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from securetrain import installers, near_names, package_index
from securetrain.package_index import leave, normal, sdist, serve, wheel

INIT = "signs_loader/__init__.py"


def package(version="1.4.0", code="SIZE = 32\n", **more):
    return wheel("signs-loader", version, {INIT: code}, **more)


# --- Wheels and source releases ------------------------------------------------------


def test_a_wheel_is_the_same_bytes_again_and_names_what_it_holds():
    one = package(needs=["numpy>=2"])
    assert (
        one == package(needs=["numpy>=2"])
        and one.sha256 == package(needs=["numpy>=2"]).sha256
    )
    assert one.name == "signs_loader-1.4.0-py3-none-any.whl"
    assert one.project == "signs-loader"
    with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
        names = archive.namelist()
        record = archive.read("signs_loader-1.4.0.dist-info/RECORD").decode()
        about = archive.read("signs_loader-1.4.0.dist-info/METADATA").decode()
    assert [row.split(",")[0] for row in record.split()] == names
    assert "Requires-Dist: numpy>=2" in about


def test_a_source_release_is_one_and_belongs_to_its_project(tmp_path):
    source = sdist(package("2.0"), leave(tmp_path / "m"))
    assert source.name == "signs_loader-2.0.tar.gz" and source.project == "signs-loader"
    assert source == sdist(package("2.0"), leave(tmp_path / "m"))
    with tarfile.open(fileobj=io.BytesIO(source.content)) as archive:
        assert "signs_loader-2.0/pyproject.toml" in archive.getnames()


@pytest.mark.parametrize("name", ["Torch_Vision", "torch.vision", "TORCH--vision"])
def test_names_are_compared_as_installers_do(name):
    assert normal(name) == "torch-vision"


# --- The server -----------------------------------------------------------------------


def get(url, accept="*/*", method="GET"):
    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    link.request(method, parts.path, headers={"Accept": accept})
    answer = link.getresponse()
    found = answer.status, answer.headers["Content-Type"], answer.read()
    link.close()
    return found


def test_the_index_answers_in_json_and_html_and_only_what_it_holds():
    file = package()
    with serve({"internal": [file]}) as served:
        page = served.url("internal") + "signs-loader/"
        status, kind, body = get(page, package_index.JSON)
        [row] = json.loads(body)["files"]
        assert (status, kind) == (200, package_index.JSON)
        assert row["hashes"]["sha256"] == file.sha256
        assert row["upload-time"] == "2025-01-01T00:00:00Z"
        status, kind, body = get(page)
        assert (
            kind.startswith("text/html") and f"#sha256={file.sha256}" in body.decode()
        )
        assert urlopen(row["url"]).read() == file.content
        assert get(row["url"], method="HEAD")[2] == b""
        for wrong in ("other/", "signs-loader/../../x", ""):
            assert get(served.url("internal") + wrong)[0] == 404
        assert get(f"{served.address}/nothing/simple/signs-loader/")[0] == 404
        assert urlsplit(served.address).hostname == "127.0.0.1"
        with pytest.raises(ValueError, match="no index 'public'"):
            served.url("public")
    with pytest.raises(OSError):
        get(page)


def test_an_index_needs_a_plain_name():
    with pytest.raises(ValueError, match="expected letters"), serve({"a/b": []}):
        pass


# --- pip ------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def warm():
    with installers.warm():
        yield


@pytest.fixture
def shop():
    with serve({"internal": [package()], "public": []}) as served:
        yield served


def both(served):
    internal, public = served.url("internal"), served.url("public")
    return ["--index-url", internal, "--extra-index-url", public]


def test_pip_takes_the_highest_of_two_indexes_and_hashes_refuse_it(shop, tmp_path):
    honest, evil = package(), package("99.0.0", leave(tmp_path / "marker"))
    shop.indexes["public"] = [evil]
    found = installers.choose(*both(shop), "signs-loader")
    assert found.took == {"signs-loader": "99.0.0"} and not found.why
    assert found.files == {"signs-loader": evil.sha256}
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"signs-loader==1.4.0 --hash=sha256:{honest.sha256}\n")
    words = ["--require-hashes", "-r", str(lock)]
    assert installers.choose(*both(shop), *words).files["signs-loader"] == honest.sha256
    swapped = package_index.File(honest.name, evil.content)
    shop.indexes |= {"internal": [swapped], "public": []}
    assert "hash" in installers.choose(*both(shop), *words).why


def test_a_dry_run_runs_a_build_and_wheels_only_does_not(shop, tmp_path):
    marker = tmp_path / "marker"
    shop.indexes["public"] = [sdist(package("99.0"), leave(marker))]
    words = [*both(shop), "signs-loader"]
    assert installers.choose(*words, "--only-binary", ":all:").took == {
        "signs-loader": "1.4.0"
    }
    assert not marker.exists()
    assert installers.choose(*words).took == {"signs-loader": "99.0"}
    assert marker.exists()


def test_a_file_with_a_build_number_wins_over_the_same_version(shop):
    rival = package(code="SIZE = 0\n", build="1")
    shop.indexes["internal"] = [package(), rival]
    found = installers.choose(
        "--index-url", shop.url("internal"), "signs-loader==1.4.0"
    )
    assert found.files == {"signs-loader": rival.sha256}


def test_a_cooldown_goes_by_the_upload_time(shop):
    new = package("2.0", uploaded=datetime(2026, 11, 26, tzinfo=UTC))
    shop.indexes["internal"] = [package(), new]
    words = ["--index-url", shop.url("internal"), "signs-loader"]
    cut = ["--uploaded-prior-to", "2026-11-20T00:00:00Z"]
    assert installers.choose(*words).took["signs-loader"] == "2.0"
    assert installers.choose(*words, *cut).took["signs-loader"] == "1.4.0"


def test_a_pth_file_runs_at_the_start_of_python(shop, tmp_path):
    marker = tmp_path / "marker"
    text = {INIT: "", "start.pth": f"import os; {leave(marker)}\n"}
    shop.indexes["internal"] = [wheel("signs-loader", "3.0", text)]
    python = installers.new_environment(tmp_path / "venv")
    words = ["install", "--index-url", shop.url("internal"), "signs-loader"]
    done = installers.pip(*words, python=python)
    assert done.returncode == 0, done.stderr
    marker.unlink(missing_ok=True)
    subprocess.run([python, "-c", "pass"], check=True)
    assert marker.exists()


def test_installing_says_why_not(shop, tmp_path):
    index = ["--index-url", shop.url("internal")]
    assert installers.install(tmp_path / "a", *index, "signs-loader") == ""
    assert (tmp_path / "a" / INIT).exists()
    assert "No matching" in installers.install(tmp_path / "b", *index, "nothing") or (
        "Could not find" in installers.install(tmp_path / "b", *index, "nothing")
    )


@pytest.mark.parametrize(
    "words",
    [
        ["torch"],
        ["--index-url", "http://example.com/simple", "torch"],
        [
            "--index-url",
            "http://127.0.0.1:1/",
            "--extra-index-url=http://a.example",
            "a",
        ],
        ["--index-url=http://127.0.0.1.example.com/", "torch"],
        ["--index-url"],
    ],
)
def test_no_other_index_is_ever_asked(words):
    with pytest.raises(ValueError, match=r"expected --index-url .* 127\.0\.0\.1"):
        installers.choose(*words)


def test_nothing_of_the_users_settings_reaches_pip(monkeypatch):
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "https_proxy"):
        monkeypatch.setenv(name, "http://a.example")
    monkeypatch.setenv("FORCE_COLOR", "1")
    found = installers.environment()
    assert found["PIP_CONFIG_FILE"] == os.devnull and found["PIP_NO_INPUT"] == "1"
    assert "http://a.example" not in found.values() and "FORCE_COLOR" not in found


def test_a_warm_process_ends_and_calls_work_without_it(shop):
    with installers.warm("pip_audit"):
        worker = installers._workers["pip_audit"]
        assert worker.poll() is None
        assert installers.run("pip_audit", "--version").stdout.startswith("pip-audit")
    assert worker.poll() is not None and "pip_audit" not in installers._workers
    slow = installers.run("pip_audit", "--version")
    assert slow.stdout.startswith("pip-audit") and slow.returncode == 0


def test_an_interrupt_leaves_no_answer_for_the_next_call(monkeypatch):
    with installers.warm("pip_audit"):
        worker = installers._workers["pip_audit"]

        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(worker.stdout, "readline", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            installers.run("pip_audit", "--version")
        assert worker.poll() is not None and "pip_audit" not in installers._workers


def test_a_missing_uv_is_said(monkeypatch):
    monkeypatch.setattr(installers, "tool", lambda name: None)
    assert installers.uv_choose("torch", "--index", "http://127.0.0.1:1/") is None
    assert installers.version("uv") == "uv is not installed"
    assert installers.version("pip").startswith("pip 2")


@pytest.mark.skipif(not installers.tool("uv"), reason="uv is not installed")
def test_uv_asks_the_first_index_that_knows_the_name(shop):
    shop.indexes["public"] = [package("99.0.0")]
    words = ["--index", shop.url("internal"), "--default-index", shop.url("public")]
    assert installers.uv_choose("signs-loader", *words).took == {
        "signs-loader": "1.4.0"
    }
    best = ["--index-strategy", "unsafe-best-match", *words]
    assert installers.uv_choose("signs-loader", *best).took == {
        "signs-loader": "99.0.0"
    }


# --- Near names -----------------------------------------------------------------------

KNOWN = ["torch", "torch-vision", "scikit-learn", "urllib3", "python-dateutil", "tqdm"]


@pytest.mark.parametrize(
    "name",
    [
        "tirch", "troch", "torhc", "ttorch", "orch", "torc", "torchvision",
        "scikitlearn", "learn-scikit", "sclkit-learn", "scikit-1earn", "urlib3",
        "urllib", "python3-dateutil", "dateutil", "tоrch", "tqqm",
    ],
)  # fmt: skip
def test_slips_are_near(name):
    assert near_names.reason(name, KNOWN)


@pytest.mark.parametrize(
    "name",
    ["torch", "Torch_Vision", "torch.vision", "SCIKIT--LEARN", "numpy", "tensor"],
)
def test_a_known_name_in_another_spelling_and_a_far_one_are_not(name):
    assert near_names.reason(name, KNOWN) == ""


@pytest.mark.parametrize(
    ("a", "b", "near"),
    [
        ("abcd", "abcd", False), ("abcd", "abdc", True), ("abcd", "bacd", True),
        ("abcd", "abc", True), ("abcd", "bcd", True), ("abcd", "abxd", True),
        ("abcd", "xbcd", True), ("abcd", "abcx", True), ("abcd", "axcx", False),
        ("abcd", "xabcd", True), ("abcd", "abcdx", True), ("abcd", "ab", False),
        ("", "", False), ("abcd", "dbca", False), ("abcd", "bcde", False),
    ],
)  # fmt: skip
def test_one_slip_is_one(a, b, near):
    assert near_names.one_slip(a, b) == near == near_names.one_slip(b, a)


def test_every_kind_of_squat_on_every_popular_name_is_found():
    rng = Random(3)
    for name in near_names.POPULAR:
        for kind, squat in near_names.squats(name, rng).items():
            others = {normal(one) for one in near_names.POPULAR}
            short = len(name) < near_names.SHORTEST and kind not in ("looks alike",)
            if normal(squat) in others or short:
                continue
            assert near_names.reason(squat, near_names.POPULAR), (kind, squat, name)
    with pytest.raises(ValueError, match="too short"):
        near_names.squats("py", rng)


def test_false_alarms_name_both():
    assert near_names.false_alarms(["tomli", "tomli-w", "torch"]) == {
        "tomli": "is one slip away from tomli-w",
        "tomli-w": "is one slip away from tomli",
    }


def test_popular_names_pass_beside_each_other():
    for name in near_names.POPULAR:
        assert near_names.reason(name, near_names.POPULAR) == ""
    # Some are one slip apart, so both must stand in the list.
    pairs = {"fastai", "tensorboardx", "dash", "ngboost", "pyaml", "dataset", "scapy"}
    others = {"fastapi", "tensorboard", "dask", "xgboost", "pyyaml", "datasets"}
    found = near_names.false_alarms(near_names.POPULAR)
    assert set(found) == pairs | others | {"scipy"}


def test_near_names_need_nothing_heavy():
    code = "import securetrain.near_names, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
