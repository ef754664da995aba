"""The lesson's thief, for real: all arrives from a bare job, nothing from a box."""

from dataclasses import replace

import pytest

from securetrain import infrastructure
from securetrain.infrastructure import LEAST, SOURCES

RUNTIMES = infrastructure.runtimes()
isolates = pytest.mark.skipif(not RUNTIMES, reason="nothing here isolates")


@pytest.fixture(scope="module")
def scene():
    with infrastructure.listen() as listener, infrastructure.house(1) as house:
        yield house, listener


def test_bare_it_steals_all_and_works(scene):
    found = infrastructure.bare(*scene)
    assert found.arrived == SOURCES and all(found.worked.values())
    assert found.loss < 0.05


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_isolated_it_gets_nothing_and_works(scene, runtime):
    found = infrastructure.isolated(*scene, runtime=runtime)
    assert found.arrived == () and not any(found.worked.values())
    assert found.loss == pytest.approx(infrastructure.bare(*scene).loss)


@isolates
def test_a_source_and_a_way_out_are_both_needed(scene):
    open_net = replace(LEAST, network="host")
    for settings, given, arrived in (
        (open_net, {}, ()),
        (LEAST, {"token": True}, ()),
        (open_net, {"token": True}, ("environment",)),
        (open_net, {"home": "read"}, ("home",)),
    ):
        found = infrastructure.isolated(*scene, settings, **given)
        assert found.arrived == arrived, given
    assert infrastructure.isolated(*scene, home="write").worked["left a file"]
    assert not infrastructure.isolated(*scene, home="read").worked["left a file"]


@isolates
def test_the_checkpoint_is_a_way_out(scene):
    infrastructure.isolated(*scene, token=True, smuggle=True)
    assert infrastructure.smuggled(scene[0]) == ("environment",)
    infrastructure.isolated(*scene, token=True)
    assert infrastructure.smuggled(scene[0]) == ()
