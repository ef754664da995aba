"""Issue badges for what a gradebook holds: one for a lab, or one for a role's path.

    securetrain badge issue 13-poisoning --key ~/issuer.key --issuer "Your school"
    securetrain badge issue --role ml-engineer --key ~/issuer.key --issuer "Your school"

A student has passed a lab with --minimum of its points, after penalties, once no cell
of it waits for a human. A path is passed with every graded lab on it. Badges lie in
FOLDER/STUDENT/TOPIC.svg; one that is there is never replaced. They name nobody: a
salted hash of the student's id lets them show that a badge is theirs. --name writes
the gradebook's name into it, for everybody to read: ask the student first.

Exit status: 0 everybody who handed in has a badge or too few points; 1 some were left
out, as listed; 2 wrong input.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from graders import release
from graders.export import existing, shown, standings
from graders.lms import Standing
from securetrain import badge_awards, catalogue, manifests, notebooks, own_files
from securetrain.badge_awards import Award, Holder, Judgement
from securetrain.badge_command import private_key
from securetrain.paths import root

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

LONGEST = 36_500  # days that a badge may be valid when it ends at all: a century
PASSED, WAITS, SHORT, MISSING = "passed", "waits", "short", "missing"
SAYS = {
    WAITS: "left out, a human has still to grade",
    SHORT: "fewer points than asked for",
    MISSING: "no hand-in of every lab",
}


def versions(here: Path, topics: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of each topic's lab, hidden tests and all."""
    found = {}
    for topic in topics:
        books = sorted(release.topics(here, topic)[0].glob("*.ipynb"))
        whole = "".join(notebooks.dumps(notebooks.read(book)) for book in books)
        found[topic] = hashlib.sha256(whole.encode("utf-8")).hexdigest()
    return found


def check_fits(gradebook: Gradebook, here: Path, topic: str) -> None:
    """Raise ValueError unless the gradebook knows the lab as it is now.

    A lab whose cells or points have changed since was graded by other tests than those
    that a badge would name.
    """
    now = {
        (book.stem, cell["metadata"]["nbgrader"]["grade_id"]): float(
            cell["metadata"]["nbgrader"]["points"]
        )
        for book in release.topics(here, topic)[0].glob("*.ipynb")
        for cell in notebooks.read(book)["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade")
    }
    lab = gradebook.find_assignment(topic)
    known = {
        (book.name, cell.name): float(cell.max_score)
        for book in lab.notebooks
        for cell in book.grade_cells
    }
    if changed := sorted({cell for _, cell in dict(now.items() ^ known.items())}):
        raise ValueError(
            f"{topic}: the gradebook is of another version of this lab "
            f"({', '.join(changed)}). Grade again: securetrain grade {topic}"
        )


def judge(standing: Standing, points: float, minimum: float) -> str:
    """Return whether a student passed a lab, and if not, why."""
    if standing.undecided:
        return WAITS
    if standing.score is None:
        return MISSING
    return PASSED if catalogue.passed(standing.score, points, minimum) else SHORT


def judged(
    gradebook: Gradebook, here: Path, award: Award, minimum: float
) -> dict[str, list[Standing]]:
    """Return the gradebook's students by verdict; of several labs the worst counts."""
    people: dict[str, Standing] = {}
    verdicts: dict[str, list[str]] = defaultdict(list)
    for topic in dict.fromkeys(unit.topic for unit in award.labs):
        found, points = standings(gradebook, topic)
        check_fits(gradebook, here, topic)
        for standing in found:
            people[standing.student] = standing
            verdicts[standing.student].append(judge(standing, points, minimum))
    by_verdict: dict[str, list[Standing]] = defaultdict(list)
    for student, said in verdicts.items():
        worst = next(v for v in (MISSING, SHORT, WAITS, PASSED) if v in said)
        by_verdict[worst].append(people[student])
    return by_verdict


def select(
    found: Mapping[str, list[Standing]], students: Sequence[str]
) -> dict[str, list[Standing]]:
    """Return the verdicts on some students; [] for all. ValueError for a stranger."""
    known = {one.student for these in found.values() for one in these}
    if strangers := sorted(set(students) - known):
        raise ValueError(f"not in the gradebook: {shown(strangers)}")
    if not students:
        return dict(found)
    return {
        verdict: [one for one in these if one.student in students]
        for verdict, these in found.items()
    }


