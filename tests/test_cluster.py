"""A class on a real Dask cluster of this machine, with TLS: who dies costs no grade."""

import datetime
import os
import re
import shutil
import signal
import socket
import time

import pytest
from corpus.lab import TOPIC
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grading_runs import (
    ROOT,
    alive,
    export,
    history,
    make_class,
    mixed,
    noted,
    saved,
    until,
)

CLASS = mixed(12)
GRACE = 20  # seconds that one of Dask's processes has to end


def certificate(folder):
    """Make a certificate that signs itself; return Dask's settings for its use."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(start)
    builder = builder.not_valid_after(start + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    pem = serialization.Encoding.PEM
    (folder / "cert").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key").write_bytes(key.private_bytes(pem, *form))
    settings = {"CA_FILE": str(folder / "cert")}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        settings |= {f"{role}__CERT": str(folder / "cert")}
        settings |= {f"{role}__KEY": str(folder / "key")}
    return {f"DASK_DISTRIBUTED__COMM__TLS__{k}": v for k, v in settings.items()}


class Cluster:
    """A scheduler and its workers, and the class that they grade."""

    def __init__(self, grading, here, settings):
        self.grading, self.here, self.settings = grading, here, settings
        self.workers = []

    def schedule(self, port=0):
        """Start the scheduler."""
        words = ["scheduler", "--host", "127.0.0.1", "--port", str(port)]
        words += ["--no-dashboard", "--protocol", "tls"]
        self.scheduler = self.dask(words)
        self.address = self.said(self.scheduler, r"Scheduler at: +(tls://\S+)")

    def dask(self, words, **environment):
        settings = self.settings | {"PYTHONPATH": str(ROOT)} | environment
        return self.grading.start(self.here, *words, module="dask", **settings)

    def said(self, process, pattern):
        """Return what a process says, as soon as it does."""
        log = self.grading.logs[process]
        until(lambda: re.search(pattern, log.read_text()), process)
        return re.search(pattern, log.read_text())[1]

    def work(self, **environment):
        """Start a worker."""
        words = ["worker", self.address, "--nthreads", "1", "--no-dashboard"]
        words += ["--no-nanny", "--local-directory", str(self.here / "dask")]
        worker = self.dask(words, **environment)
        self.said(worker, "Registered to: +(tls)")
        self.workers.append(worker)
        return worker

    def grade(self, here, *words, start=False, **environment):
        """Grade a class there, to the end or not."""
        words = "grade", TOPIC, "--dask", self.address, *words
        run = self.grading.start if start else self.grading.run
        return run(here, *words, **(self.settings | environment))

    def stop(self):
        """Stop what still runs; return what is left.

        Workers go before their scheduler. Dask's may hang when asked to end, in its
        own event loop; it is killed then, as nothing of ours is in it any more.
        """
        for process in (*self.workers, self.scheduler):
            if alive(process):
                os.kill(process, signal.SIGTERM)
            end = time.monotonic() + GRACE
            while alive(process) and time.monotonic() < end:
                time.sleep(0.05)
            if alive(process):
                os.kill(process, signal.SIGKILL)
        return self.grading.left()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, grading):
    folder = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(grading, folder, certificate(folder))
    try:
        cluster.schedule()
        yield cluster
    finally:
        left = cluster.stop()
    assert left == []


@pytest.fixture(scope="module")
def local(tmp_path_factory, grading):
    """Return the class, graded on this machine alone."""
    here = make_class(tmp_path_factory.mktemp("local") / "course", CLASS)
    assert grading.run(here, "grade", TOPIC)[0] == 0
    return here


@pytest.fixture
def here(tmp_path):
    return make_class(tmp_path / "course", CLASS)


def refused(answer):
    status, said = answer
    assert status == 2 and "Traceback" not in said, said
    return said


def test_without_a_scheduler_it_says_so(grading, here):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    words = ["grade", TOPIC, "--dask", f"tcp://127.0.0.1:{port}"]
    assert "no scheduler answers" in refused(grading.run(here, *words))


def test_without_certificates_nobody_gets_in(grading, cluster, here):
    words = ["grade", TOPIC, "--dask", cluster.address]
    assert "need certificates" in refused(grading.run(here, *words))


def test_without_workers_it_says_so_and_another_version_is_none(cluster, here):
    assert "has no worker" in refused(cluster.grade(here))
    other = here.parent / "other"
    for name in ("graders", "securetrain"):
        shutil.copytree(ROOT / name, other / name)
    with open(other / "graders" / "checker.py", "a") as file:
        file.write("# another version\n")
    worker = cluster.work(PYTHONPATH=str(other))
    said = refused(cluster.grade(here))
    assert "runs another version of the course; update it" in said
    os.kill(worker, signal.SIGTERM)
    until(lambda: not alive(worker), worker)


@pytest.mark.parametrize("database", ["a file", "postgres"])
def test_a_worker_that_dies_changes_no_grade(
    grading, cluster, local, here, request, database
):
    how = {}
    if database == "postgres":
        how["SECURETRAIN_DB"] = request.getfixturevalue("postgres")
    while sum(map(alive, cluster.workers)) < 2:
        cluster.work()
    run = cluster.grade(here, start=True, **how)
    until(lambda: noted(here, b"saved"), run)
    worker = next(filter(alive, cluster.workers))
    os.kill(worker, signal.SIGKILL)
    status, said = grading.wait(run)
    assert status == 0, said
    assert all(of == "started graded saved " for of in history(here).values())
    assert saved(here) == saved(local)
    assert export(grading, here, **how) == export(grading, local)


def test_a_scheduler_that_dies_is_told_and_the_next_run_goes_on(
    grading, cluster, local, here
):
    while sum(map(alive, cluster.workers)) < 1:
        cluster.work()
    run = cluster.grade(here, start=True)
    until(lambda: noted(here, b"saved"), run)
    os.kill(cluster.scheduler, signal.SIGKILL)
    said = refused(grading.wait(run))
    assert "has gone" in said and "--resume" in said
    cluster.schedule()
    cluster.work()
    assert cluster.grade(here, "--resume")[0] == 0
    assert saved(here) == saved(local)
    assert export(grading, here) == export(grading, local)
