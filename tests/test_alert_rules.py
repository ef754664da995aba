"""Alert rules that cannot fire are refused; what the exporter says can be scraped."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from securetrain import alert_rules, alerts_command, cli, exporter, promql
from securetrain.monitoring import MONITORS, Trace

RULES = Path(alert_rules.__file__).with_name("training_alerts.yaml")


def trace() -> Trace:
    rng = np.random.default_rng(0)
    losses, labels = rng.random((2, 8)), rng.integers(10, size=(2, 8))
    return Trace(losses, labels, rng.random((2, 8, 4)))


def judge(tmp_path, old: str, new: str) -> str:
    text = RULES.read_text("utf-8")
    assert old in text
    path = tmp_path / "rules.yaml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return "\n".join(alerts_command.judge(path))


def test_the_courses_rules_pass(tmp_path):
    assert judge(tmp_path, "groups", "groups") == ""


CHANGES = {
    "a letter": ("monitor_peak", "monitor_peaks", "rules.yaml:6: nothing exports"),
    "no comparison": (
        "> on(monitor) training_monitor_threshold",
        "+ on(monitor) training_monitor_threshold",
        "rules.yaml:6: compares nothing",
    ),
    "a comparison of labels only": (
        "training_monitor_peak > on",
        """training_monitor_peak{monitor!="x"} + on""",
        "rules.yaml:6: compares nothing",
    ),
    "a comparison that is a number": (
        "> on(monitor)",
        "> bool on(monitor)",
        "rules.yaml:6: compares nothing",
    ),
    "a letter of a label": (
        "on(monitor)",
        "on(monitors)",
        "rules.yaml:6: nothing has a label monitors",
    ),
    "a letter of a label that is chosen": (
        "training_monitor_peak > on",
        """training_monitor_peak{monitr="mean loss"} > on""",
        "rules.yaml:6: nothing has a label monitr",
    ),
    "a group that is asked once a year": (
        "    rules:",
        "    interval: 52w\n    rules:",
        "is asked less often than once in 1 hour",
    ),
    "a month": ("for: 0s", "for: 30d", "rules.yaml:7: waits longer"),
    "no wait that can be read": (
        "for: 0s",
        "for: soon",
        "rules.yaml:7: expected a dur",
    ),
    "no severity": ("severity: page, ", "", "rules.yaml:8: no severity"),
    "no team": (", team: training", "", "rules.yaml:8: no team"),
    "no summary": ("summary:", "says:", "rules.yaml:10: no summary"),
    "not looked for": (
        "absent(training_batches_total) or rate(training_batches_total[5m]) == 0",
        "training_loss > 9",
        "no sound alert reads the value of training_batches_total",
    ),
    "a function": ("absent(tr", "abent(tr", "rules.yaml:12: not an expression: abent"),
    "a bracket": ("on(monitor)", "on(monitor", "is not closed"),
    "a hidden name": (
        "training_monitor_peak > on(monitor) training_monitor_threshold",
        """'{__name__="training_monitor_peak"} > 1'""",
        "__name__ hides",
    ),
    "no group": ("groups", "group", "expected groups"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_rule_that_was_weakened_is_refused(what, tmp_path):
    old, new, says = CHANGES[what]
    assert says in judge(tmp_path, old, new)


@pytest.mark.parametrize("record", ["training_monitor_peaks", ["a"], 3])
def test_a_recording_rule_makes_no_metric_out_of_nothing(record, tmp_path):
    text = RULES.read_text("utf-8").replace("monitor_peak >", "monitor_peaks >", 1)
    tree = yaml.safe_load(text)
    made = {"record": record, "expr": "training_monitor_peaks"}
    tree["groups"][0]["rules"].append(made)
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(tree), "utf-8")
    found = "\n".join(alerts_command.judge(path))
    assert "nothing exports training_monitor_peaks" in found


def test_what_a_sound_recording_rule_makes_exists(tmp_path):
    tree = yaml.safe_load(RULES.read_text("utf-8"))
    rules = tree["groups"][0]["rules"]
    rules.append({"record": "run:twice", "expr": "run:loss * 2"})
    rules.append({"record": "run:loss", "expr": "max(training_loss)"})
    rules.append(rules[0] | {"alert": "Loss", "expr": "run:twice > .5"})
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(tree), "utf-8")
    assert list(alerts_command.judge(path)) == []


def test_metrics_are_told_from_labels_functions_and_words():
    expr = (
        'sum by (label) (rate(a_total{label="b", x=~"c.*"}[5m] offset 1h)) '
        "/ ignoring(y) group_left(z) d > bool 1e3 and on() absent(up == 0)"
    )
    metrics, labels = promql.named(expr)
    assert metrics == ["a_total", "d", "up"]
    assert labels == ["label", "label", "x", "y", "z"]
    assert alert_rules.seconds("1h30m") == 5400
    for wrong in ("(a", "a)", "a{b}}", "a $ b", '"a'):
        with pytest.raises(ValueError):
            promql.named(wrong)


def test_an_escape_is_read_as_the_letter_that_it_stands_for():
    [(_, matchers)] = promql.selectors(r"""a{x="a\nb", y=~"a\tb|\\d"}""")
    assert matchers == [("x", "=", "a\nb"), ("y", "=~", "a\tb|\\d")]
    assert promql.chooses(matchers, {"x": "a\nb", "y": "a\tb"})
    assert not promql.chooses(matchers, {"x": r"a\nb", "y": "7"})
    assert not promql.chooses(matchers[1:], {"y": r"a\tb"})


def test_a_class_within_a_class_is_refused_and_not_misread():
    for pattern in ("[[:alpha:]]+", "[^[:alpha:]]", "[a[b]"):
        with pytest.raises(ValueError, match="x: .* write the letters"):
            promql.chooses([("x", "=~", pattern)], {"x": "train"})
    assert promql.chooses([("x", "=~", r"[\[a-z(]+")], {"x": "[train("})


def test_a_scrape_says_what_is_exported_and_the_list_is_right():
    own = exporter.Exporter()
    own.thresholds(dict.fromkeys(MONITORS, 5.0))
    own.observe(trace(), 0, dict.fromkeys(MONITORS, 7.0))
    own.observe(trace(), 1, dict.fromkeys(MONITORS, 6.0))
    with exporter.serving(own) as address:
        text = exporter.scrape(address)
        second = exporter.serving(exporter.Exporter(), own.port)
        says = f"{own.port} cannot be used .*port=0"
        with pytest.raises(ValueError, match=says), second:
            pass
    found = {name for name in alerts_command.names(text) if "_created" not in name}
    assert found == alert_rules.EXPORTED
    assert alerts_command.labels(text) == alert_rules.LABELS
    assert exporter.sample(text, "training_batches_total") == 2
    for name, value in (("score", 6), ("peak", 7), ("threshold", 5)):
        found = exporter.sample(text, f"training_monitor_{name}", monitor=MONITORS[0])
        assert found == value
    assert exporter.sample(text, "training_loss") == pytest.approx(
        trace().losses[1].mean()
    )
    assert exporter.sample(text, "nothing") is None
    with pytest.raises(ValueError, match="no metric in it"):
        alerts_command.names("# nothing\n")


def test_a_scrape_of_ones_own_replaces_the_courses_metrics(tmp_path, capsys):
    (tmp_path / "m.txt").write_text('queue_length{a="b"} 4\n')
    rules = """groups:
