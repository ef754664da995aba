// The lifecycle as columns of buttons; the panel below says more about the chosen one.
// Nothing is asked of the kernel, so the map works while a lesson computes.

function mark(harm) {
  const node = element("span", `st-mark st-mark-${harm}`);
  node.setAttribute("aria-hidden", "true");
  return node;
}

function ids(names) {
  const list = element("ul", "st-ids");
  list.setAttribute("role", "list");
  list.append(
    ...names.map((name) => {
      const [id, ...words] = name.split(" ");
      const entry = element("li", "");
      entry.append(element("code", "", id), ` ${words.join(" ")}`);
      return entry;
    }),
  );
  return list;
}

function unitLink(unit) {
  const entry = element("li", "");
  if (unit.path) {
    const link = element("a", "", unit.title);
    link.href = unit.href;
    openInTab(link, unit.path);
    entry.append(link);
  } else {
    entry.append(unit.title);
  }
  entry.append(element("span", "st-quiet", ` · ${unit.facts}`));
  return entry;
}

function units(threat) {
  const list = element("ul", "st-links");
  list.setAttribute("role", "list");
  list.append(...threat.units.map(unitLink));
  return list;
}

function part(title, sentence, names) {
  const node = element("div", "st-part");
  node.append(element("h5", "", title), element("p", "", sentence));
  if (names.length) node.append(ids(names));
  return node;
}

function fill(panel, stage, threat, harms) {
  const head = element("p", "st-quiet");
  head.append(mark(threat.harm), `${stage.name} · ${harms[threat.harm]}`);
  const parts = element("div", "st-parts");
  parts.append(
    part("What goes wrong", threat.wrong, threat.attack),
    part("What stops it", threat.stops, threat.defence),
  );
  const taught = element("div", "st-part");
  taught.append(element("h5", "", "Where you learn it"), units(threat));
  parts.append(taught);
  panel.replaceChildren(head, element("h4", "", threat.title), parts);
}

function threatButton(threat, harms) {
  const button = element("button", "st-threat");
  button.type = "button";
  const spoken = element("span", "st-spoken", `, ${harms[threat.harm]}`);
  button.append(mark(threat.harm), element("span", "", threat.title), spoken);
  button.setAttribute("aria-pressed", "false");
  return button;
}

// Every threat with its button, stage by stage, and the sections that hold them.
function build(model, id) {
  const harms = model.get("harms");
  return model.get("stages").map((stage, i) => {
    const section = element("section", "st-stage");
    const title = element("h4", "st-stage-name", stage.name);
    title.id = `${id}-stage-${i}`;
    section.setAttribute("aria-labelledby", title.id);
    const list = element("ul", "st-threats");
    list.setAttribute("role", "list");
    const entries = stage.threats.map((threat) => {
      const item = element("li", "");
      const button = threatButton(threat, harms);
      button.setAttribute("aria-controls", `${id}-panel`);
      item.append(button);
      return { stage, threat, item, button, section };
    });
    list.append(...entries.map((entry) => entry.item));
    section.append(title, list);
    return { section, entries };
  });
}

function chooser(model, id) {
  const row = element("div", "st-row");
  const label = element("label", "", "Show");
  const select = element("select", "st-select");
  select.id = `${id}-show`;
  label.htmlFor = select.id;
  select.append(option("all", "every threat"));
  const groups = [
    ["harm", "What happens", model.get("harms")],
    ["role", "In the course for", model.get("roles")],
  ];
  for (const [kind, title, choices] of groups) {
    const group = document.createElement("optgroup");
    group.label = title;
    const entries = Object.entries(choices);
    group.append(...entries.map(([key, text]) => option(`${kind} ${key}`, text)));
    select.append(group);
  }
  const number = element("span", "st-quiet");
  number.setAttribute("aria-live", "polite");
  row.append(label, select, number);
  return { row, select, number };
}

function fits(threat, choice) {
  const [kind, key] = choice.split(" ");
  if (kind === "harm") return threat.harm === key;
  if (kind === "role") return threat.roles.includes(key);
  return true;
}

// Arrow keys: up and down within a stage, left and right to the next one.
function move(event, columns) {
  const steps = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1, ArrowRight: 1 };
  if (!(event.key in steps)) return;
  const seen = columns
    .map((column) => column.entries.filter((entry) => !entry.item.hidden))
    .filter((entries) => entries.length);
  const here = (entries) => entries.findIndex((e) => e.button === event.target);
  const at = seen.findIndex((entries) => here(entries) >= 0);
  if (at < 0) return;
  const row = here(seen[at]);
  const across = event.key === "ArrowLeft" || event.key === "ArrowRight";
  const column = seen[across ? at + steps[event.key] : at];
  const next = column?.[across ? Math.min(row, column.length - 1) : row + steps[event.key]];
  event.preventDefault();
  next?.button.focus();
}

function legend(harms) {
  const list = element("ul", "st-legend");
  list.setAttribute("role", "list");
  list.setAttribute("aria-label", "What the marks mean");
  for (const [key, words] of Object.entries(harms)) {
    const entry = element("li", "");
    entry.append(mark(key), words);
    list.append(entry);
  }
  return list;
}

function panelOf(id) {
  const panel = element("div", "st-panel");
  panel.id = `${id}-panel`;
  panel.setAttribute("role", "region");
  panel.setAttribute("aria-label", "The chosen threat");
  return panel;
}

function choose(chosen, entries, panel, harms) {
  entries.forEach((entry) => {
    entry.button.setAttribute("aria-pressed", String(entry === chosen));
  });
  fill(panel, chosen.stage, chosen.threat, harms);
  // In a narrow window the panel opens below its stage, not below all of them.
  chosen.section.after(panel);
}

// Hide what does not fit the choice, and return what is left.
function filter(choice, columns) {
  const left = [];
  columns.forEach(({ section, entries }) => {
    entries.forEach((entry) => (entry.item.hidden = !fits(entry.threat, choice)));
    const here = entries.filter((entry) => !entry.item.hidden);
    section.classList.toggle("st-empty", !here.length);
    left.push(...here);
  });
  return left;
}

function render({ model, el }) {
  const id = `st-map-${++count}`;
  const harms = model.get("harms");
  dress(el, "st-map");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "Risk map of the lifecycle");
  const columns = build(model, id);
  const entries = columns.flatMap((column) => column.entries);
  const panel = panelOf(id);
  // It stays where it is, so that screen readers hear it change; the panel moves.
  const spoken = element("p", "st-spoken");
  spoken.setAttribute("aria-live", "polite");
  const grid = element("div", "st-grid");
  grid.style.setProperty("--st-stages", columns.length);
  grid.append(...columns.map((column) => column.section), panel);

  const { row, select, number } = chooser(model, id);
  const show = () => {
    const left = filter(select.value, columns);
    number.textContent = `${left.length} of ${entries.length} threats`;
    panel.hidden = !left.length;
    const pressed = left.some((e) => e.button.getAttribute("aria-pressed") === "true");
    if (left.length && !pressed) choose(left[0], entries, panel, harms);
  };
  select.addEventListener("change", show);
  grid.addEventListener("keydown", (event) => move(event, columns));
  entries.forEach((entry) => {
    entry.button.addEventListener("click", () => {
      choose(entry, entries, panel, harms);
      const { title, wrong, stops } = entry.threat;
      spoken.textContent = `${title}. ${wrong} What stops it: ${stops}`;
    });
  });
  el.append(row, grid, spoken, legend(harms));
  show();
}

export default { render };
