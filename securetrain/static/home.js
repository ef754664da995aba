// The home page: a native choice of a role, and below it the page that the kernel draws.
// It asks the kernel to read the record again when it comes into view or is entered.
const PAUSE = 1500; // ms between two questions to the kernel

function chooser(model, id) {
  const select = element("select", "st-select");
  select.id = id;
  const roles = Object.entries(model.get("roles"));
  select.append(...roles.map((role) => option(...role)));
  return select;
}

function wire(body, folder) {
  for (const link of body.querySelectorAll("a[href]")) {
    const url = new URL(link.getAttribute("href"), `http://local/${folder}/`);
    openInTab(link, decodeURIComponent(url.pathname.slice(1)));
  }
}

// Draws the page again, and leaves focus and what was unfolded as they were.
function redraw(body, html, folder) {
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const selector = "a[href], summary";
  const place = [...body.querySelectorAll(selector)].indexOf(focused);
  const open = body.querySelector("details")?.open;
  body.innerHTML = html;
  wire(body, folder);
  const details = body.querySelector("details");
  if (details && open) details.open = true;
  if (place >= 0) body.querySelectorAll(selector)[place]?.focus({ preventScroll: true });
}

function render({ model, el }) {
  const id = `st-home-${++count}`;
  dress(el, "st-home");
  const row = element("div", "st-row st-choose");
  const label = element("label", "", "Your role");
  label.htmlFor = id;
  const select = chooser(model, id);
  const status = element("span", "st-quiet");
  status.setAttribute("role", "status");
  row.append(label, select, status);
  const body = element("div", "");
  el.append(row, body);

  const wait = waiting(() => {
    status.textContent = "The kernel is stopped or busy: run this cell again.";
  });
  let shown;
  let choosing = false;
  const draw = () => {
    // An answer to something older must not take back what was chosen since.
    if (choosing && model.get("role") !== select.value) return;
    choosing = false;
    wait.stop();
    status.textContent = "";
    select.value = model.get("role");
    if (model.get("html") === shown) return;
    shown = model.get("html");
    redraw(body, shown, model.get("folder"));
  };
  select.addEventListener("change", () => {
    choosing = true;
    wait.start();
    model.send({ role: select.value });
  });

  let asked = Date.now();
  const refresh = () => {
    if (Date.now() - asked < PAUSE) return;
    asked = Date.now();
    model.send({});
  };
  const seen = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) refresh();
  });
  seen.observe(el);
  el.addEventListener("pointerenter", refresh);
  el.addEventListener("focusin", refresh);
  window.addEventListener("focus", refresh);
  model.on("change:draws", draw);
  draw();
  return () => {
    wait.stop();
    seen.disconnect();
    window.removeEventListener("focus", refresh);
    model.off("change:draws", draw);
  };
}

export default { render };
