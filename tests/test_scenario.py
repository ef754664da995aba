"""Drills: twelve kinds of incident, an answer that stays fixed, repairs that are tried.

The reference responder is made of the course's own tools. Who flags everything or
nothing loses in every month.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from securetrain import (
    audit_log,
    cli,
    debriefs,
    drill_log,
    gate,
    manifests,
    responder,
    runs_command,
    scenario_debrief,
    scenario_folder,
    scenario_items,
    scenario_judge,
    scenarios,
    sealed,
    secrets_command,
)
from securetrain.archives import Refused
from securetrain.debriefs import KINDS
from securetrain.manifests import canonical
from securetrain.responder import Found
from securetrain.scenario_folder import LOG, SEALED, SHEET, TRUTH
from securetrain.signs import NAMES as SIGNS

NINE = datetime(2026, 12, 2, 9, tzinfo=UTC)
MONTHS = [f"2026-{number:02}" for number in range(1, 13)]
LATER = timedelta(hours=2)
REPAIRED = "after the repair"


MADE: dict[str, Path] = {}  # where drills lie that tests take copies of


@pytest.fixture(autouse=True, scope="module")
def one_thread(tmp_path_factory):
    """Small images gain nothing from a second thread; each drill is made once."""
    import torch

    MADE["here"] = tmp_path_factory.mktemp("made")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def new(folder: Path, *which, **more) -> Path:
    """Return a drill of a test's own; the same one is made once and copied."""
    return shutil.copytree(made(*which, **more), folder)


def made(month="2026-06", team="red", hard=False, secret=b"") -> Path:
    """Return the one copy of a drill, which nobody writes to."""
    path = MADE["here"] / f"{month}-{team}-{hard}-{len(secret)}"
    return path if path.exists() else make(path, month, team, hard, secret)


def make(folder: Path, month="2026-06", team="red", hard=False, secret=b"") -> Path:
    plan = scenarios.plan(month, team, hard, secret)
    scenario_folder.make(plan, folder, secret, now=NINE)
    return folder


@cache
def found_in(month: str, hard=False) -> list[Found]:
    """Return what the course's tools find, which trains models: once a drill."""
    return responder.respond(made(month, hard=hard))


def say(folder: Path, now=NINE, **event) -> None:
    commitment = scenario_folder.read_sheet(folder).commitment
    drill_log.add(folder / LOG, commitment, event, now)


def steps(folder: Path, found, now=NINE):
    """Hand in what was found, open the truth, and judge it."""
    now = responder.hand_in(folder, found, now + timedelta(minutes=1))
    scenario_folder.reveal(folder, now=now)
    return scenario_judge.judge(folder)


@pytest.fixture(scope="module")
def june(tmp_path_factory):
    """A drill with a leak that let a forged release in, and its truth."""
    folder = new(tmp_path_factory.mktemp("june") / "drill")
    truth = {f["kind"]: f for f in scenario_folder.reveal(folder, now=NINE)["faults"]}
    return folder, truth


# --- The table --------------------------------------------------------------------


def test_twelve_months_differ_in_kind():
    ways = [frozenset((f.kind, f.vector) for f in m.faults) for m in scenarios.months()]
    assert len(ways) == 12 and len(set(ways)) == 12
    shapes = {
        (frozenset(f.kind for f in m.faults), any(f.cause for f in m.faults))
        for m in scenarios.months()
    }
    assert len(shapes) >= 11  # not the same faults by another way
    used = {way for month in ways for way in month}
    wanted = {(kind, way) for kind in KINDS for way in scenarios.VECTORS[kind]}
    assert wanted - used == {("poisoned-data", "cover")}  # which is for hard mode


def test_hard_mode_has_both_adaptive_faults():
    for month in scenarios.months():
        hard = {f.kind: f.vector for f in scenarios.harder(month.faults)}
        assert hard["poisoned-data"] == "cover" and hard["tampered-log"] == "forked"


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "2026-1", "1999-12", ""])
def test_a_month_that_does_not_exist(month):
    with pytest.raises(ValueError, match="a month from 01 to 12"):
        scenarios.plan(month, "red")


@pytest.mark.parametrize("team", ["a/b", "..", "", "red team", "x" * 41, "-r"])
def test_a_team_that_cannot_be(team):
    with pytest.raises(ValueError, match="letters, digits"):
        scenarios.plan("2026-12", team)


