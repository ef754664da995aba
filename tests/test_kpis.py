"""KPIs: by hand on tiny cohorts, small groups hidden, nothing known made a number."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import combinations

import pytest

from graders import badge
from graders.lms import Standing
from securetrain import (
    audit_log,
    catalogue,
    debriefs,
    kpi_cohort,
    kpi_completion,
    kpi_learners,
    kpi_numbers,
    kpi_page,
    kpi_systems,
    kpi_trial,
    kpi_tricks,
    kpis,
    progress,
    records,
)
from securetrain.kpi_completion import Grade
from securetrain.kpi_figures import (
    HIDDEN,
    MET,
    MISSED,
    UNKNOWN,
    Input,
    Quarter,
    percent,
)

Q4 = Quarter(2026, 4)
EARLY, END = datetime(2026, 11, 5, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC)
HASH = "ab" * 32


def given(kind, *items, synthetic=False):
    return Input(kind, tuple(items), (HASH,), synthetic)


# Numbers


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634),
     (1, 3, 0.0615, 0.7923)],
)  # fmt: skip
def test_wilsons_interval_is_that_of_the_tables(hits, n, low, high):
    assert kpi_numbers.wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("hits", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_a_share_of_nothing_or_of_more_than_all_is_refused(hits, n):
    with pytest.raises(ValueError, match="expected hits"):
        kpi_numbers.wilson(hits, n)


def test_growth_is_of_the_means_and_pairs_stay_pairs():
    pairs = [(1, 2), (2, 3), (3, 4)]
    assert kpi_numbers.growth(pairs) == pytest.approx(0.5)
    low, high = kpi_numbers.growth_interval(pairs)
    assert 0.33 < low < 0.5 < high <= 1.0  # all thrice (3, 4), all thrice (1, 2)
    same = [(b, 1.3 * b) for b in (1, 2, 3, 4, 5)]  # unpaired, it would be wide
    assert kpi_numbers.growth_interval(same) == pytest.approx((0.3, 0.3))
    assert kpi_numbers.growth_interval(pairs) == (low, high)
    with pytest.raises(ValueError, match="got none"):
        kpi_numbers.growth([])


def test_a_means_interval_is_inside_what_it_is_of():
    low, high = kpi_numbers.mean_interval([0.2, 0.4, 0.6, 0.8])
    assert 0.2 <= low < 0.5 < high <= 0.8 and low + high == pytest.approx(1, abs=0.1)


def test_never_is_longer_than_any_time():
    assert kpi_numbers.median([10, None, 20]) == 20
    assert kpi_numbers.median([10, None, None]) == math.inf
    assert kpi_numbers.median([10, 20, None, None]) == math.inf
    assert kpi_numbers.median([30, 10]) == 20
    assert kpi_numbers.median_interval([1, 2, 3, 4, 5]) is None
    assert kpi_numbers.median_interval([1, 2, 3, 4, 5, None]) == (1, math.inf)
    assert kpi_numbers.median_interval(range(1, 11)) == (2, 9)  # sign test, tables


def people(*sizes):
    start, found = 0, {}
    for number, size in enumerate(sizes):
        found[f"g{number}"] = set(range(start, start + size))
        start += size
    return found


@pytest.mark.parametrize(
    ("sizes", "hidden"),
    [
        ((5, 5), set()),
        ((5, 4), {"g0", "g1"}),  # 9 less 5 would give the four away
        ((5, 4, 6), {"g0", "g1"}),
        ((2, 3, 6), {"g0", "g1"}),  # five together
        ((1, 3, 6), {"g0", "g1", "g2"}),
        ((1, 1, 7, 8), {"g0", "g1", "g2"}),
        ((0, 6, 7), set()),
    ],
)
def test_a_small_group_takes_its_neighbour_with_it(sizes, hidden):
    assert kpi_numbers.hidden(people(*sizes)) == hidden


def test_no_small_group_is_found_by_subtraction_in_any_split():
    for a, b in combinations(range(1, 20), 2):
        groups = people(a, b - a, 20 - b)
        chosen = kpi_numbers.hidden(groups)
        assert all(len(groups[name]) >= 5 for name in groups if name not in chosen)
        assert not chosen or len(set().union(*(groups[n] for n in chosen))) >= 5


def test_groups_that_share_people_are_counted_by_person():
    groups = {"a": {1, 2, 3}, "b": {1, 2, 3, 4}, "c": set(range(9))}
    assert kpi_numbers.hidden(groups) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("share", "goal", "says"),
    [(0.8986, 0.9, "89.9 %"), (0.89996, 0.9, "89.996 %"), (0.9, 0.9, "90 %"),
     (0.0099, 0.01, "0.99 %"), (0.999, None, "99.9 %"), (0.5, None, "50 %"),
     (0.00999999, 0.01, "0.999999 %"), (0.0, None, "0 %"),
     (-0.05, None, "\u22125 %"), (1.0, 0.9, "100 %")],
)  # fmt: skip
def test_rounding_never_meets_a_goal(share, goal, says):
    assert percent(share, goal) == says


# Quarters


def test_a_quarter_knows_its_months_and_those_before():
    assert Quarter.parse("2026Q4") == Q4
    assert Q4.months == ("2026-10", "2026-11", "2026-12")
    assert [str(q) for q in Quarter(2027, 1).before(2)] == ["2026Q3", "2026Q4"]
    at = datetime.fromisoformat
    assert Q4.holds(at("2026-12-31T23:59:59+00:00"))
    assert not Q4.holds(at("2027-01-01T00:30:00+00:00"))
    assert Q4.holds(at("2027-01-01T00:30:00+02:00"))  # still December in UTC


@pytest.mark.parametrize("text", ["2026", "2026Q5", "2026q4", "26Q4", "2026Q4 ", ""])
def test_another_period_is_refused(text):
    with pytest.raises(ValueError, match="expected a quarter such as 2026Q4"):
        Quarter.parse(text)


# Completion


def class_of(count, labs=("11-provenance", "13-poisoning"), score=20):
    return [Grade(f"s{n}", lab, score, 20) for n in range(count) for lab in labs]


def cohort(count, role=""):
    return given("cohort", *((f"s{n}", role) for n in range(count)))


def test_completion_keeps_who_never_handed_in():
    grades = given("gradebook", *class_of(6))
    found = kpi_completion.completion(grades, cohort=cohort(8))
    assert found.value == pytest.approx(100 * 12 / 16) and found.status == MISSED
    assert found.n == "8 learners, 16 labs assigned"
    assert found.interval.startswith("95 %: 41 % to 93 %")  # Wilson, 6 of 8
    alone = kpi_completion.completion(grades)
    assert (alone.value, alone.shown) == (None, "at most 100 %")
    assert alone.status == UNKNOWN and "no list" in str(alone.notes)
    assert alone.band is None and "no 95 % interval" in alone.interval
    assert "the interval holds" not in str(alone.notes)


def test_completion_counts_passes_at_the_bar_and_waits_for_humans():
    grades = class_of(10)
    grades[0] = replace(grades[0], score=14.0)  # 70 % of 20: passed
    grades[1] = replace(grades[1], score=13.9)
    grades[2] = replace(grades[2], score=5.0, undecided=True)
    grades[3] = replace(grades[3], score=None)  # nothing handed in
    found = kpi_completion.completion(given("gradebook", *grades), cohort=cohort(10))
    assert found.value == pytest.approx(85)
    assert found.status == UNKNOWN  # 90 % if the human passes that one
    assert any("1 wait for a human" in note for note in found.notes)
    grades[2] = replace(grades[2], undecided=False)
    found = kpi_completion.completion(given("gradebook", *grades), cohort=cohort(10))
    assert found.status == MISSED


@pytest.mark.parametrize(
    ("score", "points", "passing"),
    [(2.4, 3.0, 0.8), (14.0, 20.0, 0.7), (3.3, 6.0, 0.55)],
)
def test_the_page_passes_whom_a_badge_passes(score, points, passing):
    grades = [Grade(f"s{n}", "41-artifacts", score, points) for n in range(5)]
    found = kpi_completion.completion(
        given("gradebook", *grades), cohort=cohort(5), passing=passing
    )
    standing = Standing("s0", score)
    assert (found.value == 100) == (badge.judge(standing, points, passing) == "passed")
    assert found.value == 100
    less = [replace(one, score=score - 0.01) for one in grades]
    found = kpi_completion.completion(
        given("gradebook", *less), cohort=cohort(5), passing=passing
    )
    assert found.value == 0
    assert not catalogue.passed(0, 0)


def test_a_role_is_assigned_the_labs_of_its_path_alone():
    role = "junior-developer"
    own = kpi_completion.labs_of(role)[0]
    every = {unit.topic for unit in catalogue.units() if unit.kind == "lab"}
    other = min(every - set(kpi_completion.labs_of(role)))
    grades = given("gradebook", *class_of(5, [own]), *class_of(5, [other], 0))
    junior = kpi_completion.completion(grades, [own, other], cohort(5, role))
    assert (junior.value, junior.status) == (100, MET)
    whole = kpi_completion.completion(grades, cohort=cohort(5, role))
    share = 100 / len(
        kpi_completion.labs_of(role)
    )  # the others were never graded, and count
    assert whole.value == pytest.approx(share)
    anybody = kpi_completion.completion(grades, cohort=cohort(5))
    assert (anybody.value, anybody.status) == (50, MISSED)


def test_a_lab_that_nobody_was_graded_in_counts_when_assigned():
    grades = given("gradebook", *class_of(5))
    labs = ["11-provenance", "13-poisoning", "41-artifacts"]
    found = kpi_completion.completion(grades, labs, cohort(5))
    assert found.value == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize("count", [1, 4])
def test_a_small_cohort_is_not_shown(count):
    found = kpi_completion.completion(
        given("g", *class_of(count)), cohort=cohort(count)
    )
    assert (found.status, found.value, found.tables, found.n) == (HIDDEN, None, (), "")


def test_four_of_nine_are_not_given_away_by_the_rest():
    roles = [(f"s{n}", "ml-engineer" if n < 5 else "senior-engineer") for n in range(9)]
    grades = given("gradebook", *class_of(9, ["41-artifacts"]))
    people = given("cohort", *roles)
    found = kpi_completion.completion(grades, ["41-artifacts"], people)
    assert found.n.startswith("9 learners")
    assert [table[0][0] for table in found.tables] == ["Lab"]
    assert any("by path: not shown" in note for note in found.notes)


def test_two_tables_together_give_no_small_path_away():
    """Labs of 9 and 6 and a path of 6 would tell what the path of 3 did."""
    sizes = {"ml-engineer": 3, "platform-engineer": 6}
    roles = [(f"{role}-{n}", role) for role, many in sizes.items() for n in range(many)]
    grades = [
        Grade(who, lab, 20.0 if n % 2 else 0.0, 20.0)
        for n, (who, role) in enumerate(roles)
        for lab in kpi_completion.labs_of(role)
    ]
    found = kpi_completion.completion(
        given("gradebook", *grades), cohort=given("cohort", *roles)
    )
    assert [table[0][0] for table in found.tables] == ["Lab"]


def test_who_has_no_lab_on_the_path_is_said_and_not_counted():
    role = min(role for role in catalogue.roles() if not kpi_completion.labs_of(role))
    people = [(f"s{n}", "" if n < 6 else role) for n in range(8)]
    grades = given("gradebook", *class_of(6))
    found = kpi_completion.completion(grades, cohort=given("cohort", *people))
    assert found.n.startswith("6 learners") and found.value == 100
    assert any("2 of the cohort have no lab" in note for note in found.notes)
    nobody = kpi_completion.completion(grades, cohort=cohort(6, role))
    assert nobody.status == UNKNOWN and "nobody" in nobody.notes[0]


def test_strangers_in_the_gradebook_are_said_and_not_counted():
    found = kpi_completion.completion(given("g", *class_of(9)), cohort=cohort(6))
    assert found.n.startswith("6 learners") and found.value == 100
    assert any("3 of the gradebook are not in the cohort" in n for n in found.notes)


# Drills


def finding(name, kind="poisoned-data", seen=600, held=1200, well=2400):
    return debriefs.Finding(name, kind, seen is not None, seen, held, well)


def drill(month, *found, team="red", alarms=0, day=12, synthetic=False):
    times = f"{month}-{day}T10:00:00+00:00", f"{month}-{day}T12:00:00+00:00"
    return debriefs.Debrief(month, team, False, synthetic, *times, found, alarms)


UNSEEN = {"seen": None, "held": None, "well": None}
EACH = [drill(month, finding("a")) for month in Q4.months]


def test_missed_poisonings_are_counted_against_those_planted():
    held = [*EACH[:2], drill("2026-12", finding("a"), finding("b", **UNSEEN), alarms=3)]
    held.append(drill("2026-12", finding("c", "leaked-secret", **UNSEEN), team="blue"))
    held.append(drill("2026-09", finding("a", **UNSEEN)))
    found = kpi_systems.missed(given("debriefs", *held), Q4, END)
    assert (found.value, found.shown, found.status) == (1, "1 of 4", MISSED)
    assert found.notes[0] == "false alarms in these drills: 3"
    assert found.trend["2026Q3"] == 1 and found.trend["2026Q2"] is None


def test_nobody_looked_is_not_zero_missed():
    other = drill("2026-10", finding("a", "leaked-secret"))
    found = kpi_systems.missed(given("debriefs", other), Q4, END)
    assert (found.value, found.status) == (None, UNKNOWN)
    gap = kpi_systems.missed(given("debriefs", *EACH[1:]), Q4, END)
    assert (gap.value, gap.status) == (0, UNKNOWN)
    assert "no drill in 2026-10: nobody looked" in gap.notes
    assert kpi_systems.missed(given("debriefs", *EACH), Q4, END).status == MET
    # November and December are not over
    assert kpi_systems.missed(given("d", *EACH[:1]), Q4, EARLY).status == MET


def test_a_month_without_planted_poison_was_not_looked_at():
    other = drill("2026-11", finding("a", "leaked-secret"))
    found = kpi_systems.missed(given("d", EACH[0], other, EACH[2]), Q4, END)
    assert (found.value, found.status) == (0, UNKNOWN)
    assert "no poison was planted in 2026-11: nobody looked for it" in found.notes
    assert not any("no drill" in note for note in found.notes)
    poison = drill("2026-11", finding("a"), team="blue")
    found = kpi_systems.missed(given("d", *EACH[::2], other, poison), Q4, END)
    assert found.status == MET
    lost = drill("2026-12", finding("a", **UNSEEN))
    found = kpi_systems.missed(given("d", EACH[0], other, lost), Q4, END)
    assert (found.value, found.status) == (1, MISSED)


def test_what_takes_faults_of_one_drill_as_independent_says_so():
    assert "too narrow" in str(kpi_systems.missed(given("d", *EACH), Q4, END).notes)
    six = drill("2026-10", *(finding(f"{n}") for n in range(6)))
    assert "too narrow" in str(kpi_systems.response(given("d", six), Q4).notes)
    five = replace(six, findings=six.findings[:5])  # of which there is no interval
    assert "too narrow" not in str(kpi_systems.response(given("d", five), Q4).notes)


def test_a_drill_held_in_another_month_is_said():
    times = {
        "started": "2026-12-30T10:00:00+00:00",
        "ended": "2026-12-30T11:00:00+00:00",
    }
    late = replace(EACH[0], **times)  # October's, when nobody looked in October
    says = "drills held in another month than their own: 1"
    assert says in kpi_systems.missed(given("d", late, *EACH[1:]), Q4, END).notes
    on_time = kpi_systems.missed(given("d", *EACH), Q4, END)
    assert not any("another month" in note for note in on_time.notes)


def test_a_drill_again_does_not_repair_the_first():
    first = drill("2026-11", finding("a", **UNSEEN), day=10)
    again = drill("2026-11", finding("a"), day=20)
    found = kpi_systems.missed(given("d", EACH[0], again, first, EACH[2]), Q4, END)
    assert found.value == 1 and any("1 repeated" in note for note in found.notes)


def test_response_counts_what_was_never_contained():
    some = [finding(str(n), held=60 * n, well=None) for n in (20, 30, 40)]
    held = drill("2026-10", *some)
    found = kpi_systems.response(given("d", held), Q4)
    assert (found.shown, found.status, found.value) == ("30 min", MET, 30)
    rows = {row[0]: row[1:] for row in found.tables[0]}
    assert rows["contained"] == ("30 min", "20 min to 40 min", "3 of 3")
    assert rows["recovered"] == ("never", "–", "0 of 3")
    lost = [finding(f"x{n}", **UNSEEN) for n in range(4)]
    found = kpi_systems.response(given("d", drill("2026-10", *some, *lost)), Q4)
    assert (found.shown, found.status, found.value) == ("never", MISSED, None)


# The gate's log


def decision(manifest, check="", name="signs", **more):
    refused = {"decision": "refuse", "check": check, "version": 0}
    event = {"decision": "deploy", "check": "", "why": "", "version": 1, "name": name}
    event["manifest"] = sha256(manifest.encode()).hexdigest()
    return event | (refused if check else {}) | more


def log(tmp_path, *events, when="2026-11-03T10:00:00+00:00"):
    path = tmp_path / "gate.jsonl"
    path.write_bytes(kpi_cohort.log_bytes([(when, event) for event in events]))
    return kpis.read_log(path)


def test_integrity_counts_releases_not_requests(tmp_path):
    honest = [decision("a")] * 97 + [decision("b"), decision("c")]
    found = kpi_systems.integrity(log(tmp_path, *honest, decision("d", "files"))[0], Q4)
    assert found.value == 25  # one of four releases, though 1 % of the requests
    assert found.n == "1 of 4 releases, 100 requests" and "files: 1" in str(found.notes)
    retried = [decision("d", "files")] * 50
    found = kpi_systems.integrity(log(tmp_path, *honest, *retried)[0], Q4)
    assert found.value == 25


def test_what_counts_as_a_failure_of_integrity(tmp_path):
    late, old = decision("a", "time"), decision("b", "version floor")
    code = decision("s", "files", kind="software")
    unsigned = [decision("", "signature")] * 2  # nothing tells one from the other
    events = [late, old, code, *unsigned, decision("c"), decision("c", "registry")]
    found = kpi_systems.integrity(log(tmp_path, *events)[0], Q4)
    assert found.n == "2 of 4 releases, 6 requests"
    assert any("1 of them were deployed" in note for note in found.notes)


def test_a_loop_of_requests_without_a_manifest_counts_once(tmp_path):
    honest = [decision(f"{n}") for n in range(199)]
    values = []
    for often in (1, 1000):
        loop = [decision("", "signature")] * often
        found = kpi_systems.integrity(log(tmp_path, *honest, *loop)[0], Q4)
        values.append(found.value)
        assert f"{often} requests without a manifest" in str(found.notes)
        assert f"1 of 200 releases, {199 + often} requests" == found.n
    assert values == [0.5, 0.5] and found.status == MET
    two = [*loop, decision("", "signature", name="words")]
    found = kpi_systems.integrity(log(tmp_path, *honest, *two)[0], Q4)
    assert found.n.startswith("2 of 201 releases")
    found = kpi_systems.integrity(log(tmp_path, *honest)[0], Q4)
    assert "without a manifest" not in str(found.notes)


def test_a_quarter_without_requests_is_not_known(tmp_path):
    lines, _ = log(tmp_path, decision("a"), when="2026-05-01T00:00:00+00:00")
    found = kpi_systems.integrity(lines, Q4)
    assert (found.value, found.status) == (None, UNKNOWN)
    assert found.trend == {}


def test_the_audit_evidence_needs_a_hash_that_a_witness_kept(tmp_path):
    lines, newest = log(tmp_path, decision("a"), decision("b"), decision("c"))
    assert kpi_systems.audit(lines, newest, newest).status == MET
    second = lines.items[2]["previous"]
    found = kpi_systems.audit(lines, second, newest)
    assert found.status == MET and "first 2 decisions" in found.notes[0]
    assert kpi_systems.audit(lines, "", newest).status == UNKNOWN
    cut, head = log(tmp_path, decision("a"))
    assert kpi_systems.audit(cut, newest, head).status == MISSED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.replace(b'"refuse"', b'"deploy"'), "line 2"),
        (lambda data: data[:-9], "cut off"),
        (lambda data: b"", "no decision"),
        (lambda data: b"\xff\n", "no JSON"),
        (lambda data: audit_log.entry(1, audit_log.FIRST, "x", {"a": 1}) + b"\n",
         "no decision of the gate"),
        (lambda data: audit_log.entry(1, audit_log.FIRST, "x", decision("a")) + b"\n",
         "no decision of the gate"),
        *((lambda data, key=key: kpi_cohort.log_bytes(
            [("2026-11-03T10:00:00+00:00", decision("a") | {key: ["x"]})]),
           "no decision of the gate") for key in ("check", "name", "manifest")),
    ],
)  # fmt: skip
def test_a_damaged_log_gives_no_number(tmp_path, change, says):
    log(tmp_path, decision("z", "files"), decision("a"))
    path = tmp_path / "gate.jsonl"
    path.write_bytes(change(path.read_bytes()))
    lines, newest = kpis.read_log(path)
    assert says in lines.trouble and newest == "" and not lines.items
    for found in (kpi_systems.integrity(lines, Q4), kpi_systems.audit(lines)):
        assert (found.value, found.status) == (None, UNKNOWN)
        assert says in found.notes[0]


# What is dated later than now


def test_a_quarter_that_has_not_begun_has_no_page(made):
    early = datetime(2026, 9, 30, 23, 59, tzinfo=UTC)
    with pytest.raises(ValueError, match="2026Q4 has not begun: today is 2026-09-30"):
        kpis.figures(kpis.Evidence(), Q4, early)
    assert kpis.figures(kpis.Evidence(), Q4, early + timedelta(minutes=1))
    evidence, _ = all_figures(made)  # a program made up its dates, too
    assert all(one.value is not None for one in kpis.figures(evidence, Q4, early))


@pytest.mark.parametrize(("now", "running"), [(EARLY, True), (END, False)])
def test_a_page_of_a_running_quarter_says_so(now, running):
    figures = kpis.figures(kpis.Evidence(), Q4, now)
    assert (
        "This quarter is not over" in kpi_page.page(figures, [], Q4, now)
    ) == running


def test_evidence_from_after_the_page_is_damaged(tmp_path):
    at = EARLY + timedelta(hours=2)
    event = decision("a", "files") | {"synthetic": False}
    lines, newest = log(tmp_path, event, when=at.isoformat())
    late = kpis.Evidence(
        records=given("records", *survey_of(*[(2, 3)] * 5, day=f"{at:%Y-%m-%d}")),
        debriefs=given("debriefs", drill("2026-10", finding("a")), drill("2026-11")),
        log=lines, newest=newest,
    )  # fmt: skip
    found = {one.id: one for one in kpis.figures(late, Q4, EARLY)}
    for name in ("missed", "response", "integrity", "confidence", "skill", "audit"):
        assert (found[name].value, found[name].status) == (None, UNKNOWN), name
        assert "after this page was made" in found[name].notes[0], name
        assert found[name].sources != ("none read",)
    assert f"gate log: dated {at.isoformat()}" in found["integrity"].notes[0]
    on_time = {one.id: one for one in kpis.figures(late, Q4, END)}
    assert all(on_time[name].value is not None for name in ("integrity", "skill"))
    clocks = {one.id: one for one in kpis.figures(late, Q4, at - timedelta(minutes=59))}
    assert clocks["integrity"].value == 100, "clocks differ by a little"


# What learners say


def rated(when, value, item="leaked-key", day=""):
    day = day or {"before": "2026-09-01", "after": "2026-12-01"}[when]
    at = datetime.fromisoformat(f"{day}T10:00:00+00:00")
    score = {"raw": value, "min": 1, "max": 5}
    target = f"01-risk-map/1-where-models-break#confidence/{when}/{item}"
    return progress.statement(at, "rated", target, score=score)


def learner(rows):
    return kpi_learners.learner([records.fact(row) for row in rows])


def answer(question, success):
    at = datetime(2026, 11, 1, tzinfo=UTC)
    target = f"13-poisoning/1-one-sticker#{question}"
    return progress.statement(at, "answered", target, success=success)


def test_a_synthetic_statement_has_the_form_of_the_course_s_own(monkeypatch, tmp_path):
    monkeypatch.setenv("SECURETRAIN_WORK", str(tmp_path))
    progress.record("answered", "13-poisoning/1-one-sticker", part="a", success=True)
    (own,) = progress.events()
    made = answer("a", True)
    assert own.keys() - made.keys() == {"id"} and not made.keys() - own.keys()
    for key in ("actor", "verb", "object"):
        assert own[key] == made[key]


def test_a_learner_is_paired_item_by_item_and_the_last_answer_counts():
    rows = [rated("before", 1), rated("before", 2), rated("before", 5, "first-hour")]
    rows += [rated("after", 3), rated("after", 4), rated("after", 1, "largest-risk")]
    rows += [rated("after", 5, "no-longer-asked"), answer("a", False)]
    rows += [answer("a", True), answer("b", True)]
    found = learner(rows)
    assert found.pairs == ((2, 4),) and (found.answered, found.first) == (2, 1)
    with pytest.raises(ValueError, match="score of 1 to 5"):
        learner([rated("after", 4.5)])


def test_a_rating_before_counts_only_before_the_course():
    early = [rated("before", 1, day="2026-10-01"), rated("before", 2, day="2026-10-02")]
    after = [rated("after", 4)]
    after.append(rated("after", 5, "first-hour", day="2026-12-02"))
    again = [rated("before", 5, day="2026-12-01"), rated("before", 5, day="2026-12-05")]
    again.append(rated("before", 5, "first-hour", day="2026-12-05"))
    assert learner([*early, *after, *again]).pairs == ((2, 4),)
    assert learner([*again, *after, *early]).pairs == ((2, 4),), "times, not places"
    assert learner([*after, *again]).pairs == ()
    assert learner([*early, *after, *again, rated("after", 3)]).pairs == ((2, 3),)


def survey_of(*pairs, day="2026-12-01"):
    rows = [[rated("before", b), rated("after", a, day=day)] for b, a in pairs]
    return [learner([*row, answer("a", True)]) for row in rows]


def test_confidence_is_of_pairs_and_beside_it_stands_skill():
    own = survey_of((2, 3), (2, 3), (2, 3), (2, 3), (4, 4))
    gone = learner([rated("before", 1)])
    records = given("records", *own, gone)
    found = kpi_learners.confidence(records, Q4)
    assert found.value == pytest.approx(100 * (16 / 12 - 1)) and found.status == MET
    assert found.n == "5 pairs" and "self-reported" in found.notes[1]
    assert "the interval holds the goal" in found.notes[0]
    assert any("without both answers, left out: 1" in note for note in found.notes)
    assert any("too narrow" in note for note in found.notes)
    skill = kpi_learners.skill(records, Q4)
    assert skill.value == 100 and skill.n == "5 learners, 5 questions"


def test_four_pairs_are_not_shown_and_another_quarters_do_not_help():
    own = survey_of((2, 3), (2, 3), (2, 3), (2, 3))
    records = given("records", *own, *survey_of((1, 5), day="2026-09-30"))
    for found in (
        kpi_learners.confidence(records, Q4),
        kpi_learners.skill(records, Q4),
    ):
        assert (found.status, found.value, found.n) == (HIDDEN, None, "")


# Tricks


TRUTH = kpi_cohort.Truth(past=0, find=0.8, tampered=0.1, leave=0.3)


def tricked(name):
    cohort = kpi_cohort.draw(2, Q4, TRUTH)
    (trick,) = [one for one in kpi_tricks.TRICKS if one.name == name]
    after = trick.do(cohort)
    looks = [kpi_trial.look(one, Q4, END) for one in (cohort, after)]
    return kpi_trial.judge(trick.kpi, *looks, trick.late), after


@pytest.mark.parametrize("name", ["repeat drills", "ask the gate often"])
def test_the_page_resists_what_moves_a_report(name):
    found, _ = tricked(name)
    assert found.report and not found.page


@pytest.mark.parametrize(
    "name", ["forget who left", "lose bad debriefs", "cut the log"]
)
def test_a_witness_notices_what_was_lost(name):
    found, after = tricked(name)
    assert found.page and found.witness
    kept = kpi_trial.Witness.of(kpi_cohort.in_memory(after))
    assert kept.notices(kpi_cohort.in_memory(after)) == [], "kept too late"


@pytest.mark.parametrize(
    "name", ["hand in until it passes", "praise at the end", "call it contained"]
)
def test_the_number_beside_it_stays(name):
    found, _ = tricked(name)
    assert found.page and found.beside and not found.witness


def test_easy_drills_get_through():
    found, _ = tricked("plant only the easy")
    assert found.page and not found.witness and not found.beside


def test_teaching_better_is_not_suspected():
    better = replace(TRUTH, skill=0.9, gain=0.5, find=0.97, leave=0, pace=0.6)
    pair = [[kpi_cohort.draw(2, Q4, one)] for one in (TRUTH, better)]
    tricks, honest = kpi_trial.trial(*pair, Q4, END)
    assert not any(one.witness or one.beside for one in honest)
    assert kpi_trial.unseen(tricks) == ["plant only the easy"]


def test_a_report_counts_what_lies_at_hand():
    cohort = kpi_cohort.draw(2, Q4, TRUTH)
    said = kpi_tricks.promises(cohort, Q4)
    page = {one.id: one for one in kpis.figures(kpi_cohort.in_memory(cohort), Q4, END)}
    assert said["missed"] == 0 < page["missed"].value
    assert said["completion"] > page["completion"].value
    assert said["response"] * 60 == kpi_numbers.median(
        [one.contained_after_s for one in kpi_tricks.found(cohort, Q4)]
    )


# Files


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a synthetic cohort and the folder with its files."""
    folder = tmp_path_factory.mktemp("cohort") / "files"
    drawn = kpi_cohort.draw(0, Q4)
    kpi_cohort.write(drawn, folder)
    return drawn, folder


