"""`securetrain scenario`: a fresh incident to rehearse, its clock, and its debrief.

    securetrain scenario --month 2026-12 --team red [--hard] [--to FOLDER]
    cd FOLDER
    securetrain scenario detect leaked-secret key-3
    securetrain scenario contain leaked-secret key-3
    securetrain scenario recover leaked-secret key-3 repair.json
    securetrain scenario note "the key was in the checkpoint"
    securetrain scenario reveal
    securetrain scenario check
    securetrain scenario debrief [--others FOLDER]

Without a sub-command it makes a folder: evidence, a README that says what to do, and
the sealed truth. Whoever knows the seed knows the answer: an instructor gives
`--secret FILE`, the same to every command that makes or reveals; without it the drill
rests on honour. All other commands run inside the folder, and each line of the log
carries the clock's time. `verify` tells anybody whether log, truth and evidence are
those of the start: work on copies.

Exit status: 0 done; 1 refused, or the drill was not held; 2 wrong use.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from typing import Any, TextIO

from securetrain import audit_log, drill_log, terminals
from securetrain.archives import Refused
from securetrain.debriefs import KINDS
from securetrain.scenario_folder import LOG, TRUTH, Sheet, read_sheet

HERE = Path(".")
COMMANDS = "note | detect | contain | recover | reveal | check | debrief | verify"


def _print(text: object, to: TextIO | None = None) -> None:
    """Print what may hold words of others, which steer no terminal."""
    print(terminals.lines(str(text)), file=to or sys.stdout)


def secret_of(options: argparse.Namespace) -> bytes:
    """Return the instructor's secret, b"" when none was given."""
    if options.secret is None:
        return b""
    data = options.secret.read_bytes()
    if len(data) < 16:
        raise ValueError(f"{options.secret}: expected a secret of 16 bytes or more")
    return data


def make(options: argparse.Namespace) -> int:
    """Make a drill, and start its clock."""
    from securetrain import scenario_folder, scenarios

    if importlib.util.find_spec("torch") is None:
        raise ValueError("a drill is made with the course's extra: PyTorch is missing")
    secret = secret_of(options)
    plan = scenarios.plan(options.month, options.team, options.hard, secret)
    to = options.to or Path(f"scenario-{options.month}-{options.team}")
    if to.exists():
        raise ValueError(f"{to} is there already: nothing is overwritten; give --to")
    sheet = scenario_folder.make(plan, to, secret, options.synthetic)
    print(f"{to}: {sheet.title}. The clock runs; read {to / 'README.md'}")
    print(f"the truth is fixed by {sheet.commitment}: keep this line")
    if not secret:
        print("no --secret: whoever has this course can work out the answer")
    return 0


def _here() -> Sheet:
    return read_sheet(HERE)


def _add(event: dict[str, Any]) -> int:
    return _noted(drill_log.add(HERE / LOG, _here().commitment, event))


def _noted(head: str) -> int:
    print(f"noted; the log's newest hash is {head[:16]}…")
    return 0


def note(options: argparse.Namespace) -> int:
    """Write down what was seen."""
    return _add({"do": "note", "text": options.text})


def step(options: argparse.Namespace) -> int:
    """Say that something is wrong, or stop it."""
    from securetrain import scenario_items

    _here()
    scenario_items.check(HERE, options.kind, options.item)
    return _add({"do": options.step, "kind": options.kind, "item": options.item})


def recover(options: argparse.Namespace) -> int:
    """Deliver a repair: a number, or a JSON file of which a copy is kept."""
    from securetrain import scenario_items
    from securetrain.scenario_folder import deliver

    _here()
    scenario_items.check(HERE, options.kind, options.item)
    try:
        number = float(options.value)
    except ValueError:
        if not Path(options.value).is_file():
            why = "expected a number, or a file that is there"
            raise ValueError(f"{options.value}: {why}") from None
        value = Path(options.value).read_bytes()
    else:
        if not math.isfinite(number):
            raise ValueError(f"{options.value}: expected a finite number or a file")
        value = int(number) if number.is_integer() else number
    try:
        value = scenario_items.repair(HERE, options.kind, value)
        head = deliver(HERE, options.kind, options.item, value)
    except Refused:
        raise
    except ValueError as error:
        raise ValueError(f"{options.value}: {error}") from None
    return _noted(head)