def test_a_later_year_has_the_same_rows_with_another_seed():
    one, two = scenarios.plan("2026-12", "red"), scenarios.plan("2031-12", "red")
    assert one.row == two.row and one.seed != two.seed


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title = ", "titel = ", "scenarios.toml: month 1: unknown key 'titel'"),
        ("hour = ", "our = ", r"month 1: fault 1 \(\S+\): missing key 'hour'"),
        ("cause = ", "more = 1, cause = ", r"fault 1 \(\S+\): unknown key 'more'"),
    ],
)
def test_a_mistyped_key_of_a_month_is_named(old, new, says, tmp_path, monkeypatch):
    text = scenarios.FILE.read_text("utf-8")
    assert old in text
    file = tmp_path / scenarios.FILE.name
    file.write_text(text.replace(old, new, 1))
    monkeypatch.setattr(scenarios, "FILE", file)
    with pytest.raises(ValueError, match=says):
        scenarios.months.__wrapped__()


def test_a_secret_shuffles_the_months_that_are_public():
    def year(number, secret):
        plans = [
            scenarios.plan(f"{number}-{m:02}", "x", secret=secret) for m in range(1, 13)
        ]
        return [plan.row.number for plan in plans]

    assert year(2026, b"") == year(2027, b"") == list(range(1, 13))
    shuffled = [
        year(number, secret) for number in (2026, 2027) for secret in (b"a", b"b")
    ]
    assert all(sorted(rows) == list(range(1, 13)) for rows in shuffled)
    assert len({tuple(rows) for rows in [*shuffled, range(1, 13)]}) == 5


# --- The folder -------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    """Every file but git's index, which holds the times of this disk."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("index", LOG, "evidence.manifest")
    }


def test_the_same_seed_makes_the_same_folder_and_a_secret_another(tmp_path):
    assert files(made("2026-12")) == files(make(tmp_path / "again", "2026-12"))
    one, other = files(made()), files(made(secret=b"s" * 16))
    fixed = [json.loads(found[SHEET])["commitment"] for found in (one, other)]
    assert (
        fixed[0] != fixed[1]
        and one["evidence/keys.json"] != other["evidence/keys.json"]
    )


def test_nothing_in_the_folder_tells_the_truth_before_it_is_revealed(tmp_path):
    folder = new(tmp_path / "drill", "2026-06", secret=b"s" * 16)
    with pytest.raises(ValueError, match="still sealed"):
        scenario_judge.judge(folder)
    for path in (SHEET, "README.md", LOG, SEALED):
        data = (folder / path).read_bytes()
        assert b"stranger" not in data and b"secret-1" not in data
        assert not any(month.title.encode() in data for month in scenarios.months())


