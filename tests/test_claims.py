"""Claims: what a run shows and records, and what is said of a broken file."""

import json
import math

import numpy
import pytest

from securetrain import catalogue, claims

CLAIM = """
[high]
unit = "13-poisoning/1-one-sticker"
says = "Rates < 1 are high."
measures = "rate"
bar = ">= 0.95"
recipe = "none"
source = "us"
verdict = "reproduced"
"""


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """Return a function that puts a text in the place of claims.toml."""

    def put(text):
        (tmp_path / "claims.toml").write_text(text, "utf-8")
        claims.load.cache_clear()

    monkeypatch.setattr(claims, "FILE", tmp_path / "claims.toml")
    monkeypatch.setenv("SECURETRAIN_CLAIMS", str(tmp_path / "out.jsonl"))
    yield put
    claims.load.cache_clear()


@pytest.fixture
def made(tmp_path):
    """Return a function that reads what claims recorded."""

    def read():
        lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return read


@pytest.fixture
def shown(monkeypatch):
    """Return the bundles that were displayed."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda b, raw: bundles.append(b))
    return bundles


@pytest.mark.parametrize(
    ("bar", "value", "holds"),
    [
        (">= 0.95", 0.95, True),
        (">= 0.95", 0.9499, False),
        ("<= 0.05", 0.05, True),
        ("<= 0.05", 0.0501, False),
        (">= 0.95", math.nan, False),
        ("<= 0.05", math.nan, False),
    ],
)
def test_a_bar_holds_at_its_limit_and_never_for_nan(bar, value, holds):
    claim = claims.Claim("a", "u", "", "", bar, "", "", "reproduced")
    assert claim.holds(value) is holds


def test_a_claim_is_shown_and_appended(declare, made, shown):
    declare(CLAIM)
    claims.claim("high", 0.97)
    claims.claim("high", 0.9)
    assert made() == [
        {"id": "high", "value": 0.97, "reproduced": True, "expected": True},
        {"id": "high", "value": 0.9, "reproduced": False, "expected": True},
    ]
    text = shown[0]["text/plain"]
    for part in ("Claim reproduced: Rates < 1", "rate 0.970", ">= 0.95", "us"):
        assert part in text
    assert "Rates &lt; 1 are high." in shown[0]["text/html"]
    assert "Claim not reproduced in this run" in shown[1]["text/plain"]
    assert "over our seeds: reproduced" in shown[1]["text/plain"]


def test_a_claim_recorded_as_not_reproduced_says_when_it_is(declare, made, shown):
    declare(CLAIM.replace('"reproduced"', '"not reproduced"'))
    claims.claim("high", 0.5)
    claims.claim("high", 1.0)
    assert [line["expected"] for line in made()] == [False, False]
    assert [line["reproduced"] for line in made()] == [False, True]
    assert "over our seeds" not in shown[0]["text/plain"]
    assert "over our seeds: not reproduced" in shown[1]["text/plain"]


def test_nan_is_recorded_as_a_miss(declare, made, shown):
    declare(CLAIM)
    claims.claim("high", math.nan)
    (line,) = made()
    assert math.isnan(line["value"]) and line["reproduced"] is False


def test_a_number_of_numpy_is_recorded_as_any_other(declare, made, shown):
    declare(CLAIM)
    claims.claim("high", numpy.float64(0.97))
    assert made() == [
        {"id": "high", "value": 0.97, "reproduced": True, "expected": True}
    ]


def test_without_the_variable_nothing_is_written(declare, monkeypatch, tmp_path, shown):
    declare(CLAIM)
    monkeypatch.delenv("SECURETRAIN_CLAIMS")
    claims.claim("high", 0.97)
    assert shown and not (tmp_path / "out.jsonl").exists()


def test_an_unknown_claim_is_answered_with_those_there_are(declare, tmp_path):
    declare(CLAIM)
    with pytest.raises(ValueError, match="no claim 'hgih' in claims.toml; known: high"):
        claims.claim("hgih", 1.0)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('source = "us"\n', "", "source"),
        ('source = "us"', 'source = "us"\nauthor = "us"', "author"),
        (">= 0.95", "> 0.95", ">"),
        (">= 0.95", ">= lots", "lots"),
        (">= 0.95", "0.95", "expected 2"),
        ('"reproduced"', '"perhaps"', "perhaps"),
    ],
)
def test_a_broken_claim_is_named(declare, old, new, says):
    assert old in CLAIM
    declare(CLAIM.replace(old, new))
    with pytest.raises(ValueError, match="claims.toml: claim 'high'") as error:
        claims.load()
    assert says in str(error.value)


def test_a_file_that_is_no_toml_is_refused_with_the_line(declare):
    declare(CLAIM + "[broken\n")
    with pytest.raises(ValueError, match="line 10"):
        claims.load()


def test_the_courses_claims_belong_to_lessons_and_name_their_recipe():
    for claim in claims.load().values():
        assert catalogue.unit(claim.unit).kind == "lesson", claim.id
        assert claim.says.endswith(".") and claim.recipe and claim.source, claim.id