def reveal(options: argparse.Namespace) -> int:
    """Open the sealed truth; the drill ends."""
    from securetrain import scenario_folder

    truth = scenario_folder.reveal(HERE, secret_of(options))
    _print(f"{truth['title']}. {truth['story']}")
    for fault in truth["faults"]:
        came = f", by {fault['cause']}" if fault["cause"] else ""
        _print(
            f"{fault['id']}: {fault['kind']} {fault['item']}, {fault['vector']}{came}"
        )
    _print(f"it fits the commitment of the start; all of it is in {TRUTH}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Judge what was done against the truth; 1 when the drill was not held."""
    from securetrain import scenario_debrief, scenario_judge

    judged = scenario_judge.judge(HERE)
    for row in judged.rows:
        if row.right is not None:
            fits = "right" if row.right else f"wrong: {row.why}"
            _print(f"{row.do:8} {row.text}: {fits}")
    for one in judged.debrief.findings:
        times = (one.detected_after_s, one.contained_after_s, one.recovered_after_s)
        shown = ", ".join(scenario_debrief.minutes(time) for time in times)
        _print(f"{one.id}: found, contained, recovered after {shown}")
    _print("\n".join(scenario_debrief.sentences(judged, None)))
    return int(not judged.held)


def debrief(options: argparse.Namespace) -> int:
    """Write the debrief, as data and to read."""
    from securetrain import scenario_debrief, scenario_judge

    judged = scenario_judge.judge(HERE)
    peers = None
    if options.others:
        if not options.others.is_dir():
            raise ValueError(
                f"{options.others}: expected a folder of debrief.json files"
            )
        peers = scenario_debrief.others(options.others, judged.debrief)
    for path in scenario_debrief.write(HERE, judged.truth["title"], judged, peers):
        _print(path)
    return 0


def verify(options: argparse.Namespace) -> int:
    """Say whether the log is whole, and the revealed truth the one of the start."""
    from securetrain import scenario_folder

    sheet = _here()
    lines = drill_log.read(HERE / LOG, sheet.commitment)
    _print(f"{len(lines)} lines, chained, since {lines[0]['time']}")
    hashes = [audit_log.hash_of(row) for row in (HERE / LOG).read_bytes().splitlines()]
    _print(f"the log's newest hash is {hashes[-1][:16]}…")
    head = (options.head or "").strip().rstrip("…").lower()
    if options.head is not None and len(head) < 16:
        raise ValueError(f"--head {options.head}: expected 16 digits of a hash or more")
    if head and not any(one.startswith(head) for one in hashes):
        raise Refused("log", f"no line has the hash {head[:16]}…: lines were removed")
    if drill_log.revealed(lines):
        scenario_folder.read_truth(HERE)
        _print("the truth fits the commitment of the start")
    changed = scenario_folder.changed(HERE)
    for name in changed:
        _print(f"evidence was changed: {name}")
    _print(f"{len(changed)} files of evidence are not as they were at the start")
    return int(bool(changed))


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    whole = argparse.ArgumentParser(
        prog="securetrain scenario",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--month", help="such as 2026-12")
    whole.add_argument("--team", help="letters, digits, - and _")
    whole.add_argument("--hard", action="store_true", help="poison that adapts")
    whole.add_argument("--to", type=Path, help="the new folder")
    whole.add_argument("--synthetic", action="store_true", help="no people take part")
    says = "a file of 16 bytes or more that only the instructor has"
    whole.add_argument("--secret", type=Path, help=says)
    whole.set_defaults(do=None)
    parts = whole.add_subparsers(metavar=COMMANDS)
    one = parts.add_parser("note", help="write down what you saw")
    one.add_argument("text")
    one.set_defaults(do=note)
    for name, does in (("detect", "say what is wrong"), ("contain", "stop it")):
        one = parts.add_parser(name, help=does)
        one.add_argument("kind", choices=KINDS)
        one.add_argument("item")
        one.set_defaults(do=step, step=name)
    one = parts.add_parser("recover", help="deliver a repair")
    one.add_argument("kind", choices=KINDS)
    one.add_argument("item")
    one.add_argument("value", help="a number, or a JSON file")
    one.set_defaults(do=recover)
    one = parts.add_parser("reveal", help="open the truth; ends the drill")
    one.add_argument("--secret", type=Path, help=says, default=argparse.SUPPRESS)
    one.set_defaults(do=reveal)
    one = parts.add_parser("debrief", help="write debrief.json, .md and .html")
    one.add_argument("--others", type=Path, help="a folder of others' debrief.json")
    one.set_defaults(do=debrief)
    for name, do in (("check", check), ("verify", verify)):
        one = parts.add_parser(name, help=do.__doc__.splitlines()[0])
        one.set_defaults(do=do)
    one.add_argument("--head", metavar="HASH", help="a hash that was printed before")
    return whole


def main(argv: list[str]) -> int:
    """Run the command; 1 for what is refused, or a drill that was not held."""
    whole = parser()
    options = whole.parse_args(argv)
    if options.do is None and not (options.month and options.team):
        whole.error(f"give --month and --team, or one of {COMMANDS}")
    try:
        return (options.do or make)(options)
    except Refused as refused:
        _print(f"securetrain scenario: {refused}", sys.stderr)
        return 1
