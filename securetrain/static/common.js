// What our widgets share: widgets.py puts it in front of each one's own module.
const PATIENCE = 2000; // ms until we say that the kernel is busy
let count = 0; // of a module's parts that need an id of their own

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function option(value, text) {
  const node = element("option", "", text);
  node.value = value;
  return node;
}

function radio(name, value) {
  const node = document.createElement("input");
  node.type = "radio";
  node.name = name;
  node.value = value;
  return node;
}

// Give a widget its style, and keep JupyterLab from taking arrow keys and Enter in it
// for moving between cells: it asks the control that has the focus, not what is around.
function dress(el, kind) {
  el.classList.add("st-front", kind);
  el.addEventListener("focusin", ({ target }) => {
    target.dataset.lmSuppressShortcuts = "true";
  });
}

// JupyterLab opens a notebook in a tab of its own; elsewhere it is a plain link.
function openInTab(link, path) {
  link.dataset.commandlinkerCommand = "docmanager:open";
  link.dataset.commandlinkerArgs = JSON.stringify({ path });
}

// Returns how to start waiting for the kernel, and how to stop; `say` says it is busy.
function waiting(say) {
  let timer;
  const stop = () => clearTimeout(timer);
  const start = () => {
    stop();
    timer = setTimeout(say, PATIENCE);
  };
  return { start, stop };
}

// A form whose answers are kept when it is submitted; what the page says is kept is
// what the kernel read back. `read` returns the answers, {} for none; `draw` shows what
// is stored; `none` is said where nothing was answered. Returns how to let go of it.
function keep(model, form, status, { read, draw, none }) {
  const wait = waiting(() => {
    status.textContent =
      "The kernel is busy or stopped; your answers are kept when it is free.";
  });
  const show = () => {
    wait.stop();
    draw(model.get("stored"));
    status.textContent = model.get("status");
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const answers = read();
    const any = Object.keys(answers).length > 0;
    status.textContent = any ? "" : none;
    if (!any) return;
    wait.start();
    model.send(answers);
  });
  model.on("change:saves", show);
  show();
  return () => {
    wait.stop();
    model.off("change:saves", show);
  };
}