def all_figures(made, **more):
    drawn, folder = made
    evidence = kpi_cohort.evidence(folder, kpi_cohort.grades(drawn))
    evidence = replace(evidence, **more)
    return evidence, kpis.figures(evidence, Q4, END, head=evidence.newest)


def test_the_synthetic_cohort_is_read_back_as_it_was_drawn(made):
    drawn, folder = made
    evidence, figures = all_figures(made)
    assert sorted(evidence.records.items, key=repr) == sorted(drawn.learners, key=repr)
    assert len(evidence.debriefs.items) == len(drawn.debriefs)
    assert len(evidence.log.items) == len(drawn.log)
    assert [one.trouble for one in evidence.inputs] == [""] * 5
    assert all(one.value is not None and one.sources for one in figures)
    assert kpi_cohort.draw(0, Q4) == drawn != kpi_cohort.draw(1, Q4)


@pytest.mark.parametrize("leave", [0.0, 0.25, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("skill", [0.7, 1.0])
def test_as_many_leave_as_the_truth_says(leave, skill):
    truth = kpi_cohort.Truth(200, skill, leave=leave, releases=1, past=0)
    drawn = kpi_cohort.draw(0, Q4, truth)
    left = sum(not one.pairs for one in drawn.learners)
    assert left == pytest.approx(200 * leave, abs=20 * (leave not in (0, 1)))


def test_everything_synthetic_says_so(made):
    evidence, figures = all_figures(made)
    assert evidence.synthetic and all(one.synthetic for one in figures)
    page = kpi_page.page(figures, evidence.inputs, Q4, END)
    assert all(f">Synthetic: {one.title}</h2>" in page for one in figures)
    rows = kpi_page.table(figures).splitlines()[1:]
    assert all(row.endswith(",synthetic") and "Synthetic: " in row for row in rows)


def test_synthetic_and_real_are_never_one_page(made):
    with pytest.raises(ValueError, match="synthetic: .*records.*; real: debriefs"):
        all_figures(made, debriefs=given("debriefs", *EACH))


def test_one_mixed_folder_is_refused(tmp_path):
    for number, synthetic in enumerate((True, False)):
        one = drill("2026-10", finding("a"), synthetic=synthetic)
        debriefs.write(one, tmp_path / f"{number}-debrief.json")
    with pytest.raises(ValueError, match="synthetic and real debriefs are mixed"):
        kpis.read_debriefs(tmp_path)


@pytest.mark.parametrize("damage", ["{", "[]", '{"schema": "securetrain.debrief/9"}'])
def test_one_damaged_debrief_makes_its_numbers_unknown(made, tmp_path, damage):
    debriefs.write(EACH[0], tmp_path / "1-debrief.json")
    (tmp_path / "2-debrief.json").write_text(damage)
    found = kpis.read_debriefs(tmp_path)
    assert "2-debrief.json" in found.trouble and not found.items
    evidence, figures = all_figures(made, debriefs=found)
    values = {one.id: one.value for one in figures}
    assert values["missed"] is values["response"] is None
    assert values["integrity"] is not None and values["completion"] is not None
    page = kpi_page.page(figures, evidence.inputs, Q4, END)
    assert "2-debrief.json" in page and "2 not known" in page


@pytest.mark.parametrize(
    "change",
    [{"schema": "x"}, {"learner": ""}, {"synthetic": 1}, {"role": "wizard"},
     {"exported": "2026-12-01"}, {"statements": {}}, {"statements": [{}]}, {"more": 1}],
    ids=str,
)  # fmt: skip
def test_a_record_that_is_none_is_named(made, tmp_path, change):
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(made[0].records[0] | change))
    assert str(path) in kpis.read_records(tmp_path).trouble


def test_one_damaged_record_makes_confidence_unknown(made, tmp_path):
    drawn, _ = made
    for number, record in enumerate(drawn.records):
        (tmp_path / f"{number}.json").write_text(json.dumps(record))
    (tmp_path / "3.json").write_text("{}")
    found = kpis.read_records(tmp_path)
    assert "3.json" in found.trouble
    assert kpi_learners.confidence(found, Q4).status == UNKNOWN


def test_the_newest_export_of_a_learner_counts_once(made, tmp_path):
    record = json.loads(json.dumps(made[0].records[0]))
    newer = record | {"exported": "2026-12-31T00:00:00+00:00", "statements": []}
    for number, one in enumerate((newer, record)):
        (tmp_path / f"{number}.json").write_text(json.dumps(one))
    found = kpis.read_records(tmp_path)
    assert found.items == (kpi_learners.Learner(),) and len(found.hashes) == 2


def test_a_hash_is_of_the_bytes_that_were_counted(made, tmp_path, monkeypatch):
    """Somebody changes each file in the moment after it was hashed."""
    record, gone = made[0].records[0], made[0].records[0] | {"statements": []}
    path = tmp_path / "one.json"
    path.write_text(json.dumps(record))
    before = kpis.read_records(tmp_path)

    def swap(data=b""):
        path.write_text(json.dumps(gone))
        return sha256(data)

    monkeypatch.setattr(kpis, "sha256", swap)
    after = kpis.read_records(tmp_path)
    assert after.items == before.items and after.hashes == before.hashes
    debriefs.write(EACH[0], tmp_path / "1-debrief.json")
    path = tmp_path / "1-debrief.json"
    assert kpis.read_debriefs(tmp_path).items == (EACH[0],)


@pytest.mark.parametrize(
    ("read", "name"),
    [(kpis.read_records, "a.json"), (kpis.read_debriefs, "a-debrief.json"),
     (kpis.read_cohort, ""), (lambda path: kpis.read_log(path)[0], "")],
)  # fmt: skip
def test_no_file_is_read_without_bound(tmp_path, read, name):
    path = tmp_path / (name or "file")
    with path.open("wb") as file:
        file.truncate(2**34)
    found = read(tmp_path if name else path)
    assert "larger than" in found.trouble and not found.items
    path.unlink()
    os.mkfifo(path)  # reading would wait for ever
    found = read(tmp_path if name else path)
    assert str(path) in found.trouble and not found.items


@pytest.mark.parametrize("read", [kpis.read_records, kpis.read_debriefs])
def test_a_folder_that_is_empty_or_missing_gives_no_number(tmp_path, read):
    assert "no file" in read(tmp_path).trouble
    assert "no such folder" in read(tmp_path / "none").trouble


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name\na\n", "column `student`"),
        ("student\na\na\n", "stands twice"),
        ("student\n", "names nobody"),
        ("student,role\na,wizard\n", "role 'wizard'"),
        (b"student\n\xff\n", "UTF-8"),
    ],
)
def test_a_cohort_that_is_none_is_said(tmp_path, text, says):
    path = tmp_path / "cohort.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = kpis.read_cohort(path)
    assert says in found.trouble
    figure = kpi_completion.completion(given("g", *class_of(6)), cohort=found)
    assert figure.status == UNKNOWN and figure.value is None


