// Search works from files, where a page may not fetch others for a summary.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS === "object") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// What scrolls sideways can be reached and scrolled by keyboard.
function reachable() {
  for (const box of document.querySelectorAll("pre, .table-wrapper, .output")) {
    const wide = box.scrollWidth > box.clientWidth + 1;
    if (wide && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      const table = box.matches(".table-wrapper");
      box.setAttribute("aria-label", table ? "Wide table" : "Wide text");
    } else if (!wide && box.getAttribute("role") === "region") {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);

// The sidebar is longer than a screen: it opens at the page that is shown.
function here() {
  const box = document.querySelector(".sidebar-scroll");
  const page = box?.querySelector(".current-page");
  if (!page) return;
  const below = page.getBoundingClientRect().bottom - box.getBoundingClientRect().bottom;
  if (below > 0) box.scrollTop += below + box.clientHeight / 2;
}
addEventListener("DOMContentLoaded", here);

// A button that copies a cell's or a command's text.
function copyButtons() {
  if (!navigator.clipboard) return;
  for (const box of document.querySelectorAll(".cell_input pre, .highlight-bash pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(box.textContent.trimEnd());
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    box.parentElement.classList.add("has-copy");
    box.parentElement.append(button);
  }
}
addEventListener("DOMContentLoaded", copyButtons);