def test_a_folder_is_never_overwritten_and_a_failure_leaves_nothing(
    tmp_path, monkeypatch
):
    folder = new(tmp_path / "drill")
    before = files(folder)
    with pytest.raises(FileExistsError):
        make(folder)
    assert files(folder) == before
    monkeypatch.setattr(drill_log, "start", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_no_time_of_a_file_and_no_length_of_the_seal_tells_anything(tmp_path):
    """A camera that drifts takes longer to make, and five faults more words."""
    lengths = set()
    for month in ("2026-02", "2026-12"):
        folder = new(tmp_path / month, month)
        times = {path.stat().st_mtime for path in made(month).glob("evidence/**/*")}
        assert times == {scenarios.plan(month, "red").alarm.timestamp()}
        lengths.add((folder / SEALED).stat().st_size)
    assert len(lengths) == 1


def test_alarms_relabellings_and_images_are_as_many_in_every_month():
    """Or whoever hears them, and has the table of months, knows the month."""
    for month in MONTHS:
        said = scenario_folder.alarms(scenarios.plan(month, "red"))
        assert {one["alarm"] for one in said} > set(scenario_folder.ALARMS)
        assert len(said) == len(scenario_folder.ALARMS) + 1
    sizes = []
    for month in ("2026-02", "2026-07", "2026-12"):
        folder = made(month) / "evidence/data"
        files = (path for path in folder.rglob("*") if path.suffix in (".npy", ".json"))
        sizes.append({str(p.relative_to(folder)): p.stat().st_size for p in files})
        text = (folder / "relabelled.csv").read_text()
        rows = [line.rsplit(",", 1)[1] for line in text.splitlines()[1:]]
        assert Counter(rows) == {"quality": 24, "night shift": 52}
    assert sizes[0] == sizes[1] == sizes[2]


def test_the_readme_names_tools_that_exist():
    text = (Path(scenarios.__file__).parent / "scenario.md").read_text("utf-8")
    table = text.split("| Ask with |")[1]
    for call in re.findall(r"`(\w+)\.(\w+)`", table.replace("recovery.key", "")):
        assert hasattr(importlib.import_module(f"securetrain.{call[0]}"), call[1])
    assert secrets_command.parser().parse_args(["scan", "--fingerprint", "f"])
    line = ["check", "--name", "a", "--key", "0" * 64, "--kept", "h", "f"]
    assert runs_command.parser().parse_args(line)
    assert all(
        any(line.startswith(f"| {k} ") for line in table.split("\n")) for k in KINDS
    )


# --- What is typed ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "item", "says"),
    [
        ("tampered-log", "sings", "no log 'sings' here: digits, signs, weekly"),
        ("leaked-secret", "key-9", "no key 'key-9' here: key-1, "),
        (
            "drifting-service",
            "checked",
            "no camera 'checked' here: east, harbour, north",
        ),
        ("forged-registry", "signs", "no release 'signs' here: signs-"),
        ("poisoned-data", "speed", "no sign 'speed' here"),
    ],
)
def test_an_item_that_the_evidence_does_not_list(june, kind, item, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        scenario_items.check(june[0], kind, item)


def test_a_repair_of_another_form_is_not_taken(june):
    folder = june[0]
    for kind, value in (
        ("tampered-log", 8.5),
        ("tampered-log", b"8"),
        ("leaked-secret", 3),
        ("leaked-secret", b'{"revoked": ["key-9"], "places": []}'),
        ("leaked-secret", b'{"revoked": "key-1", "places": []}'),
        ("poisoned-data", b"{}"),
        ("forged-registry", b'{"list": 1, "signature": ""}'),
        ("poisoned-data", b"[1,\n2,,]"),
    ):
        with pytest.raises(ValueError, match="expected|no key|line 2"):
            scenario_items.repair(folder, kind, value)
    assert scenario_items.repair(folder, "tampered-log", 8) == 8


def test_places_are_names_directly_in_the_files(june):
    said = ["evidence/files/repository/.git/objects/0a/1", ".git/objects/0a/1"]
    value = json.dumps({"revoked": ["key-1"], "places": said}).encode()
    tree = json.loads(scenario_items.repair(june[0], "leaked-secret", value))
    assert tree["places"] == ["repository"]
    assert scenario_items.place("evidence/files/train.log") == "train.log"


# --- The sealed truth -------------------------------------------------------------


def test_a_truth_is_fixed_and_hidden():
    truth, salt = {"faults": [1]}, b"s" * 32
    fixed = sealed.commitment(truth, salt)
    key = sealed.key(b"x" * 16, "drill", fixed)
    data = sealed.seal(truth, salt, key)
    assert sealed.unseal(data, key, fixed) == (truth, salt)
    other = sealed.commitment({"faults": [2]}, salt)
    for bad in (
        (data[:-1] + bytes([data[-1] ^ 1]), key, fixed),
        (data, sealed.key(b"y" * 16, "drill", fixed), fixed),
        (data, sealed.key(b"x" * 16, "another", fixed), fixed),
        (data, key, other),
        (b"", key, fixed),
        (sealed.seal({"faults": [2]}, salt, key), key, fixed),
    ):
        with pytest.raises(Refused, match="not that of the start"):
            sealed.unseal(*bad)
    with pytest.raises(Refused, match="not the one that the commitment fixed"):
        sealed.check({"faults": [2]}, salt, fixed)


def test_two_truths_of_one_drill_are_sealed_with_two_keys(tmp_path):
    """A drill made again after an update: the same key would give both away."""
    one, two = {"faults": [1]}, {"faults": [2]}
    keys = {
        sealed.key(b"x" * 16, "drill", sealed.commitment(truth, b"s" * 32))
        for truth in (one, two)
    }
    assert len(keys) == 2


def test_a_truth_that_was_changed_after_the_reveal_is_refused(tmp_path):
    folder = new(tmp_path / "drill")
    scenario_folder.reveal(folder)
    path = folder / TRUTH
    text = path.read_text()
    path.write_text(text.replace("leaked-secret", "tampered-log"))
    with pytest.raises(Refused, match="commitment fixed at the start"):
        scenario_judge.judge(folder)
    path.write_text("{")
    with pytest.raises(Refused, match="was changed"):
        scenario_judge.judge(folder)
    path.unlink()  # as if the machine had stopped: it can be opened once more
    scenario_folder.reveal(folder)
    assert path.read_text() == text
    with pytest.raises(Refused, match="revealed before"):
        scenario_folder.reveal(folder)
    for cut in (b"", path.read_bytes()[:40], b"[" * 100_000):
        path.write_bytes(cut)
        scenario_folder.reveal(folder)
        assert path.read_text() == text
    assert not list(folder.glob(".truth*"))


def test_a_truth_that_no_line_opened_is_refused_and_can_be_opened(tmp_path):
    folder = new(tmp_path / "drill")
    other = new(tmp_path / "other")
    scenario_folder.reveal(other)
    shutil.copy(other / TRUTH, folder / TRUTH)
    with pytest.raises(Refused, match="the log does not say when"):
        scenario_judge.judge(folder)
    scenario_folder.reveal(folder)
    scenario_judge.judge(folder)


def test_an_instructors_secret_opens_and_nothing_else(tmp_path):
    folder = new(tmp_path / "drill", secret=b"s" * 16)
    with pytest.raises(Refused, match="--secret FILE"):
        scenario_folder.reveal(folder)
    with pytest.raises(Refused, match="not that of the start"):
        scenario_folder.reveal(folder, b"t" * 16)
    assert (folder / LOG).read_bytes().count(b"\n") == 1
    assert scenario_folder.reveal(folder, b"s" * 16)["faults"]


def test_a_sealed_file_that_is_gone_and_a_commitment_that_was_changed(tmp_path):
    folder = new(tmp_path / "drill")
    (folder / SEALED).rename(folder / "elsewhere")
    with pytest.raises(Refused, match="the sealed truth is gone"):
        scenario_folder.reveal(folder)
    (folder / "elsewhere").rename(folder / SEALED)
    tree = json.loads((folder / SHEET).read_text())
    (folder / SHEET).write_text(json.dumps(tree | {"commitment": "0" * 64}))
    with pytest.raises(Refused, match="this drill's commitment"):
        scenario_folder.reveal(folder)


# --- The log ----------------------------------------------------------------------


def test_a_damaged_log_takes_nothing_more(tmp_path):
    folder = new(tmp_path / "drill")
    say(folder, do="note", text="one")
    say(folder, do="note", text="two")
    path = folder / LOG
    whole = path.read_bytes()
    for bad in (
        whole.replace(b"one", b"One"),
        whole[:-5],
        whole.split(b"\n", 1)[1],
        b"".join(line + b"\n" for line in whole.split(b"\n")[::2] if line),
        b"",
    ):
        path.write_bytes(bad)
        with pytest.raises(Refused):
            say(folder, do="note", text="three")
        assert path.read_bytes() == bad
    path.unlink()
    with pytest.raises(Refused, match="no clock any more"):
        say(folder, do="note", text="three")
    assert not path.exists()


def test_a_clock_that_goes_back_is_said_and_gains_only_the_gap(tmp_path):
    folder = new(tmp_path / "drill")
    say(folder, NINE + LATER, do="note", text="late")
    say(folder, NINE + LATER / 2, do="detect", kind="leaked-secret", item="key-3")
    scenario_folder.reveal(folder, now=NINE + 2 * LATER)
    judged = scenario_judge.judge(folder)
    assert judged.clock == ("line 3: the clock was set back by 3600 s",)
    assert judged.debrief.findings[0].detected_after_s == LATER.total_seconds()
    times = [NINE, NINE - LATER, NINE, NINE + LATER / 2]
    assert drill_log.elapsed([{"time": time.isoformat()} for time in times]) == [
        0, 0, 7200, 10800,
    ]  # fmt: skip


def test_two_terminals_write_one_log(tmp_path):
    folder = new(tmp_path / "drill")
    line = [sys.executable, "-m", "securetrain.cli", "scenario", "note"]
    running = [
        subprocess.Popen([*line, f"from {n}"], cwd=folder, stdout=subprocess.DEVNULL)
        for n in range(4)
    ]
    assert [one.wait() for one in running] == [0] * 4
    fixed = scenario_folder.read_sheet(folder).commitment
    said = {line["event"].get("text") for line in drill_log.read(folder / LOG, fixed)}
    assert said == {None, *(f"from {n}" for n in range(4))}


def test_after_the_reveal_only_notes_are_taken(tmp_path):
    folder = new(tmp_path / "drill")
    scenario_folder.reveal(folder)
    say(folder, datetime.now(UTC), do="note", text="so that was it")
    with pytest.raises(Refused, match="only notes are taken"):
        say(folder, do="detect", kind="leaked-secret", item="key-3")
    whole = (folder / LOG).read_bytes()
    for late in (
        {"do": "detect", "kind": "leaked-secret", "item": "key-3"},
        {"do": "reveal"},
    ):
        (folder / LOG).write_bytes(whole)
        audit_log.append(folder / LOG, late)  # as if by hand, with the right hashes
        with pytest.raises(Refused, match="line 4: only notes come after line 2"):
            scenario_judge.judge(folder)


def test_what_stands_in_a_log_steers_no_terminal(tmp_path, monkeypatch, capsys):
    folder = new(tmp_path / "drill")
    say(folder, do="detect", kind="leaked-secret", item="\x1b[2J")
    scenario_folder.reveal(folder)
    monkeypatch.chdir(folder)
    assert cli.main(["scenario", "check"]) == 1
    said = capsys.readouterr()
    assert "\ufffd[2J" in said.out and "\x1b" not in said.out + said.err


# --- Repairs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"revoked": ["key-3"], "places": ["checkpoint.pt"]}, ""),
        ({"revoked": ["key-1", "key-3"], "places": ["checkpoint.pt"]}, "nobody leaked"),
        ({"revoked": [], "places": ["checkpoint.pt"]}, "revoke key-3"),
        ({"revoked": ["key-3"], "places": ["train.log"]}, "checkpoint.pt"),
        (["key-3"], "expected"),
    ],
)
def test_a_key_is_revoked_and_no_other(june, value, says):
    found = scenario_judge.refused(june[1]["leaked-secret"], value)
    assert says in found and bool(found) == bool(says)


