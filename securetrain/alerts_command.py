"""`securetrain alerts`: refuse alert rules that cannot fire, or that nobody hears.

    securetrain alerts check rules.yaml …
    securetrain alerts check --scrape metrics.txt --need my_metric rules.yaml

Every metric and every label must be one that is exported: those of the course, or those
in the text of a scrape (`curl HOST/metrics > metrics.txt`). Every alert needs a
comparison, labels `severity` and `team`, a summary, and no wait above an hour. An alert
must read each metric that is needed; a threshold that nothing reaches is not seen.

Exit status: 0 nothing found; 1 something is refused or cannot be read; 2 wrong use.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from securetrain import alert_rules, plain_yaml

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?=[ {])")


def names(scrape: str) -> set[str]:
    """Return the metrics in the text of a scrape. Raises ValueError for none."""
    lines = [line for line in scrape.splitlines() if line and line[0] != "#"]
    found = {match[1] for line in lines if (match := SAMPLE.match(line))}
    if not found:
        raise ValueError("--scrape: no metric in it; expected what /metrics answers")
    return found


def labels(scrape: str) -> set[str]:
    """Return the labels in the text of a scrape."""
    return set(re.findall(r'[{,]([a-zA-Z_][a-zA-Z0-9_]*)="', scrape))


def judge(
    path: Path,
    exported: Collection[str] = alert_rules.EXPORTED,
    needed: Collection[str] = alert_rules.NEEDED,
    told: Collection[str] = alert_rules.LABELS,
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
    yield from alert_rules.findings(documents[0], exported, needed, told)


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
    exported, told = alert_rules.EXPORTED, alert_rules.LABELS
    if options.scrape:
        text = options.scrape.read_text("utf-8")
        exported, told = frozenset(names(text)), frozenset(labels(text))
    asked = (exported, options.need or alert_rules.NEEDED, told)
    lines = [line for path in options.files for line in judge(path, *asked)]
    for line in lines:
        print(line, file=sys.stderr)
    print(f"{len(options.files)} file(s) checked, {len(lines)} findings")
    return int(bool(lines))
