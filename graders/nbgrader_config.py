"""nbgrader's configuration for this course; run nbgrader inside this folder.

    cd graders
    nbgrader generate_assignment 13-poisoning --force   # fills the gradebook
    nbgrader zip_collect 13-poisoning                   # or collect, from the exchange
    securetrain grade 13-poisoning      # or nbgrader autograde, or formgrader's button
    nbgrader generate_feedback 13-poisoning
    nbgrader export

The environment's commands must be on PATH (`. .venv/bin/activate`): nbgrader calls
`alembic` by name. What students send is written under `workspace/`, which git ignores.
"""

from pathlib import Path

from graders import formgrader, gradebook

c = get_config()  # noqa: F821 (nbgrader runs this file, with this function)

here = Path(__file__).resolve().parents[1]
workspace = here / "graders" / "workspace"
for folder in ("exchange", "downloaded"):  # nbgrader does not make these itself
    (workspace / folder).mkdir(parents=True, exist_ok=True)

c.CourseDirectory.course_id = "secure-ai-training"
c.CourseDirectory.root = str(here)
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "labs"
c.CourseDirectory.submitted_directory = "graders/workspace/submitted"
c.CourseDirectory.autograded_directory = "graders/workspace/autograded"
c.CourseDirectory.feedback_directory = "graders/workspace/feedback"
c.CourseDirectory.db_url = gradebook.default_url(workspace)
c.Exchange.root = str(workspace / "exchange")
c.Exchange.cache = str(workspace / "cache")
c.ExchangeFactory.collect = "graders.exchange.Collect"
c.ExportPlugin.to = str(workspace / "grades.csv")

# An archive from the LMS: one zip a student, or a folder, named after the student.
c.ZipCollectApp.downloaded_directory = "graders/workspace/downloaded"
c.ZipCollectApp.extractor_plugin = "graders.archives.Extractor"
c.FileNameCollectorPlugin.named_regexp = (
    r".*/extracted/(?P<student_id>[^/]+)/(?P<file_id>[^/]+)\.ipynb$"
)

# Grading is the course's own, in a jail, from the button and the command alike.
formgrader.install()
# c.Autograde.seed_file = "/outside/git/cohort.seed"  # see docs/grading.md
# What a student wrote is shown to whoever reads it, and must not run there.
c.HTMLExporter.sanitize_html = True
