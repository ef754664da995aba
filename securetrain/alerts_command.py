"""`securetrain alerts`: refuse alert rules that cannot fire, or that nobody hears.

    securetrain alerts check rules.yaml …
    securetrain alerts check --scrape metrics.txt --need my_metric rules.yaml

Every metric and every label must be one that is exported: those of the course, or those
in the text of a scrape (`curl HOST/metrics > metrics.txt`), and then labels must have
values that the scrape shows: take it when all have been seen. Every alert needs a
comparison, labels `severity` and `team`, a summary, and no wait above an hour. An alert
must read the value of each metric that is needed, not only whether it exists; a
threshold that nothing reaches is not seen.

Exit status: 0 nothing found; 1 something is refused or cannot be read; 2 wrong use.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from securetrain import alert_rules, plain_yaml, terminals

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?=[ {])")
PAIR = re.compile(r'[{,]([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def names(scrape: str) -> set[str]:
    """Return the metrics in the text of a scrape. Raises ValueError for none."""
    lines = [line for line in scrape.splitlines() if line and line[0] != "#"]
    found = {match[1] for line in lines if (match := SAMPLE.match(line))}
    if not found:
        raise ValueError("--scrape: no metric in it; expected what /metrics answers")
    return found


def series(scrape: str) -> dict[str, list[dict[str, str]]]:
    """Return metric -> the labels of each of its series in the text of a scrape."""
    found: dict[str, list[dict[str, str]]] = {}
    for line in scrape.splitlines():
        if match := SAMPLE.match(line):
            pairs, place = {}, match.end()
            while pair := PAIR.match(line, place):
                pairs[pair[1]] = re.sub(r"\\(.)", _escaped, pair[2])
                place = pair.end()
            found.setdefault(match[1], []).append(pairs)
    return found


def _escaped(match: re.Match) -> str:
    return "\n" if match[1] == "n" else match[1]


def labels(scrape: str) -> set[str]:
    """Return the labels in the text of a scrape."""
    return {name for many in series(scrape).values() for one in many for name in one}


def judge(
    path: Path,
    exported: Collection[str] = alert_rules.EXPORTED,
    needed: Collection[str] = alert_rules.NEEDED,
    told: Collection[str] = alert_rules.LABELS,
    series: alert_rules.Series | None = None,
) -> Iterator[str]:
    """Yield `file:line: what is wrong` for one file, what cannot be read included."""
    try:
        documents = plain_yaml.read_file(path)
    except plain_yaml.YamlError as error:
        yield str(error)
        return
    if len(documents) != 1:
        yield f"{path}:1: expected one document of rules, got {len(documents)}"
        return
    yield from alert_rules.findings(documents[0], exported, needed, told, series)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain alerts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = whole.add_subparsers(required=True, metavar="check")
    one = parts.add_parser("check", help="refuse rules that cannot fire")
    one.add_argument("files", type=Path, nargs="+", metavar="FILE")
    one.add_argument("--scrape", type=Path, help="the text of a scrape")
    one.add_argument("--need", action="append", help="a metric that an alert must read")
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 when something is refused."""
    options = parser().parse_args(argv)
    exported, told, shown = alert_rules.EXPORTED, alert_rules.LABELS, None
    if options.scrape:
        text = options.scrape.read_text("utf-8")
        exported, told, shown = names(text), labels(text), series(text)
    asked = (exported, options.need or alert_rules.NEEDED, told, shown)
    lines = [line for path in options.files for line in judge(path, *asked)]
    for line in lines:
        print(terminals.lines(str(line)), file=sys.stderr)
    print(f"{len(options.files)} file(s) checked, {len(lines)} findings")
    return int(bool(lines))
