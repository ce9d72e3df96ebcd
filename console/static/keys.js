// Single-key shortcuts: they work where the focus is inside their element, and everybody can turn them off (WCAG 2.1.4).
import { h } from "/static/dom.js";

const kept = () => localStorage.getItem("keys") !== "off";

/** Hides or shows what mentions shortcuts. */
export function applyKeys() {
  document.documentElement.dataset.keys = kept() ? "on" : "off";
}

/** The button that turns shortcuts on or off, in this browser. */
export function keysButton() {
  const text = () => `Keys: ${kept() ? "on" : "off"}`;
  const button = h("button", { class: "quiet", title: "Shortcuts of a single key, such as j and f", onclick: () => {
    localStorage.setItem("keys", kept() ? "off" : "on");
    applyKeys();
    button.textContent = text();
  } }, text());
  return button;
}

/** Hands over single keys that are pressed while the focus is inside an element, except where one types. */
export function onKeys(element, handle, signal) {
  element.addEventListener("keydown", (event) => {
    if (!kept() || event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
    if (!event.target.matches("select, textarea, input:not([type=checkbox])")) handle(event);
  }, { signal });
}

/** Gives an element the focus where nothing on the page has it, so that its keys work at once. */
export function takeFocus(element) {
  if ([document.body, document.getElementById("page")].includes(/** @type {HTMLElement} */ (document.activeElement))) element.focus({ preventScroll: true });
}