def test_a_registry_is_restored_and_signed(june):
    folder, truth = june
    fault, key = truth["forged-registry"], (folder / "recovery.key").read_bytes()
    when = NINE + timedelta(days=9)

    def deliver(approved, private=key):
        names = dict.fromkeys(approved, "signs")
        text, signature = gate.write_registry(names, when, private)
        value = {"list": text.decode(), "signature": signature.hex()}
        return scenario_judge.refused(fault, value, manifests.public_key(key).hex())

    honest = fault["approved"]
    assert deliver(honest) == ""
    assert "recovery key" in deliver(honest, b"x" * 32)
    assert "1 too many" in deliver([*honest, "0" * 64])
    assert "1 honest ones are missing" in deliver(honest[:1])
    assert "expected" in scenario_judge.refused(fault, {"list": 1}, "00" * 32)


def test_the_last_repair_counts_and_guesses_do_not_hold(tmp_path):
    good = {"revoked": ["key-3"], "places": ["checkpoint.pt"]}
    for wrong, last, held in ((0, "good", 1), (2, "good", 1), (1, "bad", 0)):
        folder = new(tmp_path / f"{wrong}-{last}")
        values = [*[good | {"places": []}] * wrong, good]
        for value in [*values, *[good | {"revoked": []}] * (last == "bad")]:
            text = canonical(value)
            scenario_folder.deliver(folder, "leaked-secret", "key-3", text, NINE)
        scenario_folder.reveal(folder, now=NINE)
        judged = scenario_judge.judge(folder)
        assert bool(judged.repairs) == bool(held)
        assert judged.wrong_repairs["secret-1"] == wrong + (last == "bad")
    done = replace(judged.debrief.findings[0], found=True, detected_after_s=0.0)
    done = replace(done, contained_after_s=0.0, recovered_after_s=0.0)
    for wrong, alarms, held in ((2, 1, True), (3, 0, False), (0, 2, False)):
        drill = replace(judged.debrief, findings=(done, done), false_alarms=alarms)
        one = replace(judged, debrief=drill, wrong_repairs={"secret-1": wrong})
        assert one.held == held


