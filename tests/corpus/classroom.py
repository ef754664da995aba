"""A class of the small lab on disk: hand in, grade with the real command, look."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook

from corpus.lab import NAME, RIGHT, TOPIC, answered
from graders import release
from securetrain import notebooks

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "course"
PROSE = "It misses an attacker who stays quiet."
SOURCE = Path("solutions", TOPIC, f"{NAME}.ipynb")


@dataclass
class Classroom:
    """A course with hand-ins; lab: what its students were given."""

    course: Path
    lab: dict[str, Any]

    @property
    def workspace(self) -> Path:
        return self.course / "graders" / "workspace"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.workspace}/gradebook.db"

    def answer(self, prose: str = PROSE, **answers: str) -> dict[str, Any]:
        """Return the lab answered rightly, but for these cells."""
        notebook = copy.deepcopy(self.lab)
        answered(notebook, RIGHT | answers, prose)
        return notebook

    def hand_in(self, student: str, notebook: dict[str, Any] | None = None) -> Path:
        """Write a student's notebook, the right answers by default; return it."""
        text = json.dumps(self.answer() if notebook is None else notebook)
        folder = self.workspace / "submitted" / student / TOPIC
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{NAME}.ipynb").write_text(text, "utf-8")
        return folder / f"{NAME}.ipynb"

    def command(self, *words: str, **how: Any) -> subprocess.CompletedProcess:
        """Run `securetrain WORD …` on this course."""
        line = [sys.executable, "-m", "securetrain.cli", *words]
        environment = os.environ | {"SECURETRAIN_ROOT": str(self.course)}
        how = {"env": environment, "stdout": subprocess.PIPE, "text": True} | how
        return subprocess.run(line, **({"stderr": subprocess.PIPE} | how))

    def grade(self, *words: str, status: int = 0) -> dict[str, dict[str, Any]]:
        """Grade; return the results by student."""
        done = self.command("grade", TOPIC, "--json", *words)
        said = done.stdout[-2000:] + done.stderr[-2000:]
        assert done.returncode == status and "Traceback" not in said, said
        return {one["student"]: one for one in json.loads(done.stdout)}

    def notebook(self, student: str) -> dict[str, Any]:
        """Return a student's graded notebook."""
        folder = self.workspace / "autograded" / student / TOPIC
        return notebooks.read(folder / f"{NAME}.ipynb")

    def entries(self, student: str) -> dict[str, tuple]:
        """Return the gradebook's (auto_score, manual_score, needs_manual_grade)."""
        with Gradebook(self.url) as book:
            grades = book.find_submission_notebook(NAME, TOPIC, student).grades
            return {
                g.name: (g.auto_score, g.manual_score, g.needs_manual_grade)
                for g in grades
            }


def prepare(
    home: Path, change: Callable[[dict[str, Any]], object] | None = None
) -> Classroom:
    """Make a copy of the small course in a folder; `change` edits the lab's source."""
    course = home.resolve() / "course"
    shutil.copytree(FIXTURE, course)
    if change:
        solution = notebooks.read(course / SOURCE)
        change(solution)
        notebooks.write(course / SOURCE, solution)
    (lab,) = release.generate(course, [course / "solutions" / TOPIC]).values()
    return Classroom(course, lab)


def scores(result: dict[str, Any]) -> dict[str, float | None]:
    """Return a result's scores by cell."""
    return {mark["id"]: mark["score"] for mark in result["marks"]}
