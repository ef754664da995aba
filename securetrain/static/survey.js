// Native radios, one group an item. Answers go to the kernel when the button is
// pressed, and what the page says is stored is what the kernel read back.
const PATIENCE = 2000; // ms until we say that the kernel is busy
let count = 0;

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function rating(name, value, words) {
  const label = element("label", "st-rating");
  const radio = document.createElement("input");
  radio.type = "radio";
  radio.name = name;
  radio.value = value;
  label.append(radio, String(value), element("span", "st-spoken", `, ${words}`));
  return label;
}

function row(item, scale, id) {
  const group = element("div", "st-item");
  const text = element("p", "", item.text);
  text.id = id;
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-labelledby", id);
  const ratings = element("div", "st-ratings");
  ratings.append(...scale.map((words, i) => rating(`${id}-value`, i + 1, words)));
  group.append(text, ratings);
  return group;
}

// A stage's name, with the ends of the scale above the radios; each radio says its own.
function heading(stage, scale) {
  const line = element("div", "st-item st-item-head");
  const ends = element("div", "st-ratings st-ends");
  ends.setAttribute("aria-hidden", "true");
  ends.append(element("span", "", scale[0]), element("span", "", scale.at(-1)));
  line.append(element("h4", "", stage), ends);
  return line;
}

function rows(model, id) {
  const scale = model.get("scale");
  const found = [];
  let stage = "";
  model.get("items").forEach((item, i) => {
    if (item.stage !== stage) found.push(heading(item.stage, scale));
    stage = item.stage;
    found.push(row(item, scale, `${id}-${i}`));
  });
  return found;
}

function render({ model, el }) {
  const id = `st-survey-${++count}`;
  el.classList.add("st-front", "st-survey");
  const form = element("form", "");
  form.setAttribute("aria-label", "Survey");
  const key = element("p", "st-quiet");
  key.textContent = model
    .get("scale")
    .map((words, i) => `${i + 1} ${words}`)
    .join(" · ");
  const button = element("button", "st-button", "Save my answers");
  const status = element("p", "st-quiet");
  status.setAttribute("aria-live", "polite");
  const title = element("p", "st-title", model.get("question"));
  form.append(title, key, ...rows(model, id), button, status);
  const items = model.get("items");
  const radios = (i) => [...form.elements.namedItem(`${id}-${i}-value`)];

  let timer;
  const draw = () => {
    clearTimeout(timer);
    const stored = model.get("stored");
    items.forEach((item, i) => {
      radios(i).forEach((radio) => {
        if (item.id in stored) radio.checked = Number(radio.value) === stored[item.id];
      });
    });
    status.textContent = model.get("status");
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const answers = {};
    items.forEach((item, i) => {
      const chosen = radios(i).find((radio) => radio.checked);
      if (chosen) answers[item.id] = Number(chosen.value);
    });
    if (!Object.keys(answers).length) {
      status.textContent = "Choose an answer first; you need not give all of them.";
      return;
    }
    status.textContent = "";
    clearTimeout(timer);
    timer = setTimeout(() => {
      status.textContent =
        "The kernel is busy or stopped; your answers are stored when it is free.";
    }, PATIENCE);
    model.send(answers);
  });
  model.on("change:saves", draw);
  el.append(form);
  el.querySelectorAll("input, button").forEach((control) => {
    // JupyterLab must not take arrow keys and Enter for moving between cells.
    control.dataset.lmSuppressShortcuts = "true";
  });
  draw();
  return () => model.off("change:saves", draw);
}

export default { render };