def test_every_vector_has_words():
    assert set(scenario_debrief.WAYS) == {
        v for w in scenarios.VECTORS.values() for v in w
    }


def test_a_removed_line_is_seen_by_who_kept_its_hash(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(new(tmp_path / "drill"))
    assert cli.main(["scenario", "note", "one"]) == 0
    head = capsys.readouterr().out.split()[-1]
    assert cli.main(["scenario", "verify", "--head", head]) == 0
    assert head in capsys.readouterr().out
    log = Path(LOG)
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    assert cli.main(["scenario", "verify", "--head", head]) == 1
    assert "lines were removed" in capsys.readouterr().err
    assert cli.main(["scenario", "verify", "--head", "ab"]) == 2


def test_a_key_that_was_found_has_its_fingerprint(tmp_path, capsys):
    from securetrain import leaks, scenario_records

    key = leaks.mock(leaks.KINDS[0], 1)
    path = tmp_path / "log"
    path.write_text(key.line)
    assert secrets_command.main(["scan", "--fingerprint", str(path)]) == 1
    assert (
        f"sha256:{scenario_records.fingerprint(key.value)}" in capsys.readouterr().out
    )


def test_a_set_is_cleaned_row_by_row():
    poison = list(range(0, 320, 10))
    fault = {"kind": "poisoned-data", "poison": poison}
    honest = [n for n in range(800) if n not in poison]
    assert scenario_judge.refused(fault, honest) == ""
    assert scenario_judge.refused(fault, [*honest[20:], poison[0]]) == ""
    assert "still in it" in scenario_judge.refused(fault, list(range(800)))
    assert "honest rows are left" in scenario_judge.refused(fault, [])
    assert "honest rows are left" in scenario_judge.refused(fault, honest[:600])
    for bad in ([0, 0], [-1], [800], [True], "all", None, [1.0]):
        assert "each once" in scenario_judge.refused(fault, bad)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (8, ""),
        (11, ""),
        (7, "8 lines are proven"),
        (12, "line 12 is not"),
        ("8", "number"),
    ],
)
def test_a_log_is_trusted_as_far_as_it_is_proven(value, says):
    fault = {"kind": "tampered-log", "last": [8, 11]}
    found = scenario_judge.refused(fault, value)
    assert says in found and bool(found) == bool(says)


