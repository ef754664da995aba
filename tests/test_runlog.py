"""The log of runs: whoever edits, cuts, replays or forks it is found out."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest

from securetrain import audit_log, cli, manifests, runlog, tracking_trial, translog
from securetrain.archives import Refused, refusal

PRIVATE, PUBLIC = manifests.new_key()
NAME = "digits"
DIGEST = "0" * 64
SAID = [
    {"do": "start", "run": "a"},
    {"do": "param", "run": "a", "key": "learning_rate", "value": "0.1"},
    {"do": "param", "run": "a", "key": "note", "value": ""},
    {"do": "metric", "run": "a", "key": "accuracy", "step": 1, "value": "0.5"},
    {"do": "start", "run": "b"},
    {"do": "metric", "run": "a", "key": "accuracy", "step": 2, "value": "nan"},
    {"do": "artifact", "run": "a", "path": "größe", "size": 0, "digest": DIGEST},
    {"do": "end", "run": "a", "status": "FINISHED"},
]


def refused(fact: str, key: str, step: int = 0, run: str = "a") -> dict:
    place = {"fact": fact, "key": key, "step": step}
    return {"do": "refused", "run": run, **place, "why": "OSError"}


def written(path: Path, said=SAID, name: str = NAME, key: bytes = PRIVATE) -> Path:
    for one in said:
        runlog.append(path, name, one, key)
    return path


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "runs.jsonl")


def test_the_log_tells_what_was_said(path):
    log = runlog.verify(path, NAME, PUBLIC)
    assert len(log.lines) == len(SAID) and set(log.runs) == {"a", "b"}
    run = log.runs["a"]
    assert run.params == {"learning_rate": "0.1", "note": ""}
    assert run.metrics == {"accuracy": {1: "0.5", 2: "nan"}}
    assert run.artifacts == {"größe": manifests.File(0, DIGEST)}
    assert run.status == "FINISHED" and log.runs["b"].status == ""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SAID[0], "was started before"),
        ({"do": "start", "run": "a", "by": "x"}, "expected one of"),
        ({"do": "end", "run": "c", "status": "FAILED"}, "was never started"),
        ({**SAID[1], "value": "0.2"}, "has ended"),
        ({**SAID[1], "run": "b", "value": 0.2}, "expected text"),
        ({**SAID[1], "run": "b", "key": ""}, "expected text"),
        ({**SAID[3], "run": "b", "step": -1}, "expected 0 or more"),
        ({**SAID[3], "run": "b", "step": True}, "expected 0 or more"),
        ({**SAID[3], "run": "b", "value": "much"}, "expected a number"),
        ({**SAID[3], "run": "b", "value": "0.50"}, "expected a number as text"),
        ({**SAID[6], "run": "b", "digest": "0"}, "64 small hex digits"),
        ({"do": "erase", "run": "b"}, "expected one of"),
        ({"do": "repair", "size": 3, "digest": "0"}, "64 small hex digits"),
        ({"do": "repair", "size": 0, "digest": DIGEST}, "expected 1 or more"),
        ({"do": "repair", "run": "b", "size": 3, "digest": DIGEST}, "expected one of"),
        (refused("param", "rate", run="c"), "was never started"),
        (refused("param", "learning_rate"), "has ended"),
        (refused("end", "FAILED"), "was never said"),
        (refused("param", "rate", run="b"), "was never said"),
        (refused("metric", "loss", run="b"), "was never said"),
        (refused("artifact", "größe", run="b"), "was never said"),
        (refused("start", "b", run="b"), "expected param, metric, artifact or end"),
        (refused("end", "FINISHED") | {"step": "0"}, "expected 0 or more"),
        ({"do": ["end"], "run": "b"}, "expected one of"),
        (["end"], "expected one of"),
    ],
)
def test_what_may_not_be_said_is_not_written(path, said, why):
    before = path.read_bytes()
    assert why in refusal(runlog.append, path, NAME, said, PRIVATE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_fact_is_said_once(tmp_path, at):
    path = written(tmp_path / "log", SAID[:-1])
    other = SAID[at] | ({"size": 1} if at == 6 else {"value": "0.9"})
    why = refusal(runlog.append, path, NAME, other, PRIVATE)
    assert "was written before, and cannot be changed" in why


@pytest.mark.parametrize("seed", range(5))
def test_attacks_on_the_file_are_seen(tmp_path, seed):
    lines = runlog.verify(written(tmp_path / "a"), NAME, PUBLIC).lines
    own, other = tmp_path / "own", tmp_path / "other"
    other = runlog.verify(written(other, name="faces"), "faces", PUBLIC).lines
    attacks = tracking_trial.on_log(lines, other, NAME, PRIVATE, Random(seed))
    passed = set()
    for attack, changed in attacks.items():
        data = tracking_trial.joined(changed)
        own.write_bytes(data)
        said = refusal(runlog.read, data, NAME, PUBLIC)
        if not said:
            passed.add(attack)
            continue
        assert said.startswith("line ")
        start = {"do": "start", "run": "c"}
        assert refusal(runlog.append, own, NAME, start, PRIVATE), attack
        assert own.read_bytes() == data, "a log that is not whole is left as it is"
    keyed = {"rewritten, stolen key", "forked, stolen key", "newest, stolen key"}
    assert passed == keyed | {"end cut off"}


@pytest.mark.parametrize("seed", range(5))
def test_a_kept_head_shows_what_the_file_alone_does_not(path, seed):
    log = runlog.verify(path, NAME, PUBLIC)
    kept = [runlog.publish(log, PRIVATE)]
    assert runlog.verify(path, NAME, PUBLIC, kept).lines == log.lines
    written(path, [{"do": "end", "run": "b", "status": "FAILED"}])
    longer = runlog.verify(path, NAME, PUBLIC, kept)
    attacks = tracking_trial.on_log(log.lines, [], NAME, PRIVATE, Random(seed))
    said = {}
    for attack in ("end cut off", "rewritten, stolen key", "forked, stolen key"):
        path.write_bytes(tracking_trial.joined(attacks[attack]))
        assert not refusal(runlog.verify, path, NAME, PUBLIC)
        said[attack] = refusal(runlog.verify, path, NAME, PUBLIC, kept)
    assert "lines are missing" in said.pop("end cut off")
    assert all("rewritten or forked" in why for why in said.values())
    stranger = runlog.publish(longer, manifests.new_key()[0])
    path.write_bytes(tracking_trial.joined(longer.lines))
    assert "no signature" in refusal(runlog.verify, path, NAME, PUBLIC, [stranger])


def test_a_witness_keeps_only_what_continues(path):
    whole = runlog.verify(path, NAME, PUBLIC)
    heads = []
    for size in (5, len(whole.lines)):
        part = runlog.Log(whole.lines[:size], {})
        heads.append(runlog.publish(part, PRIVATE))
    old, new = heads
    proof = translog.consistency(whole.leaves, 5)
    assert runlog.witness(None, old, [], PUBLIC) == old
    assert runlog.witness(old, new, proof, PUBLIC) == new
    assert "cannot shrink" in refusal(runlog.witness, new, old, proof, PUBLIC)
    forked = tracking_trial.rewritten(whole.lines, NAME, PRIVATE)
    other = runlog.Log(tuple(forked), {})
    proof = translog.consistency(other.leaves, 5)
    head = runlog.publish(other, PRIVATE)
    assert "does not continue" in refusal(runlog.witness, old, head, proof, PUBLIC)
    assert "does not continue" in refusal(runlog.witness, new, head, [], PUBLIC)


def test_a_torn_or_odd_file_is_refused(path, tmp_path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert "cut off while being written" in refusal(runlog.verify, path, NAME, PUBLIC)
    path.write_bytes(b"\xff\n")
    assert "line 1 of the log: it is no JSON" in refusal(
        runlog.verify, path, NAME, PUBLIC
    )
    line = audit_log.entry(1, audit_log.FIRST, "", {"deploy": True})
    path.write_bytes(line + b"\n")
    assert "not a line of a run log" in refusal(runlog.verify, path, NAME, PUBLIC)
    assert "cannot be read" in refusal(runlog.verify, tmp_path / "none", NAME, PUBLIC)
    assert "no head" in refusal(runlog.publish, runlog.Log((), {}), PRIVATE)


def test_heads_as_files(path, tmp_path):
    head = runlog.publish(runlog.verify(path, NAME, PUBLIC), PRIVATE)
    place = tmp_path / "head.json"
    place.write_text(runlog.head_text(head))
    assert runlog.read_head(place) == head
    for bad in ("", "[]", "{}", place.read_text().replace('"size":8', '"size":"8"')):
        place.write_text(bad)
        assert "expected a head" in refusal(runlog.read_head, place)
    assert "cannot be read" in refusal(runlog.read_head, tmp_path / "none")


def run(*words: object) -> int:
    return cli.main(["runs", *map(str, words)])


def test_the_command_checks_logs_and_writes_heads(path, tmp_path, capsys):
    check = ["check", "--name", NAME, "--key", PUBLIC.hex()]
    assert run(*check, path) == 0
    assert "8 lines, 2 runs, all signed" in capsys.readouterr().out
    secret = tmp_path / "runs.key"
    secret.write_bytes(PRIVATE)
    assert run("head", "--name", NAME, "--private", secret, path) == 0
    head = tmp_path / "head.json"
    head.write_text(capsys.readouterr().out)
    assert json.loads(head.read_text())["size"] == 8
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert run(*check, cut) == 0
    assert run(*check, "--kept", head, path, cut) == 1
    assert "7 lines, but a head that was kept counts 8" in capsys.readouterr().err
    assert run("check", "--name", "faces", "--key", PUBLIC.hex(), path) == 1
    assert "it is from the log 'digits', not 'faces'" in capsys.readouterr().err
    assert run("check", "--name", NAME, "--key", "12", path) == 2
    assert run(*check, tmp_path / "none") == 2
    assert run("head", "--name", "faces", "--private", secret, path) == 1


def test_git_is_a_witness(path, tmp_path, monkeypatch, capsys):
    def git(*words: str) -> None:
        own = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *own, *words], cwd=tmp_path, check=True)

    git("init", "-q")
    check = ["check", "--git", "--name", NAME, "--key", PUBLIC.hex(), path]
    assert run(*check) == 0, "before the first commit there is nothing to continue"
    git("add", "--all")
    git("commit", "-q", "-m", "work")
    written(path, [{"do": "end", "run": "b", "status": "FAILED"}])
    assert run(*check) == 0
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:-2]))
    capsys.readouterr()
    assert run(*check) == 1
    assert "does not begin with the lines" in capsys.readouterr().err
    new = written(tmp_path / "more.jsonl")
    assert run(*check[:-1], new) == 0, "a log that no commit has yet"


def test_a_signature_is_good_for_one_place_only(tmp_path):
    twice = written(tmp_path / "a", SAID[:1]), written(tmp_path / "b", SAID[4:5])
    first, second = (path.read_bytes() for path in twice)
    tree = json.loads(second)
    tree |= {"number": 2, "previous": audit_log.hash_of(first[:-1])}
    twice[0].write_bytes(first + manifests.canonical(tree) + b"\n")
    with pytest.raises(Refused, match="line 2 of the log: the log's key did not sign"):
        runlog.verify(twice[0], NAME, PUBLIC)


@pytest.mark.parametrize("change", [str.upper, lambda text: f"{text[:2]} {text[2:]}"])
def test_a_signature_is_written_in_one_way_only(path, change):
    """Else whoever has no key gives a line another hash, and the owner is blamed."""
    *before, last = path.read_bytes().splitlines()
    tree = json.loads(last)
    tree["event"]["signature"] = change(tree["event"]["signature"])
    path.write_bytes(b"\n".join([*before, manifests.canonical(tree), b""]))
    with pytest.raises(Refused, match="the log's key did not sign it"):
        runlog.verify(path, NAME, PUBLIC)


def test_what_git_had_stays_known(path, tmp_path, capsys):
    def git(*words: str) -> None:
        own = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *own, *words], cwd=tmp_path, check=True)

    git("init", "-q")
    git("add", "--all")
    git("commit", "-q", "-m", "the log")
    check = ["check", "--git", "--name", NAME, "--key", PUBLIC.hex(), path]
    git("rm", "-q", "--cached", path.name)
    git("commit", "-q", "-m", "no log")
    assert run(*check) == 1
    assert "an older commit has it, the newest has not" in capsys.readouterr().err
    git("reset", "-q", "--hard", "HEAD~1")
    short = tmp_path / "elsewhere.jsonl"
    short.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    path.unlink()
    path.symlink_to(short.name)
    assert run(*check) == 1
    assert "it is a link" in capsys.readouterr().err


# --- What MLflow refused ------------------------------------------------------------


def test_a_fact_that_was_refused_is_told_and_cannot_be_said_again(tmp_path):
    said = [*SAID[:4], *SAID[6:]]
    lost = [refused("param", "note"), refused("metric", "accuracy", 1)]
    lost += [refused("artifact", "größe")]
    path = written(tmp_path / "log", [*said[:-1], *lost, said[-1]])
    written(path, [refused("end", "FINISHED")])
    run = runlog.verify(path, NAME, PUBLIC).runs["a"]
    assert run.params["note"] == "" and run.metrics["accuracy"] == {1: "0.5"}
    assert run.refused == {
        ("param", "note", 0),
        ("metric", "accuracy", 1),
        ("artifact", "größe", 0),
        ("end", "FINISHED", 0),
    }
    again = refused("end", "FINISHED")
    assert "was said before" in refusal(runlog.append, path, NAME, again, PRIVATE)
    path = written(tmp_path / "other", [*said[:3], lost[0]])
    other = said[2] | {"value": "b"}
    assert "written before" in refusal(runlog.append, path, NAME, other, PRIVATE)


# --- A torn line --------------------------------------------------------------------


def torn(path: Path, left: int) -> bytes:
    """Cut the last line to its first bytes, and return them."""
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:left])
    return last[:left]


def test_a_line_torn_at_any_byte_is_set_aside(path):
    whole = path.read_bytes()
    size = len(whole.splitlines(keepends=True)[-1])
    for left in range(1, size):  # the last: all of it, without its end
        path.write_bytes(whole)
        bytes_ = torn(path, left)
        assert refusal(runlog.verify, path, NAME, PUBLIC)
        aside = runlog.repair(path, NAME, PRIVATE)
        assert aside.parent == path.parent and aside.read_bytes() == bytes_
        log = runlog.verify(path, NAME, PUBLIC)
        assert len(log.lines) == len(SAID) and log.torn == 1
        said = json.loads(log.lines[-1])["event"]["said"]
        known = manifests.describe({"torn": bytes_})["torn"]
        assert said == {"do": "repair", "size": left, "digest": known.digest}
        assert path.read_bytes().startswith(whole[:-size])
        assert log.runs["a"].status == ""
    written(path, SAID[-1:])
    assert runlog.verify(path, NAME, PUBLIC).runs["a"].status == "FINISHED"


def test_the_first_line_may_be_torn_too(tmp_path):
    path = written(tmp_path / "log", SAID[:1])
    torn(path, 9)
    runlog.repair(path, NAME, PRIVATE)
    assert len(runlog.verify(path, NAME, PUBLIC).lines) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data, "nothing to repair"),
        (lambda data: b"", "nothing to repair"),
        (lambda data: data + b"{}", "is no beginning of a line of this log"),
        (lambda data: data + b'{"event":{"log":"faces"', "is no beginning of a line"),
        (lambda data: data + b'{"event"\x00\x00', "is no beginning of a line"),
        (lambda data: data.replace(b"FINI", b"TARN") + b'{"ev', "did not sign it"),
        (lambda data: data[9:] + b'{"ev', "line 1 of the log: it is no JSON"),
    ],
)
def test_anything_but_a_torn_last_line_is_refused(path, change, why):
    data = change(path.read_bytes())
    path.write_bytes(data)
    assert why in refusal(runlog.repair, path, NAME, PRIVATE)
    assert path.read_bytes() == data and list(path.parent.iterdir()) == [path]


def test_a_torn_log_of_another_key_or_name_or_none_is_refused(path, tmp_path):
    torn(path, 20)
    data = path.read_bytes()
    other = manifests.new_key()[0]
    assert "did not sign it" in refusal(runlog.repair, path, NAME, other)
    assert "from the log 'digits'" in refusal(runlog.repair, path, "faces", PRIVATE)
    assert "No such file" in refusal(runlog.repair, tmp_path / "none", NAME, PRIVATE)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert "cannot be written" in refusal(runlog.repair, link, NAME, PRIVATE)
    assert path.read_bytes() == data and not (tmp_path / "none").exists()


KILLED = """
import os, pathlib, signal, sys
from securetrain import runlog
left = int(sys.argv[4])
def counted(real):
    def call(*args, **more):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)
    return call
