"""Containers: the judge of settings and the real thing say the same."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from securetrain import container_trial, containers, isolation
from securetrain.containers import LOOSE, TIGHT

needs_bwrap = pytest.mark.skipif(
    not shutil.which("bwrap"), reason="bubblewrap is not installed"
)
needs_runc = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("runc", path="/usr/sbin:/sbin:/usr/bin"),
    reason="no runc as root",
)
REPOSITORY = Path(containers.__file__).parents[1]
RUN = TIGHT["binds"][1]
MODEL = TIGHT["binds"][0]


def bind(source, place, writable=False):
    return {"source": source, "place": place, "writable": writable}


def changed(**more):
    return TIGHT | more


ONE_CHANGE = {
    "as it is": {},
    "network": {"network": "host"},
    "root file system": {"read_only_root": False},
    "nothing to write on": {"writable": []},
    "another place to write": {"writable": ["/tmp", "/var/tmp"]},
    "root": {"user": 0},
    "another user": {"user": 1000},
    "a capability": {"capabilities": ["CAP_NET_RAW"]},
    "a token": {"environment": TIGHT["environment"] | {"T": "TOKEN"}},
    "a token inside": {"environment": TIGHT["environment"] | {"U": "http://u:TOKEN@h"}},
    "no model named": {"environment": {}},
    "no limit of memory": {"memory_mb": None},
    "a high limit of memory": {"memory_mb": 4096},
    "too little memory": {"memory_mb": 16},
    "the least memory": {"memory_mb": containers.NEEDS_MB},
    "no limit of processes": {"processes": None},
    "a high limit of processes": {"processes": 4096},
    "itself alone": {"processes": 1},
    "the model, writable": {"binds": [MODEL | {"writable": True}, RUN]},
    "the model elsewhere": {"binds": [MODEL | {"place": "/weights"}, RUN]},
    "no model": {"binds": [RUN]},
    "no socket": {"binds": [MODEL]},
    "a socket's folder to read": {"binds": [MODEL, RUN | {"writable": False}]},
    "a token as a file": {"binds": [MODEL, RUN, bind("token", "/run/secrets/token")]},
    "the daemon, read-only": {"binds": [MODEL, RUN, bind("control", "/run/c.sock")]},
    "the home": {"binds": [MODEL, RUN, bind("home", "/home/us")]},
    "the home, writable": {"binds": [MODEL, RUN, bind("home", "/srv", True)]},
    "the home alone": {
        "binds": [RUN, bind("home", "/home/us")],
        "environment": {"SERVICE_MODEL": "/home/us/model/model.json"},
    },
    "as lesson starts": dict(LOOSE),
}


@pytest.fixture(scope="module")
def here():
    with container_trial.host() as host:
        yield host


def agree(settings, here, runtime="bubblewrap"):
    found = container_trial.trial(settings, here, runtime=runtime)
    why = containers.answers(settings)
    assert found.answers == (not why), (settings, found.why, why)
    if found.answers:
        wanted = containers.reaches(settings, as_root=os.getuid() == 0)
        assert found.reached == wanted, settings


@needs_bwrap
@pytest.mark.parametrize("name", ONE_CHANGE)
def test_the_judge_and_a_real_exploit_agree(name, here):
    agree(changed(**ONE_CHANGE[name]), here)


@needs_bwrap
@pytest.mark.parametrize("seed", range(8))
def test_they_agree_on_settings_that_nobody_chose(seed, here):
    agree(containers.mixed(random.Random(seed)), here)


@needs_runc
@pytest.mark.parametrize("name", ["as it is", "root", "the daemon, read-only"])
def test_runc_comes_to_the_same(name, here):
    agree(changed(**ONE_CHANGE[name]), here, "runc")


@needs_bwrap
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_an_ordinary_user_sees_the_same(tmp_path):
    """User 0 inside is then a root that is bound by limits."""
    for name in ("tmp", "home"):
        (tmp_path / name).mkdir()
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from securetrain import container_trial as t, containers as c\n"
        "from random import Random\n"
        "some = [c.LOOSE, c.LOOSE | {'processes': 32}, c.TIGHT]\n"
        "with t.host() as host:\n"
        "    for settings in some + [c.mixed(Random(n)) for n in range(6)]:\n"
        "        found = t.trial(settings, host)\n"
        "        assert found.answers == (not c.answers(settings)), found.why\n"
        "        if found.answers:\n"
        "            wanted = c.reaches(settings, as_root=False)\n"
        "            assert found.reached == wanted, (settings, found)\n"
        "print('agreed')\n"
    )
    line = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups"]
    done = subprocess.run(
        [*line, sys.executable, "-B", "-c", program, str(REPOSITORY)],
        capture_output=True, text=True, cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/"},
    )  # fmt: skip
    assert done.stdout.endswith("agreed\n"), done.stderr[-2000:]


@needs_bwrap
def test_nothing_runs_on_after_a_trial(here):
    before = _services()
    container_trial.trial(LOOSE, here)
    assert _services() == before
    settings = changed(environment={"SERVICE_MODEL": "/none"})
    found = container_trial.trial(settings, here)
    assert not found.answers and "it ended" in found.why
    assert _services() == before


def _services():
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"answers.sock" in line.read_bytes():
                found.append(line.parent.name)
        except OSError:
            pass
    return len(found)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (None, "expected exactly the settings"),
        ({}, "expected exactly the settings"),
        (TIGHT | {"more": 1}, "expected exactly the settings"),
        (changed(network="bridge"), "network is"),
        (changed(read_only_root="yes"), "read_only_root is True or False"),
        (changed(user="nobody"), "user: expected a whole number"),
        (changed(user=None), "user: expected a whole number"),
        (changed(user=True), "user: expected a whole number"),
        (changed(user=-1), "user is an id"),
        (changed(writable="/tmp"), "writable: expected a list"),
        (changed(writable=[1]), "writable: expected texts"),
        (changed(writable=["/"]), "writable places"),
        (changed(capabilities=["NET_RAW"]), "a capability is called"),
        (changed(environment=["A=1"]), "environment: expected a table"),
        (changed(environment={"A": 1}), "environment: expected a table"),
        (changed(memory_mb=0), "a limit is at least 1"),
        (changed(memory_mb=2.5), "memory_mb: expected a whole number"),
        (changed(processes="many"), "processes: expected a whole number"),
        (changed(binds=None), "binds: expected a list"),
        (changed(binds=["/model"]), "a bind has source"),
        (changed(binds=[bind("etc", "/etc")]), "a bind of one of"),
        (changed(binds=[bind("model", "model")]), "an absolute path"),
        (changed(binds=[bind("model", "/a/../b")]), "an absolute path"),
        (changed(binds=[MODEL, bind("run", "/model")]), "the same place"),
    ],
)
def test_settings_that_are_none_are_named(wrong, says):
    for judge in (containers.reaches, containers.answers):
        with pytest.raises(ValueError, match=says):
            judge(wrong)


def test_the_judge_reads_and_does_not_write():
    before = repr((LOOSE, TIGHT))
    containers.reaches(LOOSE), containers.answers(TIGHT)
    assert repr((LOOSE, TIGHT)) == before
    assert containers.reaches(LOOSE) == set(containers.GOALS)
    assert containers.reaches(TIGHT) == set()


def test_without_bubblewrap_it_says_what_to_install(monkeypatch, here):
    monkeypatch.setattr(isolation, "_program", _missing)
    with pytest.raises(isolation.NoIsolation, match="apt install bubblewrap"):
        container_trial.trial(TIGHT, here)


def _missing(name):
    raise isolation.NoIsolation(isolation.INSTALL[name])
