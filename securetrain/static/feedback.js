// Two questions at the end of a unit: radios and a select, kept when the button is
// pressed. What the page says is kept is what the kernel read back.
const PATIENCE = 2000; // ms until we say that the kernel is busy
let count = 0;

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function ratings(model, id) {
  const scale = model.get("scale");
  const group = element("fieldset", "st-asked");
  group.append(element("legend", "st-text", model.get("useful")));
  const row = element("div", "st-scale");
  scale.forEach((words, i) => {
    const label = element("label", "st-mark-of");
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = `${id}-useful`;
    radio.value = i + 1;
    label.append(radio, element("span", "", `${i + 1} ${words}`));
    row.append(label);
  });
  group.append(row);
  return group;
}

function changes(model, id) {
  const row = element("p", "st-asked");
  const label = element("label", "st-text", model.get("change"));
  label.htmlFor = `${id}-change`;
  const select = element("select", "st-select");
  select.id = `${id}-change`;
  const words = Object.entries(model.get("changes"));
  for (const [key, text] of [["", "Choose one"], ...words]) {
    const option = element("option", "", text);
    option.value = key;
    select.append(option);
  }
  row.append(label, select);
  return row;
}

function render({ model, el }) {
  const id = `st-feedback-${++count}`;
  el.classList.add("st-front", "st-feedback-form");
  const form = element("form", "");
  const words = `Two questions on \u201c${model.get("title")}\u201d`;
  form.setAttribute("aria-label", words);
  const title = element("p", "st-title", words);
  const button = element("button", "st-button", "Keep my answers");
  const status = element("p", "st-quiet");
  status.setAttribute("aria-live", "polite");
  form.append(title, ratings(model, id), changes(model, id), button, status);
  const select = form.querySelector("select");

  let timer;
  const draw = () => {
    clearTimeout(timer);
    const stored = model.get("stored");
    for (const radio of form.querySelectorAll("input")) {
      if (stored.useful) radio.checked = Number(radio.value) === stored.useful;
    }
    if (stored.change) select.value = stored.change;
    status.textContent = model.get("status");
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = form.querySelector("input:checked");
    if (!chosen && !select.value) {
      status.textContent = "Answer one of them first; you need not answer both.";
      return;
    }
    const answers = { change: select.value };
    if (chosen) answers.useful = Number(chosen.value);
    status.textContent = "";
    clearTimeout(timer);
    timer = setTimeout(() => {
      status.textContent =
        "The kernel is busy or stopped; your answers are kept when it is free.";
    }, PATIENCE);
    model.send(answers);
  });
  model.on("change:saves", draw);
  el.append(form);
  el.querySelectorAll("input, select, button").forEach((control) => {
    // JupyterLab must not take arrow keys and Enter for moving between cells.
    control.dataset.lmSuppressShortcuts = "true";
  });
  draw();
  return () => model.off("change:saves", draw);
}

export default { render };
