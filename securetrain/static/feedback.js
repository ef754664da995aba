// Two questions at the end of a unit: radios and a select.

function ratings(model, id) {
  const group = element("fieldset", "");
  group.append(element("legend", "st-text", model.get("useful")));
  const row = element("div", "st-scale");
  model.get("scale").forEach((words, i) => {
    const label = element("label", "st-mark-of");
    label.append(
      radio(`${id}-useful`, i + 1),
      element("span", "", `${i + 1} ${words}`),
    );
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
  select.append(option("", "Choose one"), ...words.map((pair) => option(...pair)));
  row.append(label, select);
  return row;
}

function render({ model, el }) {
  const id = `st-feedback-${++count}`;
  dress(el, "st-feedback-form");
  const form = element("form", "st-question");
  const words = `Two questions on \u201c${model.get("title")}\u201d`;
  form.setAttribute("aria-label", words);
  const title = element("p", "st-title", words);
  const button = element("button", "st-button", "Keep my answers");
  const status = element("p", "st-quiet");
  status.setAttribute("aria-live", "polite");
  form.append(title, ratings(model, id), changes(model, id), button, status);
  el.append(form);

  const select = form.querySelector("select");
  const draw = (stored) => {
    for (const input of form.querySelectorAll("input")) {
      if (stored.useful) input.checked = Number(input.value) === stored.useful;
    }
    if (stored.change) select.value = stored.change;
  };
  const read = () => {
    const chosen = form.querySelector("input:checked");
    return {
      ...(chosen && { useful: Number(chosen.value) }),
      ...(select.value && { change: select.value }),
    };
  };
  const none = "Answer one of them first; you need not answer both.";
  return keep(model, form, status, { read, draw, none });
}

export default { render };
