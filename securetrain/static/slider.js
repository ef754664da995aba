// A native range input: arrow keys, Home, End and Page keys work by themselves.

function render({ model, el }) {
  const id = `st-slider-${++count}`;
  dress(el, "st-slider");

  const label = element("label", "", model.get("label"));
  label.htmlFor = id;

  const input = document.createElement("input");
  input.type = "range";
  input.id = id;
  input.min = model.get("minimum");
  input.max = model.get("maximum");
  input.step = model.get("step");
  input.value = model.get("value");

  const number = document.createElement("output");
  number.htmlFor = id;
  number.textContent = input.value;

  const row = element("div", "st-row");
  row.append(label, input, number);

  const result = element("div", "st-result");
  result.setAttribute("role", "region");
  result.setAttribute("aria-label", `Result for ${model.get("label")}`);
  result.setAttribute("aria-live", "polite");

  const draw = () => {
    result.innerHTML = model.get("result");
    result.removeAttribute("aria-busy");
  };
  const follow = () => {
    input.value = model.get("value");
    number.textContent = input.value;
  };
  input.addEventListener("input", () => {
    number.textContent = input.value;
  });
  // `change` comes once a key press or at the end of a drag, so the kernel keeps up.
  input.addEventListener("change", () => {
    if (model.get("value") === input.valueAsNumber) return;
    result.setAttribute("aria-busy", "true");
    model.set("value", input.valueAsNumber);
    model.save_changes();
  });
  model.on("change:result", draw);
  model.on("change:value", follow);
  draw();
  el.append(row, result);
  return () => {
    model.off("change:result", draw);
    model.off("change:value", follow);
  };
}

export default { render };
