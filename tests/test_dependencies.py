"""Locks and Dockerfiles: what is refused, where, and that pip reads them so, too."""

import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from securetrain import (
    cli,
    container_files,
    container_scanners,
    dependencies,
    dependencies_command,
    sbom,
)

ROOT = Path(__file__).resolve().parents[1]
HASH = "--hash=sha256:" + "a" * 64
GOOD = f"numpy==2.2.0 {HASH}\n"
OTHER = "--hash=sha256:" + "b" * 64
DIGEST = "@sha256:" + "0" * 64


def rules(text, **more):
    data = text if isinstance(text, bytes) else text.encode()
    return [(one.line, one.rule) for one in dependencies.check(data, "r.txt", **more)]


# --- Locks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        f"--require-hashes\n--only-binary=:all:\n{GOOD}",
        f"numpy==2.2.0 \\\n    {HASH} \\\n    {OTHER}\n    # via us\n",
        f"numpy[extra]==2.2.0 ; python_version < '4' {HASH}\n",
        f"a==1 ; python_version<'3' {HASH}\na==2 ; python_version>='3' {HASH}\n",
        f"# -*- coding: utf-8 -*-\n{GOOD}",
        f"torch==2.14.1+cpu --hash=sha512:{'a' * 128}\n",
        f"{GOOD}# é ü 日本\n",
    ],
)
def test_good_locks_pass(text):
    assert rules(text) == []


LOCKS = sorted([*ROOT.glob("*.lock"), *ROOT.glob("tests/bench/*.lock")])


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_the_courses_own_locks_pass(path):
    data = path.read_bytes()
    assert dependencies.check(data, path.name) == []
    every = dependencies.read(data, path.name)[0]
    assert sum(len(pin.hashes) for pin in every) == data.count(b"--hash=")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("numpy\n", [(1, "unpinned")]),
        (f"numpy>=2 {HASH}", [(1, "unpinned")]),
        (f"numpy==2.* {HASH}", [(1, "unpinned")]),
        (f"numpy===2 {HASH}", [(1, "unpinned")]),
        (f"numpy==2,==2.0 {HASH}", [(1, "unpinned")]),
        ("numpy==2.2.0\n", [(1, "no-hash")]),
        (f"\n\nnumpy==2.2.0\n{GOOD}", [(3, "no-hash")]),
        ("numpy==2 --hash=md5:" + "a" * 32, [(1, "no-hash"), (1, "option")]),
        ("numpy==2 --hash=sha256:" + "a" * 63, [(1, "no-hash"), (1, "option")]),
        ("numpy==2 --hash=sha256:" + "A" * 64, [(1, "no-hash"), (1, "option")]),
        (f"numpy==2 \\\n# an end\n  {HASH}", [(1, "no-hash"), (3, "option")]),
        (f"numpy==2 # {HASH}", [(1, "no-hash")]),
        ("--index-url http://a.example\n" + GOOD, [(1, "index")]),
        ("--index http://a.example\n" + GOOD, [(1, "index")]),
        ("--extra-index-url=http://a.example\n" + GOOD, [(1, "index")]),
        ("--e http://a.example\n" + GOOD, [(1, "index")]),
        ("-ihttp://a.example\n" + GOOD, [(1, "index")]),
        ("-f ./wheels\n" + GOOD, [(1, "index")]),
        ("--trusted-host a.example\n" + GOOD, [(1, "index")]),
        ("-e .\n", [(1, "address")]),
        ("--editable=git+https://a.example/b\n", [(1, "address")]),
        ("-r other.txt\n" + GOOD, [(1, "other-file")]),
        ("-cother.txt\n" + GOOD, [(1, "other-file")]),
        ("--pre\n" + GOOD, [(1, "option")]),
        ("--no-binary :all:\n" + GOOD, [(1, "option")]),
        (f"{GOOD[:-1]} --config-settings=a=b\n", [(1, "option")]),
        (f"torch @ https://a.example/t.whl {HASH}", [(1, "address")]),
        (f"git+https://a.example/b.git {HASH}", [(1, "address")]),
        (f"./torch.whl {HASH}", [(1, "address")]),
        (f"wheels/torch-2.0-py3-none-any.whl {HASH}", [(1, "address")]),
        (f"numpy==${{VERSION}} {HASH}", [(1, "variable")]),
        (f"numpy==2\t{HASH}", [(1, "syntax")]),
        (f"{GOOD}NumPy==2.3 {HASH}\n", [(2, "twice")]),
        (f"my_tool==1 {HASH}\nmy.tool==1 {HASH}\n", [(2, "twice")]),
        (f"tensorfow==2 {HASH}", [(1, "near-name")]),
        (f"tоrch==2 {HASH}", [(1, "syntax")]),
        (f"{GOOD}# note\u2028evil==1 {HASH}\n", [(2, "hidden")]),
        (f"{GOOD}# note\revil\n", [(2, "hidden"), (3, "unpinned")]),
        (f"{GOOD}# note\x0cevil\n", [(2, "hidden"), (3, "unpinned")]),
        (f"{GOOD}# \u202egnp\n", [(2, "hidden")]),
        (f"num\u200bpy==2 {HASH}", [(1, "hidden"), (1, "syntax")]),
        ("# -*- coding: utf-7 -*-\n" + GOOD, [(1, "unreadable")]),
        ("#\n# coding=latin-1\n" + GOOD, [(1, "unreadable")]),
        (GOOD.encode() + b"\xff", [(2, "unreadable")]),
        (GOOD.encode("utf-16"), [(1, "unreadable")]),
        (b"\0" * 50, [(1, "hidden"), (1, "syntax")]),
        (b"#" * 10_000_001, [(1, "unreadable")]),
        ("", [(1, "empty")]),
        ("# nothing\n\n", [(1, "empty")]),
        ("{'a': 1}\n", [(1, "syntax")]),
        ("<html>\n", [(1, "syntax")]),
    ],
)  # fmt: skip
def test_what_no_lock_may_hold_is_named_with_its_line(text, found):
    seen = [row for row in rules(text) if row[1] != "twice" or found[0][1] == "twice"]
    assert seen == found


