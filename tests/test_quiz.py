"""Quizzes: the committed ones are whole, the kernel judges, the key stays with it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from securetrain import catalogue, progress, quiz

LESSON = "13-poisoning/1-one-sticker"
LAB = "13-poisoning/poisoning"
LESSONS = [unit.id for unit in catalogue.units() if unit.kind == "lesson"]
GOOD = {
    "questions": [
        {
            "id": "sum",
            "question": "What is 1 + 1?",
            "answers": [
                {"text": "2", "correct": True, "feedback": "One more than one."},
                {"text": "3", "correct": False, "feedback": "One too many."},
            ],
        }
    ]
}
pytestmark = pytest.mark.usefixtures("work")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of quizzes of our own, with one for the lesson."""
    monkeypatch.setattr(quiz, "FOLDER", tmp_path / "quizzes")
    file = tmp_path / "quizzes" / f"{LESSON}.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    return file


@pytest.mark.parametrize("unit_id", LESSONS)
def test_a_lesson_has_a_quiz_that_cannot_be_guessed_by_form(unit_id: str) -> None:
    questions = quiz.load(unit_id)
    assert 4 <= len(questions) <= 5
    for question in questions:
        texts = [answer.feedback for answer in question.answers]
        assert len(set(texts)) == len(texts), f"{question.id}: one reason an answer"
        assert all(len(text.split()) >= 10 for text in texts), question.id
    right = [[a.correct for a in q.answers].index(True) for q in questions]
    assert len(set(right)) > 2, "the right answer stands at the same place too often"
    longest = [max(q.answers, key=lambda a: len(a.text)).correct for q in questions]
    assert sum(longest) <= len(questions) / 2, "the longest answer is right too often"


def test_a_lab_has_no_quiz() -> None:
    assert quiz.load(LAB) == ()


def _broken(change: str) -> dict:
    data = copy.deepcopy(GOOD)
    question = data["questions"][0]
    answers = question["answers"]
    {
        "no questions": lambda: data.update(questions=[]),
        "not a list": lambda: data.update(questions={}),
        "no id": lambda: question.pop("id"),
        "empty question": lambda: question.update(question=" "),
        "unknown key": lambda: question.update(points=3),
        "same id": lambda: data["questions"].append(question),
        "two right": lambda: answers[1].update(correct=True),
        "none right": lambda: answers[0].update(correct=False),
        "one answer": lambda: answers.pop(),
        "no feedback": lambda: answers[1].pop("feedback"),
        "correct as text": lambda: answers[1].update(correct="false"),
        "same text": lambda: answers[1].update(text="2"),
    }[change]()
    return data


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("no questions", "at least one question"),
        ("not a list", "at least one question"),
        ("no id", "question 1: expected the texts id and question"),
        ("empty question", "question 1: expected the texts id and question"),
        ("unknown key", "question 1: expected the texts id and question"),
        ("same id", r"question 2 \(sum\): its id stands twice"),
        ("two right", r"question 1 \(sum\): .* got 2 with 2 correct"),
        ("none right", r"question 1 \(sum\): .* got 2 with 0 correct"),
        ("one answer", r"question 1 \(sum\): .* got 1 with 1 correct"),
        ("no feedback", r"question 1 \(sum\): answer 2: expected text, correct"),
        ("correct as text", r"question 1 \(sum\): answer 2: expected text, correct"),
        ("same text", r"question 1 \(sum\): two of its answers have the same text"),
    ],
)
def test_a_broken_quiz_names_file_question_and_fault(
    folder: Path, change: str, says: str
) -> None:
    folder.write_text(json.dumps(_broken(change)), encoding="utf-8")
    with pytest.raises(ValueError, match=f"{LESSON}.json: .*{says}"):
        quiz.load(LESSON)


def test_broken_json_names_the_file(folder: Path) -> None:
    folder.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=f"{LESSON}.json: not valid JSON"):
        quiz.load(LESSON)


def test_the_kernel_judges_and_records_each_answer(folder: Path) -> None:
    widget = quiz.show(LESSON)
    asked = {"id": "sum", "question": "What is 1 + 1?", "answers": ["2", "3"]}
    assert widget.questions == [asked]
    assert "One too many" not in json.dumps(widget.get_state(), default=str)
    answer = widget._handle_custom_msg  # what a message of the browser calls
    answer({"question": "sum", "answer": 1}, [])
    assert widget.verdicts["sum"] == {
        "tries": 1,
        "answer": 1,
        "correct": False,
        "feedback": "One too many.",
    }
    answer({"question": "sum", "answer": 0}, [])
    assert widget.verdicts["sum"]["tries"] == 2
    assert widget.verdicts["sum"]["correct"] is True
    summary = progress.summary()[LESSON]
    assert (summary.answered, summary.first, summary.right) == (1, 0, 1)


def test_without_a_widget_manager_the_questions_are_text() -> None:
    data, _ = quiz.show(LESSON)._repr_mimebundle_()
    for question in quiz.load(LESSON):
        assert question.question in data["text/plain"]
        for answer in question.answers:
            assert f"- {answer.text}" in data["text/plain"]
            assert answer.feedback not in data["text/plain"]
