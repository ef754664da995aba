"""What a learner on a class's hub needs to hand in: `nbgrader submit 13-poisoning`.

Only for servers started by `binder/start`; an instructor's is in `graders/`.
"""

from pathlib import Path

c = get_config()  # noqa: F821 (nbgrader runs this file, with this function)

c.CourseDirectory.course_id = "secure-ai-training"
c.Exchange.root = "/srv/exchange"
c.Exchange.assignment_dir = str(Path(__file__).resolve().parents[1] / "work")
