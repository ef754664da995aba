"""A prediction service: what it accepts, whom, how often, and what leaks."""

import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from securetrain import (
    cli,
    data,
    metrics,
    models,
    processes,
    robustness,
    serving,
    serving_app,
    serving_monitor,
    training,
)
from securetrain.serving_client import JSON, Running, listen, running
from securetrain.serving_input import Refused, check_head, read_images
from securetrain.serving_probe import noise, nonsense
from securetrain.serving_quota import Quota
from securetrain.serving_settings import MOST, faults, read, settings

EXAMPLE = Path(serving.__file__).with_name("service.yaml")
CLOSED = yaml.safe_load(EXAMPLE.read_text("utf-8")) | {
    "port": 0,
    "body_seconds": 1,
    "requests_a_minute": 300,
    "images_a_day": 48,
}
GIVEN = settings(CLOSED)
GOOD = [[[0.5] * 8] * 8]


def body(images):
    return json.dumps({"images": images}).encode()


def image(value):
    """Return a body of one image of this JSON word."""
    row = b"[" + b",".join([value] * 8) + b"]"
    return b'{"images":[[' + b",".join([row] * 8) + b"]]}"


# --- Settings -------------------------------------------------------------------------


def test_closed_settings_are_taken():
    assert faults(CLOSED) == [] and GIVEN.shape == (8, 8)


@pytest.mark.parametrize("name", CLOSED)
def test_every_setting_must_be_there(name):
    tree = {key: value for key, value in CLOSED.items() if key != name}
    assert [one for one, _ in faults(tree)] == [name]


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("value", [0, -1, True, "10", 1.5, None, 10**9])
def test_a_limit_that_is_none_is_refused(name, value):
    assert [one for one, _ in faults(CLOSED | {name: value})] == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "0.0.0.0"),
        ("host", "::ffff:0.0.0.0"),
        ("host", "224.0.0.1"),
        ("host", "::"),
        ("host", "localhost"),
        ("answers", "logits"),
        ("port", 70000),
        ("shape", [8]),
        ("shape", [8, 0]),
        ("keys", {"ann": "key"}),
        ("debug", True),
        ("state", "quota"),
        ("state", ""),
        ("state", None),
        ("state", 3),
    ],
)
def test_open_settings_are_named(name, value):
    assert [one for one, _ in faults(CLOSED | {name: value})] == [name]
    with pytest.raises(ValueError, match=name):
        settings(CLOSED | {name: value})


def test_a_file_of_settings_is_read_and_its_lines_are_named(tmp_path):
    path = tmp_path / "service.yaml"
    path.write_text(json.dumps(CLOSED))
    assert read(path) == GIVEN
    path.write_text("shape: [8, 8]\nhost: 0.0.0.0\n")
    with pytest.raises(ValueError, match=r"service.yaml:2: host: expected an address"):
        read(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="expected names and values"):
        read(path)


# --- Input ----------------------------------------------------------------------------


def test_images_are_read_as_they_were_sent():
    x = np.random.default_rng(0).integers(0, 17, (16, 8, 8)) / 16
    got = read_images(body(x.tolist()), GIVEN)
    assert got.shape == (16, 1, 8, 8) and got.dtype == np.float32
    assert np.array_equal(got[:, 0], x)
    assert read_images(image(b"1"), GIVEN).max() == 1
    assert read_images(image(b"-0.0"), GIVEN).max() == 0


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, image(b"NaN")),
        (400, image(b"-Infinity")),
        (422, image(b"1e999")),
        (422, image(b"1.0001")),
        (422, image(b"-0.1")),
        (422, image(b"1" + b"0" * 400)),
        (400, image(b"1" + b"0" * 900)[:-1]),
        (422, image(b"true")),
        (422, image(b'"0.5"')),
        (422, image(b"null")),
        (422, image(b"[0.5]")),
        (422, body([])),
        (422, body(GOOD * 17)),
        (422, body([[[0.5] * 8] * 7])),
        (422, body([[[0.5] * 9] * 8])),
        (422, body([[[0.5] * 8] * 7 + [[0.5]]])),
        (422, body({"0": GOOD[0]})),
        (422, b"[]"),
        (422, b"{}"),
        (422, b'{"images": 1, "class": "seven"}'),
        (400, b'{"images": [], "images": []}'),
        (400, b""),
        (400, b"\xff\xfe{}"),
        (400, b"[" * 60000),
        (400, body(GOOD) + body(GOOD)),
        (413, b" " * 65537),
    ],
)
def test_what_is_not_images_is_refused(status, sent):
    with pytest.raises(Refused) as error:
        read_images(sent, GIVEN)
    assert error.value.status == status
    assert "seven" not in str(error.value)