@pytest.mark.parametrize(
    ("limit", "says"),
    [(5.0, ""), (1.3, "of calm days"), (0, "of calm days"), (400, "like this one")],
)
def test_a_threshold_stops_such_days_and_no_calm_ones(limit, says):
    fault = {"kind": "drifting-service", "vector": "fog", "start": 10}
    found = scenario_judge.refused(fault, limit)
    assert says in found and bool(found) == bool(says)


def test_what_a_cause_let_in_is_open_until_the_cause_is_closed(tmp_path):
    folder = new(tmp_path / "drill")
    truth = scenarios.plan("2026-06", "red")
    assert truth.row.faults[1].cause == "secret-1"
    key = (folder / "recovery.key").read_bytes()
    (leak,) = responder.secrets(folder / "evidence")
    (release,) = responder.registry(folder / "evidence/registry", key)
    for minute, one in ((1, release), (30, leak)):
        now = NINE + timedelta(minutes=minute)
        say(folder, now, do="detect", kind=one.kind, item=one.item)
        say(folder, now, do="contain", kind=one.kind, item=one.item)
    scenario_folder.reveal(folder, now=NINE + LATER)
    secret, registry = scenario_judge.judge(folder).debrief.findings
    assert registry.detected_after_s == 60
    assert registry.contained_after_s == secret.contained_after_s == 1800


def test_a_delivery_that_was_changed_afterwards_does_not_count(tmp_path):
    folder = new(tmp_path / "drill", "2026-02")
    (leak,) = responder.secrets(folder / "evidence")
    scenario_folder.deliver(folder, leak.kind, leak.item, canonical(leak.value), NINE)
    (copy,) = (folder / "delivered").iterdir()
    scenario_folder.reveal(folder, now=NINE + LATER)
    assert scenario_judge.judge(folder).debrief.findings[0].recovered_after_s == 0
    copy.write_bytes(copy.read_bytes() + b" ")
    judged = scenario_judge.judge(folder)
    assert judged.debrief.findings[0].recovered_after_s is None
    assert "changed after it was delivered" in judged.rows[1].why


@pytest.mark.parametrize("kind", ["absolute", "above", "link", "folder", "large"])
def test_only_a_copy_that_the_drill_keeps_is_read(tmp_path, kind):
    folder = new(tmp_path / "drill", "2026-02")
    outside = tmp_path / "outside.json"
    outside.write_bytes(b"1" + b" " * (1 << 20) * (kind == "large"))
    digest = sha256(outside.read_bytes()).hexdigest()
    name = f"{digest[:16]}.json"
    inside = folder / "delivered" / name
    inside.parent.mkdir()
    if kind == "link":
        inside.symlink_to(outside)
    elif kind == "folder":
        inside.mkdir()
    elif kind == "large":
        inside.write_bytes(outside.read_bytes())
    names = {"absolute": str(outside), "above": "../../outside.json"}
    event = {"value": None, "file": names.get(kind, name), "digest": digest}
    with pytest.raises(Refused):
        scenario_judge.delivered(folder, event)


def test_evidence_that_a_clean_up_changed_is_named(tmp_path):
    folder = new(tmp_path / "drill", "2026-02")
    assert scenario_folder.changed(folder) == []
    (folder / "evidence" / "files" / "explore.ipynb").write_text("{}")
    (folder / "evidence" / "notes.txt").write_text("mine")
    assert scenario_folder.changed(folder) == ["files/explore.ipynb", "notes.txt"]
    path = folder / "evidence.manifest"
    path.write_bytes(scenario_folder.described(folder))  # and the list with it
    with pytest.raises(Refused, match="not the list of the start"):
        scenario_folder.changed(folder)


@pytest.mark.parametrize("kind", ["drifting-service", "tampered-log"])
@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan")])
def test_a_number_beyond_all_measure_is_refused(kind, value):
    fault = {"kind": kind, "last": [1, 2]}
    assert "expected a number" in scenario_judge.refused(fault, value)


def test_the_second_way_to_look_is_gone_when_the_first_found_it(monkeypatch, tmp_path):
    one = Found("poisoned-data", "stop", [], "seen")
    monkeypatch.setattr("securetrain.scenario_data.load", lambda _: None)
    monkeypatch.setattr(responder, "accounts", lambda _: iter([one]))
    monkeypatch.setattr(responder, "groups", lambda _: (1 / 0 for _ in "x"))
    assert list(responder.training_set(tmp_path)) == [one]


# --- The twelve months ------------------------------------------------------------