- name: a
  rules:
  - {alert: A, expr: queue_length > 9, labels: {severity: page, team: ops},
     annotations: {summary: b}}
"""
    path = tmp_path / "rules.yaml"
    path.write_text(rules)
    given = ["alerts", "check", "--scrape", str(tmp_path / "m.txt"), str(path)]
    assert cli.main([*given, "--need", "queue_length"]) == 0
    assert cli.main(given) == 1
    assert "no sound alert reads the value of up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expr", "reads"),
    [
        ("absent(a)", set()),
        ("absent(a) or a == 0", {"a"}),
        ('absent(up{job="b"})', set()),
        ("absent_over_time(a[5m]) or b > 1", {"b"}),
        ("absent(a != 1)", {"a"}),
        ("absent(a > bool 1)", set()),
        ("absent(max(a))", set()),
        ("count by (x) (a) < 3", set()),
        ("count(a) by (x) < 3", set()),
        ("count((a > 2)) > 3", {"a"}),
        ("max by (x) (a) > 3 and on(x) timestamp(b) > 1", {"a"}),
        ('count(a{x!="1"}) > 3', set()),
    ],
)
def test_whether_it_exists_is_not_what_its_value_is(expr, reads):
    assert promql.valued(expr) == reads


@pytest.mark.parametrize("metric", alert_rules.NEEDED)
def test_an_alert_that_only_asks_whether_a_metric_exists_watches_nothing(
    metric, tmp_path
):
    tree = yaml.safe_load(RULES.read_text("utf-8"))
    for rule in tree["groups"][0]["rules"]:
        if metric in rule["expr"]:
            rule["expr"] = f"absent({metric})"
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(tree), "utf-8")
    found = "\n".join(alerts_command.judge(path))
    assert f"no sound alert reads the value of {metric}" in found


SCRAPE = """# HELP a what it is
a{x="1",y="left \\"b\\" {c}, d"} 4
a{x="2"} 5 1700000000
plain 6
"""


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ('a{x="1"} > 3', ""),
        ('a{x="1", y=~"left.*",} > 3', ""),
        ("a{y='left \"b\" {c}, d'} > 3", ""),
        ('a{x="2", y=""} > 3', ""),
        ('a{x!="1"} > 3', ""),
        ('a{x=~"\\\\d|none"} > 3', ""),
        ('a{x="1", instance="h:1", job=~"t.*"} > 3', ""),
        ('up{job="a"} == 0', ""),
        ('a{x="1"}[5m] > 3 and plain > 4', ""),
        ('a{x="3"} > 3', 'nothing in the scrape is a{x="3"}'),
        ('a{x="2", y=~"left.*"} > 3', 'nothing in the scrape is a{x="2",y=~"left.*"}'),
        ('a{x=~"1.+"} > 3', "nothing in the scrape is a"),
        ('a{x!~"1|2"} > 3', "nothing in the scrape is a"),
        ('a > 3 unless on() plain{x="1"} > 3', 'nothing in the scrape is plain{x="1"}'),
        ('a{x=~"(1"} > 3', "x: '(1' is no pattern that this check reads"),
        ('a{x=~"(1+)+"} > 3', "is no pattern that this check reads"),
        ('a{x=~".*.*.*.*.*1"} > 3', "is no pattern that this check reads"),
        ('a{x=~"[[:digit:]]|none"} > 3', "write the letters of [: :] out"),
        ('a{x=~"[a[]|1"} > 3', "no pattern that this check reads: write"),
        ('a{x=~"[]1]"} > 3', ""),
        ('a{x=~"[^\\\\[]"} > 3', ""),
        ('a{x="\\x31"} > 3', "is no text that this check reads"),
        ('a{"x"="1"} > 3', "not an expression: expected label and value in { }"),
        ('a{x "1"} > 3', "not an expression: expected label and value in { }"),
        ('a{x>"1"} > 3', "not an expression: expected label and value in { }"),
    ],
)
def test_a_label_s_value_must_be_one_of_the_scrape(expr, fault, tmp_path):
    tree = yaml.safe_load(RULES.read_text("utf-8"))
    rule = tree["groups"][0]["rules"][0] | {"expr": expr}
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    series = alerts_command.series(SCRAPE)
    found = "\n".join(
        alerts_command.judge(path, {"a", "plain"}, [], {"x", "y"}, series)
    )
    assert (fault in found) if fault else found == ""


def test_the_command_takes_values_from_the_scrape(tmp_path, capsys):
    text = RULES.read_text("utf-8")
    own = exporter.Exporter()
    own.thresholds(dict.fromkeys(MONITORS, 5.0))
    own.observe(trace(), 0, dict.fromkeys(MONITORS, 7.0))
    with exporter.serving(own) as address:
        (tmp_path / "m.txt").write_text(exporter.scrape(address))
    path = tmp_path / "rules.yaml"
    given = ["alerts", "check", "--scrape", str(tmp_path / "m.txt"), str(path)]
    for chosen, status in ((MONITORS[0], 0), (f"{MONITORS[0]}s", 1)):
        other = text.replace(" > on", f'{{monitor="{chosen}"}} > on', 1)
        path.write_text(other)
        assert cli.main(given) == status
    assert "nothing in the scrape is" in capsys.readouterr().err


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="SKIPPED: promtool is not installed"
)
def test_promtool_takes_our_rules_and_takes_the_wrong_name_too(tmp_path):
    wrong = tmp_path / "rules.yaml"
    text = RULES.read_text("utf-8").replace("monitor_peak", "monitor_peaks", 1)
    wrong.write_text(text, "utf-8")
    for path in (RULES, wrong):
        done = subprocess.run(["promtool", "check", "rules", path], capture_output=True)
        assert done.returncode == 0, done.stderr
