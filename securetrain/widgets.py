"""The course's own widgets: native form controls that JupyterLab shows in a cell."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Self

import anywidget
import traitlets

from securetrain import pages, risk_map


def _module(name: str) -> str:
    """Return a module of `static/`, behind what all of them share."""
    return pages.static("common.js", name)


class Widget(anywidget.AnyWidget):
    """A widget that says what it is where it cannot be shown."""

    _css = pages.style()

    def in_words(self) -> str:
        """Return what the widget shows as text."""
        raise NotImplementedError

    def in_html(self) -> str:
        """Return it as a page without widgets shows it, or "" for in words."""
        return ""

    def __repr__(self) -> str:
        return self.in_words()

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict] | None:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        still = {"text/html": page} if (page := self.in_html()) else {}
        return {**data, **still}, metadata


class Kept(Widget):
    """Questions whose answers the learner's record keeps when a button is pressed.

    scale: what 1 to 5 mean; stored: the answers as the record has them
    saves: grows with every answer of the kernel; status: what it says
    """

    scale = traitlets.List().tag(sync=True)
    stored = traitlets.Dict().tag(sync=True)
    saves = traitlets.Int().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)

    def keep(
        self,
        give: Callable[[dict], None],
        read: Callable[[], dict],
        say: Callable[[dict], str],
    ) -> Self:
        """Show what is kept, and keep what comes back.

        give: write answers to the record; read: what it holds; say: that in words
        """

        def show(*trouble: str) -> None:
            self.stored = read()
            self.status = " ".join([say(self.stored), *trouble])
            self.saves += 1  # the browser waits for this, also when nothing changed

        def store(_: Widget, answers: dict, __: list) -> None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                give(answers)
                show(*dict.fromkeys(str(warning.message) for warning in caught))

        show()
        self.on_msg(store)
        return self


class Slider(Widget):
    """A labelled slider with the result of its last value below it."""

    _esm = _module("slider.js")
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

    _esm = _module("quiz.js")
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


class Survey(Kept):
    """Ten statements to rate from 1 to 5; `survey.show` stores what comes back.

    items: [{"id", "stage", "text"}]; stored: item id -> rating
    """

    _esm = _module("survey.js")
    _css = pages.style("survey.css")
    question = traitlets.Unicode().tag(sync=True)
    items = traitlets.List().tag(sync=True)

    def in_words(self) -> str:
        """Return the statements as text, with what is stored."""
        ends = f"1 is {self.scale[0]}, {len(self.scale)} is {self.scale[-1]}"
        lines = [f"Survey: {self.question} ({ends})"]
        for item in self.items:
            rating = self.stored.get(item["id"], "not answered")
            lines.append(f"- {item['stage']}: {item['text']} [{rating}]")
        lines += [self.status, "Run this cell in JupyterLab to answer."]
        return "\n".join(lines)


class Feedback(Kept):
    """Two questions on a unit; `feedback.show` stores what comes back.

    useful, change: the questions; changes: key -> words
    stored: {"useful": 1 to 5 or 0, "change": key or ""}
    """

    _esm = _module("feedback.js")
    _css = pages.style("feedback.css")
    title = traitlets.Unicode().tag(sync=True)
    useful = traitlets.Unicode().tag(sync=True)
    change = traitlets.Unicode().tag(sync=True)
    changes = traitlets.Dict().tag(sync=True)

    def in_words(self) -> str:
        """Return the questions as text."""
        return (
            f"Two questions on {self.title}: {self.useful} {self.change} "
            "Run this cell in JupyterLab to answer."
        )


class RiskMap(Widget):
    """The map of `risk_map.show`; where no widget runs, the same as tables or text.

    stages: [{"name", "threats": [{"id", "title", "harm", "wrong", "stops", …}]}]
    harms, roles: key -> words, to choose from
    """

    _esm = _module("map.js")
    _css = pages.style("map.css")
    stages = traitlets.List().tag(sync=True)
    harms = traitlets.Dict().tag(sync=True)
    roles = traitlets.Dict().tag(sync=True)

    def in_words(self) -> str:
        """Return every threat as text."""
        return risk_map.as_text()

    def in_html(self) -> str:
        """Return every threat as tables."""
        return risk_map.as_html()


class Home(Widget):
    """The learner's home page with the choice of a path; `home` draws what is in it.

    roles: key -> title; role: the chosen key, or ""; html: the page below the choice
    folder: where the page lies below the course's root, which its links start from
    draws: grows with every answer of the kernel
    """

    _esm = _module("home.js")
    _css = pages.style("home.css")
    roles = traitlets.Dict().tag(sync=True)
    role = traitlets.Unicode().tag(sync=True)
    html = traitlets.Unicode().tag(sync=True)
    folder = traitlets.Unicode().tag(sync=True)
    draws = traitlets.Int().tag(sync=True)

    def in_words(self) -> str:
        """Return how to see the page."""
        return (
            f"Home page: {self.roles[self.role]}. Run this cell in JupyterLab to see "
            "it, or type `securetrain progress`."
        )

    def in_html(self) -> str:
        """Return the page as it is now."""
        return pages.framed([self.html], "home.css", kind="st-home")
