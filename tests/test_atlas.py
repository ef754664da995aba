"""ATLAS pinned: two versions compared, and what we decided about what is new."""

from dataclasses import replace

import pytest

from securetrain import atlas, catalogue

OLD, NEW = atlas.pinned()[-2:]
SMALL = """\
id: ATLAS
version: 9.0.0
matrices:
- id: ATLAS
  tactics: [{id: AML.TA0001, name: Staging, description: left out}]
  techniques:
  - {id: AML.T0001, name: One, created_date: 2026-01-01}
  - {id: AML.T0001.000, name: Part, subtechnique-of: AML.T0001}
  mitigations: [{id: AML.M0001, name: Stop}]
"""


def written(tmp_path, text):
    path = tmp_path / "ATLAS.yaml"
    path.write_text(text)
    return path


def test_two_versions_a_quarter_apart_are_pinned():
    assert (OLD.number, NEW.number) == ("5.3.0", "5.6.0")  # 30 January, 30 April 2026
    assert len(OLD.names) == 199 and len(NEW.names) == 221


def test_every_name_in_the_table_of_threats_is_the_pinned_one():
    for id, name in catalogue.threats().items():
        if id.startswith("AML"):
            assert name in (NEW.names[id], NEW.full(id)), id


def test_what_changed_in_the_quarter():
    change = atlas.compare(OLD, NEW)
    assert len(change.added) == 22 and not change.removed and not change.renamed
    assert change.added["AML.T0109"] == "AI Supply Chain Rug Pull"
    assert change.added["AML.T0034.000"] == "Cost Harvesting: Excessive Queries"


def test_removed_and_renamed_are_told_apart():
    names = {k: dict(t) for k, t in OLD.tables.items()}
    gone = "AML.T0046"
    del names["techniques"][gone]
    names["mitigations"]["AML.M0013"] = "Signing"
    change = atlas.compare(OLD, replace(OLD, number="9.0.0", tables=names))
    assert list(change.removed) == [gone] and not change.added
    assert change.renamed == {"AML.M0013": ("Code Signing", "Signing")}
    assert change.ids == ["AML.M0013", gone]


def test_a_review_goes_forward():
    with pytest.raises(ValueError, match="5.3.0 is not newer than 5.6.0"):
        atlas.compare(NEW, OLD)
    with pytest.raises(ValueError, match="not newer"):
        atlas.compare(NEW, NEW)
    assert atlas.compare(replace(OLD, number="5.10.0"), replace(NEW, number="6.0.0"))
    with pytest.raises(ValueError, match="not newer"):  # 10 comes after 9
        atlas.compare(replace(OLD, number="5.10.0"), replace(NEW, number="5.9.0"))


def test_the_quarters_review_is_done():
    """Each id that came is used, or somebody decided about it, and said why."""
    uses, known = atlas.used(), atlas.decisions()
    ids = atlas.compare(OLD, NEW).ids
    standings = {id: atlas.standing(id, uses, known)[0] for id in ids}
    assert "undecided" not in standings.values(), standings
    assert list(standings.values()).count("used") == 3
    for id, decision in known.items():
        assert id in NEW.names and id not in uses, f"{id}: no longer needs a decision"
        assert not decision.topic or decision.topic in catalogue.topics()


def test_an_id_that_nobody_decided_about_shows_its_relatives():
    uses = {"AML.T0034.000": ("42-serving/serving",)}
    assert atlas.standing("AML.T0034.001", uses, {}) == (
        "undecided", "we use AML.T0034.000",
    )  # fmt: skip
    assert atlas.standing("AML.T0200", uses, {})[1] == "nothing like it here"
    known = {"AML.T0200": atlas.Decision("outside", "", "agents")}
    assert atlas.standing("AML.T0200", uses, known) == ("outside", "agents")


# Pins


def test_a_downloaded_file_becomes_a_pin(tmp_path):
    version = atlas.from_yaml(written(tmp_path, SMALL))
    assert version.number == "9.0.0" and version.full("AML.T0001.000") == "One: Part"
    assert atlas.read(atlas.write(version).encode(), "pin") == version


@pytest.mark.parametrize("version", [OLD, NEW], ids=lambda version: version.number)
def test_a_pin_is_written_one_way(version):
    path = atlas.FOLDER / f"{version.number}.toml"
    assert atlas.write(version) == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version: 9.0.0", "version: nine", "version 'nine'"),
        ("version: 9.0.0\n", "", "version None"),
        ("matrices:", "matrix:", "expected ATLAS.yaml"),
        ("mitigations: [", "others: [", "without a list of mitigations"),
        ("AML.M0001", "M1", "'M1' is no id of mitigations"),
        ("AML.T0001.000", "AML.T0002.000", "AML.T0002.000 has no parent"),
        ("name: One", "name: ''", "AML.T0001: expected a name"),
        ("name: One", "title: One", "AML.T0001: expected a name"),
        ("name: One", 'name: "a\\nb"', "AML.T0001: expected a name"),
        (
            "AML.T0001.000, name: Part",
            "AML.T0001, name: Again",
            "AML.T0001 stands twice",
        ),
        ("[{id: AML.TA0001", "[1, {id: AML.TA0001", "None is no id of tactics"),
        ("[{id: AML.M0001, name: Stop}]", "[]", "no mitigations in it"),
        ("version: 9.0.0", "version: 9.0.0\nversion: 9.0.1", "ATLAS.yaml:3"),
    ],
)
def test_a_file_that_is_not_atlas_is_refused(tmp_path, old, new, says):
    assert old in SMALL
    with pytest.raises(ValueError, match=says):
        atlas.from_yaml(written(tmp_path, SMALL.replace(old, new)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version = ", "not TOML"),
        ('version = "1.0.0"', "expected version, tactics"),
        ('version = "1.0.0"\ntactics = 1\ntechniques = 1\nmitigations = 1', "a table"),
    ],
)
def test_a_damaged_pin_is_refused(text, says):
    with pytest.raises(ValueError, match=f"pin: .*{says}"):
        atlas.read(text.encode(), "pin")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('verdict = "fine"\ntopic = ""\nwhy = "x"', "verdict: one of taught"),
        ('verdict = "taught"\ntopic = ""\nwhy = "x"', "what is taught has a topic"),
        ('verdict = "open"\ntopic = "21-secrets"\nwhy = "x"', "all else none"),
        ('verdict = "open"\ntopic = ""\nwhy = ""', "each says why"),
        ('verdict = "open"', "expected verdict, topic and why"),
    ],
)
def test_a_decision_without_its_reason_is_refused(entry, says):
    with pytest.raises(ValueError, match=says):
        atlas.decisions(f'["AML.T0200"]\n{entry}'.encode())