@pytest.mark.parametrize("shape", [(8, 8), (5, 9)])
def test_every_nonsense_of_the_probe_is_refused_and_only_nonsense_is(shape):
    given = settings(CLOSED | {"shape": list(shape)})
    for name, sent in nonsense(*shape).items():
        with pytest.raises(Refused):
            read_images(sent, given)
            pytest.fail(f"{name} was read")
    x = noise(4, shape, 0)
    assert torch.equal(x, noise(4, shape, 0)) and x.shape == (4, 1, *shape)
    assert read_images(body(x[:, 0].tolist()), given).shape == (4, 1, *shape)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (415, {}),
        (415, {"content-type": "text/plain"}),
        (415, {"content-type": "application/json", "content-encoding": "gzip"}),
        (413, {"content-type": "application/json", "content-length": "65537"}),
        (413, {"content-type": "application/json", "content-length": "9" * 5000}),
        (400, {"content-type": "application/json", "content-length": "-1"}),
    ],
)
def test_heads_are_refused_before_the_body(status, headers):
    with pytest.raises(Refused) as error:
        check_head(headers, GIVEN)
    assert error.value.status == status


def test_an_ordinary_head_passes():
    kind = "application/json; charset=utf-8"
    check_head({"content-type": kind, "content-length": "65536"}, GIVEN)


# --- The services, over HTTP ----------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return models.small_resnet(0, 10, 1).eval()


@pytest.fixture(scope="module")
def service(model):
    with running(model, GIVEN, ("ann", "bob", "carl", "dora", "eve")) as found:
        yield found


@pytest.fixture(scope="module")
def x():
    return data.digits()[0][:200]


def head(service, client, *lines):
    key = f"X-Api-Key: {service.keys[client]}"
    lines = ("POST /predict HTTP/1.1", "Host: a", key, *lines, "", "")
    return "\r\n".join(lines).encode()


def raw(service, sent):
    """Return the status line that comes to these bytes, with no more sent."""
    with socket.create_connection(("127.0.0.1", service.port), 20) as connection:
        connection.sendall(sent)
        return connection.recv(100).split(b"\r\n")[0].decode()


def test_both_services_answer_as_the_model_does(service, model, x):
    labels = models.predict(model, x[:5]).tolist()
    assert service.ask(x[:5], "ann") == (200, {"labels": labels})
    status, said = service.ask(x[:5])
    assert status == 200 and said["labels"] == labels
    expected = models.probabilities(model, x[:5])
    assert torch.allclose(torch.tensor(said["probabilities"]), expected, atol=1e-5)


def test_the_open_service_answers_nonsense_and_the_guarded_one_does_not(service):
    sent = image(b"NaN"), body([[[0.5] * 5] * 7]), body([[[255] * 8] * 8])
    headers = JSON | {"X-Api-Key": service.keys["bob"]}
    assert [service.post("/open/predict", one)[0] for one in sent] == [200] * 3
    found = [service.post("/predict", one, headers) for one in sent]
    assert [status for status, _ in found] == [400, 422, 422]
    assert found[2][1] == {"detail": "images[0]: expected numbers from 0 to 1"}


