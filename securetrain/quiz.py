"""Short quizzes in a notebook; the kernel judges, the key never leaves it.

A quiz is `quizzes/UNIT.json`: {"questions": [{"id", "question", "answers": [{"text",
"correct", "feedback"}, …]}, …]}, with one correct answer a question.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from securetrain import catalogue, progress

if TYPE_CHECKING:
    from securetrain.widgets import Quiz

FOLDER = Path(__file__).parent / "quizzes"


@dataclass(frozen=True)
class Answer:
    """One answer, and why it is right or wrong."""

    text: str
    correct: bool
    feedback: str


@dataclass(frozen=True)
class Question:
    """One question with its answers, exactly one of which is correct."""

    id: str
    question: str
    answers: tuple[Answer, ...]


def show(unit_id: str) -> Quiz:
    """Return a unit's quiz for the notebook to show; answers go to the record."""
    from securetrain.widgets import Quiz  # needs Jupyter, which `load` does without

    questions = {question.id: question for question in load(unit_id)}
    widget = Quiz(
        title=catalogue.unit(unit_id).title,
        questions=[
            {"id": q.id, "question": q.question, "answers": [a.text for a in q.answers]}
            for q in questions.values()
        ],
    )

    widget.on_msg(lambda _, message, __: _judge(widget, unit_id, questions, message))
    return widget


def _judge(
    widget: Quiz, unit_id: str, questions: dict[str, Question], message: dict
) -> None:
    """Tell the widget whether the answer that it sent is right, and record it."""
    question = questions[message["question"]]
    answer = question.answers[message["answer"]]
    before = widget.verdicts.get(question.id, {"tries": 0})
    verdict = {
        "tries": before["tries"] + 1,
        "answer": message["answer"],
        "correct": answer.correct,
        "feedback": answer.feedback,
    }
    widget.verdicts = {**widget.verdicts, question.id: verdict}
    progress.record(
        "answered",
        unit_id,
        part=question.id,
        success=answer.correct,
        response=answer.text,
    )


def load(unit_id: str) -> tuple[Question, ...]:
    """Return a unit's questions; () for a unit without a quiz.

    Raises ValueError that names the file, the question and what is wrong with it.
    """
    file = FOLDER / f"{catalogue.unit(unit_id).id}.json"
    if not file.is_file():
        return ()
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{unit_id}.json: not valid JSON ({error}).") from None
    for problem in problems(data):
        raise ValueError(f"{unit_id}.json: {problem}")
    return tuple(
        Question(q["id"], q["question"], tuple(Answer(**a) for a in q["answers"]))
        for q in data["questions"]
    )


def problems(data: object) -> Iterator[str]:
    """Yield what is wrong with a quiz read from JSON, one readable line each."""
    if not _has(data, questions=list) or not data["questions"]:
        yield 'expected {"questions": [...]} with at least one question.'
        return
    seen = set()
    for number, question in enumerate(data["questions"], start=1):
        if not _has(question, id=str, question=str, answers=list):
            yield f"question {number}: expected the texts id and question, and answers."
            return
        yield from (
            f"question {number} ({question['id']}): {problem}"
            for problem in _question_problems(question, seen)
        )
        seen.add(question["id"])


def _question_problems(question: dict, seen: set[str]) -> Iterator[str]:
    if question["id"] in seen:
        yield "its id stands twice in this quiz."
    answers = question["answers"]
    for number, answer in enumerate(answers, start=1):
        if not _has(answer, text=str, correct=bool, feedback=str):
            yield f"answer {number}: expected text, correct (true, false) and feedback."
            return
    right = sum(answer["correct"] for answer in answers)
    if len(answers) < 2 or right != 1:
        came = f"{len(answers)} with {right} correct"
        yield f"expected two or more answers with one correct, got {came}."
    if len({answer["text"] for answer in answers}) < len(answers):
        yield "two of its answers have the same text."


def _has(value: object, **types: type) -> bool:
    """Is this a dict with exactly these keys, of these types, with no empty text?"""
    return (
        isinstance(value, dict)
        and value.keys() == types.keys()
        and all(isinstance(value[key], kind) for key, kind in types.items())
        and all(text.strip() for text in value.values() if isinstance(text, str))
    )
