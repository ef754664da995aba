// Native radios, one group an item.

function rating(name, value, words) {
  const label = element("label", "st-rating");
  const spoken = element("span", "st-spoken", `, ${words}`);
  label.append(radio(name, value), String(value), spoken);
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
  dress(el, "st-survey");
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

  const draw = (stored) => {
    items.forEach((item, i) => {
      radios(i).forEach((input) => {
        if (item.id in stored) input.checked = Number(input.value) === stored[item.id];
      });
    });
  };
  const read = () => {
    const answers = {};
    items.forEach((item, i) => {
      const chosen = radios(i).find((input) => input.checked);
      if (chosen) answers[item.id] = Number(chosen.value);
    });
    return answers;
  };
  const none = "Choose an answer first; you need not give all of them.";
  el.append(form);
  return keep(model, form, status, { read, draw, none });
}

export default { render };