@pytest.mark.parametrize("key", [None, "", "ann", "x" * 2000])
def test_nobody_is_served_without_a_key(service, key):
    headers = JSON | ({} if key is None else {"X-Api-Key": key})
    assert service.post("/predict", body(GOOD), headers)[0] == 401


def test_no_page_describes_the_service(service):
    for path in ("/docs", "/openapi.json", "/"):
        assert service.post(path, b"")[0] in (404, 405)


def test_a_day_counts_images_for_each_client(service, x):
    got, rows = service.ask_all(x, "carl")
    assert len(got) == len(rows) == 48
    assert service.ask(x[:1], "carl")[0] == 429
    assert service.ask(x[:1], "dora")[0] == 200
    assert len(service.ask_all(x, "carl", "dora")[0]) < 48


def test_refused_requests_use_no_images_and_a_short_rest_is_left(service, x):
    headers = JSON | {"X-Api-Key": service.keys["eve"]}
    for _ in range(9):
        assert service.post("/predict", image(b"NaN"), headers)[0] == 400
    assert [service.ask(x[:15], "eve")[0] for _ in range(4)] == [200] * 3 + [429]
    assert service.ask(x[:3], "eve")[0] == 200


def test_too_much_is_refused_before_it_is_sent(service):
    sent = head(service, "bob", *HEADER, "Content-Length: 1000000000")
    assert " 413 " in raw(service, sent)


HEADER = ("Content-Type: application/json",)


def test_a_body_without_a_length_is_counted_as_it_comes(service):
    part = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    sent = head(service, "bob", *HEADER, "Transfer-Encoding: chunked") + part * 5
    assert " 413 " in raw(service, sent)


def test_a_body_that_never_comes_is_not_waited_for(service):
    sent = head(service, "bob", *HEADER, "Content-Length: 100") + b'{"im'
    assert " 408 " in raw(service, sent)


def test_requests_are_limited_before_their_bodies_are_read(model):
    given = settings(CLOSED | {"requests_a_minute": 3})
    with running(model, given, ("ann", "bob")) as service:
        headers = JSON | {"X-Api-Key": service.keys["ann"]}
        found = [service.post("/predict", b"no", headers)[0] for _ in range(5)]
        assert found == [400, 400, 400, 429, 429]
        assert service.ask(torch.zeros(1, 1, 8, 8), "bob")[0] == 200


def connect(service):
    return socket.create_connection(("127.0.0.1", service.port), 20)


@pytest.fixture(scope="module")
def narrow(model):
    with running(model, settings(CLOSED | {"connections": 4}), ("ann",)) as found:
        yield found


SILENT = {
    "nothing": lambda service: b"",
    "half a head": lambda service: b"POST /predict HTTP/1.1\r\nHost:",
    "no key, and on": lambda service: b"POST /predict HTTP/1.1\r\nHost: a\r\n\r\n",
    "no key, no body": lambda service: (
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    ),
    "a question, and on": lambda service: (
        head(service, "ann", *HEADER, f"Content-Length: {len(body(GOOD))}") + body(GOOD)
    ),
}


@pytest.mark.parametrize("kind", SILENT)
def test_silent_connections_make_room_for_who_asks(narrow, kind):
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(narrow)) for _ in range(12)]
        for one in silent:
            with suppress(OSError):  # it made room for the next already
                one.sendall(SILENT[kind](narrow))
        for one in silent if kind not in ("nothing", "half a head") else ():
            with suppress(OSError):
                one.recv(9)  # answered, or gone: nobody is busy any more
        for _ in range(3):
            assert narrow.ask(torch.zeros(1, 1, 8, 8), "ann")[0] == 200


