"""act, where it is installed, runs a stranger's title as GitHub does, and as we do."""

from pathlib import Path

import pytest

from securetrain import act, paths, pipeline_attacks

here = pytest.mark.skipif(
    not paths.tool("act"), reason="act is not installed: no workflow was run with it"
)


def greeting(folder: Path):
    """Return a repository with the hole of the lesson, and what an attack leaves."""
    marker = folder / "marker"
    attacks = {one.name: one for one in pipeline_attacks.attacks(marker, 0)}
    attack = attacks["title in `run`"]
    return pipeline_attacks.place(folder / "greet", attack, marker), attack, marker


@here
def test_a_title_runs_and_a_harmless_one_does_not(tmp_path):
    place, attack, marker = greeting(tmp_path)
    harmless = {"pull_request": {"title": "Fix labels"}}
    said = act.run(place.folder, "pull_request", harmless)
    assert any("Fix labels" in line for line in said)
    assert not marker.exists()
    act.run(place.folder, "pull_request", attack.event.payload)
    assert marker.exists()


@here
def test_our_environment_stays_out(tmp_path, monkeypatch):
    monkeypatch.setenv("MOCK_TOKEN", "mock-value")
    place, _, _ = greeting(tmp_path)
    payload = {"pull_request": {"title": '"; env; echo "'}}
    said = act.run(place.folder, "pull_request", payload)
    assert any(line.startswith("GITHUB_SHA=") for line in said)
    assert not any("mock-value" in line for line in said)


@here
def test_a_run_that_fails_is_no_run(tmp_path):
    place, _, _ = greeting(tmp_path)
    payload = {"pull_request": {"title": '"; exit 3 #'}}
    with pytest.raises(act.NoAct, match="act: "):
        act.run(place.folder, "pull_request", payload)


def test_without_act_nothing_ran(tmp_path, monkeypatch):
    monkeypatch.setattr(act, "tool", lambda name: None)
    with pytest.raises(act.NoAct, match="not installed"):
        act.run(tmp_path, "pull_request", {})