def test_names_to_trust_and_to_accept_are_the_callers():
    text = f"tomli-w==1 {HASH}\n"
    assert rules(text, known=["tomli"]) == [(1, "near-name")]
    assert rules(text, known=["tomli"], accepted=["Tomli_W"]) == []
    assert rules(text, known=["tomli", "tomli.w"]) == []


def test_a_finding_reads_as_compilers_write_it():
    [one] = dependencies.check(b"\nnumpy\n", "a/r.txt")
    assert str(one).startswith("a/r.txt:2: unpinned: numpy: expected one version")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"torch===2.6.0 {HASH}", "torch: expected ==, not ==="),
        (f"torch==2.6.0\n{HASH}", "is a backslash missing in the line above?"),
    ],
)
def test_common_slips_are_named(text, says):
    found = dependencies.check(text.encode(), "r.txt")
    assert any(says in one.says for one in found), found


@pytest.mark.parametrize("name", ["fastai", "tensorboardX", "dash", "ngboost", "scapy"])
def test_well_known_neighbours_of_well_known_names_pass(name):
    assert rules(f"{name}==1 {HASH}\n") == []


def test_pins_by_name_and_the_first_fault():
    pin = dependencies.pins(GOOD.encode(), "r.txt")["numpy"]
    assert (pin.version, pin.hashes, pin.line) == ("2.2.0", (HASH[7:],), 1)
    with pytest.raises(ValueError, match="r.txt:1: no-hash"):
        dependencies.pins(b"numpy==1\n", "r.txt")


PARTS = [
    "numpy==2.2.0", "torch", "torch>=2", HASH, OTHER, "\\\n", "\n",
    " ", "\t", "#", " # ", "# x\n", "\r\n", "\r", "\u2028", "\x0b", "--pre", "-e .",
    "--index-url http://127.0.0.1:1", "; python_version>'3'", "${HOME}", "\\", "\ufeff",
    "-r x", "\\ \n", "'", '"', "--hash", "=", "sha256:" + "c" * 64, "a==1",
]  # fmt: skip
READ = """
import json, sys
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
out = []
for path in json.load(sys.stdin):
    try:
        rows = list(parse_requirements(path, PipSession()))
        out.append([[r.requirement, r.is_editable, r.options] for r in rows])
    except BaseException as error:
        out.append(f"{type(error).__name__}: {error}")
print(json.dumps(out))
"""


