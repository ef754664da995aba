"""The ledger: what several seeds give, what survives a failure, what the page says."""

import json
import math
import re
import statistics
import sys
from types import SimpleNamespace

import pytest

from securetrain import catalogue, claims, execution, ledger, tables
from securetrain.cli import main

UNIT, OTHER = "01-clip/1-loud", "01-clip/2-soft"
TOML = """
[{id}]
unit = "{unit}"
says = "It is {id}."
measures = "a | rate"
bar = "{bar}"
recipe = "a recipe of {id}"
source = "us"
verdict = "{verdict}"
"""


def entry(id, unit=UNIT, bar=">= 0.5", verdict="reproduced"):
    return TOML.format(id=id, unit=unit, bar=bar, verdict=verdict)


@pytest.fixture
def desk(course, tmp_path, monkeypatch):
    """Set up two claims of one unit, one of another, and a ledger of their own."""

    def of(id):
        rest = {"title": f"Unit {id}", "kind": "lesson", "goal": "", "minutes": 30}
        lists = dict.fromkeys(("roles", "needs", "atlas", "owasp"), ())
        return catalogue.Unit(id=id, **rest, **lists, checklist="")

    def declare(*entries):
        (tmp_path / "claims.toml").write_text("".join(entries), "utf-8")
        claims.load.cache_clear()

    (tmp_path / "tables.toml").touch()  # none
    tables.declared.cache_clear()
    monkeypatch.setattr(tables, "FILE", tmp_path / "tables.toml")
    monkeypatch.setattr(claims, "FILE", tmp_path / "claims.toml")
    monkeypatch.setattr(ledger, "FILE", tmp_path / "ledger.json")
    monkeypatch.setattr(catalogue, "units", lambda: (of(UNIT), of(OTHER)))
    declare(entry("rises"), entry("falls", bar="<= 0.5"), entry("other", OTHER))
    yield SimpleNamespace(root=course, declare=declare, page=course / "docs/claims.md")
    claims.load.cache_clear()
    tables.declared.cache_clear()


@pytest.fixture
def lessons(desk, monkeypatch):
    """Replace the kernel: a run's claims come from a function of unit and seed."""
    made, asked = {}, []

    def run(path, parameters):
        unit = "/".join(path.with_suffix("").parts[-2:])
        asked.append((unit, parameters["SEED"]))
        values = made[unit](parameters["SEED"])
        error = values.pop("error", None)
        lines = tuple({"id": id, "value": value} for id, value in values.items())
        return SimpleNamespace(seconds=0.0, error=error, claims=lines)

    made[UNIT] = lambda seed: {"falls": 0.1 * seed, "rises": 0.6 + 0.1 * seed}
    made[OTHER] = lambda seed: {"other": 0.9}
    monkeypatch.setattr(execution, "run", run)
    return SimpleNamespace(made=made, asked=asked)


def test_a_real_notebook_is_run_once_a_seed_and_recorded(desk, edit, capsys):
    code = [
        "from pathlib import Path\n",
        "from securetrain import claims\n",
        f"claims.FILE = Path({str(claims.FILE)!r})\n",
        "claims.claim('rises', 0.6 + SEED / 10)\n",
        "claims.claim('falls', 0.4)",
    ]
    path = desk.root / "course" / f"{UNIT}.ipynb"
    edit(path, seed=lambda cell: cell.update(source=code))
    before = path.read_bytes()
    assert main(["claims", "--seeds", "2", "--unit", UNIT]) == 0
    rows = json.loads(ledger.FILE.read_text("utf-8"))
    assert rows["rises"]["values"] == [0.6, 0.7] and rows["falls"]["holds"] == 2
    assert path.read_bytes() == before
    out = capsys.readouterr().out
    assert f"{UNIT}, seed 0 (1 of 2)" in out and "seed 1 (2 of 2)" in out
    assert main(["claims", "--check"]) == 0


def test_every_lesson_is_run_with_every_seed_in_order(lessons, capsys):
    assert main(["claims", "--seeds", "3"]) == 0
    assert lessons.asked == [(u, s) for u in (UNIT, OTHER) for s in range(3)]
    assert list(ledger.load()) == ["rises", "falls", "other"]  # as in claims.toml
    first = ledger.FILE.read_bytes()
    main(["claims", "--seeds", "3"])
    assert ledger.FILE.read_bytes() == first