def place(folder: Path, student: str, award: Award) -> Path:
    """Return where a student's badge lies; no id leads out of the folder."""
    name = quote(student, safe="@+ ")
    if name.startswith("."):
        name = "%2E" + name[1:]
    return folder / name / f"{award.key}.svg"


def leave(path: Path, data: bytes) -> bool:
    """Write a file whole or not at all; False when there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return own_files.create(path, data, 0o600)


def holder(standing: Standing, named: bool) -> Holder:
    """Return whose badge it is; a ValueError where the name asked for is not known."""
    if not named:
        return Holder(standing.student)
    name = f"{standing.first_name} {standing.last_name}".strip()
    if not name:
        raise ValueError(f"{shown([standing.student])}: the gradebook knows no name")
    return Holder(standing.student, name)


def arguments(argv: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="securetrain badge issue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("topic", nargs="?", help="such as 13-poisoning")
    add("--role", help="such as ml-engineer, instead of a topic")
    add("--key", type=Path, required=True, help="the issuer's NAME.key")
    add("--issuer", required=True, metavar="NAME", help="who vouches, as badges say it")
    add("--student", action="append", default=[], metavar="ID", help="only theirs")
    says = "share of the points; default: %(default)s"
    add("--minimum", type=float, default=catalogue.PASSED, help=says)
    add("--days", type=int, help="how long badges are valid; default: for ever")
    add("--name", action="store_true", help="with the student's name, for all to read")
    add("--to", type=Path, help="default: graders/workspace/badges")
    add("--db", help="the gradebook; default: a file in the workspace")
    options = parser.parse_args(argv)
    if (options.topic is None) == (options.role is None):
        parser.error("expected a topic, or --role")
    if not 0 < options.minimum <= 1:
        parser.error("--minimum: expected a share above 0, 1 at most")
    if options.days is not None and not 1 <= options.days <= LONGEST:
        parser.error(f"--days: expected 1 to {LONGEST}, or leave it out: for ever")
    return options


def earned(options: argparse.Namespace, award: Award) -> dict[str, list[Standing]]:
    """Return the students asked for, by what the gradebook says of them."""
    from sqlalchemy.exc import SQLAlchemyError

    from graders import gradebook

    default = gradebook.default_url(root() / "graders" / "workspace")
    url = existing(options.db or default)
    try:
        with gradebook.open_gradebook(url) as book:
            found = judged(book, root(), award, options.minimum)
    except SQLAlchemyError as error:
        raise ValueError(
            f"{gradebook.without_password(url)}: no gradebook of this nbgrader "
            f"({gradebook.reason(error)}). If an older one made it: nbgrader db upgrade"
        ) from None
    return select(found, options.student)


def credentials(
    options: argparse.Namespace, award: Award, passed: Sequence[Standing], public: bytes
) -> dict[str, dict]:
    """Return each student's credential, all from the same moment."""
    topics = [unit.topic for unit in award.labs]
    basis = Judgement(options.minimum, versions(root(), topics))
    since = datetime.now(UTC).replace(microsecond=0)
    until = since + timedelta(days=options.days) if options.days else None
    return {
        one.student: badge_awards.make(
            award,
            basis,
            holder(one, options.name),
            (options.issuer, public),
            since,
            until,
        )
        for one in passed
    }


def report(
    award: Award,
    left: Mapping[str, bool],
    found: Mapping[str, list[Standing]],
    folder: Path,
) -> str:
    """Return what was issued, and who was left out and why."""
    lines = [f"{award.key}, badges issued: {sum(left.values())}, in {folder}"]
    if there := [student for student, fresh in left.items() if not fresh]:
        lines.append(f"there already, and not replaced ({len(there)}): {shown(there)}")
    for verdict, says in SAYS.items():
        if names := [one.student for one in found.get(verdict, [])]:
            lines.append(f"{says} ({len(names)}): {shown(names)}")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Issue one badge to everybody who has earned it."""
    options = arguments(argv)
    which = badge_awards.role if options.role else badge_awards.topic
    award = which(options.role or options.topic)
    private = private_key(options.key)
    found = earned(options, award)
    public = manifests.public_key(private)
    made = credentials(options, award, found.get(PASSED, []), public)
    folder = options.to or root() / "graders" / "workspace" / "badges"
    left = {
        student: leave(place(folder, student, award), badge_awards.issue(one, private))
        for student, one in made.items()
    }
    print(report(award, left, found, folder))
    short = sum(len(these) for verdict, these in found.items() if verdict != PASSED)
    return int(bool(found.get(WAITS)) or bool(options.student and short))