def test_what_passes_is_for_pip_the_same_pins_and_nothing_else(tmp_path):
    """Random files: none that passes holds anything for pip that we did not read."""
    rng, texts = Random(7), [GOOD]
    for _ in range(6000):
        noise = [rng.choice(PARTS) for _ in range(rng.randrange(1, 6))]
        rows = [GOOD, f"a==1 \\\n  {HASH}\n"]
        text = "".join(rng.sample(rows, rng.randrange(1, 3)))
        place = rng.randrange(len(text) + 1)
        texts.append(text[:place] + "".join(noise) + text[place:])
    passed = {
        text: dependencies.read(text.encode(), "")[0]
        for text in texts
        if not dependencies.check(text.encode(), "")
    }
    assert len(passed) > 50
    paths = [tmp_path / f"{number}.txt" for number in range(len(passed))]
    for path, text in zip(paths, passed, strict=True):
        path.write_bytes(text.encode())
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        check=True,
    )
    for (text, pins), theirs in zip(
        passed.items(), json.loads(done.stdout), strict=True
    ):
        assert isinstance(theirs, list), (text, theirs)
        seen = [
            (sorted(f"sha256:{h}" for h in options["hashes"]["sha256"]), editable)
            for _, editable, options in theirs
        ]
        assert seen == [(sorted(pin.hashes), False) for pin in pins], text
        asked = [Requirement(row[0]) for row in theirs]
        heads = [f"{canonicalize_name(one.name)}{one.specifier}" for one in asked]
        assert heads == [f"{pin.name}=={pin.version}" for pin in pins], text


# --- Dockerfiles ----------------------------------------------------------------------

HARD = f"FROM python:3.11{DIGEST} AS build\nUSER app\nCMD ['a']\n"


def docker(text):
    data = text if isinstance(text, bytes) else text.encode()
    return [(one.line, one.rule) for one in container_files.check(data, "Dockerfile")]