def everything(folder: Path) -> list[Found]:
    """Flag whatever can be flagged."""
    evidence = folder / "evidence"
    names = {
        "poisoned-data": SIGNS,
        "leaked-secret": [f"key-{n}" for n in range(1, 7)],
        "forged-registry": [p.name for p in (evidence / "registry/releases").iterdir()],
        "tampered-log": [p.stem for p in (evidence / "runs").glob("*.jsonl")],
        "drifting-service": ["north", "east", "harbour"],
    }
    return [Found(kind, item, 0, "") for kind in KINDS for item in names[kind]]


@pytest.mark.parametrize("month", MONTHS)
def test_the_courses_tools_hold_every_month_and_naive_responders_none(month, tmp_path):
    here = {name: new(tmp_path / name, month) for name in ("tools", "all", "none")}
    found = found_in(month)
    judged = steps(here["tools"], found)
    faults = {(fault["kind"], fault["item"]) for fault in judged.truth["faults"]}
    assert faults == {(one.kind, one.item) for one in found}
    assert judged.debrief.false_alarms == 0 and judged.held, judged.rows
    for name, flagged in (("all", everything(here["all"])), ("none", [])):
        lost = steps(here[name], flagged)
        assert not lost.held
        wrong = {(one.kind, one.item) for one in flagged} - faults
        assert lost.debrief.false_alarms == len(wrong)


@pytest.mark.parametrize(
    ("month", "missed"), [("2026-01", set()), ("2026-02", {"poison-1"})]
)
def test_hard_mode_is_held_or_its_miss_is_said(month, missed, tmp_path):
    folder = new(tmp_path / "drill", month, hard=True)
    judged = steps(folder, found_in(month, hard=True))
    assert {one.id for one in judged.debrief.findings if not one.found} == missed
    assert judged.held == (not missed)
    assert judged.debrief.hard


# --- The debrief ------------------------------------------------------------------


@pytest.fixture(scope="module")
def debriefed(tmp_path_factory):
    """A drill with poison, answered by the course's tools, and its three files."""
    folder = new(tmp_path_factory.mktemp("january") / "drill", "2026-01")
    say(folder, do="note", text="<script>alert(1)</script> | a pipe")
    wrong = Found("tampered-log", "weekly", 3, "")
    judged = steps(folder, [*found_in("2026-01"), wrong])
    return folder, judged, scenario_debrief.write(folder, "January", judged)


def test_a_debrief_says_what_happened_and_measures_the_repair(debriefed):
    _, judged, paths = debriefed
    read = debriefs.read(paths[0])
    assert read == judged.debrief and read.false_alarms == 1 and not read.synthetic
    text = paths[1].read_text()
    rows = (line.strip("| ").split(" | ") for line in text.splitlines())
    values = {row[0]: row[1:] for row in rows if row[0] in ("before", REPAIRED)}
    assert float(values["before"][0]) > 0.8 > 0.2 > float(values[REPAIRED][0])
    assert float(values[REPAIRED][1]) > 0.9
    for words in (
        "images with a sticker",
        "no fault of this kind",
        "without blame",
        "honest thing",
    ):
        assert words in text


def test_a_debrief_page_is_one_file_that_runs_nothing(debriefed):
    _, _, (_, text, page) = debriefed
    html = page.read_text()
    assert "&lt;script&gt;" in html and "<script" not in html
    assert "<script" not in text.read_text() and "\\| a pipe" in text.read_text()
    assert not any(word in html for word in ("http:", "https:", "src=", "url("))


def test_a_debrief_is_not_written_twice(debriefed):
    folder, judged, paths = debriefed
    before = [path.read_bytes() for path in paths]
    with pytest.raises(FileExistsError):
        scenario_debrief.write(folder, "January", judged)
    assert [path.read_bytes() for path in paths] == before


def test_fewer_than_five_others_are_not_shown(debriefed, tmp_path):
    own = debriefed[1].debrief
    slow = replace(own.findings[0], detected_after_s=500.0)
    for number in range(5):
        other = replace(own, team=f"team-{number}", findings=(slow,))
        debriefs.write(other, tmp_path / f"{number}-debrief.json")
        count, found = scenario_debrief.others(tmp_path, own)
        assert count == number + 1 and bool(found) == (number == 4)
    assert found["poisoned-data"]["detected_after_s"] == 500
    debriefs.write(replace(own, month="2026-02"), tmp_path / "month-debrief.json")
    debriefs.write(own, tmp_path / "debrief.json")
    (tmp_path / "truth.json").write_text("{}")  # a drill's folder holds others
    assert scenario_debrief.others(tmp_path, own)[0] == 5
    says = scenario_debrief.sentences(debriefed[1], (4, {}))
    assert "Fewer than 5 other teams: nothing is shown of them." in says
    (tmp_path / "0-debrief.json").write_text("{}")
    with pytest.raises(ValueError, match="0-debrief.json: no debrief"):
        scenario_debrief.others(tmp_path, own)