def test_a_silent_connection_is_closed_in_time(service):
    """Drip by drip counts as silent: the whole head must be there in time."""
    started = time.monotonic()
    with connect(service) as quiet, connect(service) as drips:
        drips.settimeout(0.5)
        gone = b"no"
        while gone and time.monotonic() < started + 60:
            try:
                drips.sendall(b"P")
                gone = drips.recv(1)
            except TimeoutError:
                continue
            except ConnectionError:
                gone = b""
        assert not gone
        assert quiet.recv(1) == b""


def test_who_asks_is_not_put_out(narrow):
    """Four that are busy fill the service; silent ones that come do not end them."""
    sent = body(GOOD)
    lines = f"Content-Length: {len(sent)}", "Expect: 100-continue"
    with ExitStack() as stack:
        busy = [stack.enter_context(connect(narrow)) for _ in range(4)]
        for one in busy:
            one.sendall(head(narrow, "ann", *HEADER, *lines) + sent[:9])
            assert b" 100 " in one.recv(100)  # its body is read
        assert narrow.ask(torch.zeros(1, 1, 8, 8), "ann")[0] == 503
        for _ in range(8):
            stack.enter_context(connect(narrow))
        for one in busy:
            one.sendall(sent[9:])
            assert b" 200 " in one.recv(100)


def test_an_upgrade_does_not_leave_the_count(narrow):
    lines = b"GET /predict HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
    lines += b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    sent = lines + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    with connect(narrow) as one:
        one.sendall(sent)
        assert one.recv(100).split(b"\r\n")[0].endswith(b"405 Method Not Allowed")


def test_the_service_ends_when_whoever_started_it_is_gone():
    code = """
import os
from securetrain import models
from securetrain.serving_client import running
from securetrain.serving_settings import settings
with running(models.small_resnet(0, 10, 1), settings(%r), ()) as service:
    print("port", service.port, flush=True)
    os._exit(1)
"""
    root = str(Path(data.__file__).parents[1])
    found = subprocess.run(
        [sys.executable, "-c", code % CLOSED],
        env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    port, until = int(found.stdout.split()[1]), time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            break
        time.sleep(0.1)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_port_in_use_is_said_so():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port}: address already in use"):
            listen("127.0.0.1", port)


