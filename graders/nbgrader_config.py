"""nbgrader's configuration for this course; run nbgrader inside this folder.

    cd graders
    nbgrader generate_assignment 13-poisoning --force   # fills the gradebook
    nbgrader zip_collect 13-poisoning                   # or collect, from the exchange
    nbgrader autograde 13-poisoning
    nbgrader generate_feedback 13-poisoning
    nbgrader export

The environment's commands must be on PATH (`. .venv/bin/activate`): nbgrader calls
`alembic` by name. What students send is written under `workspace/`, which git ignores.
"""

import os
from pathlib import Path

c = get_config()  # noqa: F821 (nbgrader runs this file, with this function)

graders = Path(__file__).resolve().parent
workspace = graders / "workspace"
for folder in ("exchange", "downloaded"):  # nbgrader does not make these itself
    (workspace / folder).mkdir(parents=True, exist_ok=True)

c.CourseDirectory.course_id = "secure-ai-training"
c.CourseDirectory.root = str(graders.parent)
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "labs"
c.CourseDirectory.submitted_directory = "graders/workspace/submitted"
c.CourseDirectory.autograded_directory = "graders/workspace/autograded"
c.CourseDirectory.feedback_directory = "graders/workspace/feedback"
c.CourseDirectory.db_url = f"sqlite:///{workspace / 'gradebook.db'}"
c.Exchange.root = str(workspace / "exchange")
c.Exchange.cache = str(workspace / "cache")
c.ExportPlugin.to = str(workspace / "grades.csv")

# An archive from the LMS: one zip a student, named after the student.
c.ZipCollectApp.downloaded_directory = "graders/workspace/downloaded"
c.FileNameCollectorPlugin.named_regexp = (
    r".*/extracted/(?P<student_id>[^/]+)/(?:.*/)?(?P<file_id>[^/]+)\.ipynb$"
)

# Wall-clock seconds a cell, a backstop only: nbgrader's own 30 cost honest students
# points on a busy machine. One thread a kernel is both steadier and faster there.
c.Execute.timeout = 600
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What a lab records of its learner must not land in the instructor's own record.
os.environ["SECURETRAIN_WORK"] = str(workspace / "work")