def test_five_seeds_are_the_default(lessons):
    main(["claims", "--unit", OTHER])
    assert lessons.asked == [(OTHER, seed) for seed in range(5)]


def test_a_row_holds_mean_interval_and_count():
    claim = claims.Claim("a", UNIT, "", "", ">= 0.5", "r", "", "reproduced")
    values = [0.41237, 0.5, 0.6, 0.7, 0.85]
    row = ledger.row(claim, values)
    assert row["values"] == [0.4124, 0.5, 0.6, 0.7, 0.85]
    assert row["mean"] == pytest.approx(statistics.mean(values), abs=1e-4)
    half = 2.7764 * statistics.stdev(values) / math.sqrt(5)  # t of 4 degrees, tables
    expected = [statistics.mean(values) - half, statistics.mean(values) + half]
    assert row["interval"] == pytest.approx(expected, abs=2e-4)
    assert row["holds"] == 4 and row["verdict"] == "varies by seed"


@pytest.mark.parametrize(
    ("values", "holds", "verdict", "interval"),
    [
        ([0.5, 0.5], 2, "reproduced", [0.5, 0.5]),
        ([0.1, 0.1], 0, "not reproduced", [0.1, 0.1]),
        ([0.9], 1, "reproduced", None),
        ([0.9, math.nan, 0.9], 2, "varies by seed", [0.9, 0.9]),
        ([math.nan, math.inf], 0, "not reproduced", None),
    ],
)
def test_a_verdict_is_of_all_seeds_or_none(values, holds, verdict, interval):
    claim = claims.Claim("a", UNIT, "", "", ">= 0.5", "r", "", "reproduced")
    row = ledger.row(claim, values)
    assert (row["holds"], row["verdict"], row["interval"]) == (holds, verdict, interval)
    json.dumps(row, allow_nan=False)


def test_measuring_one_unit_keeps_the_others_rows(lessons):
    main(["claims", "--seeds", "3"])
    lessons.made[UNIT] = lambda seed: {"falls": 0.3, "rises": 0.8}
    other = ledger.load()["other"]
    assert main(["claims", "--seeds", "2", "--unit", UNIT]) == 0
    assert ledger.load()["other"] == other
    assert ledger.load()["rises"]["values"] == [0.8, 0.8]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, None])
def test_what_was_measured_before_a_stop_is_kept(lessons, desk, stop, capsys):
    def stops(seed):
        if seed == 2 and stop:
            raise stop
        return {"rises": 0.7, "falls": 0.2} | (
            {"error": "cell 'x': ValueError: boom"} if seed == 2 else {}
        )

    lessons.made[UNIT] = stops
    if stop:
        with pytest.raises(stop):
            main(["claims"])
    else:
        assert main(["claims"]) == 2
        assert f"{UNIT}, seed 2: cell 'x': ValueError: boom" in capsys.readouterr().err
    assert ledger.load()["rises"]["values"] == [0.7, 0.7]
    assert "2/2" in desk.page.read_text("utf-8")
    assert main(["claims", "--check"]) == 0


@pytest.mark.parametrize("made", [{"rises": 1.0}, {"rises": 1, "falls": 0, "other": 1}])
def test_a_lesson_makes_its_own_claims_and_no_other(lessons, made, capsys):
    lessons.made[UNIT] = lambda seed: dict(made)
    assert main(["claims", "--unit", UNIT]) == 2
    told = capsys.readouterr().err
    assert "falls, rises" in told and ", ".join(sorted(made)) in told
    assert ledger.load() == {}


def test_a_claim_that_differs_from_its_verdict_is_told(lessons, desk, capsys):
    lessons.made[UNIT] = lambda seed: {"falls": 0.2, "rises": 0.4 + 0.1 * seed}
    assert main(["claims", "--seeds", "3", "--unit", UNIT]) == 1
    told = capsys.readouterr().err
    assert told == "rises: 2 of 3 seeds reach >= 0.5, recorded: reproduced\n"
    assert "**varies by seed** (recorded: reproduced)" in desk.page.read_text("utf-8")