def test_teams_are_counted_and_who_never_found_it_took_longest(debriefed, tmp_path):
    own = debriefed[1].debrief
    fast = replace(own.findings[0], detected_after_s=100.0)
    never = replace(
        fast,
        found=False,
        detected_after_s=None,
        contained_after_s=None,
        recovered_after_s=None,
    )
    elsewhere = replace(fast, kind="tampered-log")
    for number in range(5):
        two = (fast, replace(fast, id="again")) if number < 3 else (elsewhere,)
        other = replace(own, team=f"team-{number}", findings=two)
        debriefs.write(other, tmp_path / f"{number}-debrief.json")
    assert scenario_debrief.others(tmp_path, own) == (5, {})  # 6 findings, 3 teams
    for number, one in enumerate((never, never, never, fast, fast)):
        path = tmp_path / f"{number}-debrief.json"
        path.unlink()
        debriefs.write(replace(own, team=f"team-{number}", findings=(one,)), path)
    _, found = scenario_debrief.others(tmp_path, own)
    assert scenario_debrief.minutes(found[fast.kind]["detected_after_s"]) == "never"


def test_a_files_name_stays_words_in_the_debrief(debriefed):
    judged = replace(debriefed[1], changed=("<img src=x>![a](http://x)\x1b[2J_`.md",))
    text = scenario_debrief.markdown(
        "A *title*", judged, [], scenario_debrief.sentences(judged, None)
    )
    assert "&lt;img src=x&gt;\\!\\[a\\](http&#58;//x)" in text
    assert "\\_\\`.md" in text and "\x1b" not in text and "A \\*title\\*" in text


def test_a_line_that_no_command_writes_is_refused(tmp_path):
    folder = new(tmp_path / "drill")
    for bad in (
        {"do": "detect", "kind": "leaked-secret", "item": ["key-3"]},
        {"do": "detect", "kind": "theft", "item": "key-3"},
        {"do": "detect", "kind": "leaked-secret"},
        {"do": "note", "text": "at nine", "time": "2026-12-02T09:00:00+00:00"},
        {"do": ["note"], "text": ""},
        {},
    ):
        with pytest.raises(ValueError, match="expected"):
            say(folder, **bad)
    assert (folder / LOG).read_bytes().count(b"\n") == 1


def test_who_writes_a_log_needs_no_torch():
    code = "import sys; from securetrain import scenario_command, scenario_folder; "
    code += "from securetrain import scenario_judge, scenario_debrief; "
    code += "print(*{'torch', 'numpy', 'IPython'} & set(sys.modules))"
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- The command ------------------------------------------------------------------


def test_a_drill_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make = ["scenario", "--month", "2026-02", "--team", "blue", "--to", "drill"]
    assert cli.main(make) == 0
    assert cli.main(make) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert cli.main(["scenario", "note", "hello"]) == 2
    assert "no scenario folder" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "drill")
    (leak,) = responder.secrets(Path("evidence"))
    where = [leak.kind, leak.item]
    Path("repair.json").write_text(json.dumps(leak.value))
    assert cli.main(["scenario", "note", "nine o'clock"]) == 0
    assert cli.main(["scenario", "check"]) == 2
    for step in ("detect", "contain"):
        assert cli.main(["scenario", step, *where]) == 0
    for bad in ("nowhere.json", "nan", "README.md"):
        assert cli.main(["scenario", "recover", *where, bad]) == 2
    assert cli.main(["scenario", "recover", *where, "repair.json"]) == 0
    assert cli.main(["scenario", "reveal"]) == 0
    assert cli.main(["scenario", "reveal"]) == 1
    assert cli.main(["scenario", "check"]) == 0
    assert cli.main(["scenario", "verify"]) == 0
    assert cli.main(["scenario", "debrief"]) == 0
    assert cli.main(["scenario", "debrief"]) == 2
    assert debriefs.read(Path("debrief.json")).team == "blue"
    Path("evidence", "keys.json").write_text("[]")
    assert cli.main(["scenario", "verify"]) == 1
    assert "keys.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--month", "2026-14", "--team", "red"], "a month from 01 to 12"),
        (["--month", "2026-12", "--team", "a/b"], "letters, digits"),
        (
            ["--month", "2026-12", "--team", "red", "--secret", "short"],
            "16 bytes or more",
        ),
        (["--month", "2026-12", "--team", "red", "--secret", "none"], "No such file"),
    ],
)
def test_what_the_command_does_not_take(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("short").write_bytes(b"short")
    assert cli.main(["scenario", *words]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("scenario-*"))
