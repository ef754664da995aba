"""Open formgrader, whose button grades in the jail.

nbgrader_config.py puts `Autograde` where nbgrader looks for its converter, so neither
formgrader's button nor `nbgrader autograde` runs a hand-in outside the jail.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import nbgrader.apps.api
import nbgrader.apps.autogradeapp
from nbgrader.converters import Autograde as Stock
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets import Integer, Unicode

from graders import intake, pool
from graders.exchange import timestamp
from graders.grade import grade_class, seed_of, summary
from securetrain.lab import arguments, environment
from securetrain.paths import root


class Autograde(Stock):
    """Grades in the jail what nbgrader would run with the instructor's rights."""

    seed_file = Unicode("", help="The cohort's private seed, outside git.").tag(
        config=True
    )
    jobs = Integer(os.cpu_count() or 1, help="Hand-ins side by side.").tag(config=True)

    def start(self) -> None:
        """Grade the hand-ins that nbgrader asks for.

        Without --force what is saved already stays. Raises NbGraderException when
        nothing or not everything could be graded; each reason is in the log.
        """
        try:
            results = self._grade()
        except (FileNotFoundError, ValueError) as error:
            self.log.error(str(error))
            raise NbGraderException(str(error)) from None
        if results:
            self.log.info("%s", summary(results))
        for result in results:
            if result["status"] != "graded":
                self.log.warning("%s: %s", result["student"], result["reason"])
        if any(result["status"] == "failed" for result in results):
            raise NbGraderException("some hand-ins could not be graded, see the log")

    def _grade(self) -> list[dict[str, Any]]:
        here = Path(self.coursedir.root).resolve()
        topic, student = self.coursedir.assignment_id, self.coursedir.student_id
        seed = seed_of(Path(self.seed_file) if self.seed_file else None, here)
        results: list[dict[str, Any]] = []
        for lab in pool.labs(here, topic, seed):
            found = intake.collect(
                here / self.coursedir.submitted_directory,
                topic,
                lab.name,
                [] if student == "*" else [student],
            )
            if not found:
                raise ValueError(f"no hand-in of {topic} was collected")
            results += grade_class(
                lab,
                found,
                workspace=here / "graders" / "workspace",
                url=self.coursedir.db_url,
                jobs=self.jobs,
                resume=not self.force,
            )
        return results


def install() -> None:
    """Put it where nbgrader's command line and formgrader look for theirs.

    A student's `timestamp.txt` that is none would end a page or a command of theirs.
    """
    nbgrader.apps.api.Autograde = Autograde
    nbgrader.apps.autogradeapp.Autograde = Autograde
    CourseDirectory.get_existing_timestamp = lambda self, folder: timestamp(folder)
    nbgrader.apps.api.NbGraderAPI.get_submitted_timestamp = (
        lambda self, topic, student: timestamp(
            self.coursedir.format_path(
                self.coursedir.submitted_directory, student, topic
            )
        )
    )


def main(argv: list[str]) -> int:
    """Open formgrader on the course, with this course's configuration."""
    parser = argparse.ArgumentParser(
        prog="securetrain formgrader", description=main.__doc__
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address")
    parser.add_argument("--port", type=int, help="default: 8888, or the next free one")
    options = parser.parse_args(argv)
    home = "--LabApp.default_url="
    given = [word for word in arguments(options) if not word.startswith(home)]
    command = [sys.executable, "-m", "jupyterlab", *given, f"{home}/formgrader"]
    # The learners' configuration hides nbgrader; graders/ has the instructor's.
    found = environment() | {"JUPYTER_CONFIG_PATH": str(root() / "graders")}
    print("Opening formgrader. Ctrl-C here stops it.", flush=True)
    os.execve(sys.executable, command, found)
