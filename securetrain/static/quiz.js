// Native radios in one form a question. The kernel judges: the browser gets the texts
// of questions and answers, and the feedback on an answer after it was chosen.
const PATIENCE = 2000; // ms until we say that the kernel is busy
let count = 0;

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function choice(name, index, text) {
  const label = element("label", "st-choice");
  const radio = document.createElement("input");
  radio.type = "radio";
  radio.name = name;
  radio.value = index;
  label.append(radio, element("span", "", text));
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

  let timer;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = form.querySelector("input:checked");
    feedback.className = "st-feedback";
    if (!chosen) {
      feedback.textContent = "Choose an answer first.";
      return;
    }
    feedback.textContent = "";
    timer = setTimeout(() => {
      feedback.textContent =
        "The kernel is busy or stopped; your answer is checked when it is free.";
    }, PATIENCE);
    model.send({ question: question.id, answer: Number(chosen.value) });
  });

  let shown = 0;
  const draw = () => {
    const verdict = model.get("verdicts")[question.id];
    if (!verdict || verdict.tries === shown) return;
    shown = verdict.tries;
    clearTimeout(timer);
    choices[verdict.answer].firstChild.checked = true;
    feedback.className = `st-feedback ${verdict.correct ? "st-right" : "st-wrong"}`;
    const opening = element("strong", "", verdict.correct ? "Right." : "Not quite.");
    feedback.replaceChildren(opening, ` ${verdict.feedback}`);
  };
  return { form, draw };
}

function render({ model, el }) {
  const questions = model.get("questions");
  const title = `Quiz: ${model.get("title")}`;
  el.classList.add("st-front", "st-quiz");
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
  el.querySelectorAll("input, button").forEach((control) => {
    // JupyterLab must not take arrow keys and Enter for moving between cells.
    control.dataset.lmSuppressShortcuts = "true";
  });
  draw();
  return () => model.off("change:verdicts", draw);
}

export default { render };