def test_nothing_given_is_nothing_known():
    figures = kpis.figures(kpis.Evidence(), Q4, END)
    assert {one.status for one in figures} == {UNKNOWN}
    assert all(one.value is None and one.shown == UNKNOWN for one in figures)
    rows = [row.split(",") for row in kpi_page.table(figures).splitlines()[1:]]
    assert all("not known" in row for row in rows)


def test_a_card_says_why_its_number_is_not_known_or_not_sure(made, tmp_path):
    """A leader reads the cards alone."""
    gap = given("debriefs", *EACH[1:], synthetic=True)
    lines, newest = log(tmp_path, decision("a", synthetic=True))
    evidence, _ = all_figures(made, debriefs=gap, log=lines, newest=newest, cohort=None)
    figures = kpis.figures(evidence, Q4, END)
    cards = {one.id: kpi_page.card(one) for one in figures}
    assert "no drill in 2026-10: nobody looked" in cards["missed"]
    assert "no hash kept elsewhere" in cards["audit"]
    assert "no list of the cohort" in cards["completion"]
    assert "met or not met may be chance" in cards["integrity"]
    assert all(kpi_page.text(one.what) in cards[one.id] for one in figures)


def test_no_text_of_a_page_is_markup_and_no_cell_a_formula():
    evil = "=1+1<script>"
    figure = kpis.figures(kpis.Evidence(), Q4, END)[0]
    figure = replace(figure, sources=(evil,), notes=(evil,), n=evil)
    assert "<script" not in kpi_page.page([figure], [], Q4, END)
    table = kpi_page.table([figure])
    assert ",'=1+1<script>," in table and ",=1" not in table