@pytest.mark.parametrize(
    "line",
    [
        "RUN pip install --require-hashes -r requirements.lock",
        "RUN --mount=type=secret,id=t pip install --require-hashes -r r.lock",
        "RUN pip install --no-deps --no-build-isolation .",
        "RUN pip install --no-deps --no-build-isolation -e .",
        "RUN pip --version && apt-get install -y pip",
        "RUN pip config set global.index-url http://a",
        "RUN uv pip install --require-hashes --extra gpu -r r.lock",
        "RUN\ttrue",
        "RUN --mount=type=bind,from=build,target=/x sh /x/run.sh",
        f"RUN --mount=type=bind,from=a.example/b{DIGEST},target=/x sh /x/run.sh",
        "RUN --mount=type=cache,target=/cache true",
        "RUN --mount=type=secret,id=t,env=T pip install --require-hashes -r a "
        "--index-url https://me:${T}@a.example/simple",
        f"ADD https://a.example/y.git#{'a' * 40} /y",
        f"ADD https://a.example/y.git#{'a' * 40}:src /y",
        "ENV PAD_TOKEN=0 USE_AUTH=false PWD=/app BYPASS=yes",
        "ENV PIP_INDEX_URL=http://a.example/simple",
        'USER "app"',
        f"ADD --checksum=sha256:{'a' * 64} https://a.example/b /b",
        "RUN curl -o a https://a.example/a && sha256sum -c a.sha256",
        "COPY --from=build /a /b",
        "COPY --from=0 /a /b",
        f"COPY --from=a.example/b{DIGEST} /a /b",
        "ENV PATH=/a:/b LANG=C.UTF-8",
        "ENV TOKENIZERS_PARALLELISM=false",
        "ENV MAX_TOKENS=512",
        "ENV KEYBOARD=de AUTHOR=us",
        "ARG VERSION=1.0",
        "COPY environment.yml src/ /app/",
        "# RUN pip install torch",
        "RUN echo 'pip install torch'",
        "RUN <<EOF\n# don't\npip install --require-hashes -r a\nEOF",
        "RUN a && \\\n  # a comment within\n\n  b",
        'RUN ["pip", "install", "--require-hashes", "-r", "r.lock"]',
        "HEALTHCHECK CMD curl -f http://127.0.0.1/",
        f"FROM scratch\nCOPY --from=build /a /\nUSER 1\nFROM x{DIGEST}\nUSER 2:2",
    ],
)
def test_honest_instructions_pass(line):
    assert docker(HARD + line + "\n") == []
    assert docker((HARD + line + "\n").replace("\n", "\r\n")) == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("RUN pip install torch", "pip-unhashed"),
        ("RUN pip install torch # --require-hashes", "pip-unhashed"),
        ("RUN echo '#' && pip install torch", "pip-unhashed"),
        ("RUN curl -o a http://a.example # sha256sum -c", "unchecked-download"),
        ("RUN pip3.11 install torch", "pip-unhashed"),
        ("RUN /usr/bin/pip install torch", "pip-unhashed"),
        ("RUN python3 -m pip install torch", "pip-unhashed"),
        ("RUN uv pip install torch", "pip-unhashed"),
        ("RUN pip download torch", "pip-unhashed"),
        ("RUN a && b; FOO=1 sudo pip install torch", "pip-unhashed"),
        ("RUN for i in a b; do pip install $i; done", "pip-unhashed"),
        ("RUN sh -c 'pip install torch'", "pip-unhashed"),
        ("RUN bash -euxc \"pip install torch\"", "pip-unhashed"),
        ('RUN ["pip", "install", "torch"]', "pip-unhashed"),
        ('RUN ["/bin/sh", "-c", "pip install torch"]', "pip-unhashed"),
        ("RUN a && \\\n  # note\n\n  pip install torch", "pip-unhashed"),
        ("RUN <<EOF\na\npip install torch\nEOF", "pip-unhashed"),
        ("RUN p\"\"ip install torch", "pip-unhashed"),
        ("run pip install torch", "pip-unhashed"),
        ("ONBUILD RUN pip install torch", "pip-unhashed"),
        ("RUN pip install --no-deps --no-build-isolation . torch", "pip-unhashed"),
        ("RUN pip install --no-deps --no-build-isolation -e ../b", "pip-unhashed"),
        ("RUN pip install --no-deps --no-build-isolation . -rb", "pip-unhashed"),
        ("RUN pip install --no-deps --no-build-isolation . --editable=b",
         "pip-unhashed"),
        ("RUN p\\\nip install torch", "pip-unhashed"),
        ("RUN\tpip install torch", "pip-unhashed"),
        ("ONBUILD\tRUN\tpip install torch", "pip-unhashed"),
        ("RUN uv pip install --require-hashes --index http://b -r a", "second-index"),
        ("RUN pip install --require-hashes --extra-index b -r a", "second-index"),
        ("RUN pip config set global.extra-index-url http://b", "second-index"),
        ("RUN python -m pip config --user set install.find-links b", "second-index"),
        ("ENV UV_EXTRA_INDEX_URL=http://b", "second-index"),
        ("ENV UV_INDEX=http://b", "second-index"),
        ("ARG PIP_FIND_LINKS=http://b", "second-index"),
        ("RUN pip wheel --require-hashes --find-links=http://a -r b", "second-index"),
        ("ENV PIP_EXTRA_INDEX_URL=http://a", "second-index"),
        ("RUN curl -sSL https://a.example | bash", "pipe-to-shell"),
        ("RUN wget -qO- https://a.example | sudo -E sh -s", "pipe-to-shell"),
        ("RUN curl https://a.example | tee x | python3 -", "pipe-to-shell"),
        ("RUN bash <(curl -s https://a.example)", "pipe-to-shell"),
        ("RUN sh -c \"$(curl -fsSL https://a.example)\"", "pipe-to-shell"),
        ("RUN eval \"$(curl -fsSL https://a.example)\"", "pipe-to-shell"),
        ("RUN curl -o a https://a.example && sh a", "unchecked-download"),
        ("RUN ( wget https://a.example )", "unchecked-download"),
        ("ADD https://a.example/x /x", "add-url"),
        ("ADD https://a.example/y.git#main /x", "add-url"),
        (f"ADD https://a.example/y.git#{'a' * 39} /x", "add-url"),
        (f"ADD https://a.example/x?y.git#{'a' * 40} /x", "add-url"),
        ('ADD ["http://a.example/x", "/x"]', "add-url"),
        ("ADD --chown=1:1 git@a.example:b.git /x", "add-url"),
        ("COPY --from=a.example/b:1 /a /b", "base-unpinned"),
        ("RUN --mount=type=bind,from=a.example/b:1,target=/x sh /x/a", "base-unpinned"),
        ("RUN --mount=type=cache,target=/a --mount=from=b:1,target=/x a",
         "base-unpinned"),
        ('RUN --mount="type=bind,from=b:1",target=/x a', "base-unpinned"),
        ("ENV API_KEY=abc", "secret"),
        ("ENV PIP_INDEX_URL=http://me:hunter2@b/simple", "secret"),
        ("ARG DATA=https://me:hunter2@b/simple", "secret"),
        ("RUN fetch ftp://me:hunter2@b/simple", "secret"),
        ("ENV DB_PASS=a", "secret"),
        ("ENV DB_PWD=a", "secret"),
        ("ENV PGPASSWORD=a", "secret"),
        ("ENV DB_PASSWORD=123456", "secret"),
        ("ENV MYTOKEN=x", "secret"),
        ("COPY .docker/config.json /app/.docker/", "secret"),
        ("ENV HF_TOKEN abc def", "secret"),
        ("ENV A=b \\\n  DB_PASSWORD=c", "secret"),
        ("ARG GITHUB_TOKEN", "secret"),
        ("COPY .env /app/", "secret"),
        ("COPY a.py keys/id_rsa /app/", "secret"),
        ("ADD .aws/ /app/", "secret"),
        ("USER root", "root"),
        ("USER 0:0", "root"),
        ('USER "0"', "root"),
        ("USER 'root'", "root"),
        ('USER ""', "root"),
        ("USER ${WHO}", "root"),
        (f"FROM x{DIGEST}", "root"),
        ("FROM build\nUSER 0", "root"),
        ("FROM python:3.11\nUSER a", "base-unpinned"),
        ("FROM --platform=linux/amd64 python\nUSER a", "base-unpinned"),
        ("FROM ${BASE}\nUSER a", "base-unpinned"),
        ("FETCH a", "unreadable"),
        ("RUN 'open", "unreadable"),
        ("RUN <<EOF\npip install torch", "unreadable"),
        ("RUN a \\", "unreadable"),
        ("RUN a\x0bb", "unreadable"),
    ],
)  # fmt: skip
def test_each_fault_is_found_on_its_line(line, rule):
    found = docker(HARD + line + "\n")
    assert rule in [name for _, name in found], found
    assert all(number >= 4 or name == "unreadable" for number, name in found), found