# --- The command ----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, model):
    """Return a folder with settings, keys and weights that belong together."""
    (tmp_path / "service.yaml").write_text(json.dumps(CLOSED))
    digest = sha256(b"the key of ann").hexdigest()
    (tmp_path / "keys.json").write_text(json.dumps({digest: "ann"}))
    weights = {name: w.contiguous() for name, w in model.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    return tmp_path


def command(folder):
    weights = folder / "model.safetensors"
    return ["serving", "run", f"{folder}/service.yaml", "--weights", f"{weights}"]


def test_the_command_serves_a_model(folder, x, model):
    line = [sys.executable, "-m", "securetrain.cli", *command(folder)]
    root = str(Path(data.__file__).parents[1])
    extra = {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    with processes.running(line, b"", environment=extra) as started:
        until = time.monotonic() + 60
        while "port " not in started.output and time.monotonic() < until:
            time.sleep(0.05)
        assert "port " in started.output, started.output
        port = int(started.output.partition("port ")[2].split()[0])
        service = Running(port, {"ann": "the key of ann"})
        expected = {"labels": models.predict(model, x[:2]).tolist()}
        assert service.ask(x[:2], "ann") == (200, expected)
        assert service.ask(x[:2])[0] == 404  # no open service here


def test_the_command_says_what_is_wrong(folder, capsys):
    def says(*line):
        return cli.main([*line]), "".join(capsys.readouterr())

    assert says("serving", "check", f"{folder}/service.yaml")[0] == 0
    with listen("127.0.0.1", 0) as first:
        taken = json.dumps(CLOSED | {"port": first.getsockname()[1]})
        (folder / "service.yaml").write_text(taken)
        status, text = says(*command(folder))
        assert status == 2 and "address already in use" in text
    (folder / "service.yaml").write_text(json.dumps(CLOSED))
    for content, wrong in {
        "{": "not JSON",
        "[" * 90_000: "nested too deeply",
        '{"a": "ann", "a": "bob"}': "a key stands twice",
        "{}": "expected hashes of keys",
        '{"ann": "key"}': "entry 1: expected a SHA-256",
        json.dumps({"0" * 64: ""}): "entry 1: expected the client's name",
    }.items():
        (folder / "keys.json").write_text(content)
        status, text = says(*command(folder))
        assert status == 2 and wrong in text
    (folder / "keys.json").unlink()
    assert "expected a file of keys" in says(*command(folder))[1]
    (folder / "service.yaml").write_text(json.dumps(CLOSED | {"images_a_day": 0}))
    assert says(*command(folder))[0] == 1
    assert says("serving", "check", f"{folder}/service.yaml")[0] == 1
    assert says("serving", "check", f"{folder}/none.yaml")[0] == 2


# --- A day that a restart does not end ------------------------------------------------


@pytest.mark.parametrize("state", [":memory:", "quota.db"])
def test_a_day_is_the_last_24_hours_for_each_client(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    day = Quota(state, 10)
    assert [day.take("ann", n, at) for n, at in ((4, 0), (6, 3600))] == [True, True]
    assert not day.take("ann", 1, 86_399) and day.take("bob", 10, 86_399)
    assert not day.take("ann", 5, 86_460) and day.take("ann", 4, 86_460)
    assert not day.take("ann", 1, 86_460) and day.take("ann", 6, 90_060)
    day.close()


def test_what_is_kept_is_bounded():
    day = Quota(":memory:", 10**6)
    for minute in range(4000):
        for _ in range(2):
            assert day.take("ann", 1, minute * 60.0)
    assert day.rows() <= 1441
    day.close()


def test_a_clock_that_is_set_back_gives_no_new_day(tmp_path):
    day = Quota(tmp_path / "quota.db", 10)
    assert day.take("ann", 10, 1e9) and not day.take("ann", 1, 1e9 - 10**6)
    day.close()


COUNTS = """
import sys
from securetrain.serving_quota import Quota
day = Quota(sys.argv[1], 10**6)
print(0, flush=True)
for n in range(1, 10**6):
    day.take("ann", 1)
    print(n, flush=True)  # the answer
"""


def test_a_kill_forgets_no_answer_and_counts_one_too_many_at_most(tmp_path):
    path, told, rng = tmp_path / "quota.db", 0, np.random.default_rng(0)
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", COUNTS, str(path)], stdout=subprocess.PIPE
        )
        lines = [process.stdout.readline() for _ in range(rng.integers(2, 40))]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        before, told = told, told + int([x for x in lines if x.endswith(b"\n")][-1])
        day = Quota(path, 10**6)
        assert told <= day.used("ann") <= told + 1
        told = day.used("ann")
        day.close()
        assert told > before


def test_many_at_once_get_no_more_than_the_day_has(tmp_path):
    path = tmp_path / "quota.db"
    days = [Quota(path, 100) for _ in range(2)]  # as two processes would
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(days[n % 2].take, "ann", 3) for n in range(80)]
    assert sum(job.result() for job in jobs) == 33
    for day in days:
        day.close()


def broken(path):
    return {
        "a folder": lambda: path.mkdir(),
        "no database": lambda: path.write_bytes(b"x" * 5000),
        "another's": lambda: sqlite3.connect(path).execute("CREATE TABLE a (b)"),
        "a link to nowhere": lambda: path.symlink_to("/nowhere/quota.db"),
    }


@pytest.mark.parametrize("what", broken(Path()))
def test_a_state_that_cannot_be_kept_is_refused(tmp_path, what):
    path = tmp_path / "quota.db"
    made = broken(path)[what]()
    if what == "another's":
        made.connection.close()
    with pytest.raises(ValueError, match=r"quota.db: .*cannot count here"):
        Quota(path, 10)
    with pytest.raises(ValueError, match="cannot count here"):
        Quota(tmp_path / "none" / "quota.db", 10)


@pytest.mark.skipif(os.geteuid() == 0, reason="SKIPPED: root may write everywhere")
def test_a_state_that_may_not_be_written_is_refused(tmp_path):
    Quota(tmp_path / "quota.db", 10).close()
    (tmp_path / "quota.db").chmod(0o400)
    with pytest.raises(ValueError, match="cannot count here"):
        Quota(tmp_path / "quota.db", 10)


def test_what_cannot_be_counted_is_not_answered(tmp_path):
    path = tmp_path / "quota.db"
    day = Quota(path, 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Refused, match="cannot be counted") as error:
            day.take("ann", 1)
        assert error.value.status == 503
        other.execute("ROLLBACK")
    assert day.take("ann", 10) and not day.take("ann", 1)
    day.close()


def test_a_service_that_is_killed_and_started_again_knows_the_day(tmp_path, model, x):
    given = settings(CLOSED | {"state": str(tmp_path / "quota.db")})
    for round_, (asks, statuses) in enumerate(
        ((2, [200, 200]), (2, [200, 429]), (1, [429]))
    ):
        with running(model, given, ("ann", "bob")) as service:  # ended by SIGKILL
            found = [service.ask(x[:16], "ann")[0] for _ in range(asks)]
            assert found == statuses, f"round {round_}"
            assert service.ask(x[:16], "bob")[0] == 200
    assert stat.S_IMODE((tmp_path / "quota.db").stat().st_mode) == 0o600


def test_the_command_keeps_its_state_beside_the_settings(folder, capsys):
    (folder / "service.yaml").write_text(json.dumps(CLOSED | {"state": "a/quota.db"}))
    assert cli.main(command(folder)) == 2
    assert f"{folder}/a/quota.db: " in capsys.readouterr().err


# --- Theft ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    x, y = data.digits()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))
    x, y = x[order], y[order]
    victim = training.train(x[:600], y[:600], 3, epochs=12, progress=False)
    return victim, x, y


def test_a_copy_agrees_with_the_model_more_than_chance(trained):
    victim, x, _ = trained
    answers = models.probabilities(victim, x[600:700])
    copy = serving.copy_model(x[600:700], answers, 0, steps=60)
    fresh = models.small_resnet(0, 10, 1)
    assert serving.fidelity(copy, victim, x[1200:]) > 0.6
    assert serving.fidelity(fresh, victim, x[1200:]) < 0.5
    assert serving.fidelity(victim, victim, x[1200:]) == 1


def test_the_copy_finds_images_that_the_model_misreads(trained):
    victim, x, y = trained
    copy = serving.copy_model(
        x[600:900], models.probabilities(victim, x[600:900]), 0, steps=60
    )
    before, image = x.clone(), x[1200:1300]
    rng = torch.Generator().manual_seed(0)
    moved = robustness.pgd(copy, image, y[1200:1300], 0.2, rng=rng)
    assert (moved - image).abs().max() <= 0.2001 and torch.equal(x, before)
    assert moved.min() >= 0 and moved.max() <= 1
    noise = (image + 0.2 * (torch.rand(image.shape) - 0.5).sign()).clamp(0, 1)
    attacked = metrics.accuracy(victim, moved, y[1200:1300])
    assert attacked < metrics.accuracy(victim, noise, y[1200:1300]) - 0.2


def test_answers_that_do_not_fit_are_refused():
    x = torch.rand(4, 1, 8, 8)
    with pytest.raises(ValueError, match="a row for each of 4 images"):
        serving.copy_model(x, torch.ones(3, 10), 0)
    with pytest.raises(ValueError, match="numbers from 0"):
        serving.copy_model(x, torch.full((4, 10), torch.nan), 0)
    with pytest.raises(ValueError, match="lie in"):
        serving.copy_model(x * 255, torch.ones(4, 10), 0)


def test_hardened_answers_keep_the_label():
    p = torch.tensor([[0.14, 0.86], [0.66, 0.34]])
    rounded = serving.round_answers(p, 1)
    assert torch.allclose(rounded, torch.tensor([[0.1, 0.9], [0.7, 0.3]]))
    assert serving.labels_only(p).tolist() == [[0, 1], [1, 0]]


def take(bucket, hour):
    """Six images at once, two more each hour."""
    tokens = min(6.0, bucket[0] + 2 * (hour - bucket[1]))
    return tokens >= 1, (tokens - (tokens >= 1), hour)


def test_a_bucket_serves_its_burst_and_its_rate_for_each_name():
    assert serving.served(take, 6, 0, 1) == 6
    assert serving.served(take, 6, 10, 1) in (25, 26)  # 6 + 2 an hour, rounding apart
    assert serving.served(take, 6, 10, 5) == 5 * serving.served(take, 6, 10, 1)


def test_an_honest_client_is_refused_only_beyond_the_bucket():
    assert serving.refused_share(take, 6, [0.5 * n for n in range(20)]) == 0
    assert serving.refused_share(take, 6, [1.0] * 12) == 0.5


# --- Monitoring -----------------------------------------------------------------------


def clients(kind, images, victim, seed):
    rng = torch.Generator().manual_seed(seed)
    x = serving_monitor.client(kind, images, 100, rng)
    return x, models.predict(victim, x)


@pytest.mark.parametrize("kind", serving_monitor.KINDS)
def test_clients_ask_in_their_way(kind, trained):
    victim, x, _ = trained
    known, images = x[:600], x[600:1200]
    rng = torch.Generator().manual_seed(1)
    honest = [
        serving_monitor.client(one, images, 100, rng)
        for one in serving_monitor.HONEST
        for _ in range(8)
    ]
    values = [serving_monitor.strangeness(one, known) for one in honest]
    low, high = serving_monitor.band(values)
    asked, labels = clients(kind, images, victim, 5)
    assert asked.shape == (100, 1, 8, 8) and asked.min() >= 0 and asked.max() <= 1
    strange = not low <= serving_monitor.strangeness(asked, known) <= high
    assert strange == (kind in ("noise", "few, changed"))
    spaced = serving_monitor.spacing(asked, labels)
    assert (spaced < 0.9) == (kind in ("retries", "few, changed"))


def test_few_or_equal_questions_have_a_spacing():
    x = torch.rand(10, 1, 8, 8)
    labels = torch.zeros(10, dtype=torch.int64)
    assert serving_monitor.spacing(x, labels) == 1.0
    same = x[:1].repeat(40, 1, 1, 1)
    assert serving_monitor.spacing(same, torch.zeros(40, dtype=torch.int64)) == 0.0


def test_strange_kinds_and_lonely_clients_are_said_so():
    with pytest.raises(ValueError, match="expected one of ordinary"):
        serving_monitor.client("robot", torch.rand(9, 1, 8, 8), 3, torch.Generator())
    with pytest.raises(ValueError, match="two honest clients"):
        serving_monitor.band([1.0])


def test_a_file_without_this_network_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match="no weights of this network"):
        serving_app.load(path)
    save_file({"another": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="no weights of this network"):
        serving_app.load(path)


def test_a_limit_that_refuses_nothing_is_named():
    with pytest.raises(ValueError, match="refuse some"):
        serving.served(lambda bucket, hour: (True, bucket), 1, 1, 1)
    answers = torch.ones(2, 3)
    answers[0, 0] = float("inf")
    with pytest.raises(ValueError, match="finite"):
        serving.copy_model(torch.rand(2, 1, 8, 8), answers, 0)


def test_an_address_of_either_family_is_listened_on():
    for host in ("127.0.0.1", "::1"):
        try:
            with listen(host, 0) as listener:
                assert listener.getsockname()[0] == host
        except ValueError as error:
            assert host == "::1" and "cannot assign" in str(error), "no IPv6 here"
