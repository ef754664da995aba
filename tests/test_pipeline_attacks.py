"""The lessons' attacks: each hole really runs code, each bad commit is refused."""

import pytest

from securetrain import (
    commit_attacks,
    commit_gate,
    pipeline_attacks,
    workflow_scanners,
    workflows,
)
from securetrain.pipeline_attacks import CHECKOUT, HONEST, TOOL
from securetrain.runner_actions import belongs


@pytest.mark.parametrize("seed", (0, 3))
def test_every_hole_runs_code_and_is_found_and_honest_ones_are_not(seed, tmp_path):
    marker = tmp_path / "marker"
    attacks = pipeline_attacks.attacks(marker, seed)
    assert len(attacks) == 15 and len({one.name for one in attacks}) == 15
    for one in attacks:
        marker.unlink(missing_ok=True)
        here = pipeline_attacks.place(tmp_path / one.name, one, marker)
        pipeline_attacks.run(one, here, tmp_path / "stores" / one.name)
        assert marker.exists() == (one.name not in HONEST), one.name
        action, _, commit = CHECKOUT.partition("@")
        reviewed = {action: [commit], TOOL: [here.good]}
        found, unread = workflows.check_paths([here.folder], reviewed)
        assert not unread and bool(found) == (one.name not in HONEST), one.name
        assert belongs(here.action, here.good) and not belongs(here.action, here.evil)


def test_zizmor_is_asked_and_a_comment_silences_it(tmp_path):
    if not workflow_scanners.version("zizmor"):
        pytest.skip("zizmor is not installed")
    assert workflow_scanners.heading().startswith("zizmor 1.")
    attacks = pipeline_attacks.attacks(tmp_path / "marker", 0)
    for one in attacks:
        pipeline_attacks.place(tmp_path / "all" / one.name, one, tmp_path / "marker")
    found = workflow_scanners.zizmor(tmp_path / "all")
    more = workflow_scanners.zizmor(tmp_path / "all", ignores=False)
    assert "/title in `run`/" in "".join(one.file for one in found)
    assert {one.file for one in more} > {one.file for one in found}
    assert all(one.line > 0 and one.rule for one in more)


def test_without_zizmor_nothing_is_said_to_be_clean(monkeypatch, tmp_path):
    monkeypatch.setattr(workflow_scanners, "tool", lambda name: None)
    assert "SKIPPED" in workflow_scanners.heading()
    with pytest.raises(workflow_scanners.NoScanner, match="zizmor is missing"):
        workflow_scanners.zizmor(tmp_path)
    monkeypatch.setattr(workflow_scanners, "tool", lambda name: "/bin/true")
    with pytest.raises(workflow_scanners.NoScanner, match="gave no answer"):
        workflow_scanners.zizmor(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_bad_commits_are_refused_and_honest_ones_pass(seed):
    repository = commit_attacks.Repository(seed)
    passed = {
        name
        for name, commit in commit_attacks.commits(repository).items()
        if not commit_gate.decide(commit, repository.policy)
    }
    assert passed == {*commit_attacks.HONEST_COMMITS, *commit_attacks.PASSES}


def test_every_line_of_a_refusal_names_a_file_and_a_line():
    repository = commit_attacks.Repository(0)
    for commit in commit_attacks.commits(repository).values():
        for said in commit_gate.decide(commit, repository.policy):
            path, line, _ = said.split(":", 2)
            assert path and line.isdigit(), said