def test_keys_in_clear_are_found_by_their_form_and_not_shown():
    key = "AKIA" + "".join(Random(0).choices("ABCDEFGH234567", k=16))
    data = f"{HARD}RUN deploy --with {key}\n".encode()
    [one] = container_files.check(data, "Dockerfile")
    assert (one.line, one.rule) == (4, "secret") and key not in str(one)


def test_directives_are_read():
    assert docker(f"# syntax=a.example/front:1\n{HARD}") == [(1, "base-unpinned")]
    assert docker(f"# syntax=a.example/front:1{DIGEST}\n{HARD}") == []
    windows = "# escape=`\n" + HARD + "RUN a `\n  && pip install torch\n"
    assert docker(windows) == [(5, "pip-unhashed")]
    based = f"ARG BASE=python:3.11{DIGEST}\nFROM ${{BASE}}\nUSER a\n"
    assert docker(based) == [] and docker(based.replace(DIGEST, ""))


def test_users_are_those_of_the_stage_that_is_built_upon():
    stages = f"FROM a{DIGEST} AS one\nUSER app\nFROM b{DIGEST} AS two\nUSER root\n"
    assert docker(stages + "FROM one\n") == []
    assert docker(stages + "FROM two\n") == [(4, "root")]
    assert docker(stages) == [(4, "root")]


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"", 1, "no FROM"), (b"\xff", 1, "UTF-8"), (b"FROM a\n\xff", 2, "UTF-8"),
        (b"# only a comment\n", 1, "no FROM"), (b"{}", 1, "no instruction"),
        (b"#" * 1_000_001, 1, "at most"), (b"FROM a\0\n", 1, "control"),
    ],
)  # fmt: skip
def test_what_is_no_dockerfile_is_said(data, line, says):
    [one] = container_files.check(data, "d")
    assert (one.line, one.rule) == (line, "unreadable") and says in one.says


