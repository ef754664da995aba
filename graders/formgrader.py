"""nbgrader's own ways to grade, through the jail: formgrader's button, the command.

nbgrader_config.py puts `Autograde` where nbgrader looks for its converter, so no way
is left that runs a hand-in outside the jail.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbgrader.apps.api
import nbgrader.apps.autogradeapp
from nbgrader.converters import Autograde as Stock
from nbgrader.converters.base import NbGraderException
from traitlets import Integer, Unicode

from graders import intake, pool
from graders.grade import grade_class, seed_of, summary


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
    """Put it where nbgrader's command line and formgrader look for theirs."""
    nbgrader.apps.api.Autograde = Autograde
    nbgrader.apps.autogradeapp.Autograde = Autograde