def test_a_published_claim_that_fails_as_recorded_is_no_surprise(lessons, desk):
    desk.declare(entry("other", OTHER, verdict="not reproduced"))
    lessons.made[OTHER] = lambda seed: {"other": 0.1}
    assert main(["claims"]) == 0
    assert ledger.load()["other"]["verdict"] == "not reproduced"


def test_the_page_shows_each_claim_with_its_numbers(lessons, desk):
    main(["claims", "--seeds", "3", "--unit", UNIT])
    page = desk.page.read_text("utf-8")
    assert f"## [Unit {UNIT}](../course/{UNIT}.ipynb)" in page
    (line,) = [x for x in page.splitlines() if "`rises`" in x]
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    low, high = ledger.load()["rises"]["interval"]
    assert cells == [
        "It is rises. (`rises`)",
        "a \\| rate",
        "≥ 0.5",
        f"0.700 [{low:.3f}, {high:.3f}]",
        "3/3",
        "reproduced",
        "a recipe of rises",
        "us",
    ]
    (other,) = [x for x in page.splitlines() if "`other`" in x]
    assert "| – | – | not measured |" in other


def test_check_finds_a_page_or_a_ledger_changed_by_hand(lessons, desk, capsys):
    main(["claims", "--seeds", "2"])
    page, rows = desk.page.read_text("utf-8"), ledger.FILE.read_text("utf-8")
    assert main(["claims", "--check"]) == 0
    desk.page.write_text(page.replace("2/2", "5/5"), "utf-8")
    assert main(["claims", "--check"]) == 1
    assert "docs/claims.md is not what" in capsys.readouterr().err
    desk.page.write_text(page, "utf-8")
    ledger.FILE.write_text(rows.replace('"mean": 0.9', '"mean": 0.99'), "utf-8")
    assert main(["claims", "--check"]) == 1
    assert "ledger.json is not what" in capsys.readouterr().err
    desk.page.unlink()
    assert main(["claims", "--check"]) == 1


def test_a_new_bar_needs_the_page_only_and_a_new_recipe_a_new_run(lessons, desk):
    main(["claims", "--seeds", "2", "--unit", UNIT])
    runs = len(lessons.asked)
    desk.declare(entry("falls", bar="<= 0.05"), entry("rises").replace("of r", "for r"))
    assert main(["claims", "--check"]) == 1
    assert main(["claims", "--page"]) == 0 and main(["claims", "--check"]) == 0
    assert len(lessons.asked) == runs
    assert ledger.load()["falls"]["holds"] == 1
    assert list(ledger.load()) == ["falls"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--unit", "13-nothing/1-none"],
            f"no claims of '13-nothing/1-none'.*{UNIT}",
        ),
        (["--seeds", "0"], "at least 1 seed, got 0"),
    ],
)
def test_wrong_words_are_answered(lessons, words, says, capsys):
    assert main(["claims", *words]) == 2
    assert re.search(says, capsys.readouterr().err)
    assert not lessons.asked and not ledger.FILE.exists()


def test_without_papermill_authors_are_told_what_installs_it(
    lessons, monkeypatch, capsys
):
    monkeypatch.setattr(ledger, "find_spec", lambda name: None)
    assert main(["claims"]) == 2
    assert "make test" in capsys.readouterr().err and not lessons.asked


# --- Tables ----------------------------------------------------------------


@pytest.fixture
def grid(lessons, tmp_path, monkeypatch):
    """Declare a table `grid`; return what it was asked for, and a way to change it."""
    asked = []

    def measure(seed):
        asked.append(seed)
        return {"a row": {"left": 0.1 * seed, "right": 0.51234}}

    def declare(recipe="two columns", unit=UNIT):
        tables.FILE.write_text(
            f'[grid]\nunit = "{unit}"\ntitle = "A grid"\nmade_by = "made_up:measure"\n'
            f'recipe = "{recipe}"\nsource = "us"\n'
        )
        tables.declared.cache_clear()

    module = SimpleNamespace(measure=measure)
    monkeypatch.setitem(sys.modules, "made_up", module)
    declare()
    return SimpleNamespace(asked=asked, declare=declare, module=module)