def test_random_files_never_break_the_reader():
    rng = Random(5)
    words = ["FROM", "RUN", "pip install", "<<EOF", "\n", "EOF", "|", "sh", "curl", '"',
             "'", "\\\n", "$(", ")", "[", "]", "ENV", "A=b", "ONBUILD", "USER", "#",
             "COPY --from=", "ARG", "=", "`", "${A}", "\r", "é", "&&"]  # fmt: skip
    for _ in range(3000):
        text = HARD + " ".join(rng.choice(words) for _ in range(rng.randrange(25)))
        for one in container_files.check(text.encode(), "d"):
            assert one.line >= 1 and one.says


def test_a_tab_hides_no_other_finding():
    assert docker(f"FROM a:1\nRUN\ttrue\nUSER\tb\nRUN echo {DIGEST}\n") == [
        (1, "base-unpinned")
    ]


def test_a_password_in_an_address_is_not_shown():
    data = f"{HARD}ENV A=http://me:hunter2@b/simple\n".encode()
    [one] = container_files.check(data, "Dockerfile")
    assert one.rule == "secret" and "hunter2" not in one.says


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("Dockerfile", True), ("a/Dockerfile.gpu", True), ("Containerfile", True),
        ("train.dockerfile", True), ("a/b.Containerfile", True), ("dockerfile", True),
        ("Dockerfile-gpu", True), ("a/Dockerfile_gpu", True),
        ("Dockerfile.dockerignore", False), ("my-dockerfile-notes.md", False),
        ("docker.txt", False), ("Dockerfiles/a.py", False), ("Dockerfiles", False),
    ],
)  # fmt: skip
def test_the_hook_sends_what_the_command_reads_as_a_dockerfile(name, is_one):
    assert container_files.is_one(name) is is_one
    assert sent(name) is is_one


