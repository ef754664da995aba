// Native radios in one form a question. The kernel judges: the browser gets the texts
// of questions and answers, and the feedback on an answer after it was chosen.

function choice(name, index, text) {
  const label = element("label", "st-choice");
  label.append(radio(name, index), element("span", "", text));
  return label;
}

function questionForm(model, question, number, total) {
  const form = element("form", "st-question");
  const fieldset = document.createElement("fieldset");
  const legend = element("legend", "");
  legend.append(
    element("span", "st-number", `Question ${number} of ${total}`),
    element("span", "st-text", question.question),
  );
  const name = `st-quiz-${++count}`;
  const choices = question.answers.map((text, i) => choice(name, i, text));
  const button = element("button", "st-button", "Check answer");
  const feedback = element("p", "st-feedback");
  feedback.setAttribute("aria-live", "polite");
  fieldset.append(legend, ...choices);
  form.append(fieldset, button, feedback);

  const wait = waiting(() => {
    feedback.textContent =
      "The kernel is busy or stopped; your answer is checked when it is free.";
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = form.querySelector("input:checked");
    feedback.className = "st-feedback";
    if (!chosen) {
      feedback.textContent = "Choose an answer first.";
      return;
    }
    feedback.textContent = "";
    wait.start();
    model.send({ question: question.id, answer: Number(chosen.value) });
  });

  let shown = 0;
  const draw = () => {
    const verdict = model.get("verdicts")[question.id];
    if (!verdict || verdict.tries === shown) return;
    shown = verdict.tries;
    wait.stop();
    choices[verdict.answer].firstChild.checked = true;
    feedback.className = `st-feedback ${verdict.correct ? "st-right" : "st-wrong"}`;
    const opening = element("strong", "", verdict.correct ? "Right." : "Not quite.");
    feedback.replaceChildren(opening, ` ${verdict.feedback}`);
  };
  return { form, draw, wait };
}

function render({ model, el }) {
  const questions = model.get("questions");
  const title = `Quiz: ${model.get("title")}`;
  dress(el, "st-quiz");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", title);
  const parts = questions.map((question, i) =>
    questionForm(model, question, i + 1, questions.length),
  );
  const score = element("p", "st-score");
  const draw = () => {
    parts.forEach((part) => part.draw());
    const right = Object.values(model.get("verdicts")).filter((v) => v.correct).length;
    score.textContent = `${right} of ${questions.length} right so far`;
  };
  model.on("change:verdicts", draw);
  el.append(element("p", "st-title", title), ...parts.map((p) => p.form), score);
  draw();
  return () => {
    parts.forEach((part) => part.wait.stop());
    model.off("change:verdicts", draw);
  };
}

export default { render };