for name in ("fchmod", "fsync", "replace"):
    setattr(os, name, counted(getattr(os, name)))
runlog.repair(pathlib.Path(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3]))
"""


def test_a_repair_that_is_killed_at_any_step_can_be_done_again(path):
    bytes_, before = torn(path, 20), path.read_bytes()
    words = [sys.executable, "-c", KILLED, str(path), NAME, PRIVATE.hex()]
    for step in range(1, 20):
        path.write_bytes(before)
        done = subprocess.run([*words, str(step)], capture_output=True)
        if path.read_bytes() == before:
            assert done.returncode < 0
            runlog.repair(path, NAME, PRIVATE)
        assert runlog.verify(path, NAME, PUBLIC).torn == 1
        (aside,) = path.parent.glob("runs*.torn-*")
        assert aside.read_bytes() == bytes_
        if not done.returncode:
            break
        aside.unlink()
    assert 6 < step < 19, "no step was met"


def test_a_writer_that_waits_for_a_repair_is_not_lost(path, tmp_path):
    """It holds the old file open: its line must go into the new one."""
    new = tmp_path / "new"
    new.write_bytes(path.read_bytes())
    more = {"do": "start", "run": "c"}
    with audit_log.locked(path):
        thread = threading.Thread(target=written, args=(path, [more]))
        thread.start()
        time.sleep(0.2)
        os.replace(new, path)
    thread.join()
    assert "c" in runlog.verify(path, NAME, PUBLIC).runs


def test_the_command_repairs(path, tmp_path, capsys):
    secret = tmp_path / "runs.key"
    secret.write_bytes(PRIVATE)
    repair = ["repair", "--name", NAME, "--private", secret, path]
    assert run(*repair) == 1
    assert "nothing to repair" in capsys.readouterr().err
    torn(path, 20)
    assert run("check", "--name", NAME, "--key", PUBLIC.hex(), path) == 1
    assert "securetrain runs repair" in capsys.readouterr().err
    assert run(*repair) == 0
    assert "20 bytes set aside in runs.jsonl.torn-" in capsys.readouterr().out
    assert run("check", "--name", NAME, "--key", PUBLIC.hex(), path) == 0
    assert "1 torn line was set aside" in capsys.readouterr().out