@pytest.mark.parametrize(
    ("value", "says"),
    [(0.04, "0.04"), (1.04, "1.04"), (100 * 0.0104, "1.04"), (100 / 3, "33.333333"),
     (90.0, "90"), (0.0, "0"), (-5.25, "-5.25"), (-0.0000001, "0"),
     (8.99996, "8.99996"), (12345678.5, "12345678.5"), (-0.0, "0")],
)  # fmt: skip
def test_the_table_and_the_drawing_say_what_the_page_says(value, says):
    figure = kpis.figures(kpis.Evidence(), Q4, END)[2]
    trend = {"2026Q3": 0.0, "2026Q4": value}
    shown = percent(value / 100, 0.01)
    figure = replace(figure, value=value, shown=shown, trend=trend)
    (row,) = csv.DictReader(io.StringIO(kpi_page.table([figure])))
    assert row["current"] == says and row["target"] == "1"
    words = figure.shown.replace(" ", "\u00a0")
    assert f"2026Q4 {words}" in kpi_page.sparkline(figure)
    later = replace(figure, trend=trend | {"2026Q4": value, "2027Q1": 0.0})
    assert f"<dd>2026Q3\u00a00\u00a0%, 2026Q4\u00a0{words}</dd>" in kpi_page.card(later)
    counted = replace(figure, unit="poisonings")
    assert f"2026Q4 {says}" in kpi_page.sparkline(counted)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(3600, "60 min"), (3590, "60 min"), (3610, "60.2 min"), (3600.5, "60.01 min"),
     (90, "2 min"), (math.inf, "never")],
)  # fmt: skip
def test_no_time_over_the_goal_is_shown_as_the_goal(seconds, says):
    assert kpi_systems.minutes(seconds) == says


def test_a_hash_of_several_files_is_that_of_their_sorted_hashes():
    found = Input("records", (), ("b", "a"))
    assert found.digest == sha256(b"a\nb\n").hexdigest()
    assert found.source.startswith("records, 2 files, SHA-256")
    assert replace(found, name="records").source == found.source, "said once"
    named = replace(found, name="exports")
    assert named.source.startswith("records exports, 2 files, SHA-256")