def test_a_table_is_measured_alone_and_merged(lessons, grid, desk):
    main(["claims", "--seeds", "2", "--unit", UNIT])
    runs, rows = len(lessons.asked), ledger.load()
    assert main(["claims", "--table", "grid", "--seeds", "3"]) == 0
    assert grid.asked == [0, 1, 2] and len(lessons.asked) == runs
    assert ledger.load() == rows
    expected = {"a row": {"left": [0.0, 0.1, 0.2], "right": [0.5123] * 3}}
    assert ledger.table("grid") == expected
    page = desk.page.read_text("utf-8")
    low, high = tables.interval([0.0, 0.1, 0.2])
    assert "### A grid (`grid`)" in page and "3 seeds." in page
    assert f"| a row | 0.100 [{low:.3f}, {high:.3f}] | 0.512 [0.512, 0.512] |" in page
    assert main(["claims", "--check"]) == 0
    main(["claims", "--seeds", "2", "--unit", OTHER])
    assert ledger.table("grid") == expected, "another unit's run lost the table"


def test_all_claims_are_all_tables_too(lessons, grid):
    assert main(["claims", "--seeds", "2"]) == 0
    assert grid.asked == [0, 1]


def test_a_table_cut_short_keeps_the_seeds_before(grid, capsys):
    right = grid.module.measure

    def stops(seed):
        return right(seed) if seed < 2 else {"a row": {"left": math.nan, "right": 1}}

    grid.module.measure = stops
    assert main(["claims", "--table", "grid"]) == 2
    assert "'a row', 'left': expected a number, got nan" in capsys.readouterr().err
    assert ledger.table("grid")["a row"]["left"] == [0.0, 0.1]


def test_a_table_of_another_recipe_counts_as_not_measured(grid, desk):
    main(["claims", "--table", "grid", "--seeds", "2"])
    grid.declare(recipe="three columns")
    with pytest.raises(ValueError, match="run `securetrain claims --table grid`"):
        ledger.table("grid")
    assert "grid: not measured" in ledger.surprises()
    assert main(["claims", "--check"]) == 1
    assert main(["claims", "--page"]) == 0
    assert "Not measured." in desk.page.read_text("utf-8")


def test_a_table_changed_by_hand_is_found(grid, capsys):
    main(["claims", "--table", "grid", "--seeds", "2"])
    text = ledger.FILE.read_text("utf-8")
    ledger.FILE.write_text(text.replace("0.5123", "0.6123"), "utf-8")
    assert main(["claims", "--check"]) == 1
    assert "docs/claims.md is not what" in capsys.readouterr().err


def test_wrong_words_about_tables_are_answered(grid, capsys):
    assert main(["claims", "--table", "grille"]) == 2
    assert "no table 'grille'" in (told := capsys.readouterr().err) and "grid" in told
    with pytest.raises(SystemExit):
        main(["claims", "--table", "grid", "--unit", UNIT])
    tables.FILE.write_text('[grid]\nunit = "x"\ncolour = "red"\n')
    tables.declared.cache_clear()
    with pytest.raises(ValueError, match="tables.toml: table 'grid': .*colour"):
        tables.declared()


def test_seeds_of_a_table_have_the_same_cells():
    values = tables.joined({}, {"a": {"x": 1.0}})
    assert tables.joined(values, {"a": {"x": 0.5}}) == {"a": {"x": [1.0, 0.5]}}
    assert values == {"a": {"x": [1.0]}}, "the input was edited"
    for other in ({"a": {"y": 1.0}}, {"b": {"x": 1.0}}, {"a": {"x": 1.0, "y": 1.0}}):
        with pytest.raises(ValueError, match="expected the cells"):
            tables.joined(values, other)
    assert tables.means({"a": {"x": [1.0, 0.5]}}) == {"a": {"x": 0.75}}


# --- The course's own -------------------------------------------------------


def test_the_page_of_claims_is_up_to_date():
    assert not ledger.problems()


def test_every_claim_has_been_measured_and_holds_as_recorded() -> None:
    assert not ledger.surprises()
