"""The course's own widgets: native form controls that JupyterLab shows in a cell."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"


class Widget(anywidget.AnyWidget):
    """A widget that says in words what it is where it cannot be shown."""

    _css = STATIC / "front.css"

    def __repr__(self) -> str:
        return self.in_words()


class Slider(Widget):
    """A labelled slider with the result of its last value below it."""

    _esm = STATIC / "slider.js"
    label = traitlets.Unicode().tag(sync=True)
    minimum = traitlets.Float().tag(sync=True)
    maximum = traitlets.Float().tag(sync=True)
    step = traitlets.Float().tag(sync=True)
    value = traitlets.Float().tag(sync=True)
    result = traitlets.Unicode().tag(sync=True)

    def in_words(self) -> str:
        """Return what the slider is for, with its range."""
        return (
            f"Slider: {self.label}, from {self.minimum:g} to {self.maximum:g}, "
            f"now {self.value:g}. Run this cell in JupyterLab to move it."
        )


class Quiz(Widget):
    """Questions with one answer to choose; `quiz.show` judges what comes back.

    questions: [{"id", "question", "answers": texts}]
    verdicts: question id -> {"tries", "answer", "correct", "feedback"} of the last try
    """

    _esm = STATIC / "quiz.js"
    title = traitlets.Unicode().tag(sync=True)
    questions = traitlets.List().tag(sync=True)
    verdicts = traitlets.Dict().tag(sync=True)

    def in_words(self) -> str:
        """Return the questions and answers as text."""
        lines = [f"Quiz: {self.title}. Run this cell in JupyterLab to answer."]
        for number, question in enumerate(self.questions, start=1):
            lines += ["", f"{number}. {question['question']}"]
            lines += [f"   - {answer}" for answer in question["answers"]]
        return "\n".join(lines)
