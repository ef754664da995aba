"""OpenBao as it is: jobs, envelopes, rotation, the audit log, and what goes wrong."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from securetrain import credentials, key_hunt, leaks, vault, vault_audit
from securetrain.cli import main
from securetrain.vault import Denied, send

SECRET = "signs/tracker"
VALUE = leaks.mock("hex token", 0).value


@pytest.fixture(scope="module")
def server():
    with vault.start() as found:
        yield found


@pytest.fixture
def space(server):
    with credentials.workspace(server) as name:
        credentials.write(server, name, SECRET, {"token": VALUE})
        credentials.write(server, name, "faces/tracker", {"token": VALUE[::-1]})
        yield name


def start_job(server, space, job="train", path=SECRET):
    role = credentials.enrol(server, space, job, credentials.policy(path, space))
    sealed = credentials.envelope(server, space, job)
    return role, sealed


def log_in(server, space, job="train"):
    role, sealed = start_job(server, space, job)
    return credentials.log_in(server.address, space, job, role, sealed)


def test_a_job_reads_its_own_secret_and_nothing_else(server, space):
    token = log_in(server, space)["client_token"]
    got = credentials.read(server.address, token, space, SECRET)
    assert got == {"token": VALUE}
    refused = [
        ("GET", f"{space}/data/faces/tracker"),
        ("LIST", f"{space}/metadata"),
        ("GET", f"{space}/metadata/{SECRET}"),
        ("DELETE", f"{space}/data/{SECRET}"),
        ("GET", "sys/mounts"),
        ("POST", "auth/token/create"),
    ]
    for method, path in refused:
        with pytest.raises(Denied, match="permission denied"):
            send(server.address, method, path, token)
    with pytest.raises(Denied, match="permission denied"):
        body = {"data": {"token": "mine"}}
        send(server.address, "POST", f"{space}/data/{SECRET}", token, body)


def test_an_envelope_opens_once_and_its_second_reader_is_told(server, space):
    role, sealed = start_job(server, space)
    credentials.log_in(server.address, space, "train", role, sealed)
    with pytest.raises(Denied, match="opened before"):
        credentials.log_in(server.address, space, "train", role, sealed)


def test_an_envelope_that_is_too_old_stays_shut(server, space):
    role = credentials.enrol(server, space, "late", credentials.policy(SECRET, space))
    sealed = credentials.envelope(server, space, "late", life="1s")
    time.sleep(1.5)
    with pytest.raises(Denied, match="too old"):
        credentials.log_in(server.address, space, "late", role, sealed)


def test_an_envelope_that_a_thief_sealed_again_is_not_opened(server, space):
    role, sealed = start_job(server, space)
    inside = send(server.address, "POST", "sys/wrapping/unwrap", sealed)["data"]
    forged = send(
        server.address, "POST", "sys/wrapping/wrap", server.token, inside, "60s"
    )
    again = forged["wrap_info"]["token"]
    with pytest.raises(Denied, match="sealed at sys/wrapping/wrap"):
        credentials.log_in(server.address, space, "train", role, again)


def test_a_secret_id_logs_in_once(server, space):
    role, sealed = start_job(server, space)
    opened = send(server.address, "POST", "sys/wrapping/unwrap", sealed)["data"]
    body = {"role_id": role, "secret_id": opened["secret_id"]}
    send(server.address, "POST", f"auth/{space}/login", body=body)
    with pytest.raises(Denied, match="invalid"):
        send(server.address, "POST", f"auth/{space}/login", body=body)


def test_a_token_expires(server, space):
    made = send(
        server.address, "POST", "auth/token/create", server.token, {"ttl": "1s"}
    )
    token = made["auth"]["client_token"]
    time.sleep(1.5)
    with pytest.raises(Denied, match="permission denied"):
        credentials.read(server.address, token, space, SECRET)


def test_rotation_and_revocation_end_the_leak_and_spare_the_others(server, space):
    leaked, other = log_in(server, space), log_in(server, space, "other")
    new = credentials.rotate(server, space, SECRET, {"token": VALUE + "2"})
    assert new == 2
    token, wanted = leaked["client_token"], {"token": VALUE + "2"}
    assert credentials.read(server.address, token, space, SECRET) == wanted
    credentials.revoke(server, leaked["accessor"])
    with pytest.raises(Denied, match="permission denied"):
        credentials.read(server.address, token, space, SECRET)
    kept = other["client_token"]
    assert credentials.read(server.address, kept, space, SECRET) == wanted
    metadata = send(server.address, "GET", f"{space}/metadata/{SECRET}", server.token)
    assert metadata["data"]["versions"]["1"]["destroyed"] is True


def test_a_workspace_leaves_nothing_behind(server):
    before = send(server.address, "GET", "sys/mounts", server.token)["data"].keys()
    with credentials.workspace(server) as name:
        during = send(server.address, "GET", "sys/mounts", server.token)["data"]
        assert f"{name}/" in during
        start_job(server, name)
    after = send(server.address, "GET", "sys/mounts", server.token)["data"].keys()
    assert before == after
    left = send(server.address, "LIST", "sys/policies/acl", server.token)
    assert not [one for one in left["data"]["keys"] if one.startswith(name)]


def test_a_job_gets_its_secret_on_standard_input_alone(monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", VALUE)
    code = (
        "import json, os, sys; got = json.load(sys.stdin); "
        "print(got['token'][::-1], got['token'] in str(os.environ) + str(sys.argv), "
        "'VAULT_TOKEN' in os.environ)"
    )
    done = credentials.inject([sys.executable, "-c", code], {"token": VALUE})
    assert done.stdout.split() == [VALUE[::-1], "False", "False"]
    with pytest.raises(Denied, match="ended with status 3"):
        credentials.inject([sys.executable, "-c", "raise SystemExit(3)"], {})


# --- The audit log ---------------------------------------------------------------


def test_the_log_tells_who_read_what_and_shows_no_secret(server, space, capsys):
    mine = log_in(server, space, "reader")
    token, accessor = mine["client_token"], mine["accessor"]
    credentials.read(server.address, token, space, SECRET)
    with pytest.raises(Denied):
        credentials.read(server.address, token, space, "faces/tracker")
    log = vault_audit.entries(server.log)
    done = [read for read in vault_audit.reads(log) if read.accessor == accessor]
    assert [read.path for read in done] == [
        f"{space}/data/{SECRET}",
        f"{space}/data/faces/tracker",
    ]
    assert [bool(read.why) for read in done] == [False, True]
    assert {read.who for read in done} == {"reader"}
    assert vault_audit.in_clear(log, [VALUE, token, server.token]) == []
    path = f"{space}/data/{SECRET}"
    assert main(["secrets", "audit", str(server.log), "--path", path]) == 0
    said = capsys.readouterr().out
    assert f"reader ({accessor})" in said and "0 with a secret in clear" in said


def test_a_log_that_shows_secrets_is_noticed(monkeypatch, tmp_path, capsys):
    raw = vault.CONFIG.replace('hmac_accessor = "false"', 'log_raw = "true"')
    monkeypatch.setattr(vault, "CONFIG", raw)
    with vault.start() as sloppy, credentials.workspace(sloppy) as space:
        credentials.write(sloppy, space, SECRET, {"token": VALUE})
        token = log_in(sloppy, space)["client_token"]
        credentials.read(sloppy.address, token, space, SECRET)
        log = vault_audit.entries(sloppy.log)
        assert main(["secrets", "audit", str(sloppy.log)]) == 1
    found = "\n".join(vault_audit.in_clear(log))
    assert "response.data.data.token: not hashed" in found
    assert "auth.client_token: not hashed" in found
    assert "data.secret_id: not hashed" in found
    assert "a known secret" in "\n".join(vault_audit.in_clear(log, [VALUE]))
    assert VALUE not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty log"),
        ("{", "line 1 is no entry"),
        ('{"type": "request"}', "line 1 is no entry"),
        ("[]", "line 1 is no entry"),
    ],
)
def test_a_log_that_cannot_be_read_answers_nothing(text, says, tmp_path, capsys):
    path = tmp_path / "audit.log"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        vault_audit.entries(path)
    assert main(["secrets", "audit", str(path)]) == 2
    assert main(["secrets", "audit", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err


# --- Which server ----------------------------------------------------------------


def test_connect_takes_the_learners_own_server(server, monkeypatch, capsys):
    monkeypatch.setenv("VAULT_ADDR", server.address + "/")
    monkeypatch.setenv("VAULT_TOKEN", server.token)
    with vault.connect() as found:
        assert found.address == server.address and not found.ours
        assert found.log is None and server.token not in repr(found)
    said = capsys.readouterr().out
    assert "your own server" in said and found.version in said
    assert vault.health(server.address), "connect() stopped a server that is not ours"


def test_connect_starts_one_and_stops_it(monkeypatch, capsys):
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    with vault.connect() as found:
        assert found.ours and found.address.startswith("http://127.0.0.1:")
        folder = found.log.parent
    assert "OpenBao, started here" in capsys.readouterr().out
    with pytest.raises(Denied, match="does not answer"):
        vault.health(found.address)
    assert not folder.exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_server_ends_with_its_block_however_that_ends(error):
    with pytest.raises(error), vault.start() as found:
        raise error
    with pytest.raises(Denied, match="does not answer"):
        vault.health(found.address)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_with_its_process_however_that_ends(end):
    code = (
        "import os, psutil, time\nfrom securetrain import vault\n"
        "with vault.start() as v:\n"
        "    print(v.address, psutil.Process().children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    line = [sys.executable, "-c", code]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=quiet) as process:
        address, number = process.stdout.readline().decode().split()
        vault.health(address)
        os.kill(process.pid, end)
        process.wait(30)
    for _ in range(100):
        if not psutil.pid_exists(int(number)):
            break
        time.sleep(0.1)
    with pytest.raises(Denied, match="does not answer"):
        vault.health(address)


def test_a_missing_unreachable_foreign_or_sealed_server_is_named(monkeypatch, server):
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    with pytest.raises(Denied, match="does not answer"), vault.connect():
        pass
    monkeypatch.setenv("VAULT_ADDR", server.address)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    with pytest.raises(Denied, match="does not accept VAULT_TOKEN"), vault.connect():
        pass
    monkeypatch.delenv("VAULT_ADDR")
    monkeypatch.setattr(vault, "tool", lambda name: None)
    with pytest.raises(Denied, match="no `bao` on PATH"), vault.connect():
        pass
    monkeypatch.setattr(vault, "tool", lambda name: "/bin/false")
    with pytest.raises(Denied, match="did not come up"), vault.start():
        pass


def test_a_port_that_another_server_took_is_given_up(server, monkeypatch):
    taken = int(server.address.rpartition(":")[2])
    ports, free = [taken, taken], vault._free_port
    monkeypatch.setattr(vault, "_free_port", lambda: ports.pop() if ports else free())
    with vault.start() as other:
        assert other.address != server.address and not ports
        send(other.address, "GET", "sys/mounts", other.token)


def test_a_sealed_server_is_named():
    with vault.start() as found:
        send(found.address, "POST", "sys/seal", found.token)
        with pytest.raises(Denied, match="is sealed"):
            vault.health(found.address)


def test_the_root_token_stands_in_no_command_line(server):
    lines = [" ".join(p.cmdline()) for p in psutil.Process().children()]
    assert any("server -dev" in line for line in lines)
    assert not any(server.token in line for line in lines)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "TRACE"}, "expected a method"),
        ({"path": "../sys/raw"}, "expected a path"),
        ({"path": "secret/../sys/raw"}, "expected a path"),
        ({"path": "a?b=c"}, "expected a path"),
        ({"path": "/secret"}, "expected a path"),
        ({"path": None}, "expected a path"),
        ({"token": "two words"}, "a token is text"),
        ({"token": 3}, "a token is text"),
        ({"body": "text"}, "a body is a dict"),
    ],
)
def test_requests_that_are_none_are_named(change, says):
    good = {"method": "GET", "path": "secret/data/a-b/c.d", "token": "", "body": None}
    vault.check_request(good)
    with pytest.raises(ValueError, match=says):
        vault.check_request(good | change)


def test_a_policy_that_does_not_parse_is_refused(server, space):
    with pytest.raises(Denied, match="POST sys/policies"):
        credentials.enrol(server, space, "odd", "path {")


def test_every_theft_is_refused_and_every_job_still_works(server):
    outcomes = key_hunt.thefts(server, 2, 0)
    assert set(outcomes) == set(key_hunt.THEFTS)
    assert set(outcomes.values()) == {(1.0, 1.0)}


def test_a_loose_policy_would_let_thieves_in(server, monkeypatch):
    def loose(path, space):
        return f'path "{space}/*" {{ capabilities = ["read", "create", "update"] }}'

    monkeypatch.setattr(credentials, "policy", loose)
    outcomes = key_hunt.thefts(server, 1, 0)
    assert outcomes["another job's secret"][0] == 0
    assert outcomes["writing the secret"][0] == 0


def test_loose_roles_would_let_thieves_in(server, monkeypatch):
    monkeypatch.setattr(credentials, "ROLE", {"secret_id_num_uses": 0})
    assert key_hunt.thefts(server, 1, 0)["a secret id used twice"][0] == 0
