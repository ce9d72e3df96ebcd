// Keyboard shortcuts: they work where the focus is inside their element; everybody can change their keys, or turn them off
// (WCAG 2.1.4). The server keeps them with the user, and says which keys cannot be.
import * as api from "/static/api.js";
import { h, redraw } from "/static/dom.js";

/** @type {Session | null} */
let session = null;
const otherTabs = new BroadcastChannel("shortcuts");
otherTabs.addEventListener("message", ({ data }) => { if (data.user === session?.name) take(data.shortcuts); });

/** From now on the keys of somebody who signed in hold; null where nobody has. @param {Session | null} signedIn */
export function useKeys(signedIn) {
  session = signedIn;
  apply();
}

/** @param {Shortcuts} shortcuts */
function take(shortcuts) {
  if (session) session.shortcuts = shortcuts;
  apply();
}

/** Shows on the page which keys hold; hides what mentions them where they are off. */
function apply() {
  document.documentElement.dataset.keys = session?.shortcuts.on ? "on" : "off";
  for (const mention of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-shortcut]"))) write(mention);
}

/** @param {HTMLElement} mention */
function write(mention) {
  const key = session?.shortcuts.actions.find((one) => one.action === mention.dataset.shortcut)?.key ?? "";
  mention.hidden = !key;
  mention.firstElementChild?.replaceChildren(key);
}

/** A mention of the key that does something, in force even when it changes. @param {Action} action @param {string} [text] */
export function keyHint(action, text = "") {
  const mention = h("span", { "data-shortcut": action }, h("kbd", {}), text && ` ${text}`);
  write(mention);
  return mention;
}

/**
 * What was pressed, as shortcuts are written: a sign with Alt and Shift before it. Shift counts with letters only, as it is part
 * of other signs; so does AltGr.
 *
 * @param {KeyboardEvent} event
 */
function pressed(event) {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const made = event.getModifierState("AltGraph"), letter = key.toLowerCase() !== key.toUpperCase();
  return [!made && event.ctrlKey && "Ctrl", event.metaKey && "Meta", !made && event.altKey && "Alt", letter && event.shiftKey && "Shift", key].filter(Boolean).join("+");
}

/**
 * Does what shortcuts say that are pressed while the focus is inside an element, except where one types. `open` is Enter, which
 * is always on.
 *
 * @param {HTMLElement} element
 * @param {Partial<Record<Action | "open", (event: KeyboardEvent) => unknown>>} does
 * @param {AbortSignal} signal
 */
export function onKeys(element, does, signal) {
  element.addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (event.repeat || document.querySelector("dialog[open]") || target.matches("select, textarea, input:not([type=checkbox])")) return;
    const key = pressed(event);
    if (key === "Enter") return void does.open?.(event);
    const action = session?.shortcuts.on ? session.shortcuts.actions.find((one) => one.key === key)?.action : null;
    const run = action === "shortcuts" ? openShortcuts : action && does[action];
    if (!run) return;
    event.preventDefault();
    run(event);
  }, { signal });
}

/** Gives an element the focus where nothing on the page has it, so that its keys work at once. @param {HTMLElement} element */
export function takeFocus(element) {
  if ([document.body, document.getElementById("page")].includes(/** @type {HTMLElement} */ (document.activeElement))) element.focus({ preventScroll: true });
}

/** Shows the shortcuts in force, each to be changed. */
export function openShortcuts() {
  /** @type {Action | null} */
  let waiting = null; // the action whose key is pressed next
  const said = h("p", { role: "status", class: "soft" });
  const on = h("input", { type: "checkbox", "data-key": "on", onchange: ({ target }) => send({ on: target.checked }) });
  const rows = h("tbody", {});
  const dialog = h("dialog", { class: "panel shortcuts", "aria-label": "Keyboard shortcuts", onclose: ({ currentTarget }) => currentTarget.remove(), onkeydown: press },
    h("div", { class: "stack" }, h("h2", {}, "Keyboard shortcuts"),
      h("p", { class: "soft" }, "They work while the focus is in the queue's list or in the head of a case. Enter opens the chosen case."),
      h("label", { class: "row" }, on, "Shortcuts are on"),
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["Does", "Key", "Change"].map((title) => h("th", { scope: "col" }, title)))), rows)),
      said, h("div", { class: "row" }, h("button", { onclick: () => send({ keys: all(null) }) }, "Reset all"), h("button", { class: "primary end", onclick: () => { dialog.close(); } }, "Close"))));

  /** @param {string | null} key */
  const all = (key) => Object.fromEntries((session?.shortcuts.actions ?? []).map((one) => [one.action, key]));

  function draw() {
    const { shortcuts } = session ?? {};
    if (!shortcuts) return dialog.close();
    on.checked = shortcuts.on;
    redraw(rows, shortcuts.actions.map(({ action, does, key, usual }) => h("tr", {}, h("td", {}, does), h("td", {}, key ? h("kbd", {}, key) : h("span", { class: "soft" }, "none")),
      h("td", { class: "row" }, h("button", { "data-key": `change ${action}`, "aria-label": `Change the key of ${does}`, onclick: () => ask(action, does), onblur: () => leave(action) }, waiting === action ? "Press a key…" : "Change"),
        key !== usual && h("button", { class: "quiet", "data-key": `reset ${action}`, "aria-label": `Reset the key of ${does} to ${usual}`, onclick: () => send({ keys: { [action]: null } }) }, `Reset to ${usual}`)))));
  }

  /** @param {Action} action @param {string} does */
  function ask(action, does) {
    waiting = action;
    say(`Press the new key of “${does}”; Backspace for none, Escape to keep the old one.`);
    draw();
  }

  /** @param {Action} action */
  function leave(action) {
    // Drawing again takes the focus for a moment.
    queueMicrotask(() => { if (waiting === action && !(document.activeElement instanceof HTMLElement && document.activeElement.dataset.key === `change ${action}`)) { waiting = null; draw(); } });
  }

  /** @param {KeyboardEvent} event */
  function press(event) {
    if (waiting === null || event.key === "Tab" || ["Shift", "Alt", "AltGraph", "Control", "Meta", "CapsLock", "Dead"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat) return;
    const action = waiting, key = pressed(event);
    waiting = null;
    if (key === "Escape") { say(""); draw(); } else send({ keys: { [action]: ["Backspace", "Delete"].includes(key) ? "" : key } });
  }

  /** @param {string} text @param {string} [tone] */
  function say(text, tone = "soft") {
    said.className = tone;
    said.textContent = text;
  }

  /** @param {{ on?: boolean, keys?: Record<string, string | null> }} wanted */
  async function send(wanted) {
    try {
      take(await api.post("/session/shortcuts", wanted));
      otherTabs.postMessage({ user: session?.name, shortcuts: session?.shortcuts });
      say("Saved, and in force on every page.");
    } catch (error) {
      say(api.messageOf(error), "form-error");
    }
    draw();
  }

  draw();
  document.body.append(dialog);
  dialog.showModal();
}