def sent(name):
    """Return whether pre-commit gives a file of this name to the hook."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    [files] = [one["files"] for one in hooks if one["id"] == "dependencies"]
    assert files in " ".join(dependencies_command.__doc__.split())
    return re.search(files, name) is not None


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("requirements.txt", True), ("requirements.lock", True),
        ("requirements-dev.txt", True), ("dev-requirements.txt", True),
        ("Requirements_GPU.txt", True), ("REQUIREMENTS.TXT", True),
        ("backend/requirements.lock", True), ("requirements/base.txt", True),
        ("requirements/gpu/base.lock", True), ("a/requirements/dev.txt", True),
        ("constraints.txt", True), ("a/constraints-gpu.txt", True),
        ("constraints/gpu.lock", True), ("requirements.in", False),
        ("requirements/base.in", False), ("requirements/a.py", False),
        ("requirements/README.md", False), ("my.txt", False), ("uv.lock", False),
        ("dvc.lock", False), ("a/poetry.lock", False), ("requirements.txt.orig", False),
        ("no-requirements-here/notes.txt", False),
    ],
)  # fmt: skip
def test_the_hook_sends_the_files_that_pip_is_given(name, reads, tmp_path):
    assert sent(name) is reads
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("numpy\n")
    if reads:
        assert command("check", path) == 1


def test_tools_that_are_absent_are_said_and_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(container_scanners, "tool", lambda name: None)
    for name in container_scanners.TOOLS:
        assert container_scanners.scan(name, tmp_path) is None
        assert container_scanners.version(name) == f"{name}: not installed"
    assert "not installed" in container_scanners.snyk()
    with pytest.raises(ValueError, match="unknown tool"):
        container_scanners.scan("snyk", tmp_path)


@pytest.mark.parametrize("name", container_scanners.TOOLS)
def test_tools_that_are_here_find_root(name, tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a:1\nUSER root\n")
    found = container_scanners.scan(name, path)
    if found is None:
        pytest.skip(f"{name} is not installed")
    assert found


def test_a_tool_that_fails_is_no_clean_bill(tmp_path, monkeypatch):
    broken = tmp_path / "hadolint"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(container_scanners, "tool", lambda name: str(broken))
    with pytest.raises(ValueError, match="hadolint gave no report: broken"):
        container_scanners.scan("hadolint", tmp_path / "Dockerfile")


# --- The command, and a hook ----------------------------------------------------------


def command(*words):
    return cli.main(["dependencies", *map(str, words)])


def test_the_command_says_file_line_and_count(tmp_path, capsys):
    lock, docker_file = tmp_path / "requirements.lock", tmp_path / "Dockerfile"
    lock.write_text(GOOD)
    docker_file.write_text(HARD)
    assert command("check", lock, docker_file) == 0
    assert capsys.readouterr().out == "2 files checked, 0 refused with 0 findings\n"
    lock.write_text(GOOD + "torch\n")
    docker_file.write_text(HARD.replace(DIGEST, ""))
    assert command("check", lock, docker_file) == 1
    said = capsys.readouterr()
    assert f"{lock}:2: unpinned: " in said.err
    assert f"{docker_file}:1: base-unpinned: " in said.err
    assert said.out == "2 files checked, 2 refused with 2 findings\n"
    assert command("check", lock) == 1
    said = capsys.readouterr()
    assert said.out == "1 file checked, 1 refused with 1 finding\n"


def test_the_command_takes_names_from_a_lock_or_a_list(tmp_path, capsys):
    lock, known = tmp_path / "r.txt", tmp_path / "known.txt"
    lock.write_text(f"tomli-w==1 {HASH}\n")
    known.write_text("# ours\ntomli\n\ntorch==2 --hash=…\n")
    assert command("check", lock) == 0
    assert command("check", "--known", known, lock) == 1
    assert command("check", "--known", known, "--accept", "tomli-w", lock) == 0
    known.write_text("# nothing\n")
    assert command("check", "--known", known, lock) == 2
    known.write_bytes(b"numpy\n\xff\n")
    assert command("check", "--known", known, lock) == 2
    assert f"--known {known}: expected UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "a.py", "none.txt"])
def test_what_it_cannot_read_is_wrong_use(name, tmp_path, capsys):
    path = tmp_path / name
    if name != "none.txt":
        path.write_text(GOOD)
    assert command("check", path) == 2
    assert str(path) in capsys.readouterr().err
    assert command("check", tmp_path) == 2


def test_the_command_is_light():
    heavy = "{'torch', 'numpy', 'IPython', 'cyclonedx', 'hvac', 'matplotlib'}"
    code = "import sys, securetrain.dependencies_command; "
    code += f"print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [], done.stderr


# --- The list of everything inside ----------------------------------------------------


def test_the_courses_list_is_valid_complete_and_the_same_again(tmp_path):
    data = (ROOT / "requirements.lock").read_bytes()
    assert command("sbom", "--to", tmp_path / "a.json") == 0
    bill = (tmp_path / "a.json").read_bytes()
    assert bill == sbom.write(data, "requirements.lock")
    pins = dependencies.read(data, "")[0]
    parts = json.loads(bill)["components"]
    assert len(parts) == len(pins) == len({part["bom-ref"] for part in parts})
    hashes = {f"sha256:{h['content']}" for part in parts for h in part["hashes"]}
    assert hashes == {one for pin in pins for one in pin.hashes}
    assert sbom.find(bill, "Torch") == ["2.14.1"] and sbom.find(bill, "litellm") == []
    assert sbom.find(bill, "torch", {"1.0"}) == []
    assert b"/tmp" not in bill and b"://" not in bill


def test_what_is_no_list_is_said():
    bill = sbom.write(GOOD.encode(), "r.txt")
    assert sbom.problems(bill) == ""
    assert "libary" in sbom.problems(bill.replace(b'"library"', b'"libary"'))
    assert "no JSON" in sbom.problems(b"{") and sbom.problems(b"\xff")
    assert sbom.problems(b"[]")


def test_a_list_wants_a_lock(tmp_path, capsys):
    with pytest.raises(ValueError, match="r.txt:1: no-hash"):
        sbom.write(b"numpy==1\n", "r.txt")
    with pytest.raises(ValueError, match="no requirement"):
        sbom.write(b"", "r.txt")
    assert command("sbom", tmp_path / "none.lock") == 2
    lock = tmp_path / "r.lock"
    for refused in ("numpy==1\n", ""):
        lock.write_text(refused)
        assert command("sbom", lock, "--to", tmp_path / "bill.json") == 1
        assert str(lock) in capsys.readouterr().err
    assert not (tmp_path / "bill.json").exists()
    lock.write_text(GOOD)
    assert command("sbom", lock, "--name", "ours") == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["metadata"]["component"]["name"] == "ours"
